use std::{collections::BTreeSet, sync::Arc};

#[cfg(test)]
mod tests;

use imbl::OrdMap;

use crate::{
    MeshConfig, PeerMode, PolicyName, RouteName, Service, ServiceEndpoints, ServiceName, Workload, WorkloadName,
    policy::{PeerPolicy, TrafficPolicy},
    route::Route,
};

/// The whole mesh at one moment. Immutable; the next one shares all that did not change, so a clone is a few
/// reference counts.
#[derive(Clone, Debug, Default)]
pub struct World {
    mesh: Arc<MeshConfig>,
    services: OrdMap<ServiceName, Arc<Service>>,
    endpoints: OrdMap<ServiceName, Arc<ServiceEndpoints>>,
    workloads: OrdMap<WorkloadName, Arc<Workload>>,
    routes: OrdMap<RouteName, Arc<Route>>,
    traffic_policies: OrdMap<PolicyName, Arc<TrafficPolicy>>,
    peer_policies: OrdMap<PolicyName, Arc<PeerPolicy>>,
    /// Routes by each Service that they name as parent.
    attached: OrdMap<ServiceName, Arc<BTreeSet<RouteName>>>,
    /// Routes by each Service that they name as backend.
    backed: OrdMap<ServiceName, Arc<BTreeSet<RouteName>>>,
    /// Traffic policies by the Service that they name.
    governed: OrdMap<ServiceName, Arc<BTreeSet<PolicyName>>>,
}

/// One object put, replaced or (by `None`) taken away.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Update {
    Mesh(Arc<MeshConfig>),
    Service(ServiceName, Option<Arc<Service>>),
    Endpoints(ServiceName, Option<Arc<ServiceEndpoints>>),
    Workload(WorkloadName, Option<Arc<Workload>>),
    Route(RouteName, Option<Arc<Route>>),
    TrafficPolicy(PolicyName, Option<Arc<TrafficPolicy>>),
    PeerPolicy(PolicyName, Option<Arc<PeerPolicy>>),
}

/// What a step from one World to the next can have changed, in terms of what is built from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Touched {
    /// Everything: mesh-wide settings.
    Mesh,
    /// The Service itself: its ports, addresses, kind. Implies its routing and its policy.
    Service(ServiceName),
    /// Only the endpoints of the Service.
    Endpoints(ServiceName),
    /// The routes whose parent is the Service, or what their backends resolve to.
    Routing(ServiceName),
    /// The traffic policy that governs the Service.
    Policy(ServiceName),
    /// One workload: its listeners.
    Workload(WorkloadName),
    /// Peer policies of a namespace: the inbound listeners of all its workloads.
    Peers(Arc<str>),
}

impl World {
    /// The next World, and what changed on the way. An update that equals what stands touches nothing.
    pub fn apply(&self, updates: impl IntoIterator<Item = Update>) -> (Self, BTreeSet<Touched>) {
        let mut next = self.clone();
        let mut touched = BTreeSet::new();
        for update in updates {
            next.fold(update, &mut touched);
        }
        (next, touched)
    }

    /// Mesh-wide settings.
    pub fn mesh(&self) -> &Arc<MeshConfig> {
        &self.mesh
    }

    /// All Services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// One Service.
    pub fn service(&self, name: &ServiceName) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// The endpoints of a Service; `None` where nothing is known of them.
    pub fn endpoints(&self, service: &ServiceName) -> Option<&Arc<ServiceEndpoints>> {
        self.endpoints.get(service)
    }

