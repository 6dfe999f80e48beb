//! Which routes govern a Service port, and what each route's parents are told (Gateway API status, GEP-1294).
//!
//! A parentRef claims ports of a Service: all, or those that `port` and `sectionName` (the port's name) select. Of
//! the routes that claim a port only those count that have a rule to honour, and of those, within the routes of one
//! namespace, only the most specific kind. `hostnames` means nothing here: who calls the Service is meant.

use std::{collections::BTreeMap, sync::Arc};

mod refusal;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use refusal::is_honoured;
pub use status::{Condition, ParentStatus, status};

use crate::{
    Service, ServiceName, ServicePort, World,
    route::{ParentRef, Route},
};

/// The routes that govern one port of a Service: those of its own namespace (producer) for everybody, and those of
/// other namespaces (consumer) for the clients there. A consumer set replaces the producer set, it does not merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// Producer routes, all of one kind, oldest first.
    pub producer: Vec<Arc<Route>>,
    /// Consumer routes by the namespace of their clients; each list of one kind, oldest first, never empty.
    pub consumers: BTreeMap<Arc<str>, Vec<Arc<Route>>>,
}

/// The routes that govern `port` of `service`.
///
/// None where the Service is missing, headless or an ExternalName, where it has no such port, and where the port is
/// declared to carry bytes (TCP, the application's own TLS): HTTPRoute and GRPCRoute have no requests to route there.
pub fn frontend(world: &World, service: &ServiceName, port: u16) -> Frontend {
    let mut frontend = Frontend::default();
    let Some(service) = world.service(service).filter(|service| service.is_frontend()) else { return frontend };
    let Some(port) = service.port(port).filter(|port| port.carries_requests()) else { return frontend };
    for route in world.attached_to(&service.name).filter(|route| claims(route, service, port) && has_rules(route)) {
        let set = match route.name.namespace() {
            namespace if namespace == service.name.namespace() => &mut frontend.producer,
            namespace => frontend.consumers.entry(namespace.into()).or_default(),
        };
        set.push(route.clone());
    }
    settle(&mut frontend.producer);
    frontend.consumers.values_mut().for_each(settle);
    frontend
}

/// Whether a parentRef to the Service selects the port. Where `port` and `sectionName` are both given both must
/// agree (Gateway API, `ParentReference.sectionName`).
fn selects(parent: &ParentRef, port: &ServicePort) -> bool {
    parent.port.is_none_or(|number| number == port.number)
        && parent.section_name.as_ref().is_none_or(|name| port.name.as_ref() == Some(name))
}

fn claims(route: &Route, service: &Service, port: &ServicePort) -> bool {
    route.parents.iter().any(|parent| parent.service().as_ref() == Some(&service.name) && selects(parent, port))
}

/// Whether the route has anything to say. One with no rules at all does: nothing matches, all is 404.
fn has_rules(route: &Route) -> bool {
    route.rules.is_empty() || route.rules.iter().any(is_honoured)
}

/// Different kinds on one port do not mix: the most specific one stays (GEP-1294, "Route types"). The routes of a
/// set share their namespace, so that the order by "{namespace}/{name}" is that of their names.
fn settle(routes: &mut Vec<Arc<Route>>) {
    let kind = routes.iter().map(|route| route.name.kind).min();
    routes.retain(|route| Some(route.name.kind) == kind);
    routes.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
}
