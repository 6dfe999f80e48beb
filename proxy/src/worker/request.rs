//! A request on its way up: route, cluster, endpoint, connection; and again, where a try failed.

use std::sync::Arc;

use byrnie_balance::{Outcome, Resource};
use byrnie_config::{Action, ClientCertificate, Discovery, Fields, RequestHead, Routes};
use byrnie_http2::ErrorCode;

use super::{
    Loop, SWEEP,
    client::{Client, Unsent},
    conn::Role,
    draw,
    exchange::{COPY, Up},
    front::Front,
    keys::Key,
    pool::Lane,
    reason::Reason,
    server::Codec,
    timers::Due,
};
use crate::config::Upstream;

/// What a client's connection of HTTP/1 may have waiting before it is not read any more.
const WAITING: usize = 64 << 10;

/// How a try ended that did not bring a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect,
    /// A limit of the cluster.
    Overflow,
    /// The endpoint said that it did not look at the request.
    Refused,
    /// The endpoint reset the stream.
    Reset,
    /// The connection ended.
    Closed,
    /// What came is no HTTP.
    Malformed,
    /// `per_try_timeout`.
    Timeout,
}

impl Failure {
    fn reason(self) -> Reason {
        match self {
            Self::Connect => Reason::ConnectFailure,
            Self::Overflow => Reason::Overflow,
            Self::Refused | Self::Reset => Reason::Reset,
            Self::Closed => Reason::Closed,
            Self::Malformed => Reason::Malformed,
            Self::Timeout => Reason::Timeout,
        }
    }

    /// What it says of the endpoint.
    fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Connect => Some(Outcome::ConnectFailure),
            Self::Overflow => None,
            Self::Refused | Self::Reset | Self::Closed | Self::Malformed => Some(Outcome::Reset),
            Self::Timeout => Some(Outcome::Timeout),
        }
    }
}

impl Loop {
    /// Finds the route of a request and does what it says.
    pub fn route(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let front = exchange.front.clone();
        if exchange.old && front.http.host_for_http10.is_none() {
            return self.reply(key, Reason::OldVersion);
        }
        introduce(&front, &mut exchange.head);
        if let Some(upgrade) = exchange.head.upgrade()
            && !front.http.upgrades.iter().any(|known| upgrade.eq_ignore_ascii_case(known.as_bytes()))
        {
            return self.reply(key, Reason::Upgrade);
        }
        let table = match &front.http.routes {
            Routes::Named(name) => self.config.routes.get(name),
            Routes::Inline(table) => Some(table),
        };
        if let Some(table) = table {
            table.clean(&mut exchange.head);
        }
        let found = match table {
            // A CONNECT asks for a tunnel to anywhere.
            Some(_) if exchange.head.method() == b"CONNECT" => None,
            Some(table) => table.find(&exchange.head, || draw(&mut self.random)),
            None => None,
        };
        let Some(route) = found else { return self.reply(key, Reason::NoRoute) };
        exchange.route = Some(route.clone());
        match &route.action {
            Action::Forward(forward) => {
                let chosen: *const _ = forward.choose(draw(&mut self.random));
                exchange.target = forward.targets.iter().position(|target| std::ptr::eq(target, chosen)).unwrap_or(0);
                exchange.request.keeps = forward.retry.as_ref().is_some_and(|retry| retry.applies_to(&exchange.head));
                let idle = forward.idle_timeout.unwrap_or(front.http.stream_idle_timeout);
                exchange.deadlines.idle = idle.map(|idle| (self.now + idle, idle));
                if exchange.request.ended {
                    exchange.deadlines.response = forward.timeout.map(|timeout| self.now + timeout);
                }
                self.watch(key);
                self.attempt(key);
            }
            Action::Redirect(_) => self.redirect(key),
            Action::Respond(_) => self.respond_directly(key),
        }
    }

