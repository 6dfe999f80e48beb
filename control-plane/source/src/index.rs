//! Objects in, the model's updates out: Services, EndpointSlices, Pods and Nodes joined as Kubernetes joins them.
//!
//! A plain struct without I/O. [`Index::put`] and [`Index::delete`] take objects in any order; [`Index::updates`] then
//! does the work for what they can have changed, and tells only what did change. What one Pod costs depends on the
//! Services that select it, not on how many there are.

mod emitted;
mod endpoints;
mod pods;
mod references;
mod services;
mod slices;
mod workloads;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use byrnie_model::{
    Capture, MeshConfig, ObjectKind, ObjectRef, Origin, Place, PolicyName, RouteName, Service as Frontend,
    ServiceEndpoints, ServiceName, Update, Workload, WorkloadName,
    policy::{PeerPolicy, TrafficPolicy},
    route::{Route, RouteKind},
};

use self::{
    emitted::Emitted,
    pods::Pods,
    references::{Reference, References},
    services::Services,
    slices::Slices,
    workloads::crossed_ports,
};
use crate::{
    findings::Finding,
    objects::{Object, Pod, Service},
};

/// All objects that matter, joined.
#[derive(Default)]
pub struct Index {
    services: Services,
    slices: Slices,
    pods: Pods,
    zones: HashMap<Arc<str>, Arc<str>>,
    references: References,
    /// Workloads whose ports and those of their Services do not meet.
    crossed: BTreeMap<WorkloadName, Finding>,
    stale_services: BTreeSet<ServiceName>,
    stale_workloads: BTreeSet<WorkloadName>,
    mesh: Emitted<(), MeshConfig>,
    frontends: Emitted<ServiceName, Frontend>,
    endpoints: Emitted<ServiceName, ServiceEndpoints>,
    workloads: Emitted<WorkloadName, Workload>,
    routes: Emitted<RouteName, Route>,
    traffic_policies: Emitted<PolicyName, TrafficPolicy>,
    peer_policies: Emitted<PolicyName, PeerPolicy>,
}

impl Index {
    /// An object is new or changed; `place` is where it was read.
    pub fn put(&mut self, object: &Object, place: Option<Arc<Place>>) {
        let placed = |origin: &Origin| Origin { place: place.clone(), ..origin.clone() };
        match object {
            // Nothing of the mesh hangs on these yet; they are read so that their slips are told.
            Object::Namespace | Object::ServiceAccount => {}
            Object::Node(node) => self.put_zone(&node.name, node.zone.clone()),
            Object::Service(service) => self.put_service(service.clone(), place),
            Object::EndpointSlice(slice) => {
                let stale = self.slices.put(slice.clone());
                self.stale_services.extend(stale);
            }
            Object::Pod(pod) => self.put_pod(pod.clone(), place),
            Object::Route(route) => {
                let route = Route { origin: placed(&route.origin), ..Route::clone(route) };
                self.routes.set(route.name.clone(), Some(route));
            }
            Object::TrafficPolicy(policy) => {
                let policy = TrafficPolicy { origin: placed(&policy.origin), ..TrafficPolicy::clone(policy) };
                let target = Reference { service: policy.service.clone(), port: None, field: "spec.targetRef.name" };
                self.references.put(&policy.origin.object, policy.origin.place.clone(), vec![target]);
                self.traffic_policies.set(policy_name(&policy.origin.object), Some(policy));
            }
            Object::PeerPolicy(policy) => {
                let policy = PeerPolicy { origin: placed(&policy.origin), ..PeerPolicy::clone(policy) };
                self.peer_policies.set(policy_name(&policy.origin.object), Some(policy));
            }
            Object::MeshConfig(mesh) => {
                let origin = mesh.origin.as_ref().map(placed);
                self.mesh.set((), Some(MeshConfig { origin, ..MeshConfig::clone(mesh) }));
            }
        }
    }

    /// An object is gone.
    pub fn delete(&mut self, object: &ObjectRef) {
        let ObjectRef { kind, namespace, name } = object;
        match kind {
            ObjectKind::Namespace | ObjectKind::ServiceAccount => {}
            ObjectKind::Node => self.put_zone(name, None),
            ObjectKind::Service => self.delete_service(&ServiceName::new(namespace.clone(), name.clone())),
            ObjectKind::EndpointSlice => {
                let stale = self.slices.remove(&(namespace.clone(), name.clone()));
                self.stale_services.extend(stale);
            }
            ObjectKind::Pod => {
                self.references.delete(object);
                self.delete_pod(&WorkloadName::new(namespace.clone(), name.clone()));
            }
            ObjectKind::HTTPRoute | ObjectKind::GRPCRoute => {
                let kind = if *kind == ObjectKind::HTTPRoute { RouteKind::Http } else { RouteKind::Grpc };
                self.routes.set(RouteName::new(kind, namespace.clone(), name.clone()), None);
            }
            ObjectKind::TrafficPolicy => {
                self.references.delete(object);
                self.traffic_policies.set(policy_name(object), None);
            }
            ObjectKind::PeerPolicy => self.peer_policies.set(policy_name(object), None),
            ObjectKind::MeshConfig => self.mesh.set((), None),
        }
    }

