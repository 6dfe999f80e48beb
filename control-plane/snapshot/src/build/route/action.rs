//! What is done with a request that matches: the action of a `Route`.

use std::time::Duration;

use byrnie_model::{
    policy::TrafficPolicy,
    resolve::{Action, Destination, Entry},
    route::Filters,
};
use byrnie_proto::envoy::{
    envoy::config::{
        core::v3::RuntimeFractionalPercent,
        route::v3::{
            DirectResponseAction, Route, RouteAction, WeightedCluster,
            route::Action as WireAction,
            route_action::{ClusterSpecifier, HostRewriteSpecifier, MaxStreamDuration},
            weighted_cluster::{ClusterWeight, cluster_weight},
        },
    },
    google::protobuf::UInt32Value,
};

use super::{Frontend, headers, matches, rewrite};
use crate::{
    build::{balancer, pack, retry},
    names,
};

/// A million is Envoy's finest denominator.
const MILLION: u64 = 1_000_000;

/// The routes of an entry: one, or one a backend where some backend leads nowhere and its share gets an error, which
/// a `ClusterWeight` can't say.
pub fn routes(frontend: &Frontend<'_>, entry: &Entry) -> Vec<Route> {
    match &entry.action {
        Action::Forward(to) if to.iter().any(|destination| destination.target.is_none()) => split(frontend, entry, to),
        Action::Forward(to) => forwarded(frontend, entry, to),
        Action::Redirect(redirect) => {
            let action = rewrite::redirect(redirect, &entry.matches.path, frontend.port);
            vec![route(entry, WireAction::Redirect(action))]
        }
        Action::Respond(status) => vec![route(entry, respond(*status))],
    }
}

/// One route a backend, each for the share up to and including its own. Envoy draws one random number a request and
/// holds it against every route's fraction, so the shares come out as the weights say, to a millionth.
fn split(frontend: &Frontend<'_>, entry: &Entry, to: &[Destination]) -> Vec<Route> {
    let total: u64 = to.iter().map(|destination| u64::from(destination.weight)).sum();
    let mut until = 0;
    let one = |destination: &Destination| {
        until += u64::from(destination.weight);
        let mut routes = match destination.target {
            None => vec![route(entry, respond(entry.broken_status()))],
            Some(_) => forwarded(frontend, entry, std::slice::from_ref(destination)),
        };
        if until < total {
            let share = u32::try_from(until * MILLION / total).unwrap_or(u32::MAX);
            for conditions in routes.iter_mut().filter_map(|route| route.r#match.as_mut()) {
                conditions.runtime_fraction = Some(fraction(share));
            }
        }
        routes
    };
    to.iter().flat_map(one).collect()
}

/// A share in millionths.
pub fn fraction(share: u32) -> RuntimeFractionalPercent {
    RuntimeFractionalPercent { default_value: Some(pack::millionths(share)), ..Default::default() }
}

/// An answer of the proxy's own.
pub fn respond(status: u16) -> WireAction {
    WireAction::DirectResponse(DirectResponseAction { status: status.into(), ..Default::default() })
}

fn route(entry: &Entry, action: WireAction) -> Route {
    edited(entry, &entry.filters, action)
}

/// A route with edits of headers.
fn edited(entry: &Entry, filters: &Filters, action: WireAction) -> Route {
    let request = headers::of_requests(filters);
    let response = headers::of_responses(filters);
    Route {
        name: entry.name.clone(),
        r#match: Some(matches::envoy(&entry.matches)),
        request_headers_to_add: request.add,
        request_headers_to_remove: request.remove,
        response_headers_to_add: response.add,
        response_headers_to_remove: response.remove,
        action: Some(action),
        ..Default::default()
    }
}

/// The deadline that a gRPC call brings with it (`grpc-timeout`) ends it in the sidecar as well, whatever its length:
/// zero sets no bound. Without it the server's own reset, at that same moment, is told as UNAVAILABLE.
pub fn deadline_of_calls() -> Option<MaxStreamDuration> {
    let unbounded = Some(pack::duration(Duration::ZERO));
    Some(MaxStreamDuration { grpc_timeout_header_max: unbounded, ..Default::default() })
}

