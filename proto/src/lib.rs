//! What crosses the wire: Envoy's xDS v3 types, Byrnie's own services, the type URLs, and what clients are started with.
//!
//! Everything that is encoded for a proxy or decoded from one is named here, so that the crates above agree on it
//! and no mesh word leaks into the wire.

pub mod bootstrap;
mod kind;
pub mod latency;

pub use envoy_types::pb as envoy;
pub use kind::{Kind, UnknownType};

/// The signing service (`proto/protos/byrnie_ca_v1.proto`).
pub mod ca {
    #![allow(missing_docs, clippy::all, clippy::unwrap_used)]
    tonic::include_proto!("byrnie.ca.v1");
}

/// What replicas of the control plane tell each other (`proto/protos/byrnie_fleet_v1.proto`).
pub mod fleet {
    #![allow(missing_docs, clippy::all, clippy::unwrap_used)]
    tonic::include_proto!("byrnie.fleet.v1");
}
