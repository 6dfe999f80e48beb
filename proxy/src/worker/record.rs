//! What is over, in the words of telemetry.

use std::rc::Rc;

use byrnie_config::Version;

use super::{
    Loop,
    conn::{Conn, Role},
    ends::{Accepted, Side, Tunnel},
    exchange::Exchange,
    front::Front,
    keys::Key,
    pool::Pools,
    reason::Reason,
};
use crate::telemetry::facts::{Client, Closed, Connection, Failure, Request, Upstream};

impl Loop {
    /// A request.
    pub fn record(&mut self, exchange: &Exchange) {
        let record = &exchange.record;
        let version = match exchange.version {
            Version::Http2 => "HTTP/2",
            Version::Http1 if exchange.old => "HTTP/1.0",
            Version::Http1 => "HTTP/1.1",
        };
        self.telemetry.request(&Request {
            client: client(&exchange.front),
            upstream: record.via.and_then(|endpoint| upstream(&self.pools, endpoint)),
            cluster: exchange.target().map(|target| &*target.cluster),
            route: exchange.route.as_ref().map(|route| &*route.name),
            head: &exchange.head,
            version,
            is_grpc: exchange.is_grpc(),
            status: record.status,
            grpc_status: record.grpc_status,
            failure: record.reason.map(Reason::failure),
            received: record.received,
            sent: record.sent,
            retries: exchange.tries.saturating_sub(1),
            started: record.started,
            answered: record.answered,
            // To the turn, as the start is.
            ended: self.now,
            generation: self.config.generation,
        });
    }

    /// What was no request and was answered nevertheless: nothing is known of it but that.
    pub fn record_unread(&mut self, down: Key, front: Rc<Front>, status: u16, sent: usize) {
        let mut exchange = Exchange::new(down, None, front, self.now);
        exchange.record.status = status;
        exchange.record.reason = Some(Reason::BadRequest);
        exchange.record.sent = sent as u64;
        self.record(&exchange);
    }

    /// A client's end whose endpoint was chosen for the first time.
    pub fn record_opened(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let Role::Tunnel(tunnel) = &conn.role else { return };
        let Side::Client(accepted) = &tunnel.side else { return };
        if accepted.carried.is_some() {
            return;
        }
        let carried = self.telemetry.opened(&connection(&self.pools, conn, accepted), self.now);
        if let Role::Tunnel(tunnel) = &mut conn.role
            && let Side::Client(accepted) = &mut tunnel.side
        {
            accepted.carried = Some(carried);
        }
    }

    /// An end that is closed. One that was never given to a cluster is none.
    pub fn record_closed(&mut self, conn: &Conn, tunnel: &Tunnel) {
        let Side::Client(accepted) = &tunnel.side else { return };
        let Some(started) = accepted.started else { return };
        let closed = Closed {
            failure: accepted.reason.map(Reason::failure),
            received: accepted.received,
            sent: accepted.sent,
            started,
            ended: self.now,
            generation: self.config.generation,
        };
        self.telemetry.closed(&connection(&self.pools, conn, accepted), &closed, accepted.carried.as_ref());
    }
}

impl Loop {
    /// What is cut off by the end of the process.
    pub fn record_rest(&mut self) {
        for key in self.exchanges.keys() {
            if let Some(mut exchange) = self.exchanges.remove(key) {
                exchange.record.reason = Some(Reason::Ending);
                self.record(&exchange);
            }
        }
        for key in self.conns.keys() {
            if let Some(conn) = self.conns.remove(key)
                && let Role::Tunnel(tunnel) = &conn.role
            {
                self.record_closed(&conn, tunnel);
            }
        }
    }
}

impl Reason {
    /// For logs and metrics.
    pub fn failure(self) -> Failure {
        Failure { flag: self.flag(), text: self.text() }
    }
}

fn client(front: &Front) -> Client<'_> {
    Client {
        direction: front.listener.direction,
        peer: front.peer,
        called: front.called,
        listener: &front.listener.name,
        stat: &front.http.stat,
        principal: front.proof.as_ref().map(|proof| &*proof.uri),
    }
}

fn connection<'a>(pools: &'a Pools, conn: &'a Conn, accepted: &'a Accepted) -> Connection<'a> {
    let peer = conn.session.as_ref().and_then(|session| session.peer());
    let client = Client {
        direction: accepted.listener.direction,
        peer: conn.peer,
        called: accepted.called,
        listener: &accepted.listener.name,
        stat: &accepted.tcp.stat,
        principal: peer.map(|peer| &*peer.uri),
    };
    let upstream = accepted.via.and_then(|endpoint| upstream(pools, endpoint));
    Connection { client, cluster: accepted.cluster.as_deref(), upstream }
}

/// Nothing where the endpoint has gone meanwhile, with its last connection.
fn upstream(pools: &Pools, endpoint: Key) -> Option<Upstream<'_>> {
    let endpoint = pools.endpoints.get(endpoint)?;
    let (address, cluster) = (endpoint.address, &*endpoint.upstream.cluster);
    Some(Upstream { address, cluster, tls: endpoint.tls.as_deref() })
}
