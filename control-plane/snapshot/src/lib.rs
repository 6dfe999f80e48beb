//! A [`World`](byrnie_model::World) becomes versioned xDS resources, pure and incremental.
//!
//! [`Builder`] takes each World with what it touched and rebuilds only the resources that depend on that. The result,
//! a [`Snapshot`], is a persistent value: the next one shares every resource that did not change, encoded once, and
//! two of them are compared in proportion to their difference. The xDS server reads Snapshots and nothing else.

mod build;
pub mod names;
mod objects;
mod pods;
mod resource;
mod store;
mod view;

pub use build::{Builder, Built, of_pod};
pub use objects::Slot;
pub use pods::Pods;
pub use resource::{Reference, Resource, Version};
pub use store::{Change, Sight, Snapshot};
pub use view::{Client, Dialect, View};
