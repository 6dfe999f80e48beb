use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use byrnie_model::{Capture, Origin, WorkloadName};

use crate::objects::{
    core::{Pod, PodSpec},
    meta::StringMap,
};

/// All Pods, found by name, label, address and node.
#[derive(Default)]
pub struct Pods {
    by_name: BTreeMap<WorkloadName, KnownPod>,
    by_label: HashMap<Label, BTreeSet<WorkloadName>>,
    by_ip: HashMap<(Arc<str>, IpAddr), BTreeSet<WorkloadName>>,
    by_node: HashMap<Arc<str>, BTreeSet<WorkloadName>>,
}

/// What matters of a Pod.
pub struct KnownPod {
    pub name: WorkloadName,
    pub origin: Origin,
    pub labels: StringMap,
    pub account: Arc<str>,
    pub node: Option<Arc<str>>,
    pub ips: Vec<IpAddr>,
    pub capture: Capture,
    /// `Ready`, as [`crate::objects::core::PodStatus::is_ready`] has it.
    pub is_ready: bool,
    pub is_over: bool,
    pub is_terminating: bool,
    spec: PodSpec,
}

/// Namespace, key and value of a label.
pub type Label = (Arc<str>, Arc<str>, Arc<str>);

impl KnownPod {
    /// What matters of the object.
    pub fn of(pod: &Pod, capture: Capture, origin: Origin) -> Self {
        Self {
            name: WorkloadName::new(pod.metadata.namespace(), pod.metadata.name.clone()),
            origin,
            labels: pod.metadata.labels.clone(),
            account: pod.spec.service_account_name.clone().unwrap_or_else(|| "default".into()),
            node: pod.spec.node_name.clone(),
            ips: pod.status.ips(),
            capture,
            is_ready: pod.status.is_ready(),
            is_over: pod.status.is_over(),
            is_terminating: pod.metadata.deletion_timestamp.is_some(),
            spec: pod.spec.clone(),
        }
    }

    /// The TCP port that a container calls `name`.
    pub fn port_named(&self, name: &str) -> Option<u16> {
        self.spec.port_named(name)
    }
}

impl Pods {
    /// One Pod.
    pub fn get(&self, name: &WorkloadName) -> Option<&KnownPod> {
        self.by_name.get(name)
    }

    /// Puts or replaces a Pod.
    pub fn put(&mut self, pod: KnownPod) {
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
        self.by_name.insert(pod.name.clone(), pod);
    }

    /// Takes a Pod away.
    pub fn remove(&mut self, name: &WorkloadName) {
        let Some(pod) = self.by_name.remove(name) else { return };
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
    pub fn selected<'a>(&'a self, namespace: &str, selector: &'a StringMap) -> impl Iterator<Item = &'a KnownPod> {
        let namespace: Arc<str> = namespace.into();
        let named =
            |(key, value): (&Arc<str>, &Arc<str>)| self.by_label.get(&(namespace.clone(), key.clone(), value.clone()));
        // Those of its rarest label; none where some label has none.
        let rarest = selector.iter().map(named).min_by_key(|names| names.map_or(0, BTreeSet::len)).flatten();
        let pods = rarest.into_iter().flatten().filter_map(|name| self.by_name.get(name));
        pods.filter(|pod| matches(selector, &pod.labels))
    }

    /// The Pod with an address in a namespace, the first by name where several share their node's.
    pub fn with_ip(&self, namespace: &Arc<str>, ip: IpAddr) -> Option<&KnownPod> {
        let names = self.by_ip.get(&(namespace.clone(), ip))?;
        names.first().and_then(|name| self.by_name.get(name))
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

fn labels(pod: &KnownPod) -> impl Iterator<Item = Label> {
    let namespace: Arc<str> = pod.name.namespace().into();
    pod.labels.iter().map(move |(key, value)| (namespace.clone(), key.clone(), value.clone()))
}

fn addresses(pod: &KnownPod) -> impl Iterator<Item = (Arc<str>, IpAddr)> {
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
