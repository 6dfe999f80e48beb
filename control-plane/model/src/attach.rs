//! Which routes govern a Service port, and what each route's parents are told (Gateway API status, GEP-1294).

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    ServiceName, World,
    route::{ParentRef, Route},
};

/// The routes that govern one port of a Service: those of its own namespace (producer) for everybody, and those of
/// other namespaces (consumer) for the clients there. A consumer set replaces the producer set, it does not merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// Producer routes, oldest first.
    pub producer: Vec<Arc<Route>>,
    /// Consumer routes by the namespace of their clients, oldest first.
    pub consumers: BTreeMap<Arc<str>, Vec<Arc<Route>>>,
}

/// What one parentRef of a route is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentStatus {
    /// The parentRef, as written.
    pub parent: ParentRef,
    /// `Accepted`, `ResolvedRefs`, and `PartiallyInvalid` where due.
    pub conditions: Vec<Condition>,
}

/// A condition as Kubernetes writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `Accepted`, `ResolvedRefs`, `PartiallyInvalid`
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// The spec's word for why.
    pub reason: &'static str,
    /// For people: names the field, what was found, what is accepted.
    pub message: String,
}

/// The routes that govern `port` of `service`.
pub fn frontend(world: &World, service: &ServiceName, port: u16) -> Frontend {
    let _ = port;
    Frontend { producer: world.attached_to(service).cloned().collect(), consumers: BTreeMap::new() }
}

/// The status of each parentRef that is Byrnie's to speak of (those that name a Service), in order.
pub fn status(world: &World, route: &Route) -> Vec<ParentStatus> {
    let _ = (world, route);
    Vec::new()
}
