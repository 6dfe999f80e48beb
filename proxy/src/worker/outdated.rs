//! Connections by a chain that is not there any more: they are told to go, so that what holds now (who has to prove who
//! it is, above all) holds for all soon.

use byrnie_config::{Chain, Filter, Listener};

use super::{Loop, conn::Role, front::Front};

impl Loop {
    /// The listeners have changed.
    pub fn drain_outdated(&mut self) {
        let config = self.config.clone();
        for key in self.conns.keys() {
            let Some(Role::Server(server)) = self.conns.get_mut(key).map(|conn| &mut conn.role) else { continue };
            let listener = config.listeners.get(&server.front.listener.name);
            if !server.draining && !listener.is_some_and(|listener| serves(listener, &server.front)) {
                server.drain();
                self.mark(key);
            }
        }
    }
}

/// Whether a listener has a chain like the one that took the connection.
fn serves(listener: &Listener, front: &Front) -> bool {
    let is_like = |chain: &Chain| {
        let same_filter = matches!(&chain.filter, Filter::Http(http) if *http == front.http);
        same_filter && chain.tls == front.tls && chain.offers == front.offers
    };
    std::ptr::eq(listener, &*front.listener) || listener.chains.iter().chain(&listener.default).any(is_like)
}
