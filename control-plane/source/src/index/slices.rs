use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use byrnie_model::{EndpointState, ServiceName, WorkloadName};

use crate::objects::core::{AddressType, EndpointSlice, SliceConditions, Transport};

/// The label of a slice that names its Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// All EndpointSlices, found by Service, Pod and node.
#[derive(Default)]
pub struct Slices {
    by_name: HashMap<SliceName, KnownSlice>,
    by_service: BTreeMap<ServiceName, BTreeSet<SliceName>>,
    by_key: HashMap<Key, BTreeMap<ServiceName, usize>>,
}

/// Namespace and name.
pub type SliceName = (Arc<str>, Arc<str>);

/// What matters of a slice.
pub struct KnownSlice {
    /// Its Service; `None` where it names none.
    service: Option<ServiceName>,
    /// Name and number of its TCP ports.
    pub ports: Vec<(Option<Arc<str>>, u16)>,
    /// Those that serve or drain.
    pub endpoints: Vec<KnownEndpoint>,
}

/// What matters of one of a slice's endpoints.
pub struct KnownEndpoint {
    pub ip: IpAddr,
    pub state: EndpointState,
    pub pod: Option<WorkloadName>,
    pub node: Option<Arc<str>>,
    pub zone: Option<Arc<str>>,
}

/// What an endpoint of a slice hangs on.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Pod(WorkloadName),
    Ip(Arc<str>, IpAddr),
    Node(Arc<str>),
}

impl KnownSlice {
    /// What matters of the object.
    pub fn of(slice: &EndpointSlice) -> Self {
        let namespace = slice.metadata.namespace();
        let service = slice.metadata.labels.get(SERVICE).map(|name| ServiceName::new(namespace.clone(), name.clone()));
        let tcp = slice.ports.iter().filter(|port| port.protocol == Transport::Tcp);
        let endpoints = slice.endpoints.iter().filter(|_| slice.address_type != AddressType::Fqdn);
        let endpoint = |endpoint: &crate::objects::core::SliceEndpoint| {
            let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
            Some(KnownEndpoint {
                // Only the first address is used, as kube-proxy does.
                ip: endpoint.addresses.first()?.parse().ok()?,
                state: state(endpoint.conditions)?,
                pod: target.map(|target| {
                    let namespace = target.namespace.clone().unwrap_or_else(|| namespace.clone());
                    WorkloadName::new(namespace, target.name.clone())
                }),
                node: endpoint.node_name.clone(),
                zone: endpoint.zone.clone(),
            })
        };
        Self {
            service,
            ports: tcp
                .filter_map(|port| {
                    let name = port.name.clone().filter(|name| !name.is_empty());
                    Some((name, port.port?.number()))
                })
                .collect(),
            endpoints: endpoints.filter_map(endpoint).collect(),
        }
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let namespace: Arc<str> = self.service.as_ref().map_or("", ServiceName::namespace).into();
        self.endpoints.iter().flat_map(move |endpoint| {
            let pod = endpoint.pod.clone().map_or_else(|| Key::Ip(namespace.clone(), endpoint.ip), Key::Pod);
            [Some(pod), endpoint.node.clone().map(Key::Node)].into_iter().flatten()
        })
    }
}

/// Whether an endpoint takes traffic (KEP-1672): what is not said counts as ready, and as serving where it is ready.
fn state(conditions: SliceConditions) -> Option<EndpointState> {
    let ready = conditions.ready.unwrap_or(true);
    let terminating = conditions.terminating.unwrap_or(false);
    if ready {
        return Some(EndpointState::Ready);
    }
    (terminating && conditions.serving.unwrap_or(ready)).then_some(EndpointState::Draining)
}

impl Slices {
    /// The slices of a Service, by name; `None` where it has none.
    pub fn of_service(&self, service: &ServiceName) -> Option<impl Iterator<Item = &KnownSlice>> {
        let names = self.by_service.get(service)?;
        Some(names.iter().filter_map(|name| self.by_name.get(name)))
    }

    /// Puts, replaces or, by `None`, takes away a slice; the Services whose endpoints it changes.
    pub fn put(&mut self, name: SliceName, slice: Option<KnownSlice>) -> Vec<ServiceName> {
        let mut stale = self.remove(&name);
        let Some(slice) = slice else { return stale };
        if let Some(service) = &slice.service {
            for key in slice.keys() {
                *self.by_key.entry(key).or_default().entry(service.clone()).or_default() += 1;
            }
            self.by_service.entry(service.clone()).or_default().insert(name.clone());
            stale.push(service.clone());
        }
        self.by_name.insert(name, slice);
        stale
    }

    /// Takes a slice away; the Services whose endpoints it changes.
    pub fn remove(&mut self, name: &SliceName) -> Vec<ServiceName> {
        let Some(slice) = self.by_name.remove(name) else { return Vec::new() };
        let Some(service) = &slice.service else { return Vec::new() };
        for key in slice.keys() {
            let Some(services) = self.by_key.get_mut(&key) else { continue };
            if let Some(count) = services.get_mut(service) {
                *count -= 1;
                if *count == 0 {
                    services.remove(service);
                }
            }
            if services.is_empty() {
                self.by_key.remove(&key);
            }
        }
        if let Some(names) = self.by_service.get_mut(service) {
            names.remove(name);
            if names.is_empty() {
                self.by_service.remove(service);
            }
        }
        vec![service.clone()]
    }

    /// The Services whose slices name a Pod, or one of its addresses.
    pub fn of_pod<'a>(&'a self, pod: &WorkloadName, ips: &[IpAddr]) -> impl Iterator<Item = &'a ServiceName> + use<'a> {
        let namespace: Arc<str> = pod.namespace().into();
        let mut keys = vec![Key::Pod(pod.clone())];
        keys.extend(ips.iter().map(|ip| Key::Ip(namespace.clone(), *ip)));
        keys.into_iter().filter_map(|key| self.by_key.get(&key)).flat_map(BTreeMap::keys)
    }

    /// The Services whose slices name a node.
    pub fn on_node(&self, node: &Arc<str>) -> impl Iterator<Item = &ServiceName> {
        self.by_key.get(&Key::Node(node.clone())).into_iter().flat_map(BTreeMap::keys)
    }
}
