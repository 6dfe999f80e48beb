//! Once a second while something happens: what is idle, what is not needed, what should not be there any more.

use byrnie_balance::Health;

use super::{Buffers, Loop, conn::Role, ends::Side, keys::Key};

impl Loop {
    /// Once a second while something happens.
    pub fn keep_house(&mut self, buffers: &mut Buffers) {
        self.kept = self.now;
        self.busy = false;
        for key in self.conns.keys() {
            self.keep_conn(key);
        }
        self.pools.sweep();
        self.pipes.clear();
        self.accept_late();
        self.sweep_waiting();
        self.want_again();
        self.spare.truncate(64);
        if buffers.sealed.capacity() > 128 << 10 {
            buffers.sealed = Vec::new();
        }
    }

    pub fn keep_conn(&mut self, key: Key) {
        if self.leave_failed(key) {
            return;
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.rest();
        let silent = self.now.saturating_duration_since(conn.active);
        let (idle, limit) = match &mut conn.role {
            Role::Server(server) => (server.rest(), server.front.http.idle_timeout),
            Role::Client(client) => {
                let endpoint = self.pools.endpoints.get(client.host);
                (client.rest(), endpoint.and_then(|endpoint| endpoint.upstream.cluster.idle_timeout))
            }
            Role::Tunnel(tunnel) => (true, tunnel.idle_timeout()),
            Role::Inspecting(_) | Role::Done => (true, None),
        };
        // Budgets are filled and timeouts looked at while there is something that needs it.
        self.busy |= !idle || limit.is_some();
        if idle && limit.is_some_and(|limit| silent >= limit) {
            self.idle_for_too_long(key);
        }
    }

    /// `close_connections_on_host_health_failure`: whether a connection was taken from an endpoint that is not well.
    pub fn leave_failed(&mut self, key: Key) -> bool {
        let (endpoint, idle, other) = match self.conns.get(key).map(|conn| &conn.role) {
            Some(Role::Client(client)) => (client.host, client.exchanges().is_empty(), None),
            Some(Role::Tunnel(tunnel)) => match &tunnel.side {
                Side::Endpoint(dialled) => (dialled.endpoint, true, tunnel.other),
                Side::Client(_) => return false,
            },
            _ => return false,
        };
        let Some(endpoint) = self.pools.endpoints.get(endpoint) else { return false };
        if !endpoint.upstream.cluster.close_on_failure {
            return false;
        }
        self.busy = true;
        let failed = endpoint.host.as_ref().is_some_and(|host| host.health() == Health::Unhealthy);
        match other {
            _ if !failed || !idle => return false,
            Some(other) => self.tunnel_over(key, other),
            None => self.leave_pool(key),
        }
        true
    }

    pub fn idle_for_too_long(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        match &mut conn.role {
            Role::Server(server) => {
                server.drain();
                self.client_gone(key);
            }
            Role::Client(_) => self.leave_pool(key),
            Role::Tunnel(_) => self.tunnel_idle(key),
            Role::Inspecting(_) | Role::Done => {}
        }
    }
}
