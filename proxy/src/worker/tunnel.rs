//! Octets without HTTP: a client's connection and an endpoint's, each the other's end.

use std::time::Duration;

use byrnie_balance::{Outcome, Resource};

use super::{
    Buffers, Loop,
    buffer::READ,
    conn::{After, Conn, Got, Role},
    ends::{Accepted, Side, Tunnel},
    keys::Key,
    reason::Reason,
};

/// What may wait to be written before the other end is not read any more.
const WAITING: usize = 256 << 10;

impl Loop {
    pub fn tunnel(&mut self, key: Key) -> Option<&mut Tunnel> {
        match &mut self.conns.get_mut(key)?.role {
            Role::Tunnel(tunnel) => Some(tunnel),
            _ => None,
        }
    }

    pub fn accepted_end(&mut self, key: Key) -> Option<&mut Accepted> {
        match &mut self.tunnel(key)?.side {
            Side::Client(accepted) => Some(accepted),
            Side::Endpoint(_) => None,
        }
    }

    /// Reads one end, and hands what came to the other.
    pub fn read_tunnel(&mut self, key: Key, buffers: &mut Buffers) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let Role::Tunnel(tunnel) = &conn.role else { return };
        if tunnel.is_connecting() {
            return;
        }
        if tunnel.done {
            return self.look_for_error(key);
        }
        let other = tunnel.other;
        // The client's octets wait in its socket until there is somebody to take them; TLS has to be heard before.
        if other.is_none() && conn.session.is_none() {
            return;
        }
        if let Some(other) = other
            && self.is_spliced(key, other)
        {
            return self.splice(key, other);
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        let (was_secured, waits) = (conn.is_secured(), conn.deadline.is_some());
        let got = conn.read(&mut buffers.plain, &mut buffers.cipher);
        if !conn.is_flushed() {
            self.mark(key);
        }
        if let Got::Failed(broken) = &got {
            return self.broken(key, broken);
        }
        if self.conns.get(key).is_some_and(|conn| conn.is_secured()) && (!was_secured || waits) {
            self.tunnel_secured(key);
        }
        let octets = buffers.plain.filled();
        let ended = matches!(got, Got::End);
        let waits = self.accepted_end(key).is_some_and(|accepted| accepted.undecided);
        if waits && !ended && !octets.is_empty() && !self.decide(key, octets) {
            return;
        }
        match self.tunnel(key).map(|tunnel| tunnel.other) {
            Some(Some(other)) if self.carries(other) => {
                self.hand_over_octets(key, other, octets, ended, &mut buffers.sealed);
            }
            Some(None) if ended => return self.close(key),
            // They stay until a connection stands: an attempt that fails takes nothing with it.
            Some(_) => {
                if let Some(conn) = self.conns.get_mut(key) {
                    conn.keep(octets);
                    conn.ended |= ended;
                    conn.paused |= conn.kept.len() >= READ;
                }
            }
            None => return,
        }
        if let Some(conn) = self.conns.get(key)
            && conn.readable
            && !conn.paused
            && !ended
        {
            self.enqueue(key);
        }
    }

    /// Nothing more is read of an end, but where its socket broke the other end is over too.
    fn look_for_error(&mut self, key: Key) {
        let error = self.conns.get(key).and_then(|conn| conn.stream.take_error().ok().flatten());
        if let Some(error) = error {
            self.broken(key, &error.into());
        }
    }

    /// Whether an end takes octets.
    fn carries(&self, key: Key) -> bool {
        self.conns.get(key).is_some_and(|conn| {
            conn.is_secured() && matches!(&conn.role, Role::Tunnel(tunnel) if !tunnel.is_connecting())
        })
    }

    /// TLS of an end stands.
    fn tunnel_secured(&mut self, key: Key) {
        match self.tunnel(key).map(|tunnel| (&tunnel.side, tunnel.other)) {
            Some((Side::Client(_), None)) => self.dial_tunnel(key),
            Some((Side::Endpoint(_), _)) => self.tunnel_stands(key),
            _ => {}
        }
    }

    fn hand_over_octets(&mut self, key: Key, other: Key, octets: &[u8], ended: bool, scratch: &mut Vec<u8>) {
        self.count_octets(key, other, octets.len() as u64);
        let Some(end) = self.conns.get_mut(other) else { return };
        // Straight from the read buffer, where nothing waits before it.
        let taken = match end.offer(octets, scratch) {
            Ok(taken) => taken,
            Err(error) => return self.broken(other, &error.into()),
        };
        let Role::Tunnel(tunnel) = &mut end.role else { return };
        tunnel.out.extend_from_slice(&octets[taken..]);
        let full = tunnel.output().len() > WAITING || (end.session.is_some() && !end.is_flushed());
        if !end.is_drained() {
            self.mark(other);
        }
        if full && let Some(conn) = self.conns.get_mut(key) {
            conn.paused = true;
        }
        if ended {
            self.tunnel_end_ended(key, other);
        }
    }