    /// All workloads, by name.
    pub fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads.values()
    }

    /// The workloads of one namespace, by name.
    pub fn workloads_of<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Workload>> {
        let from = WorkloadName::new(namespace, "");
        self.workloads.range(from..).map(|(_, workload)| workload).take_while(move |w| w.name.namespace() == namespace)
    }

    /// One workload.
    pub fn workload(&self, name: &WorkloadName) -> Option<&Arc<Workload>> {
        self.workloads.get(name)
    }

    /// All routes, by kind and name.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// One route.
    pub fn route(&self, name: &RouteName) -> Option<&Arc<Route>> {
        self.routes.get(name)
    }

    /// The routes that name the Service as a parent, by kind and name.
    pub fn attached_to(&self, service: &ServiceName) -> impl Iterator<Item = &Arc<Route>> {
        self.attached.get(service).into_iter().flat_map(|names| names.iter()).filter_map(|name| self.routes.get(name))
    }

    /// All traffic policies, by name.
    pub fn traffic_policies(&self) -> impl Iterator<Item = (&PolicyName, &Arc<TrafficPolicy>)> {
        self.traffic_policies.iter()
    }

    /// The policy that governs a Service: the oldest that names it, then the first by name.
    pub fn traffic_policy(&self, service: &ServiceName) -> Option<&Arc<TrafficPolicy>> {
        let names = self.governed.get(service)?;
        names.iter().filter_map(|name| self.traffic_policies.get(name)).min_by_key(|policy| policy.created)
    }

    /// All peer policies, by name.
    pub fn peer_policies(&self) -> impl Iterator<Item = (&PolicyName, &Arc<PeerPolicy>)> {
        self.peer_policies.iter()
    }

    /// Who may call this port of the workload.
    pub fn peer_mode(&self, workload: &Workload, port: u16) -> PeerMode {
        match self.peer_policy(workload) {
            Some(policy) => policy.ports.get(&port).copied().unwrap_or(policy.mode),
            None => self.mesh.peer_mode,
        }
    }

    /// The peer policy that governs the workload: by selector before the namespace's, then the oldest, then by name.
    pub fn peer_policy(&self, workload: &Workload) -> Option<&Arc<PeerPolicy>> {
        let namespace = workload.name.namespace();
        let selects =
            |policy: &PeerPolicy| policy.selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value));
        self.peer_policies
            .range(PolicyName::new(namespace, "")..)
            .take_while(|(name, _)| name.namespace() == namespace)
            .map(|(_, policy)| policy)
            .filter(|policy| selects(policy))
            .min_by_key(|policy| (policy.selector.is_empty(), policy.created))
    }

    fn fold(&mut self, update: Update, touched: &mut BTreeSet<Touched>) {
        match update {
            Update::Mesh(mesh) if self.mesh == mesh => {}
            Update::Mesh(mesh) => {
                self.mesh = mesh;
                touched.insert(Touched::Mesh);
            }
            Update::Service(name, service) => {
                if replace(&mut self.services, &name, service).is_some() {
                    self.touch_routing_to(&name, touched);
                    touched.insert(Touched::Service(name));
                }
            }
            Update::Endpoints(name, endpoints) => {
                if replace(&mut self.endpoints, &name, endpoints).is_some() {
                    touched.insert(Touched::Endpoints(name));
                }
            }
            Update::Workload(name, workload) => {
                if replace(&mut self.workloads, &name, workload).is_some() {
                    touched.insert(Touched::Workload(name));
                }
            }
            Update::Route(name, route) => self.fold_route(name, route, touched),
            Update::TrafficPolicy(name, policy) => self.fold_traffic_policy(name, policy, touched),
            Update::PeerPolicy(name, policy) => {
                if replace(&mut self.peer_policies, &name, policy).is_some() {
                    touched.insert(Touched::Peers(name.namespace().into()));
                }
            }
        }
    }

    fn fold_route(&mut self, name: RouteName, route: Option<Arc<Route>>, touched: &mut BTreeSet<Touched>) {
        let Some(old) = replace(&mut self.routes, &name, route.clone()) else { return };
        for route in old.iter() {
            for parent in route.parents.iter().filter_map(|parent| parent.service()) {
                unlink(&mut self.attached, &parent, &name);
                touched.insert(Touched::Routing(parent));
            }
            for backend in route.backend_services() {
                unlink(&mut self.backed, backend, &name);
            }
        }
        for route in route.iter() {
            for parent in route.parents.iter().filter_map(|parent| parent.service()) {
                link(&mut self.attached, &parent, &name);
                touched.insert(Touched::Routing(parent));
            }
            for backend in route.backend_services() {
                link(&mut self.backed, backend, &name);
            }
        }
    }

    fn fold_traffic_policy(
        &mut self,
        name: PolicyName,
        policy: Option<Arc<TrafficPolicy>>,
        touched: &mut BTreeSet<Touched>,
    ) {
        let Some(old) = replace(&mut self.traffic_policies, &name, policy.clone()) else { return };
        if let Some(old) = old {
            unlink(&mut self.governed, &old.service, &name);
            touched.insert(Touched::Policy(old.service.clone()));
        }
        if let Some(new) = policy {
            link(&mut self.governed, &new.service, &name);
            touched.insert(Touched::Policy(new.service.clone()));
        }
    }

    /// A Service came, went or changed: routes that forward to it resolve anew.
    fn touch_routing_to(&self, service: &ServiceName, touched: &mut BTreeSet<Touched>) {
        let names = self.backed.get(service).into_iter().flat_map(|names| names.iter());
        let routes = names.filter_map(|name| self.routes.get(name));
        touched.extend(routes.flat_map(|route| route.parents.iter().filter_map(|p| p.service())).map(Touched::Routing));
    }
}

/// Puts or removes; `Some(old)` where that changed something.
fn replace<K: Ord + Clone, V: PartialEq>(
    map: &mut OrdMap<K, Arc<V>>,
    key: &K,
    value: Option<Arc<V>>,
) -> Option<Option<Arc<V>>> {
    if map.get(key) == value.as_ref() {
        return None;
    }
    Some(match value {
        Some(value) => map.insert(key.clone(), value),
        None => map.remove(key),
    })
}

fn link<K: Ord + Clone, V: Ord + Clone>(index: &mut OrdMap<K, Arc<BTreeSet<V>>>, key: &K, value: &V) {
    Arc::make_mut(index.entry(key.clone()).or_default()).insert(value.clone());
}

fn unlink<K: Ord + Clone, V: Ord + Clone>(index: &mut OrdMap<K, Arc<BTreeSet<V>>>, key: &K, value: &V) {
    let Some(values) = index.get_mut(key) else { return };
    Arc::make_mut(values).remove(value);
    if values.is_empty() {
        index.remove(key);
    }
}
