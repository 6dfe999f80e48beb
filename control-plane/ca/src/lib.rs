//! The certificate authority of one trust domain.
//!
//! [`Keys`] are the root, the issuer and the key of join tokens, or an issuer that the user brings; they are kept as
//! texts, in a directory by [`State`], which makes them once and verifies them at every start, or in a Secret by whoever
//! follows a cluster. [`Authority`] issues leaves with them, and with others when it is told: whole ones with a key
//! ([`Leaf`]) for a stand-alone Envoy by SDS and for the control plane's own server, and by signing request through
//! [`SigningService`] for workloads that keep their key. [`TokenKey`] mints and verifies the tokens by which a workload
//! outside Kubernetes proves who it is.
//!
//! Floors, from the top: `service` and `state`, `authority`, `keys`, `leaf`, then `servers`, `token`, `signer` and `disk`,
//! which do not know each other. The clock is an argument everywhere; nothing here reads the time on its own.

mod authority;
mod disk;
mod keys;
mod leaf;
mod servers;
mod service;
mod signer;
mod state;
mod token;

use std::{sync::Arc, time::SystemTime};

pub use authority::{Authority, IssueError, LEAF_LIFETIME};
pub use keys::{Keys, KeysError};
pub use leaf::{Issued, Leaf, PrivateKey};
pub use servers::Servers;
pub use service::{Authenticate, SigningService, bearer};
pub use signer::SignerError;
pub use state::{State, StateError};
pub use token::{JoinToken, Subject, TOKEN_AUDIENCE, TOKEN_LIFETIME, TokenError, TokenKey};

/// What the time is: `Arc::new(SystemTime::now)` in a process, a fixed or stepped time in a test.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;
