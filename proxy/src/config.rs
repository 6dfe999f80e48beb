//! What all workers work by: one immutable [`Config`], swapped whole.

use std::{
    collections::{HashMap, HashSet},
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use byrnie_balance::{Breakers, Hosts};
use byrnie_config::{Cluster, Endpoint, Endpoints, Listener, RouteTable};
use foldhash::fast::RandomState;

/// By name.
pub type Named<T> = HashMap<Arc<str>, Arc<T>, RandomState>;

/// The usable resources, with the identity to use them by.
#[derive(Debug, Default)]
pub struct Config {
    /// Grows by one with each configuration; 0 is the empty one of the start.
    pub generation: u64,
    /// Whether everything that was asked for at the start is here; stays so from then on.
    pub warm: bool,
    /// Whether there is an identity: without one, listeners with TLS are left out.
    pub has_identity: bool,
    /// Listeners: bound ones, and those that connections are handed over to.
    pub listeners: Arc<Named<Listener>>,
    /// Listeners that the control plane was asked for and said are not there.
    pub absent: Arc<HashSet<Arc<str>, RandomState>>,
    /// Route tables.
    pub routes: Arc<Named<RouteTable>>,
    /// Clusters with their endpoints.
    pub upstreams: Named<Upstream>,
}

/// A cluster, its endpoints, and what the whole process knows of them.
#[derive(Debug)]
pub struct Upstream {
    /// How it is spoken to.
    pub cluster: Arc<Cluster>,
    /// Of EDS, or the cluster's own; none of an original destination.
    pub endpoints: Arc<Endpoints>,
    /// Health, ejection and load of each endpoint. The state of an address goes on from one configuration to the next.
    pub hosts: Hosts<ByAddress>,
    /// What the process asks of the cluster at a time. It goes on with the same limits.
    pub breakers: Arc<Breakers>,
}

/// An endpoint, told from others by its address alone.
#[derive(Clone, Debug)]
pub struct ByAddress(pub Endpoint);

impl Deref for ByAddress {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.0
    }
}

impl PartialEq for ByAddress {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for ByAddress {}

impl Hash for ByAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address.hash(state);
    }
}