    /// Sends the request to an endpoint, for the first time or again.
    pub fn attempt(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if !matches!(exchange.up, Up::None | Up::Pausing) {
            return;
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

    /// `per_try_timeout`: from when the whole request is there and has a connection.
    fn limit_try(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if let Some(time) = exchange.retry().and_then(|retry| retry.per_try_timeout)
            && exchange.request.ended
            && !exchange.reply.started
            && matches!(exchange.up, Up::Sent { .. })
        {
            exchange.deadlines.attempt = Some(self.now + time);
            self.watch(key);
        }
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

    /// What a try held is free again. The try itself is over, or was never begun.
    pub fn end_try(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if let Some(upstream) = exchange.holds_retry.take() {
            upstream.breakers.release(Resource::Retries);
        }
        exchange.deadlines.attempt = None;
        match std::mem::replace(&mut exchange.up, Up::Over) {
            Up::Waiting { endpoint, lane } => {
                if let Some(endpoint) = self.pools.endpoints.get_mut(endpoint) {
                    endpoint.lane(lane).waiting.retain(|waiting| *waiting != key);
                    endpoint.upstream.breakers.release(Resource::Pending);
                }
            }
            Up::Sent { endpoint, conn, stream } => {
                if let Some(endpoint) = self.pools.endpoints.get(endpoint) {
                    endpoint.upstream.breakers.release(Resource::Requests);
                    if let Some(host) = &endpoint.host {
                        host.end_request();
                    }
                }
                self.release_stream(conn, stream);
            }
            Up::None | Up::Pausing | Up::Over => {}
        }
    }

    /// A try failed before there was a response: another one, or the client is told.
    pub fn try_failed(&mut self, key: Key, failure: Failure) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if exchange.reply.ended {
            // All that it had to say is here, and on its way down.
            return self.end_try(key);
        }
        let (sent, started) = (matches!(exchange.up, Up::Sent { .. }), exchange.reply.started);
        if let Up::Sent { endpoint, .. } | Up::Waiting { endpoint, .. } = exchange.up
            && let Some(outcome) = failure.outcome()
        {
            self.report(endpoint, outcome);
        }
        self.end_try(key);
        if started {
            return self.break_off(key, failure.reason());
        }
        let Some(exchange) = self.exchanges.get(key) else { return };
        let wanted = exchange.retry().is_some_and(|retry| match failure {
            Failure::Connect => retry.on_connect_failure(),
            Failure::Refused => retry.on_refused_stream() || retry.on_reset(sent),
            Failure::Reset | Failure::Closed | Failure::Malformed | Failure::Timeout => retry.on_reset(sent),
            Failure::Overflow => false,
        });
        if !wanted || !self.again(key) {
            self.reply(key, failure.reason());
        }
    }

    /// Has the request tried again after a pause, if it may be.
    pub fn again(&mut self, key: Key) -> bool {
        let Some(exchange) = self.exchanges.get_mut(key) else { return false };
        let Some(retry) = exchange.retry().cloned() else { return false };
        if exchange.tries > retry.attempts || !exchange.request.keeps {
            return false;
        }
        let Some(upstream) = exchange.target().and_then(|target| self.config.upstreams.get(&target.cluster)) else {
            return false;
        };
        if !upstream.breakers.acquire(Resource::Retries) {
            return false;
        }
        exchange.holds_retry = Some(upstream.clone());
        exchange.up = Up::Pausing;
        exchange.deadlines.attempt = None;
        exchange.request.rewind();
        // Full jitter under a ceiling that doubles (Envoy: JitteredExponentialBackOff).
        let doubled = retry.base.saturating_mul(1 << (exchange.tries - 1).min(16)).min(retry.max);
        let share = (draw(&mut self.random) >> 32) as f64 / (1u64 << 32) as f64;
        self.timers.add(self.now + doubled.mul_f64(share), Due::Retry(key));
        true
    }

    /// Tells the judge of endpoints.
    pub fn report(&mut self, endpoint: Key, outcome: Outcome) {
        let Some(endpoint) = self.pools.endpoints.get(endpoint) else { return };
        if let (Some(ejection), Some(host)) = (&endpoint.upstream.cluster.ejection, &endpoint.host) {
            ejection.report(host, outcome, self.now);
        }
    }

    /// Has the deadlines of an exchange looked at.
    fn watch(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let deadlines = &mut exchange.deadlines;
        let Some(soonest) = deadlines.soonest() else { return };
        let at = soonest.max(self.now + SWEEP);
        if self.watched == 0 || at < self.sweeps_at {
            self.sweeps_at = at;
        }
        if !std::mem::replace(&mut deadlines.watched, true) {
            self.watched += 1;
        }
    }

    /// Looks at all deadlines of exchanges.
    pub fn sweep(&mut self) {
        let now = self.now;
        let passed = |at: Option<std::time::Instant>| at.is_some_and(|at| at <= now);
        for key in self.exchanges.keys() {
            let Some(exchange) = self.exchanges.get(key) else { continue };
            let deadlines = exchange.deadlines;
            if passed(deadlines.response) {
                self.timed_out(key, Reason::Timeout);
            } else if passed(deadlines.attempt) {
                self.try_failed(key, Failure::Timeout);
            } else if passed(deadlines.idle.map(|(at, _)| at)) {
                self.timed_out(key, Reason::Idle);
            }
        }
        // What is silent meanwhile is late by as much as it takes to look at all, and no request wakes the worker.
        let soonest = self.exchanges.iter().filter_map(|exchange| exchange.deadlines.soonest()).min();
        self.sweeps_at = soonest.unwrap_or(now).max(now + SWEEP);
    }

    fn timed_out(&mut self, key: Key, reason: Reason) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let (up, started) = (exchange.up, exchange.reply.started);
        if let Up::Sent { endpoint, .. } = up
            && reason == Reason::Timeout
        {
            self.report(endpoint, Outcome::Timeout);
        }
        self.end_try(key);
        match started {
            true => self.break_off(key, reason),
            false => self.reply(key, reason),
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
                    http2.core.reset(
                        stream,
                        if reason == Reason::ClientGone { ErrorCode::CANCEL } else { ErrorCode::INTERNAL_ERROR },
                    );
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
        let Some(exchange) = self.exchanges.remove(key) else { return };
        if exchange.deadlines.watched {
            self.watched -= 1;
        }
        self.record(&exchange);
        if self.spare.len() < 256 {
            self.spare.push(exchange);
        }
    }

    /// The stream of a try is not wanted any more, or done.
    fn release_stream(&mut self, conn: Key, stream: Option<byrnie_http2::Key>) {
        let Some(Role::Client(client)) = self.conns.get_mut(conn).map(|conn| &mut conn.role) else { return };
        match (&mut client.codec, stream) {
            (super::client::Codec::Http1(http1), _) => {
                http1.exchange = None;
                if http1.core.can_reuse() {
                    self.is_free(conn);
                } else {
                    self.leave_pool(conn);
                }
            }
            (super::client::Codec::Http2(http2), Some(stream)) => {
                http2.streams.remove(stream);
                http2.core.reset(stream, ErrorCode::CANCEL);
                self.mark(conn);
                self.is_free(conn);
            }
            _ => {}
        }
    }

    pub fn client(&mut self, key: Key) -> Option<&mut Client> {
        match &mut self.conns.get_mut(key)?.role {
            Role::Client(client) => Some(client),
            _ => None,
        }
    }
}

/// Takes away what a client must not say of itself, and says who it proved to be and how it came (Envoy adds
/// `x-forwarded-proto` to what has none).
fn introduce(front: &Front, head: &mut RequestHead) {
    const CERTIFICATE: &[u8] = b"x-forwarded-client-cert";
    const SCHEME: &[u8] = b"x-forwarded-proto";
    let fields = head.fields_mut();
    fields.remove(CERTIFICATE);
    fields.remove(b"x-envoy-internal");
    if front.http.client_certificate == ClientCertificate::Replace
        && let Some(proof) = &front.proof
    {
        fields.push(CERTIFICATE, proof.forwarded.as_bytes());
    }
    if fields.get(SCHEME).is_none() {
        fields.push(SCHEME, if front.tls.is_some() { b"https" } else { b"http" });
    }
}

/// How long a stream may be silent is counted from its last octet.
impl super::exchange::Exchange {
    pub fn touch(&mut self, now: std::time::Instant) {
        if let Some((at, time)) = &mut self.deadlines.idle {
            *at = now + *time;
        }
    }
}
