//! TLS between sidecars, without I/O.
//!
//! [`Contexts`] turns what xDS says of a socket, with the [identity](crate::identity) in force, into configurations of
//! rustls. A [`Session`] is one connection that the event loop drives: ciphertext in, plaintext and ciphertext out; an
//! idle one keeps no buffer. [`hello()`] reads the offer of a client before a filter chain is chosen.
//!
//! TLS 1.3 only, AES-128-GCM first, X25519MLKEM768 before X25519. Both sides show a certificate; a peer is accepted
//! when its chain ends at a root of the mesh, it is valid now, and its only URI SAN is one that the context accepts.
//! The marker `byrnie-http` is offered by clients and never selected: no server names it among its own protocols.

mod context;
mod hello;
mod peer;
mod proven;
mod records;
mod session;
mod tickets;

pub use context::{ClientContext, ContextError, Contexts, ServerContext};
pub use hello::{ClientHello, Hello, hello};
pub use peer::{Peer, PeerError};
pub use session::{Error, Progress, Session};
