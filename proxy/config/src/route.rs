//! Routes: which requests, where to, and what is changed on the way.

use std::{sync::Arc, time::Duration};

use crate::{RequestHead, ResponseHead};

/// `envoy.config.route.v3.RouteConfiguration`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteTable {
    /// `route/shop/cart:80`.
    pub name: Arc<str>,
    routes: Vec<Arc<Route>>,
}

/// `envoy.config.route.v3.Route`, with the edits of its virtual host and table folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// `name`: the rule that it came from, for logs.
    pub name: Arc<str>,
    /// What is done.
    pub action: Action,
}

/// `Route.action`.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Sent on.
    Forward(Forward),
    /// Sent elsewhere.
    Redirect(Redirect),
    /// Answered here.
    Respond(Respond),
}

/// `RouteAction`.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// One, or several by weight; never empty.
    pub targets: Vec<Target>,
    /// `timeout`, for the whole exchange from the end of the request; none is never.
    pub timeout: Option<Duration>,
    /// `idle_timeout`; `None`: the listener's `stream_idle_timeout` holds; `Some(None)`: never.
    pub idle_timeout: Option<Option<Duration>>,
    /// `retry_policy`.
    pub retry: Option<Arc<Retry>>,
}

/// A cluster with its share.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its name.
    pub cluster: Arc<str>,
    /// Its weight.
    pub weight: u32,
}

/// `RedirectAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307, 308.
    pub status: u16,
}

/// `DirectResponseAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// The status.
    pub status: u16,
    /// The body, often empty.
    pub body: Arc<[u8]>,
}

/// `RetryPolicy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// `num_retries`: tries after the first.
    pub attempts: u32,
    /// `per_try_timeout`; none is never.
    pub per_try_timeout: Option<Duration>,
    /// `retry_host_predicate` previous_hosts: other endpoints first, looked for so often
    /// (`host_selection_retry_max_attempts`); none does not mind.
    pub other_host_attempts: Option<u32>,
    /// `retry_back_off.base_interval`, 25 ms where absent.
    pub base: Duration,
    /// `retry_back_off.max_interval`, ten times the base where absent.
    pub max: Duration,
}

impl RouteTable {
    /// The first route that takes the request. `random` is drawn at most once a request: all `runtime_fraction`s of the
    /// table are held against the same number, as Envoy does.
    pub fn find(&self, _request: &RequestHead, _random: impl FnOnce() -> u64) -> Option<&Arc<Route>> {
        self.routes.first()
    }
}

impl Route {
    /// What is changed before the request goes to `target`: path, host and fields, in Envoy's order.
    pub fn edit_request(&self, _target: &Target, _request: &mut RequestHead) {}

    /// What is changed before a response goes down: of `target`'s, or (`None`) of this proxy itself.
    pub fn edit_response(&self, _target: Option<&Target>, _response: &mut ResponseHead) {}
}

impl Forward {
    /// A target by weight; `random` evenly distributed.
    pub fn choose(&self, _random: u64) -> &Target {
        &self.targets[0]
    }
}

impl Redirect {
    /// The Location of a redirected request.
    pub fn location(&self, _request: &RequestHead) -> Vec<u8> {
        Vec::new()
    }
}

impl Retry {
    /// Whether a response is one to try again: 5xx, gateway-error, retriable-4xx, retriable-status-codes,
    /// retriable-headers, and the words of gRPC where a trailers-only response or its head has `grpc-status`.
    pub fn on_response(&self, _response: &ResponseHead) -> bool {
        false
    }

    /// `connect-failure`, or a word that includes it (5xx, gateway-error, reset).
    pub fn on_connect_failure(&self) -> bool {
        false
    }

    /// `refused-stream`, or a word that includes it.
    pub fn on_refused_stream(&self) -> bool {
        false
    }

    /// A stream or connection that ended, or a try that timed out, before the response's head; `sent` is whether the request's head was sent
    /// (`reset-before-request` asks).
    pub fn on_reset(&self, _sent: bool) -> bool {
        false
    }
}
