use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use byrnie_model::{Place, WorkloadName};

use crate::objects::{Pod, meta::StringMap};

/// All Pods, found by name, label, address and node.
#[derive(Default)]
pub struct Pods {
    by_name: BTreeMap<WorkloadName, Placed>,
    by_label: HashMap<Label, BTreeSet<WorkloadName>>,
    by_ip: HashMap<(Arc<str>, IpAddr), BTreeSet<WorkloadName>>,
    by_node: HashMap<Arc<str>, BTreeSet<WorkloadName>>,
}

/// A Pod and where it was read.
type Placed = (Arc<Pod>, Option<Arc<Place>>);

/// Namespace, key and value of a label.
pub type Label = (Arc<str>, Arc<str>, Arc<str>);

impl Pods {
    /// One Pod.
    pub fn get(&self, name: &WorkloadName) -> Option<&Pod> {
        self.by_name.get(name).map(|(pod, _)| &**pod)
    }

    /// One Pod, and where it was read.
    pub fn placed(&self, name: &WorkloadName) -> Option<&Placed> {
        self.by_name.get(name)
    }

    /// Puts or replaces a Pod.
    pub fn put(&mut self, pod: Arc<Pod>, place: Option<Arc<Place>>) {
        self.remove(&pod.name);
        for label in labels(&pod) {
            self.by_label.entry(label).or_default().insert(pod.name.clone());
        }
        for ip in addresses(&pod) {
            self.by_ip.entry(ip).or_default().insert(pod.name.clone());
        }
        if let Some(node) = &pod.node {
            self.by_node.entry(node.clone()).or_default().insert(pod.name.clone());
        }
        self.by_name.insert(pod.name.clone(), (pod, place));
    }

    /// Takes a Pod away.
    pub fn remove(&mut self, name: &WorkloadName) {
        let Some((pod, _)) = self.by_name.remove(name) else { return };
        for label in labels(&pod) {
            unlink(&mut self.by_label, &label, name);
        }
        for ip in addresses(&pod) {
            unlink(&mut self.by_ip, &ip, name);
        }
        if let Some(node) = &pod.node {
            unlink(&mut self.by_node, node, name);
        }
    }

    /// The Pods of a namespace that a selector takes, by name. An empty one takes none, as in a Service.
    pub fn selected<'a>(&'a self, namespace: &str, selector: &'a StringMap) -> impl Iterator<Item = &'a Pod> {
        let namespace: Arc<str> = namespace.into();
        let named =
            |(key, value): (&Arc<str>, &Arc<str>)| self.by_label.get(&(namespace.clone(), key.clone(), value.clone()));
        // Those of its rarest label; none where some label has none.
        let rarest = selector.iter().map(named).min_by_key(|names| names.map_or(0, BTreeSet::len)).flatten();
        let pods = rarest.into_iter().flatten().filter_map(|name| self.get(name));
        pods.filter(|pod| matches(selector, &pod.labels))
    }

    /// The Pod with an address in a namespace, the first by name where several share their node's.
    pub fn with_ip(&self, namespace: &Arc<str>, ip: IpAddr) -> Option<&Pod> {
        let names = self.by_ip.get(&(namespace.clone(), ip))?;
        names.first().and_then(|name| self.get(name))
    }

    /// The Pods on a node.
    pub fn on_node(&self, node: &Arc<str>) -> impl Iterator<Item = &WorkloadName> {
        self.by_node.get(node).into_iter().flatten()
    }
}

/// Whether a selector takes these labels.
pub fn matches(selector: &StringMap, labels: &StringMap) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn labels(pod: &Pod) -> impl Iterator<Item = Label> {
    let namespace: Arc<str> = pod.name.namespace().into();
    pod.labels.iter().map(move |(key, value)| (namespace.clone(), key.clone(), value.clone()))
}

fn addresses(pod: &Pod) -> impl Iterator<Item = (Arc<str>, IpAddr)> {
    let namespace: Arc<str> = pod.name.namespace().into();
    // The addresses of a Pod that is over are others' by now.
    pod.ips.iter().filter(|_| !pod.is_over).map(move |ip| (namespace.clone(), *ip))
}

fn unlink<K: Eq + std::hash::Hash>(index: &mut HashMap<K, BTreeSet<WorkloadName>>, key: &K, name: &WorkloadName) {
    if let Some(names) = index.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            index.remove(key);
        }
    }
}
