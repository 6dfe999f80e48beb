//! Detection that hardly delays: where an application says nothing at first, it may be waiting for the server to speak.
//!
//! After a few milliseconds of silence the endpoint of the TCP chain is dialled, while the application is still listened
//! to. Whoever speaks first decides: the server, that it is a protocol of bytes; the application, by its first octets.

use std::time::Duration;

use byrnie_config::{Filter, Seen, Transport};

use super::{
    Loop,
    conn::{Inspecting, Role, Seeks},
    ends::{Side, Tunnel},
    inspect::{First, first_http},
    keys::Key,
};

/// The silence after which an endpoint is dialled.
const SILENCE: Duration = Duration::from_millis(5);

/// How long a first request line may take to be whole once it has begun (Envoy waits as long for the first octet).
const LINE: Duration = Duration::from_millis(100);

/// Whether a connection that says nothing would go to an endpoint as plain octets.
fn carries_octets(inspecting: &Inspecting) -> bool {
    let seen =
        Seen { port: inspecting.called.port(), server_name: None, transport: Transport::Plain, applications: &[] };
    let chain = inspecting.listener.choose(&seen);
    chain.is_some_and(|chain| chain.tls.is_none() && matches!(chain.filter, Filter::Tcp(_)))
}

impl Loop {
    /// How long the first octets of a connection are waited for before its TCP chain is dialled; none where it is not.
    pub fn silence(&self, key: Key) -> Option<Duration> {
        let inspecting = self.inspecting(key)?;
        let inspect = inspecting.listener.inspect;
        (inspecting.early && inspect.http && !inspect.tls && inspect.goes_on).then_some(SILENCE)
    }

    /// Silence. Whether the endpoint is dialled now.
    pub fn dial_early(&mut self, key: Key) -> bool {
        if self.silence(key).is_none() {
            return false;
        }
        let is_silent = self.conns.get(key).is_some_and(|conn| conn.kept.is_empty());
        let Some(Role::Inspecting(inspecting)) = self.conns.get_mut(key).map(|conn| &mut conn.role) else {
            return false;
        };
        inspecting.early = false;
        if !is_silent || !carries_octets(inspecting) {
            let rest = inspecting.listener.inspect.timeout.unwrap_or(LINE);
            self.set_deadline(key, rest);
            return true;
        }
        self.choose(key, &First::Other, &[], true);
        true
    }

    /// The first octets of an application whose endpoint was dialled early. Whether they go there.
    pub fn decide(&mut self, key: Key, octets: &[u8]) -> bool {
        let first = first_http(octets);
        let Some(accepted) = self.undecided(key) else { return true };
        match first {
            First::Partial => {
                if let Some(conn) = self.conns.get_mut(key) {
                    conn.keep(octets);
                }
                self.set_deadline(key, LINE);
                false
            }
            First::Http(_) => {
                let (listener, called) = (accepted.listener.clone(), accepted.called);
                let other = self.leave_tunnel(key, Inspecting { listener, called, seeks: Seeks::Chain, early: false });
                if let Some(other) = other {
                    self.close(other);
                }
                self.choose(key, &first, octets, false);
                false
            }
            First::Tls(_) | First::Other => {
                self.decided(key);
                true
            }
        }
    }

    /// It is a protocol of bytes.
    pub fn decided(&mut self, key: Key) {
        let Some(accepted) = self.undecided(key) else { return };
        accepted.undecided = false;
        if let Some(conn) = self.conns.get_mut(key) {
            conn.deadline = None;
        }
        self.record_opened(key);
        // What was kept of a line that never was one.
        self.enqueue(key);
    }

    /// An endpoint that was dialled early is not there: the application is waited for all the same. Whether it was so.
    pub fn wait_on(&mut self, key: Key) -> bool {
        let Some(accepted) = self.undecided(key) else { return false };
        let (listener, called) = (accepted.listener.clone(), accepted.called);
        self.leave_tunnel(key, Inspecting { listener, called, seeks: Seeks::Chain, early: false });
        self.begin_inspection(key);
        true
    }

    fn undecided(&mut self, key: Key) -> Option<&mut super::ends::Accepted> {
        match &mut self.conns.get_mut(key)?.role {
            Role::Tunnel(tunnel) => match &mut tunnel.side {
                Side::Client(accepted) if accepted.undecided => Some(accepted),
                Side::Client(_) | Side::Endpoint(_) => None,
            },
            _ => None,
        }
    }

    /// Makes a client's end a connection again of which nothing is known; gives its other end.
    fn leave_tunnel(&mut self, key: Key, inspecting: Inspecting) -> Option<Key> {
        let conn = self.conns.get_mut(key)?;
        conn.deadline = None;
        let role = std::mem::replace(&mut conn.role, Role::Inspecting(Box::new(inspecting)));
        match role {
            Role::Tunnel(tunnel) => {
                let Tunnel { other, .. } = *tunnel;
                if let Some(other) = other
                    && let Some(Role::Tunnel(end)) = self.conns.get_mut(other).map(|conn| &mut conn.role)
                {
                    end.other = None;
                }
                other
            }
            _ => None,
        }
    }
}
