//! The mesh in Byrnie's own words.
//!
//! A source (a directory, later the Kubernetes API) feeds [`Update`]s; [`World::apply`] folds them into the next
//! immutable [`World`] and says what they [`Touched`]; the snapshot reads the World and nothing else. No Kubernetes
//! type, no protobuf and no task lives here: everything is a plain value that was checked at the edge.

pub mod attach;
mod backend;
mod endpoint;
mod injection;
mod mesh;
mod name;
mod origin;
pub mod policy;
mod protocol;
mod quantity;
pub mod resolve;
pub mod route;
#[cfg(test)]
mod sample;
mod service;
mod workload;
mod world;

pub use endpoint::{Endpoint, EndpointState, ServiceEndpoints};
pub use injection::{Injection, LOG_LEVELS, ProxyKind, ProxyResources, is_log_filter};
pub use mesh::{MeshConfig, PeerMode, UnknownOutbound};
pub use name::{NameError, PolicyName, RouteName, ServiceName, WorkloadName};
pub use origin::{ObjectKind, ObjectRef, Origin, Place};
pub use protocol::Protocol;
pub use quantity::{Quantity, is_quantity};
pub use service::{Service, ServiceKind, ServicePort};
pub use workload::{Capture, InboundPort, Served, UpstreamPort, Workload};
pub use world::{Touched, Update, World};
