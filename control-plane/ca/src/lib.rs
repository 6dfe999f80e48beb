//! The certificate authority of one trust domain.
//!
//! [`State`] is the directory that holds the root, the issuer and the key of join tokens; it is made once and verified
//! at every start. [`Authority`] issues leaves from it: whole ones with a key ([`Leaf`]) for a stand-alone Envoy by SDS
//! and for the control plane's own server, and by signing request through [`SigningService`] for workloads that keep
//! their key. [`TokenKey`] mints and verifies the tokens by which a workload outside Kubernetes proves who it is.
//!
//! Floors, from the top: `service`, `authority`, `state`, then `leaf`, `token`, `signer` and `disk`, which do not know
//! each other. The clock is an argument everywhere; nothing here reads the time on its own.

mod authority;
mod disk;
mod leaf;
mod service;
mod signer;
mod state;
mod token;

use std::{sync::Arc, time::SystemTime};

pub use authority::{Authority, IssueError, LEAF_LIFETIME};
pub use leaf::{Issued, Leaf, PrivateKey};
pub use service::{Authenticate, SigningService, bearer};
pub use signer::SignerError;
pub use state::{State, StateError};
pub use token::{JoinToken, Subject, TOKEN_AUDIENCE, TOKEN_LIFETIME, TokenError, TokenKey};

/// What the time is: `Arc::new(SystemTime::now)` in a process, a fixed or stepped time in a test.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;
