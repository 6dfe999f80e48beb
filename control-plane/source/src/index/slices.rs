use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use byrnie_model::{ServiceName, WorkloadName};

use crate::objects::Slice;

/// All EndpointSlices, found by Service, Pod and node.
#[derive(Default)]
pub struct Slices {
    by_name: HashMap<SliceName, Arc<Slice>>,
    /// Sorted by name. Almost all Services have one.
    by_service: BTreeMap<ServiceName, Vec<SliceName>>,
    /// A Pod is in few slices, a node in many.
    by_pod: HashMap<PodKey, Vec<SliceName>>,
    by_node: HashMap<Arc<str>, HashSet<SliceName>>,
}

/// Namespace and name.
pub type SliceName = (Arc<str>, Arc<str>);

/// How a slice names a Pod.
#[derive(Clone, PartialEq, Eq, Hash)]
enum PodKey {
    Name(WorkloadName),
    Ip(Arc<str>, IpAddr),
}

impl Slices {
    /// The slices of a Service, by name; `None` where it has none.
    pub fn of_service(&self, service: &ServiceName) -> Option<impl Iterator<Item = &Slice>> {
        let names = self.by_service.get(service)?;
        Some(names.iter().filter_map(|name| self.by_name.get(name)).map(|slice| &**slice))
    }

    /// Puts or replaces a slice; the Services whose endpoints it changes.
    pub fn put(&mut self, slice: Arc<Slice>) -> Vec<ServiceName> {
        let name = (slice.namespace.clone(), slice.name.clone());
        let mut stale = self.remove(&name);
        if let Some(service) = &slice.service {
            for key in pods(&slice) {
                add(self.by_pod.entry(key).or_default(), &name);
            }
            for node in slice.endpoints.iter().filter_map(|endpoint| endpoint.node.as_ref()) {
                self.by_node.entry(node.clone()).or_default().insert(name.clone());
            }
            add(self.by_service.entry(service.clone()).or_default(), &name);
            stale.push(service.clone());
        }
        self.by_name.insert(name, slice);
        stale
    }

    /// Takes a slice away; the Services whose endpoints it changes.
    pub fn remove(&mut self, name: &SliceName) -> Vec<ServiceName> {
        let Some(slice) = self.by_name.remove(name) else { return Vec::new() };
        let Some(service) = &slice.service else { return Vec::new() };
        for key in pods(&slice) {
            if let Some(names) = self.by_pod.get_mut(&key) {
                names.retain(|other| other != name);
                if names.is_empty() {
                    self.by_pod.remove(&key);
                }
            }
        }
        for node in slice.endpoints.iter().filter_map(|endpoint| endpoint.node.as_ref()) {
            if let Some(names) = self.by_node.get_mut(node) {
                names.remove(name);
                if names.is_empty() {
                    self.by_node.remove(node);
                }
            }
        }
        if let Some(names) = self.by_service.get_mut(service) {
            names.retain(|other| other != name);
            if names.is_empty() {
                self.by_service.remove(service);
            }
        }
        vec![service.clone()]
    }

    /// The Services whose slices name a Pod, or one of its addresses.
    pub fn of_pod(&self, pod: &WorkloadName, ips: &[IpAddr]) -> impl Iterator<Item = &ServiceName> {
        let namespace: Arc<str> = pod.namespace().into();
        let mut keys = vec![PodKey::Name(pod.clone())];
        keys.extend(ips.iter().map(|ip| PodKey::Ip(namespace.clone(), *ip)));
        let names = keys.into_iter().filter_map(|key| self.by_pod.get(&key)).flatten();
        names.filter_map(|name| self.service(name))
    }

    /// The Services whose slices name a node.
    pub fn on_node(&self, node: &Arc<str>) -> impl Iterator<Item = &ServiceName> {
        self.by_node.get(node).into_iter().flatten().filter_map(|name| self.service(name))
    }

    fn service(&self, slice: &SliceName) -> Option<&ServiceName> {
        self.by_name.get(slice)?.service.as_ref()
    }
}

/// Adds a name to a sorted list, whose first takes no more room than it needs.
fn add(names: &mut Vec<SliceName>, name: &SliceName) {
    if let Err(place) = names.binary_search(name) {
        if names.is_empty() {
            names.reserve_exact(1);
        }
        names.insert(place, name.clone());
    }
}

fn pods(slice: &Slice) -> impl Iterator<Item = PodKey> {
    slice.endpoints.iter().map(|endpoint| match &endpoint.pod {
        Some(pod) => PodKey::Name(pod.clone()),
        None => PodKey::Ip(slice.namespace.clone(), endpoint.ip),
    })
}
