use byrnie_model::{
    World,
    policy::{HashKey, TrafficPolicy},
    resolve::{Action, Destination, Entry, RouteTable},
};
use byrnie_proto::envoy::envoy::config::route::v3::{
    Route, RouteAction, WeightedCluster,
    route::Action as WireAction,
    route_action::{
        ClusterSpecifier, HashPolicy, MaxStreamDuration,
        hash_policy::{FilterState, PolicySpecifier},
    },
    weighted_cluster::ClusterWeight,
};

use super::may_reach;
use crate::{
    Dialect, Resource, View,
    build::{
        balancer, pack, retry,
        route::{self, Frontend, matches},
    },
    names,
};

/// The filter state that stands for the channel (gRFC A42).
const CHANNEL: &str = "io.grpc.channel_id";

/// The route configurations of a port, each with who is shown it.
pub fn of_port(frontend: &Frontend<'_>) -> Vec<(View, Resource)> {
    let built = |table: &RouteTable| {
        let entries = table.entries.iter().map(|entry| reachable(frontend.world, entry)).collect();
        let table = RouteTable { entries };
        let routes = table.entries.iter().flat_map(|entry| routes(frontend, entry)).collect();
        frontend.resource(&table, routes)
    };
    frontend.shown(Dialect::Grpc, built)
}

/// An entry where backends that have no cluster in this dialect lead nowhere: a client waits 15 s for a cluster that
/// is not there, and all its calls with it.
fn reachable(world: &World, entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    let Action::Forward(to) = &mut entry.action else { return entry };
    for destination in &mut *to {
        let is_there = |service: &_, number| world.service(service)?.port(number).filter(|port| may_reach(port));
        destination.target.take_if(|(service, port)| is_there(service, *port).is_none());
    }
    if to.iter().all(|destination| destination.target.is_none()) {
        entry.action = Action::Respond(entry.broken_status());
    }
    entry
}

/// The routes of an entry; none where no gRPC call can match it. What leads nowhere gets its share first, since gRPC
/// draws anew for each route's fraction.
fn routes(frontend: &Frontend<'_>, entry: &Entry) -> Vec<Route> {
    let Some(conditions) = matches::grpc(&entry.matches) else { return Vec::new() };
    let route = |action| Route {
        name: entry.name.clone(),
        r#match: Some(conditions.clone()),
        action: Some(action),
        ..Default::default()
    };
    let to = match &entry.action {
        Action::Forward(to) => to,
        Action::Redirect(_) | Action::Respond(_) => return vec![route(route::respond(entry.broken_status()))],
    };
    let weight = |to: &mut dyn Iterator<Item = &Destination>| to.map(|d| u64::from(d.weight)).sum::<u64>();
    let lost = weight(&mut to.iter().filter(|destination| destination.target.is_none()));
    let mut routes = Vec::new();
    if lost > 0 {
        let share = lost * 1_000_000 / weight(&mut to.iter());
        let mut failing = route(route::respond(entry.broken_status()));
        if let Some(conditions) = &mut failing.r#match {
            conditions.runtime_fraction = Some(route::fraction(u32::try_from(share).unwrap_or(u32::MAX)));
        }
        routes.push(failing);
    }
    routes.push(route(WireAction::Route(forward(frontend, entry, to))));
    routes
}

fn forward(frontend: &Frontend<'_>, entry: &Entry, to: &[Destination]) -> RouteAction {
    let traffic_retry = frontend.policy.and_then(|policy| policy.retry.as_ref());
    let limit = entry.request_timeout.filter(|limit| !limit.is_zero());
    RouteAction {
        max_stream_duration: limit
            .map(|limit| MaxStreamDuration { max_stream_duration: Some(pack::duration(limit)), ..Default::default() }),
        retry_policy: retry::grpc(entry.retry.as_ref(), traffic_retry),
        hash_policy: hash_policies(frontend.world, to),
        cluster_specifier: Some(clusters(to)),
        ..Default::default()
    }
}

fn clusters(to: &[Destination]) -> ClusterSpecifier {
    let mut clusters: Vec<_> = to
        .iter()
        .filter_map(|destination| {
            let (service, port) = destination.target.as_ref()?;
            let weight = pack::number(destination.weight);
            Some(ClusterWeight { name: names::cluster(service, *port), weight, ..Default::default() })
        })
        .collect();
    match &mut *clusters {
        [only] => ClusterSpecifier::Cluster(std::mem::take(&mut only.name)),
        _ => ClusterSpecifier::WeightedClusters(WeightedCluster { clusters, ..Default::default() }),
    }
}

fn hash_policies(world: &World, to: &[Destination]) -> Vec<HashPolicy> {
    let policy = |destination: &Destination| -> Option<&TrafficPolicy> {
        let (service, _) = destination.target.as_ref()?;
        world.traffic_policy(service).map(AsRef::as_ref)
    };
    let mut policies = Vec::new();
    for key in to.iter().filter_map(policy).filter_map(balancer::hash_key) {
        let policy = match key {
            HashKey::Header(_) => balancer::hash_policy(key),
            HashKey::Cookie { .. } | HashKey::Source => channel(),
        };
        if !policies.contains(&policy) {
            policies.push(policy);
        }
    }
    policies
}

fn channel() -> HashPolicy {
    let state = FilterState { key: CHANNEL.to_owned() };
    HashPolicy { policy_specifier: Some(PolicySpecifier::FilterState(state)), ..Default::default() }
}
