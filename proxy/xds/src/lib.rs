//! The client of the control plane: delta xDS on one aggregated stream.
//!
//! [`Client`] is the logic, without I/O, clock or chance: responses, wanted names and time in; requests and immutable
//! [`Resources`] out. It follows references (listeners to routes and clusters, routes to clusters, clusters to
//! endpoints), says which resources it refused and why, and lets nothing new take the place of something old before all
//! that it refers to is there. [`Link`] moves the bytes: it connects, comes back with a growing pause, and keeps what
//! last served on disk, if it is told where. [`Handle`] is what the rest of the process holds: it reads [`Resources`]
//! and asks for listeners on demand. The rules are those of `docs/xds.md`, as the other side keeps them.

mod client;
mod counters;
mod demand;
mod handle;
mod held;
mod link;
mod resources;
mod settings;
mod state;
#[cfg(test)]
mod testing;

pub use client::{Client, Listeners, Received};
pub use counters::{Counters, Figures};
pub use handle::Handle;
pub use held::{Rejection, Version};
pub use link::Link;
pub use resources::{Answer, Named, Resources, State, Unsettled};
pub use settings::{Settings, SettingsError};
