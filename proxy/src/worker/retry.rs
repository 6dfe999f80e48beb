//! How a try ends, and whether another follows.

use std::time::Instant;

use byrnie_balance::{Outcome, Resource};
use byrnie_http2::ErrorCode;

use super::{Loop, client::Codec, conn::Role, draw, exchange::Up, keys::Key, reason::Reason, timers::Due};

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
        // An endpoint that gives a call up does so at the deadline of the call, and may be heard before the sweep.
        if exchange.is_overdue(Instant::now()) {
            return self.timed_out(key, Reason::Deadline);
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

    /// The stream of a try is not wanted any more, or done.
    pub fn release_stream(&mut self, conn: Key, stream: Option<byrnie_http2::Key>) {
        let Some(Role::Client(client)) = self.conns.get_mut(conn).map(|conn| &mut conn.role) else { return };
        match (&mut client.codec, stream) {
            (Codec::Http1(http1), _) => {
                http1.exchange = None;
                if http1.core.can_reuse() {
                    self.is_free(conn);
                } else {
                    self.leave_pool(conn);
                }
            }
            (Codec::Http2(http2), Some(stream)) => {
                http2.streams.remove(stream);
                http2.core.reset(stream, ErrorCode::CANCEL);
                self.mark(conn);
                self.is_free(conn);
            }
            _ => {}
        }
    }
}
