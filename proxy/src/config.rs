//! What all workers work by: one immutable [`Config`], swapped whole.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use byrnie_config::{Cluster, Endpoints, Listener, RouteTable};
use foldhash::fast::RandomState;

/// By name.
pub type Named<T> = HashMap<Arc<str>, Arc<T>, RandomState>;

/// The usable resources, with the identity to use them by.
#[derive(Debug, Default)]
pub struct Config {
    /// Listeners: bound ones, and those that connections are handed over to.
    pub listeners: Named<Listener>,
    /// Listeners that the control plane was asked for and said are not there.
    pub absent: HashSet<Arc<str>, RandomState>,
    /// Route tables.
    pub routes: Named<RouteTable>,
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
}
