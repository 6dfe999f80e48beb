//! From World to resources: one function per resource, and the bookkeeping that calls only those that are due.

mod balancer;
mod cluster;
mod due;
mod endpoints;
mod grpc;
mod health;
mod links;
mod listener;
mod owned;
mod pack;
mod retry;
mod route;
mod tls;

use std::{collections::BTreeSet, sync::Arc};

use byrnie_model::{
    Capture, Endpoint, Protocol, Service, ServiceEndpoints, ServiceKind, ServiceName, ServicePort, Touched, Workload,
    WorkloadName, World,
};
use byrnie_proto::Kind;

use crate::{Dialect, Resource, Snapshot, View};
use due::{Due, Parts};
use links::Links;
pub use listener::of_pod;
use owned::{Owned, Owner};
use route::Frontend;

/// Builds one Snapshot after the other.
#[derive(Debug, Default)]
pub struct Builder {
    world: World,
    owned: Owned,
    /// Services whose routes lead to a Service, whose policy they therefore read.
    leading_to: Links<ServiceName, ServiceName>,
    /// Workloads with a listener of their own for a Service (`byrnie.io/upstreams`).
    listening_for: Links<WorkloadName, ServiceName>,
    built: Built,
    started: bool,
}

/// How many resources were built so far, by kind: the price of a change can be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Built {
    pub clusters: u64,
    pub endpoints: u64,
    pub listeners: u64,
    pub routes: u64,
}

/// A resource and who is shown it.
type Shown = (View, Resource);

impl Builder {
    /// The snapshot of `world`, which differs from the World before only in what was `touched`.
    pub fn advance(&mut self, world: World, touched: &BTreeSet<Touched>) -> Snapshot {
        let old = std::mem::replace(&mut self.world, world.clone());
        let started = std::mem::replace(&mut self.started, true);
        let due = if started { self.due(touched, &old, &world) } else { Due::all(&old, &world) };
        if due.shared {
            self.build_shared(&world);
        }
        for (name, parts) in &due.services {
            self.build_service(&old, &world, name, *parts);
        }
        for name in &due.workloads {
            self.build_workload(&old, &world, name);
        }
        self.owned.snapshot().clone()
    }

    /// What was built so far.
    pub fn built(&self) -> Built {
        self.built
    }

    /// What depends on what was touched.
    fn due(&self, touched: &BTreeSet<Touched>, old: &World, world: &World) -> Due {
        let mut due = Due::default();
        for touched in touched {
            match touched {
                Touched::Mesh => return Due::all(old, world),
                Touched::Service(name) => {
                    due.service(name, Parts::ALL);
                    self.listening_for.to(name).for_each(|workload| due.workload(workload));
                }
                Touched::Endpoints(name) => due.service(name, Parts::ENDPOINTS),
                Touched::Routing(name) => due.service(name, Parts::ROUTES),
                Touched::Policy(name) => {
                    due.service(name, Parts::CLUSTERS | Parts::ROUTES | Parts::LISTENERS);
                    self.leading_to.to(name).for_each(|leading| due.service(leading, Parts::ROUTES));
                    self.listening_for.to(name).for_each(|workload| due.workload(workload));
                }
                Touched::Workload(name) => due.workload(name),
                Touched::Peers(namespace) => {
                    world.workloads_of(namespace).for_each(|workload| due.workload(&workload.name));
                }
            }
        }
        due
    }

    fn build_shared(&mut self, world: &World) {
        let shared = listener::shared(world);
        // A wildcard of a micro-proxy covers no listener of Envoy's but this.
        let out = shared.iter().filter(|resource| resource.kind() == Kind::Listener).cloned();
        let for_micro: Vec<_> = out.map(|out| (View::Dialect(Dialect::Micro), out)).collect();
        self.replace(Owner::Shared, shared.into_iter().map(for_envoy).chain(for_micro).collect());
        self.owned.pods_mut().set_mesh(world.mesh());
    }

    fn build_service(&mut self, old: &World, world: &World, name: &ServiceName, parts: Parts) {
        let Some(service) = world.service(name).filter(|service| has_endpoints(service)) else {
            return self.forget_service(name);
        };
        if parts.has(Parts::CLUSTERS) {
            self.build_all_clusters(world, service);
        }
        if parts.has(Parts::ALL) {
            self.build_all_endpoints(world, service);
        } else if parts.has(Parts::ENDPOINTS) {
            self.follow_endpoints(old, world, service, parts);
        }
        if parts.has(Parts::ROUTES) {
            self.build_routes(world, service);
        }
        let follows_pods = service.kind == ServiceKind::Headless && parts.has(Parts::ENDPOINTS);
        if parts.has(Parts::LISTENERS) || follows_pods {
            let listeners = listener::outbound(world, service).into_iter().map(for_envoy).collect();
            self.replace(Owner::Outbound(name.clone()), listeners);
        }
        if parts.has(Parts::ALL) {
            let ports = service.ports.iter().filter(|port| grpc::may_call(port));
            let listeners = ports.flat_map(|port| grpc::listeners(world.mesh(), service, port)).collect();
            self.replace(Owner::Targets(name.clone()), listeners);
        }
    }

