//! The control plane: a source of desired state, its resources, the xDS server and the certificate authority, wired.
//!
//! [`ControlPlane::build`] binds every port and opens the source; [`ControlPlane::serve`] waits until that has told
//! everything once, so that a bad start fails before a proxy sees it, and runs until it is told to drain. `pipeline` is the way of the data:
//! batches of the source become a World, the World a Snapshot, and the Snapshot is published to the streams.

mod admin;
mod clients;
pub mod cluster_names;
mod current;
pub mod describe;
pub mod findings;
pub mod fleet;
mod gate;
mod installed;
mod keys;
mod metrics;
mod pipeline;
pub mod proxy_config;
mod reviews;
mod secret_keys;
mod secrets;
mod server;
mod services;
mod settings;
mod source;
pub mod stat;
mod status;
mod tls;
mod trust;

pub use server::ControlPlane;
pub use settings::{Installed, Mode, Settings, StartError, leaf_lifetime, lifetime};
