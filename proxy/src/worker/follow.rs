//! A new configuration, and the end of the process.

use std::{sync::Arc, time::Duration};

use byrnie_config::{Chain, Filter, Listener};

use super::{
    Loop,
    conn::{Conn, Role},
    front::Front,
};
use crate::shared::Stage;

/// While it drains, a worker without requests ends after so long.
pub const QUIET: Duration = Duration::from_millis(500);

impl Loop {
    /// Takes over the configuration and the stage in force.
    pub fn follow(&mut self) {
        let config = self.shared.config.load_full();
        if !Arc::ptr_eq(&config, &self.config) {
            let same_listeners = Arc::ptr_eq(&config.listeners, &self.config.listeners);
            self.config = config;
            self.follow_config();
            if !same_listeners {
                self.drain_outdated();
            }
        }
        let stage = self.shared.stage();
        if stage != self.stage {
            let begins = self.stage == Stage::Running;
            self.stage = stage;
            if begins {
                self.drain();
            }
        }
    }

    /// Clusters first, then listeners: what is taken in can be sent on.
    pub fn follow_config(&mut self) {
        let config = self.config.clone();
        let mut retired = Vec::new();
        for name in self.pools.clusters.keys().cloned().collect::<Vec<_>>() {
            match config.upstreams.get(&name) {
                Some(upstream) => drop(self.pools.cluster(&name, upstream, self.random, &mut retired)),
                None => {
                    if let Some(cluster) = self.pools.clusters.remove(&name) {
                        retired.extend(cluster.endpoints());
                    }
                }
            }
        }
        self.retire(retired);
        self.bind();
        self.hand_over_waiting();
    }

    pub fn drain(&mut self) {
        for key in self.conns.keys() {
            if let Some(Conn { role: Role::Server(server), .. }) = self.conns.get_mut(key) {
                server.drain();
                self.mark(key);
            }
        }
    }

    pub fn is_over(&self) -> bool {
        match self.stage {
            Stage::Running | Stage::Draining => false,
            Stage::Finishing => self.now >= self.active + QUIET,
            Stage::Ending => true,
        }
    }

    /// The listeners have changed. Connections by a chain that is not there any more are told to go, so that what holds
    /// now (who has to prove who it is, above all) holds for all soon.
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
