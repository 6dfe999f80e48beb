//! The gRPC dialect: what a proxyless client reads of the mesh (gRFC A27 and its followers).
//!
//! A target `xds:///NAME:PORT` asks for the Listener of that very name. Calls are in plain text. What gRPC has no
//! notion of is left out: rewrites and header edits, matches by query, circuit breakers other than of requests,
//! active health checks, Maglev (ring hash stands in), random (round robin), cookies and source addresses as hash
//! keys (the channel stands in). A redirect or an error of our own fails the call with UNAVAILABLE (gRFC A28).

mod route;

use byrnie_model::{
    MeshConfig, Protocol, Service, ServicePort, World,
    policy::{Balancer, TrafficPolicy},
};
use byrnie_proto::{
    Kind,
    envoy::envoy::{
        config::{
            cluster::v3::{
                Cluster, LoadBalancingPolicy,
                cluster::{LbConfig, LbPolicy, RingHashLbConfig},
                load_balancing_policy::Policy,
            },
            core::v3::TypedExtensionConfig,
            listener::v3::{ApiListener, Listener},
        },
        extensions::{
            filters::{
                http::router::v3::Router,
                network::http_connection_manager::v3::{
                    HttpConnectionManager, HttpFilter, Rds, http_connection_manager::RouteSpecifier,
                    http_filter::ConfigType,
                },
            },
            load_balancing_policies::{least_request::v3::LeastRequest, round_robin::v3::RoundRobin},
        },
    },
};

pub use route::of_port as routes;

use super::{cluster, pack};
use crate::{Dialect, Reference, Resource, View, names};

/// Whether a gRPC client may call the port.
pub fn may_call(port: &ServicePort) -> bool {
    matches!(port.protocol, Protocol::Http2 | Protocol::Grpc | Protocol::Undeclared)
}

/// Whether a gRPC client's routes may lead to the port.
pub fn may_reach(port: &ServicePort) -> bool {
    !matches!(port.protocol, Protocol::Tcp | Protocol::Tls)
}

/// The Listeners of a port: one for each name by which users call it, the short one within the namespace only.
pub fn listeners(mesh: &MeshConfig, service: &Service, port: &ServicePort) -> Vec<(View, Resource)> {
    let (name, namespace, number) = (service.name.name(), service.name.namespace(), port.number);
    let manager = manager(names::route(&service.name, number));
    let listener = |name: String| {
        let api = ApiListener { api_listener: Some(pack::any(&manager)) };
        let listener = Listener { name: name.clone(), api_listener: Some(api), ..Default::default() };
        let route = Reference { kind: Kind::Route, name: names::route(&service.name, number).as_str().into() };
        Resource::new(Kind::Listener, name, &listener).referring([route]).from_origins([service.origin.clone()])
    };
    let everywhere = [
        format!("{}:{number}", names::fqdn(&service.name, mesh)),
        format!("{name}.{namespace}.svc:{number}"),
        format!("{name}.{namespace}:{number}"),
    ];
    let within = View::Namespace(Dialect::Grpc, namespace.into());
    let short = (within, listener(format!("{name}:{number}")));
    everywhere.into_iter().map(|name| (View::Dialect(Dialect::Grpc), listener(name))).chain([short]).collect()
}

fn manager(route: String) -> HttpConnectionManager {
    let router = HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack::any(&Router::default()))),
        ..Default::default()
    };
    HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(Rds { config_source: Some(pack::ads()), route_config_name: route })),
        http_filters: vec![router],
        ..Default::default()
    }
}

/// The cluster of a port.
pub fn cluster(world: &World, service: &Service, port: &ServicePort) -> (View, Resource) {
    let name = names::cluster(&service.name, port.number);
    let policy = world.traffic_policy(&service.name).map(AsRef::as_ref);
    let mut cluster = cluster::shared(&name, policy);
    set_balancer(&mut cluster, policy);
    let endpoints = Reference { kind: Kind::Endpoints, name: name.as_str().into() };
    let resource = Resource::new(Kind::Cluster, name, &cluster).referring([endpoints]);
    (View::Dialect(Dialect::Grpc), resource.from_origins(cluster::origins(service, policy)))
}

/// Round robin where nothing is said. Least request is offered beside it: not every gRPC has it, and each takes the
/// first of the list that it knows (gRFC A52).
fn set_balancer(cluster: &mut Cluster, policy: Option<&TrafficPolicy>) {
    match policy.and_then(|policy| policy.balancer.as_ref()) {
        Some(Balancer::RingHash { minimum_ring_size, .. }) => set_ring_hash(cluster, *minimum_ring_size),
        Some(Balancer::Maglev { .. }) => set_ring_hash(cluster, None),
        Some(Balancer::LeastRequest { choices }) => {
            let least = LeastRequest { choice_count: pack::number(*choices), ..Default::default() };
            let policies = vec![
                offer(pack::extension("envoy.load_balancing_policies.least_request", &least)),
                offer(pack::extension("envoy.load_balancing_policies.round_robin", &RoundRobin::default())),
            ];
            cluster.load_balancing_policy = Some(LoadBalancingPolicy { policies });
        }
        Some(Balancer::RoundRobin | Balancer::Random) | None => cluster.set_lb_policy(LbPolicy::RoundRobin),
    }
}

fn set_ring_hash(cluster: &mut Cluster, minimum_ring_size: Option<u64>) {
    cluster.set_lb_policy(LbPolicy::RingHash);
    let config = RingHashLbConfig { minimum_ring_size: minimum_ring_size.map(pack::long), ..Default::default() };
    cluster.lb_config = Some(LbConfig::RingHashLbConfig(config));
}

fn offer(policy: TypedExtensionConfig) -> Policy {
    Policy { typed_extension_config: Some(policy) }
}

#[cfg(test)]
mod tests;
