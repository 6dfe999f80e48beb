//! A request on its way up: cluster, endpoint, connection.

use std::sync::Arc;

use byrnie_balance::Resource;
use byrnie_config::{Discovery, Fields};
use byrnie_http2::ErrorCode;

use super::{
    Loop,
    client::{Client, Unsent},
    conn::Role,
    draw,
    exchange::{COPY, Up},
    keys::Key,
    pool::Lane,
    reason::Reason,
    retry::Failure,
    server::Codec,
};
use crate::config::Upstream;

/// What a client's connection of HTTP/1 may have waiting before it is not read any more.
const WAITING: usize = 64 << 10;

impl Loop {
    /// Sends the request to an endpoint, for the first time or again.
    pub fn attempt(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if !matches!(exchange.up, Up::None | Up::Pausing) {
            return;
        }
        if exchange.is_overdue(self.now) {
            return self.timed_out(key, Reason::Deadline);
        }
        let Some(target) = exchange.target() else { return };
        let name = target.cluster.clone();
        let Some(upstream) = self.config.upstreams.get(&name).cloned() else {
            return self.reply(key, Reason::NoCluster);
        };
        let lane = Lane::of(upstream.cluster.protocol, exchange.version);
        let Some(endpoint) = self.choose_endpoint(key, &name, &upstream) else {
            return self.reply(key, Reason::NoEndpoint);
        };
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.tries += 1;
        exchange.request.rewind();
        exchange.record.via = Some(endpoint);
        if exchange.request.keeps
            && let Some(host) = self.pools.endpoints.get(endpoint).and_then(|endpoint| endpoint.host.as_ref())
        {
            exchange.tried.add(host);
        }
        self.watch(key);
        self.send_or_wait(key, endpoint, lane);
    }

    /// Which endpoint: another one than before where the route says so.
    fn choose_endpoint(&mut self, key: Key, name: &Arc<str>, upstream: &Arc<Upstream>) -> Option<Key> {
        let exchange = self.exchanges.get(key)?;
        if upstream.cluster.discovery == Discovery::OriginalDestination {
            let called = exchange.front.called;
            self.follow_cluster(name, upstream);
            return self.pools.direct(name, called);
        }
        let others = exchange.retry().and_then(|retry| retry.other_host_attempts).filter(|_| exchange.tries > 0);
        self.follow_cluster(name, upstream);
        let (exchange, cluster) = (self.exchanges.get(key)?, self.pools.clusters.get_mut(name)?);
        let random = &mut self.random;
        let place = match others {
            None => cluster.picker.pick(&upstream.hosts, || draw(random)),
            Some(attempts) => {
                let tried = |place| exchange.tried.contains(upstream.hosts.host(place));
                cluster.picker.pick_other(&upstream.hosts, attempts, tried, || draw(random))
            }
        };
        place.map(|place| cluster.at(place.place()))
    }

    /// Takes over an update of a cluster that was not used since.
    pub fn follow_cluster(&mut self, name: &Arc<str>, upstream: &Arc<Upstream>) {
        let mut retired = Vec::new();
        let seed = self.draw();
        self.pools.cluster(name, upstream, seed, &mut retired);
        self.retire(retired);
    }

