//! Endpoints of a cluster.

use std::{net::SocketAddr, sync::Arc};

/// `envoy.config.endpoint.v3.ClusterLoadAssignment`, all of one priority.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoints {
    /// `cluster_name`.
    pub name: Arc<str>,
    /// In their order, without the localities around them.
    pub list: Vec<Endpoint>,
}

/// `LbEndpoint`.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// `endpoint.address`.
    pub address: SocketAddr,
    /// The account that its sidecar proves: `sa` in `envoy.transport_socket_match`; none outside the mesh.
    pub account: Option<Arc<str>>,
    /// `load_balancing_weight`, 1 where absent.
    pub weight: u32,
    /// `locality.zone`, may be empty.
    pub zone: Arc<str>,
    // To be added: health_status, as byrnie_balance takes it.
}