/// One route; two where the rule has a limit, the first for calls with a deadline of their own. Beside
/// `max_stream_duration` Envoy takes no notice of `timeout`, which is the one that says UT, judges the endpoint, and
/// lets a request be sent before it counts.
fn forwarded(frontend: &Frontend<'_>, entry: &Entry, to: &[Destination]) -> Vec<Route> {
    let none = Filters::default();
    let filters = if has_edits(to) { &none } else { &entry.filters };
    let action = forward(frontend, entry, filters, to);
    let route = |action| edited(entry, filters, WireAction::Route(action));
    let Some(limit) = limit(entry).map(pack::duration) else {
        let action = RouteAction { max_stream_duration: deadline_of_calls(), ..action };
        return vec![route(action)];
    };
    let within = MaxStreamDuration {
        max_stream_duration: Some(limit),
        grpc_timeout_header_max: Some(limit),
        grpc_timeout_header_offset: None,
    };
    let of_calls = RouteAction { timeout: None, max_stream_duration: Some(within), ..action.clone() };
    let mut of_calls = route(of_calls);
    if let Some(conditions) = &mut of_calls.r#match {
        conditions.headers.push(matches::present("grpc-timeout"));
    }
    vec![of_calls, route(action)]
}

/// Whether some backend edits headers, so that all edits stand at the backends.
fn has_edits(to: &[Destination]) -> bool {
    to.iter().any(|destination| destination.filters != Filters::default())
}

fn limit(entry: &Entry) -> Option<Duration> {
    entry.request_timeout.filter(|limit| !limit.is_zero())
}

/// With those of `filters` that stand in an action. Envoy's default timeout of 15 s is not the application's: none, unless
/// the user sets one.
fn forward(frontend: &Frontend<'_>, entry: &Entry, filters: &Filters, to: &[Destination]) -> RouteAction {
    let traffic_retry = frontend.policy.and_then(|policy| policy.retry.as_ref());
    let mut action = RouteAction {
        timeout: Some(pack::duration(limit(entry).unwrap_or(Duration::ZERO))),
        retry_policy: retry::policy(entry.retry.as_ref(), traffic_retry, entry.backend_timeout),
        hash_policy: frontend.hash_keys(to).into_iter().map(balancer::hash_policy).collect(),
        cluster_specifier: Some(clusters(entry, to)),
        host_rewrite_specifier: headers::host(filters)
            .map(|host| HostRewriteSpecifier::HostRewriteLiteral(host.to_string())),
        ..Default::default()
    };
    if let Some(change) = entry.filters.rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref()) {
        rewrite::forwarded(&mut action, change, &entry.matches.path);
    }
    action
}

fn clusters(entry: &Entry, to: &[Destination]) -> ClusterSpecifier {
    match to {
        [Destination { target: Some((service, port)), filters, .. }] if *filters == Filters::default() => {
            ClusterSpecifier::Cluster(names::cluster(service, *port))
        }
        _ => {
            let none = Filters::default();
            let outer = if has_edits(to) { &entry.filters } else { &none };
            let clusters = to.iter().filter_map(|destination| weighted(outer, destination)).collect();
            ClusterSpecifier::WeightedClusters(WeightedCluster { clusters, ..Default::default() })
        }
    }
}

/// A target with what it edits after `outer`.
fn weighted(outer: &Filters, destination: &Destination) -> Option<ClusterWeight> {
    let (service, port) = destination.target.as_ref()?;
    let filters = headers::joined(outer, &destination.filters);
    let request = headers::of_requests(&filters);
    let response = headers::of_responses(&filters);
    Some(ClusterWeight {
        name: names::cluster(service, *port),
        weight: Some(UInt32Value { value: destination.weight }),
        request_headers_to_add: request.add,
        request_headers_to_remove: request.remove,
        response_headers_to_add: response.add,
        response_headers_to_remove: response.remove,
        host_rewrite_specifier: headers::host(&filters)
            .map(|host| cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(host.to_string())),
        ..Default::default()
    })
}

impl<'a> Frontend<'a> {
    /// What the balancers of the backends hash, once each.
    fn hash_keys(&self, to: &[Destination]) -> Vec<&'a byrnie_model::policy::HashKey> {
        let policy = |destination: &Destination| -> Option<&'a TrafficPolicy> {
            let (service, _) = destination.target.as_ref()?;
            self.world.traffic_policy(service).map(AsRef::as_ref)
        };
        let mut keys = Vec::new();
        for key in to.iter().filter_map(policy).filter_map(balancer::hash_key) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }
}