    /// One end has said its last: the other is told when it has all of it.
    pub fn tunnel_end_ended(&mut self, key: Key, other: Key) {
        if let Some(tunnel) = self.tunnel(key) {
            tunnel.done = true;
        }
        // An endpoint that ends has decided what is spoken.
        self.decided(other);
        if let Some(end) = self.conns.get_mut(other)
            && end.after == After::Open
        {
            end.after = After::Shut;
        }
        self.mark(other);
    }

    /// Octets went from one end to the other.
    pub fn count_octets(&mut self, key: Key, other: Key, octets: u64) {
        if let Some(tunnel) = self.tunnel(key) {
            tunnel.passed += octets;
        }
        let from_client = match &mut self.tunnel(key).map(|tunnel| &mut tunnel.side) {
            Some(Side::Client(accepted)) => {
                accepted.received += octets;
                if let Some(carried) = &accepted.carried {
                    carried.received(octets);
                }
                true
            }
            _ => false,
        };
        if !from_client && octets > 0 {
            self.decided(other);
        }
        if !from_client && let Some(accepted) = self.accepted_end(other) {
            accepted.sent += octets;
            if let Some(carried) = &accepted.carried {
                carried.sent(octets);
            }
        }
    }

    /// There is room in one end: the other is read on. An end that was shut and has heard the last is over.
    pub fn refill_tunnel(&mut self, key: Key) {
        let Some(tunnel) = self.tunnel(key) else { return };
        let (other, relieved) = (tunnel.other, tunnel.output().len() < WAITING / 2);
        if relieved && let Some(other) = other {
            self.resume(other);
        }
    }

    /// Both directions were ended and written.
    pub fn tunnel_settled(&mut self, key: Key) {
        let Some(conn) = self.conns.get(key) else { return };
        let Role::Tunnel(tunnel) = &conn.role else { return };
        let Some(other) = tunnel.other else { return };
        let is_over =
            |conn: &Conn| conn.after == After::IsShut && matches!(&conn.role, Role::Tunnel(tunnel) if tunnel.done);
        if is_over(conn) && self.conns.get(other).is_none_or(is_over) {
            self.tunnel_over(key, other);
        }
    }

    /// The client's end was silent for too long: it is over where the other was, too.
    pub fn tunnel_idle(&mut self, key: Key) {
        let Some(tunnel) = self.tunnel(key) else { return };
        let (other, limit) = (tunnel.other, tunnel.idle_timeout().unwrap_or(Duration::MAX));
        let silent = |conn: &Conn| self.now.saturating_duration_since(conn.active) >= limit;
        let Some(other) = other else { return self.close(key) };
        if self.conns.get(other).is_none_or(silent) {
            self.tunnel_over(key, other);
        }
    }

    pub fn tunnel_over(&mut self, key: Key, other: Key) {
        self.close(key);
        self.close(other);
    }

    /// An end broke: the other goes too, as soon as it has what came before.
    pub fn tunnel_gone(&mut self, key: Key, reset: bool) {
        let Some(tunnel) = self.tunnel(key) else { return };
        let other = tunnel.other;
        let failed = match &tunnel.side {
            Side::Endpoint(dialled) if dialled.connecting => Some(dialled.endpoint),
            Side::Endpoint(dialled) => {
                let endpoint = dialled.endpoint;
                self.conns.get(key).is_some_and(|conn| !conn.is_secured()).then_some(endpoint)
            }
            Side::Client(_) => None,
        };
        // What was told to the peer before goes out, such as why.
        if let Some(conn) = self.conns.get_mut(key) {
            let _ = conn.write(&mut Vec::new());
        }
        self.close(key);
        let Some(other) = other else { return };
        if let Some(endpoint) = failed {
            self.report(endpoint, Outcome::ConnectFailure);
            if let Some(tunnel) = self.tunnel(other) {
                tunnel.other = None;
            }
            let again = self.accepted_end(other).is_some_and(|end| end.attempts < end.tcp.connect_attempts);
            return if again { self.dial_tunnel(other) } else { self.refuse_tunnel(other, Reason::ConnectFailure) };
        }
        if reset && let Some(conn) = self.conns.get_mut(other) {
            conn.after = After::Reset;
            return self.mark(other);
        }
        self.close_when_written(other);
    }

    /// `connect_timeout`, or the client's handshake took too long.
    pub fn tunnel_is_due(&mut self, key: Key) {
        if self.accepted_end(key).is_some_and(|accepted| accepted.undecided) {
            return self.decided(key);
        }
        self.tunnel_gone(key, false);
    }

    /// What counted an end does so no more.
    pub fn forget_tunnel(&mut self, tunnel: &Tunnel) {
        if let Side::Endpoint(dialled) = &tunnel.side {
            self.tunnels = self.tunnels.saturating_sub(1);
            dialled.upstream.breakers.release(Resource::Connections);
            if let Some(endpoint) = self.pools.endpoints.get_mut(dialled.endpoint) {
                endpoint.open = endpoint.open.saturating_sub(1);
                if let Some(host) = &endpoint.host {
                    host.close_connection();
                }
            }
            self.drop_retired(dialled.endpoint);
        }
    }
}