    /// What changed since the last call.
    pub fn updates(&mut self) -> Vec<Update> {
        // Workloads first: whether an endpoint is in the mesh is a matter of its workload.
        for name in std::mem::take(&mut self.stale_workloads) {
            let workload = self.pods.placed(&name).and_then(|(pod, place)| self.workload(pod, place));
            match workload.as_ref().and_then(crossed_ports) {
                Some(finding) => drop(self.crossed.insert(name.clone(), finding)),
                None => drop(self.crossed.remove(&name)),
            }
            self.workloads.set(name, workload);
        }
        for name in std::mem::take(&mut self.stale_services) {
            let service = self.services.placed(&name);
            let frontend = service.map(|(service, place)| {
                let origin = Origin { place: place.clone(), ..service.model.origin.clone() };
                Frontend { origin, ..service.model.clone() }
            });
            let endpoints = service.and_then(|(service, _)| self.endpoints_of(service));
            self.frontends.set(name.clone(), frontend);
            self.endpoints.set(name, endpoints);
        }
        let mut updates = Vec::new();
        updates.extend(self.mesh.take().map(|((), mesh)| Update::Mesh(mesh.unwrap_or_default())));
        updates.extend(self.frontends.take().map(|(name, service)| Update::Service(name, service)));
        updates.extend(self.endpoints.take().map(|(name, endpoints)| Update::Endpoints(name, endpoints)));
        updates.extend(self.workloads.take().map(|(name, workload)| Update::Workload(name, workload)));
        updates.extend(self.routes.take().map(|(name, route)| Update::Route(name, route)));
        updates.extend(self.traffic_policies.take().map(|(name, policy)| Update::TrafficPolicy(name, policy)));
        updates.extend(self.peer_policies.take().map(|(name, policy)| Update::PeerPolicy(name, policy)));
        updates
    }

    /// What objects refer to that is not there, and ports that do not meet.
    pub fn findings(&mut self) -> Vec<Finding> {
        let missing = self.references.findings(|service| self.services.get(service).map(|service| &service.model));
        missing.into_iter().chain(self.crossed.values().cloned()).collect()
    }

    fn put_service(&mut self, service: Arc<Service>, place: Option<Arc<Place>>) {
        let name = service.model.name.clone();
        self.touch_served(&name);
        self.services.put(service, place);
        self.touch_served(&name);
        self.references.touch(&name);
        self.stale_services.insert(name);
    }

    fn delete_service(&mut self, name: &ServiceName) {
        self.touch_served(name);
        self.services.remove(name);
        self.references.touch(name);
        self.stale_services.insert(name.clone());
    }

    /// The workloads behind a Service serve other ports, perhaps.
    fn touch_served(&mut self, service: &ServiceName) {
        let Some(service) = self.services.get(service) else { return };
        let pods = self.pods.selected(service.model.name.namespace(), &service.selector);
        self.stale_workloads.extend(pods.map(|pod| pod.name.clone()));
    }

    fn put_pod(&mut self, pod: Arc<Pod>, place: Option<Arc<Place>>) {
        let name = pod.name.clone();
        let mut wanted = Vec::new();
        if let Capture::Explicit { upstreams, .. } = &pod.capture {
            wanted.extend(upstreams.iter().map(|upstream| Reference {
                service: upstream.service.clone(),
                port: Some(upstream.port),
                field: UPSTREAMS_FIELD,
            }));
        }
        self.references.put(&pod.origin.object, place.clone(), wanted);
        self.touch_pod(&name);
        self.pods.put(pod, place);
        self.touch_pod(&name);
        self.stale_workloads.insert(name);
    }

    fn delete_pod(&mut self, name: &WorkloadName) {
        self.touch_pod(name);
        self.pods.remove(name);
        self.stale_workloads.insert(name.clone());
    }

    /// The Services that the Pod stands behind have other endpoints, perhaps.
    fn touch_pod(&mut self, name: &WorkloadName) {
        let Some(pod) = self.pods.get(name) else { return };
        self.stale_services
            .extend(self.services.selecting(name.namespace(), &pod.labels).map(|s| s.model.name.clone()));
        self.stale_services.extend(self.slices.of_pod(name, &pod.ips).cloned());
    }

    fn put_zone(&mut self, node: &Arc<str>, zone: Option<Arc<str>>) {
        let before = match zone.clone() {
            Some(zone) => self.zones.insert(node.clone(), zone),
            None => self.zones.remove(node),
        };
        if before == zone {
            return;
        }
        let pods: Vec<WorkloadName> = self.pods.on_node(node).cloned().collect();
        for pod in &pods {
            self.touch_pod(pod);
        }
        self.stale_workloads.extend(pods);
        self.stale_services.extend(self.slices.on_node(node).cloned());
    }
}

/// The annotation [`crate::objects::annotation::UPSTREAMS`], as a field.
const UPSTREAMS_FIELD: &str = "metadata.annotations[byrnie.io/upstreams]";

fn policy_name(object: &ObjectRef) -> PolicyName {
    PolicyName::new(object.namespace.clone(), object.name.clone())
}

#[cfg(test)]
mod tests;
