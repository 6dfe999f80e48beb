//! RDS for Envoy: the route tables of a service port, one for all and one for each namespace with consumer routes.

mod action;
mod headers;
pub mod matches;
mod rewrite;

use std::sync::Arc;

use byrnie_model::{
    Origin, Service, ServiceName, ServicePort, World,
    policy::TrafficPolicy,
    resolve::{self, Action, RouteTable, Tables},
};
use byrnie_proto::{
    Kind,
    envoy::{
        envoy::config::route::v3::{Route, RouteConfiguration, VirtualHost},
        google::protobuf::BoolValue,
    },
};

pub use action::{deadline_of_calls, fraction, respond};

use super::balancer;
use crate::{Dialect, Reference, Resource, View, names};

/// What Envoy would take as a command of the application. The others (`x-envoy-retry-on`, `x-envoy-max-retries`, ...)
/// it takes off by itself from a request that is not "internal", which none is: no address counts as internal where
/// the connection manager's `internal_address_config` says nothing, whatever the request's X-Forwarded-For.
const REQUEST_CONTROLS: [&str; 2] = ["x-envoy-decorator-operation", "x-envoy-upstream-stream-duration-ms"];

/// The Service port that is called.
pub struct Frontend<'a> {
    pub world: &'a World,
    pub service: &'a Service,
    pub port: u16,
    /// The policy of the Service that is called: its retries.
    pub policy: Option<&'a TrafficPolicy>,
    pub tables: Tables,
}

impl<'a> Frontend<'a> {
    /// `port` of `service`.
    pub fn new(world: &'a World, service: &'a Service, port: &ServicePort) -> Self {
        let policy = world.traffic_policy(&service.name).map(AsRef::as_ref);
        Self { world, service, port: port.number, policy, tables: resolve::tables(world, service, port) }
    }

    /// The Services that requests are forwarded to: what their balancers hash stands in the routes.
    pub fn backends(&self) -> impl Iterator<Item = &ServiceName> {
        let all = std::iter::once(&self.tables.shared).chain(self.tables.consumers.values());
        all.flat_map(targets).map(|(service, _)| service)
    }

    /// A route configuration with this port's name and provenance.
    pub fn resource(&self, table: &RouteTable, routes: Vec<Route>) -> Resource {
        let name = names::route(&self.service.name, self.port);
        let domain = VirtualHost {
            name: names::cluster(&self.service.name, self.port),
            domains: vec!["*".to_owned()],
            routes,
            ..Default::default()
        };
        let config = RouteConfiguration {
            name: name.clone(),
            virtual_hosts: vec![domain],
            internal_only_headers: REQUEST_CONTROLS.map(str::to_owned).into(),
            // After the router has judged whether to try again, so that the mark still counts for that.
            response_headers_to_remove: vec![names::UNDELIVERED.to_owned()],
            // A route may come before the cluster that it names: such a request is answered with 503.
            validate_clusters: Some(BoolValue { value: false }),
            ..Default::default()
        };
        Resource::new(Kind::Route, name, &config).referring(referred(table)).from_origins(self.origins(table))
    }

    /// Each table as `built`, with who is shown it in `dialect`.
    pub fn shown(&self, dialect: Dialect, built: impl Fn(&RouteTable) -> Resource) -> Vec<(View, Resource)> {
        let consumer = |(namespace, table): (&Arc<str>, _)| (View::Namespace(dialect, namespace.clone()), built(table));
        let consumers = self.tables.consumers.iter().map(consumer);
        std::iter::once((View::Dialect(dialect), built(&self.tables.shared))).chain(consumers).collect()
    }

    fn origins(&self, table: &RouteTable) -> Vec<Origin> {
        let mut origins = vec![self.service.origin.clone()];
        origins.extend(self.policy.map(|policy| policy.origin.clone()));
        let hashing = |(service, _): &(ServiceName, u16)| {
            let policy = self.world.traffic_policy(service)?;
            balancer::hash_key(policy).map(|_| &policy.origin)
        };
        let of_routes = table.entries.iter().filter_map(|entry| entry.origin.as_ref());
        for origin in of_routes.chain(targets(table).filter_map(hashing)) {
            if !origins.contains(origin) {
                origins.push(origin.clone());
            }
        }
        origins
    }
}

/// The route configurations of a port, each with who is shown it.
pub fn of_port(frontend: &Frontend<'_>) -> Vec<(View, Resource)> {
    let built = |table: &RouteTable| {
        let routes = table.entries.iter().flat_map(|entry| action::routes(frontend, entry)).collect();
        frontend.resource(table, routes)
    };
    frontend.shown(Dialect::Envoy, built)
}

fn referred(table: &RouteTable) -> impl Iterator<Item = Reference> + '_ {
    targets(table)
        .map(|(service, port)| Reference { kind: Kind::Cluster, name: names::cluster(service, *port).as_str().into() })
}

fn targets(table: &RouteTable) -> impl Iterator<Item = &(ServiceName, u16)> {
    let destinations = table.entries.iter().flat_map(|entry| match &entry.action {
        Action::Forward(to) => to.as_slice(),
        Action::Redirect(_) | Action::Respond(_) => &[],
    });
    destinations.filter_map(|destination| destination.target.as_ref())
}

#[cfg(test)]
mod tests;
