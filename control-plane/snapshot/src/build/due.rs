use std::{
    collections::{BTreeMap, BTreeSet},
    ops::BitOr,
};

use byrnie_model::{ServiceName, WorkloadName, World};

/// What has to be built again.
#[derive(Debug, Default)]
pub struct Due {
    /// The listeners that every Envoy has.
    pub shared: bool,
    /// Services, and which of their resources.
    pub services: BTreeMap<ServiceName, Parts>,
    /// Workloads: their own listeners.
    pub workloads: BTreeSet<WorkloadName>,
}

/// Some of a Service's resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(u8);

impl Due {
    /// Everything that is or was.
    pub fn all(old: &World, world: &World) -> Self {
        let services = old.services().chain(world.services()).map(|service| (service.name.clone(), Parts::ALL));
        let workloads = old.workloads().chain(world.workloads()).map(|workload| workload.name.clone());
        Self { shared: true, services: services.collect(), workloads: workloads.collect() }
    }

    /// Some resources of a Service.
    pub fn service(&mut self, name: &ServiceName, parts: Parts) {
        let due = self.services.entry(name.clone()).or_default();
        *due = *due | parts;
    }

    /// One workload.
    pub fn workload(&mut self, name: &WorkloadName) {
        self.workloads.insert(name.clone());
    }
}

impl Parts {
    /// CDS
    pub const CLUSTERS: Self = Self(1);
    /// EDS
    pub const ENDPOINTS: Self = Self(2);
    /// LDS: the Service's own addresses.
    pub const LISTENERS: Self = Self(4);
    /// RDS
    pub const ROUTES: Self = Self(8);
    /// The Service itself changed, or everything did.
    pub const ALL: Self = Self(31);

    /// Whether all of `parts` are among these.
    pub fn has(self, parts: Self) -> bool {
        self.0 & parts.0 == parts.0
    }
}

impl BitOr for Parts {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