    /// Writes the request to a connection that takes it, or waits for one.
    fn send_or_wait(&mut self, key: Key, endpoint: Key, lane: Lane) {
        let mut connects = true;
        while let Some(conn) = self.ready_connection(endpoint, lane) {
            match self.send(key, endpoint, conn) {
                Ok(()) => return,
                Err(Unsent::Request) => {
                    self.put_back(conn);
                    return self.reply(key, Reason::BadRequest);
                }
                Err(Unsent::Connection) => self.set_aside(endpoint, lane, conn),
                Err(Unsent::Now) => {
                    connects = false;
                    break;
                }
            }
        }
        let Some(entry) = self.pools.endpoints.get_mut(endpoint) else { return };
        if !entry.upstream.breakers.acquire(Resource::Pending) {
            return self.try_failed(key, Failure::Overflow);
        }
        entry.lane(lane).waiting.push_back(key);
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.up = Up::Waiting { endpoint, lane };
        }
        if connects {
            self.connect_for_waiting(endpoint, lane);
        }
    }

    /// Writes the head, and what is there of the body.
    pub fn send(&mut self, key: Key, endpoint: Key, conn_key: Key) -> Result<(), Unsent> {
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(()) };
        let Some(entry) = self.pools.endpoints.get_mut(endpoint) else { return Err(Unsent::Connection) };
        let Some(client) = self.conns.get_mut(conn_key) else { return Err(Unsent::Connection) };
        let Role::Client(client) = &mut client.role else { return Err(Unsent::Connection) };
        if !entry.upstream.breakers.acquire(Resource::Requests) {
            self.put_back(conn_key);
            self.try_failed(key, Failure::Overflow);
            return Ok(());
        }
        self.edited.copy_from(&exchange.head);
        if let (Some(route), Some(target)) = (&exchange.route, exchange.target()) {
            route.edit_request(target, &mut self.edited);
        }
        let request = &exchange.request;
        let end = request.ended && request.octets.is_empty() && request.trailers.is_none();
        let sent = client.request(key, &self.edited, exchange.length, end);
        let stream = match sent {
            Ok(stream) => stream,
            Err(unsent) => {
                entry.upstream.breakers.release(Resource::Requests);
                return Err(unsent);
            }
        };
        if let Some(host) = &entry.host {
            host.begin_request();
        }
        // A chunked body of HTTP/1 has an end of its own.
        exchange.request.finished = end && (stream.is_some() || exchange.length.is_empty());
        exchange.up = Up::Sent { endpoint, conn: conn_key, stream };
        if entry.upstream.cluster.max_requests.is_some_and(|most| client.requests >= most) {
            client.end_after_this();
        }
        self.limit_try(key);
        self.pump_request(key);
        self.mark(conn_key);
        Ok(())
    }

    /// A piece of the request's body.
    pub fn request_octets(&mut self, key: Key, octets: &[u8]) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.record.received += octets.len() as u64;
        exchange.request.owed += octets.len();
        exchange.touch(self.now);
        let awaits_upgrade = exchange.is_upgrade() && !exchange.reply.started;
        let request = &mut exchange.request;
        if exchange.up == Up::Over {
            return self.give_back(key, usize::MAX);
        }
        if request.keeps && request.octets.len() + octets.len() > COPY {
            request.forget();
        }
        if let Up::Sent { conn, stream, .. } = exchange.up
            && !request.keeps
            && !awaits_upgrade
            && request.octets.is_empty()
            && let Some(Role::Client(client)) = self.conns.get_mut(conn).map(|conn| &mut conn.role)
        {
            let taken = client.send(stream, octets, false).unwrap_or(0);
            request.octets.extend_from_slice(&octets[taken..]);
            self.mark(conn);
            self.give_back(key, taken);
        } else {
            request.octets.extend_from_slice(octets);
            self.pump_request(key);
        }
        let Some(exchange) = self.exchanges.get(key) else { return };
        if exchange.stream.is_none() && exchange.request.waiting() > WAITING {
            let down = exchange.down;
            if let Some(conn) = self.conns.get_mut(down) {
                conn.paused = true;
            }
        }
    }

    /// The request is complete.
    pub fn request_ended(&mut self, key: Key, trailers: Option<Box<Fields>>) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if exchange.request.ended {
            return;
        }
        exchange.request.ended = true;
        exchange.request.trailers = trailers;
        if let Some(timeout) = exchange.forward().and_then(|forward| forward.timeout)
            && !exchange.is_upgrade()
            && !exchange.reply.ended
        {
            exchange.deadlines.response = Some(self.now + timeout);
            self.watch(key);
        }
        self.limit_try(key);
        self.pump_request(key);
    }

    /// Gives the endpoint's connection what it has room for.
    pub fn pump_request(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Up::Sent { conn, stream, .. } = exchange.up else { return };
        let Some(Role::Client(client)) = self.conns.get_mut(conn).map(|conn| &mut conn.role) else { return };
        let awaits_upgrade = exchange.is_upgrade() && !exchange.reply.started;
        let request = &mut exchange.request;
        if request.finished || awaits_upgrade {
            return;
        }
        let last = request.ended && request.trailers.is_none();
        let mut taken = 0;
        if request.waiting() > 0 {
            // A stream that is gone is told of by itself.
            taken = client.send(stream, &request.octets[request.sent..], last).unwrap_or(0);
            request.sent += taken;
            request.finished = last && request.waiting() == 0 && taken > 0;
            if !request.keeps && request.waiting() == 0 {
                request.forget();
            }
        }
        if request.waiting() == 0 && request.ended && !request.finished {
            request.finished = match &request.trailers {
                None => client.send(stream, &[], true).is_some(),
                Some(fields) => client.trailers(stream, fields).is_some(),
            };
        }
        let relieved = request.waiting() <= WAITING;
        let down = exchange.down;
        self.mark(conn);
        self.give_back(key, taken);
        if relieved {
            self.resume(down);
        }
    }

    /// Gives octets that were passed on back to the client's window.
    fn give_back(&mut self, key: Key, octets: usize) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let octets = octets.min(exchange.request.owed);
        exchange.request.owed -= octets;
        let (down, stream) = (exchange.down, exchange.stream);
        if octets > 0
            && stream.is_some()
            && let Some(server) = self.server(down)
        {
            server.release(stream, octets);
            self.mark(down);
        }
    }

    /// The client is gone, or broke its request off: nothing is answered any more.
    pub fn abandon(&mut self, key: Key, reason: Reason) {
        self.end_try(key);
        self.break_off(key, reason);
    }

    /// Ends a response in the middle, so that the client cannot take it for whole.
    pub fn break_off(&mut self, key: Key, reason: Reason) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.record.reason = Some(reason);
        let (down, stream) = (exchange.down, exchange.stream);
        match self.server(down).map(|server| &mut server.codec) {
            Some(Codec::Http1(http1)) => {
                http1.exchange = None;
                self.close_when_written(down);
            }
            Some(Codec::Http2(http2)) => {
                if let Some(stream) = stream {
                    let code = match reason {
                        // A server of gRPC ends a call so whose time is over: its client tells by its own clock.
                        Reason::ClientGone | Reason::Deadline => ErrorCode::CANCEL,
                        _ => ErrorCode::INTERNAL_ERROR,
                    };
                    http2.core.reset(stream, code);
                    http2.streams.remove(stream);
                }
                self.mark(down);
            }
            Some(Codec::Unknown) | None => {}
        }
        self.finish(key);
    }

    /// The exchange is over: what it knows goes into logs and metrics, and its place is free.
    pub fn finish(&mut self, key: Key) {
        let Some(mut exchange) = self.exchanges.remove(key) else { return };
        if exchange.deadlines.watched {
            self.watched -= 1;
        }
        self.record(&exchange);
        if self.spare.len() < 256 {
            exchange.rest();
            self.spare.push(exchange);
        }
    }

    pub fn client(&mut self, key: Key) -> Option<&mut Client> {
        match &mut self.conns.get_mut(key)?.role {
            Role::Client(client) => Some(client),
            _ => None,
        }
    }
}