    fn build_all_clusters(&mut self, world: &World, service: &Service) {
        let clusters = service.ports.iter().flat_map(|port| {
            let grpc = grpc::may_reach(port).then(|| grpc::cluster(world, service, port));
            std::iter::once(for_envoy(cluster::of_port(world, service, port))).chain(grpc)
        });
        let clusters = clusters.collect();
        self.replace(Owner::Clusters(service.name.clone()), clusters);
    }

    fn build_all_endpoints(&mut self, world: &World, service: &Service) {
        let assignment = |port: &ServicePort| (View::Common, endpoints::of_port(world, service, port.number));
        self.replace(Owner::Endpoints(service.name.clone()), service.ports.iter().map(assignment).collect());
    }

    /// Rebuilds the assignments of the ports whose endpoints differ, and the cluster where they prove to be others.
    fn follow_endpoints(&mut self, old: &World, world: &World, service: &Service, parts: Parts) {
        let before = old.endpoints(&service.name).map(AsRef::as_ref);
        let after = world.endpoints(&service.name).map(AsRef::as_ref);
        for port in &service.ports {
            if behind(before, port.number) == behind(after, port.number) {
                continue;
            }
            self.patch(vec![(View::Common, endpoints::of_port(world, service, port.number))]);
            let stands = || cluster::Peers::of(before, port.number) == cluster::Peers::of(after, port.number);
            if !parts.has(Parts::CLUSTERS) && !stands() {
                self.patch(vec![for_envoy(cluster::of_port(world, service, port))]);
            }
        }
    }

    fn build_routes(&mut self, world: &World, service: &Service) {
        let mut routes = Vec::new();
        let mut backends = BTreeSet::new();
        for port in service.ports.iter().filter(|port| !is_opaque(port)) {
            let frontend = Frontend::new(world, service, port);
            routes.extend(route::of_port(&frontend));
            if grpc::may_call(port) {
                routes.extend(grpc::routes(&frontend));
            }
            backends.extend(frontend.backends().cloned());
        }
        backends.remove(&service.name);
        self.leading_to.set(&service.name, backends);
        self.replace(Owner::Routes(service.name.clone()), routes);
    }

    fn build_workload(&mut self, old: &World, world: &World, name: &WorkloadName) {
        let workload = world.workload(name);
        self.owned.pods_mut().replace(old.workload(name), workload);
        let listeners = workload.map(|workload| listener::of_workload(world, workload)).unwrap_or_default();
        let shown = listeners.into_iter().map(|listener| (View::Workload(name.clone()), listener)).collect();
        self.replace(Owner::Workload(name.clone()), shown);
        // Without redirection nothing would arrive at the listeners of services' addresses.
        let secluded = workload.is_some_and(|workload| !matches!(workload.capture, Capture::Redirected { .. }));
        self.owned.seclude(name, secluded);
        self.listening_for.set(name, workload.map(|workload| upstreams(workload)).unwrap_or_default());
    }

    fn forget_service(&mut self, name: &ServiceName) {
        for owner in Owner::of_service(name) {
            self.replace(owner, Vec::new());
        }
        self.leading_to.set(name, BTreeSet::new());
    }

    /// Sets all that `owner` has.
    fn replace(&mut self, owner: Owner, resources: Vec<Shown>) {
        self.count(&resources);
        self.owned.replace(owner, resources);
    }

    /// Sets some of what an owner has already.
    fn patch(&mut self, resources: Vec<Shown>) {
        self.count(&resources);
        self.owned.patch(resources);
    }

    fn count(&mut self, resources: &[Shown]) {
        for (_, resource) in resources {
            match resource.kind() {
                Kind::Cluster => self.built.clusters += 1,
                Kind::Endpoints => self.built.endpoints += 1,
                Kind::Listener => self.built.listeners += 1,
                Kind::Route => self.built.routes += 1,
                Kind::Secret => {}
            }
        }
    }
}

fn behind(known: Option<&ServiceEndpoints>, port: u16) -> &[Endpoint] {
    known.map_or(&[], |known| known.port(port))
}

fn for_envoy(resource: Resource) -> Shown {
    (View::Dialect(Dialect::Envoy), resource)
}

/// A DNS alias is no concern of the mesh.
fn has_endpoints(service: &Arc<Service>) -> bool {
    !matches!(service.kind, ServiceKind::External(_))
}

fn is_opaque(port: &ServicePort) -> bool {
    matches!(port.protocol, Protocol::Tcp | Protocol::Tls)
}

fn upstreams(workload: &Workload) -> BTreeSet<ServiceName> {
    match &workload.capture {
        Capture::Explicit { upstreams, .. } => upstreams.iter().map(|upstream| upstream.service.clone()).collect(),
        Capture::Redirected { .. } | Capture::Outside => BTreeSet::new(),
    }
}
