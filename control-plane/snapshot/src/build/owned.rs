use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use byrnie_model::{ServiceName, WorkloadName};
use byrnie_proto::Kind;

use crate::{Pods, Resource, Snapshot, View};

/// A snapshot in the making, and who put what there: what its maker no longer makes is taken out.
#[derive(Debug, Default)]
pub struct Owned {
    snapshot: Snapshot,
    held: BTreeMap<Owner, Vec<Key>>,
    /// Addresses are not ours to give: two headless Services may stand for one pod, and in a directory nothing keeps
    /// two Services from one VIP. The first by name is shown, and the next as soon as it goes.
    claims: BTreeMap<Key, BTreeMap<ServiceName, Arc<Resource>>>,
}

/// Who makes resources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// Nobody in particular.
    Shared,
    /// CDS of a Service.
    Clusters(ServiceName),
    /// EDS of a Service.
    Endpoints(ServiceName),
    /// LDS of a Service's addresses.
    Outbound(ServiceName),
    /// RDS of a Service.
    Routes(ServiceName),
    /// LDS of a Service's names in gRPC.
    Targets(ServiceName),
    /// LDS of a workload.
    Workload(WorkloadName),
}

type Key = (View, Kind, Arc<str>);

impl Owner {
    /// All owners that stand for parts of a Service.
    pub fn of_service(name: &ServiceName) -> [Self; 5] {
        [Self::Clusters, Self::Endpoints, Self::Outbound, Self::Routes, Self::Targets].map(|owner| owner(name.clone()))
    }
}

impl Owned {
    /// What stands.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Sets all that `owner` makes: what it made before and makes no longer goes.
    pub fn replace(&mut self, owner: Owner, resources: Vec<(View, Resource)>) {
        let keys: Vec<Key> = resources.iter().map(|(view, made)| key(view, made)).collect();
        let kept: BTreeSet<&Key> = keys.iter().collect();
        for gone in self.held.remove(&owner).into_iter().flatten().filter(|key| !kept.contains(key)) {
            self.take(&owner, &gone);
        }
        for (view, resource) in resources {
            self.put(&owner, view, resource);
        }
        if !keys.is_empty() {
            self.held.insert(owner, keys);
        }
    }

    /// Sets some of what its owner has made before.
    pub fn patch(&mut self, resources: Vec<(View, Resource)>) {
        for (view, resource) in resources {
            self.show(view, Arc::new(resource));
        }
    }

    /// Sets whether the workload is shown no listener but its own.
    pub fn seclude(&mut self, workload: &WorkloadName, secluded: bool) {
        self.snapshot.seclude(workload, secluded);
    }

    /// The workloads by address.
    pub fn pods_mut(&mut self) -> &mut Pods {
        self.snapshot.pods_mut()
    }

    fn put(&mut self, owner: &Owner, view: View, resource: Resource) {
        let resource = Arc::new(resource);
        let Owner::Outbound(service) = owner else { return self.show(view, resource) };
        let key = key(&view, &resource);
        self.claims.entry(key.clone()).or_default().insert(service.clone(), resource);
        self.show_first_claim(&key);
    }

    fn take(&mut self, owner: &Owner, key: &Key) {
        if let Owner::Outbound(service) = owner
            && let Some(claims) = self.claims.get_mut(key)
        {
            claims.remove(service);
            if !claims.is_empty() {
                return self.show_first_claim(key);
            }
            self.claims.remove(key);
        }
        let (view, kind, name) = key;
        self.snapshot.remove(view, *kind, name);
    }

    fn show_first_claim(&mut self, key: &Key) {
        let first = self.claims.get(key).and_then(|claims| claims.values().next()).cloned();
        if let Some(first) = first {
            self.show(key.0.clone(), first);
        }
    }

    /// What is built to the same keeps its old `Arc`, so that snapshots share it and no difference is found.
    fn show(&mut self, view: View, resource: Arc<Resource>) {
        let same = self.snapshot.at(&view, resource.kind(), resource.name()).is_some_and(|old| *old == resource);
        if !same {
            self.snapshot.put(view, resource);
        }
    }
}

fn key(view: &View, resource: &Resource) -> Key {
    (view.clone(), resource.kind(), resource.name().clone())
}
