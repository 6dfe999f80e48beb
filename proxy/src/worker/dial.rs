//! The endpoint's end of a pair: how it is chosen and connected.

use std::{net::SocketAddr, sync::Arc};

use byrnie_balance::{Outcome, Resource};
use byrnie_config::Discovery;

use super::{
    Loop,
    conn::Role,
    connect::connect,
    draw,
    ends::{Dialled, Side, Tunnel},
    keys::Key,
    reason::Reason,
};
use crate::config::Upstream;

impl Loop {
    /// Connects the client's end to an endpoint, once the client need not prove itself any more.
    pub fn dial_entered(&mut self, key: Key, early: bool) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let is_plain = conn.session.is_none();
        if let Some(accepted) = self.accepted_end(key)
            && is_plain
        {
            accepted.undecided = early;
            self.dial_tunnel(key);
        }
    }

    /// Connects the client's end to an endpoint.
    pub fn dial_tunnel(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.deadline = None;
        }
        let (now, random) = (self.now, self.draw());
        let Some(accepted) = self.accepted_end(key) else { return };
        accepted.started.get_or_insert(now);
        accepted.attempts += 1;
        let cluster = accepted.cluster.clone().unwrap_or_else(|| weighted(&accepted.tcp.clusters, random));
        accepted.cluster = Some(cluster.clone());
        let (called, more) = (accepted.called, accepted.attempts < accepted.tcp.connect_attempts);
        let Some(upstream) = self.config.upstreams.get(&cluster).cloned() else {
            return self.refuse_tunnel(key, Reason::NoCluster);
        };
        let Some(endpoint) = self.choose_for_tunnel(&cluster, &upstream, called) else {
            return self.refuse_tunnel(key, Reason::NoEndpoint);
        };
        if !upstream.breakers.acquire(Resource::Connections) {
            return self.refuse_tunnel(key, Reason::Overflow);
        }
        let Some(address) = self.pools.endpoints.get(endpoint).map(|endpoint| endpoint.address) else { return };
        let mut undecided = false;
        if let Some(accepted) = self.accepted_end(key) {
            accepted.via = Some(endpoint);
            undecided = accepted.undecided;
        }
        if !undecided {
            self.record_opened(key);
        }
        let dialled = connect(address, &upstream.cluster.bind, upstream.cluster.keepalive).map(|stream| {
            let dialled = Dialled { upstream: upstream.clone(), endpoint, connecting: true };
            let tunnel = Tunnel::of_endpoint(key, dialled);
            self.open(stream, address, Role::Tunnel(Box::new(tunnel)))
        });
        match dialled {
            Ok(Some(other)) => {
                self.tunnels += 1;
                if let Some(entry) = self.pools.endpoints.get_mut(endpoint) {
                    entry.open += 1;
                    if let Some(host) = &entry.host {
                        host.open_connection();
                    }
                }
                if let Some(conn) = self.conns.get_mut(other) {
                    (conn.writable, conn.readable) = (false, false);
                }
                if let Some(tunnel) = self.tunnel(key) {
                    tunnel.other = Some(other);
                }
                self.set_deadline(other, upstream.cluster.connect_timeout);
                // The client may still turn out to speak HTTP.
                self.enqueue(key);
            }
            Ok(None) | Err(_) => {
                upstream.breakers.release(Resource::Connections);
                self.report(endpoint, Outcome::ConnectFailure);
                if more { self.dial_tunnel(key) } else { self.refuse_tunnel(key, Reason::ConnectFailure) }
            }
        }
    }

    /// A client's end for which there is no other.
    pub fn refuse_tunnel(&mut self, key: Key, reason: Reason) {
        if self.wait_on(key) {
            return;
        }
        if let Some(accepted) = self.accepted_end(key) {
            tracing::debug!(cluster = accepted.cluster.as_deref(), reason = reason.text(), "connection refused");
            accepted.reason = Some(reason);
        }
        self.close(key);
    }

    pub fn choose_for_tunnel(&mut self, name: &Arc<str>, upstream: &Arc<Upstream>, called: SocketAddr) -> Option<Key> {
        self.follow_cluster(name, upstream);
        if upstream.cluster.discovery == Discovery::OriginalDestination {
            return self.pools.direct(name, called);
        }
        let random = &mut self.random;
        let cluster = self.pools.clusters.get_mut(name)?;
        cluster.picker.pick(&upstream.hosts, || draw(random)).map(|place| cluster.at(place.place()))
    }

    /// The connect of an endpoint's end came to its end. False where TLS failed to start.
    pub fn tunnel_connected(&mut self, key: Key) -> bool {
        let Some(Tunnel { side: Side::Endpoint(dialled), other, .. }) = self.tunnel(key) else { return false };
        dialled.connecting = false;
        let (endpoint, other) = (dialled.endpoint, *other);
        let Some(entry) = self.pools.endpoints.get(endpoint) else { return false };
        let (address, tls) = (entry.address, entry.tls.clone());
        let offers = other.and_then(|other| self.accepted_end(other)?.offers.clone());
        match tls {
            None => self.tunnel_stands(key),
            Some(tls) => {
                if let Err(error) = self.secure(key, address, &tls, offers.as_deref()) {
                    tracing::warn!(%error, %address, "TLS cannot be started");
                    self.tunnel_gone(key, false);
                    return false;
                }
            }
        }
        self.enqueue(key);
        true
    }

    /// The endpoint's end carries octets.
    pub fn tunnel_stands(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.deadline = None;
        }
        if let Some(Tunnel { side: Side::Endpoint(dialled), other, .. }) = self.tunnel(key) {
            let (endpoint, other) = (dialled.endpoint, *other);
            self.report(endpoint, Outcome::Connected);
            if let Some(other) = other {
                // What the client sent meanwhile.
                self.resume(other);
                self.enqueue(other);
            }
        }
        self.mark(key);
    }
}

fn weighted(clusters: &[(Arc<str>, u32)], random: u64) -> Arc<str> {
    let total: u64 = clusters.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut drawn = random % total.max(1);
    for (name, weight) in clusters {
        match drawn.checked_sub(u64::from(*weight)) {
            Some(left) => drawn = left,
            None => return name.clone(),
        }
    }
    clusters.last().map(|(name, _)| name.clone()).unwrap_or_default()
}
