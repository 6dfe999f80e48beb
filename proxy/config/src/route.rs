//! Routes: which requests, where to, and what is changed on the way.

mod conditions;
mod duration;
pub(crate) mod edit;
mod fields;
mod hosts;
mod path;
mod read;
mod redirect;
mod retry;
mod rewrite;

use std::{sync::Arc, time::Duration};

use conditions::Conditions;
use edit::Edits;
use hosts::Hosts;
use path::{Path, PathMatch};
use rewrite::Rewrite;

use crate::{RequestHead, ResponseHead};

pub use duration::StreamDuration;
pub use fields::tables;
pub use redirect::Redirect;
pub use retry::Retry;

/// What Envoy takes off every request that is not internal, and none is (`ConnectionManagerUtility`): orders to it.
const ORDERS: [&[u8]; 14] = [
    b"x-envoy-retriable-status-codes",
    b"x-envoy-retriable-header-names",
    b"x-envoy-retry-on",
    b"x-envoy-retry-grpc-on",
    b"x-envoy-max-retries",
    b"x-envoy-upstream-alt-stat-name",
    b"x-envoy-upstream-rq-timeout-ms",
    b"x-envoy-upstream-rq-per-try-timeout-ms",
    b"x-envoy-upstream-rq-timeout-alt-response",
    b"x-envoy-expected-rq-timeout-ms",
    b"x-envoy-force-trace",
    b"x-envoy-ip-tags",
    b"x-envoy-original-url",
    b"x-envoy-hedge-on-per-try-timeout",
];

/// `envoy.config.route.v3.RouteConfiguration`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteTable {
    /// `route/shop/cart:80`.
    pub name: Arc<str>,
    hosts: Hosts,
    /// Of each virtual host.
    routes: Vec<Vec<Entry>>,
    /// `internal_only_headers`, lower case.
    internal_only: Box<[Box<[u8]>]>,
    /// `ignore_path_parameters_in_path_matching`.
    cuts_parameters: bool,
}

/// A route and its conditions; the path first, by which most fail.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    path: PathMatch,
    conditions: Option<Box<Conditions>>,
    route: Arc<Route>,
}

/// `envoy.config.route.v3.Route`, with the edits of its virtual host and table folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// `name`: the rule that it came from, for logs.
    pub name: Arc<str>,
    /// What is done.
    pub action: Action,
    /// By level, in the order in which they are applied.
    request: Box<[Edits]>,
    response: Box<[Edits]>,
    host: Option<Box<[u8]>>,
    /// With what the route matched.
    rewrite: Option<(Rewrite, PathMatch)>,
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
    /// `timeout`, for the whole exchange from the end of the request; none is never, and beside `duration`.
    pub timeout: Option<Duration>,
    /// `max_stream_duration`, for the stream from its start.
    pub duration: Option<StreamDuration>,
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
    request: Edits,
    response: Edits,
    host: Option<Box<[u8]>>,
}

/// `DirectResponseAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// The status.
    pub status: u16,
    /// The body, often empty.
    pub body: Arc<[u8]>,
}

impl RouteTable {
    /// Takes off what clients may not say: `internal_only_headers`, and orders to Envoy. To be called before
    /// [`find`](Self::find), as Envoy does.
    pub fn clean(&self, request: &mut RequestHead) {
        let is_order = |name: &[u8]| name.starts_with(b"x-envoy-") && ORDERS.contains(&name);
        let is_internal = |name: &[u8]| self.internal_only.iter().any(|internal| **internal == *name);
        request.fields_mut().remove_where(|name| is_order(name) || is_internal(name));
    }

    /// The first route that takes the request. `random` is drawn at most once a request: all `runtime_fraction`s of the
    /// table are held against the same number, as Envoy does.
    pub fn find(&self, request: &RequestHead, random: impl FnOnce() -> u64) -> Option<&Arc<Route>> {
        let routes = &self.routes[self.hosts.find(request.authority())?];
        let mut path = path::without_query(request.path());
        if self.cuts_parameters {
            path = path.split(|octet| *octet == b';').next().unwrap_or(path);
        }
        let path = Path::new(path);
        let (mut draw, mut drawn) = (Some(random), 0);
        let mut random = || {
            if let Some(draw) = draw.take() {
                drawn = draw();
            }
            drawn
        };
        let mut fits = |entry: &&Entry| {
            entry.path.takes(path)
                && entry.conditions.as_ref().is_none_or(|conditions| conditions.hold(request, &mut random))
        };
        routes.iter().find(|entry| fits(entry)).map(|entry| &entry.route)
    }

    /// All routes, in the order of their hosts and of their own.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter().flatten().map(|entry| &entry.route)
    }
}

impl Route {
    /// What is changed before the request goes to `target`: path, host and fields, in Envoy's order.
    pub fn edit_request(&self, target: &Target, request: &mut RequestHead) {
        target.request.apply(request.fields_mut());
        for level in &self.request {
            level.apply(request.fields_mut());
        }
        // The host of the route comes after that of the target.
        if let Some(host) = self.host.as_ref().or(target.host.as_ref()) {
            request.set_authority(host);
        }
        if let Some((rewrite, matched)) = &self.rewrite {
            let path = rewrite.apply(request.path(), matched);
            request.set_path(&path);
        }
    }

    /// What is changed before a response goes down: of `target`'s, or (`None`) of this proxy itself.
    pub fn edit_response(&self, target: Option<&Target>, response: &mut ResponseHead) {
        if let Some(target) = target {
            target.response.apply(&mut response.fields);
        }
        for level in &self.response {
            level.apply(&mut response.fields);
        }
    }
}

impl Forward {
    /// A target by weight; `random` evenly distributed.
    pub fn choose(&self, random: u64) -> &Target {
        if let [only] = &*self.targets {
            return only;
        }
        let total: u64 = self.targets.iter().map(|target| u64::from(target.weight)).sum();
        let mut left = random % total;
        let chosen = self.targets.iter().find(|target| {
            let found = left < u64::from(target.weight);
            left = left.saturating_sub(target.weight.into());
            found
        });
        chosen.expect("what is left of a total is below it")
    }
}

#[cfg(test)]
mod tests;
