//! Who a workload is: SPIFFE identities, the roots they are checked against, and the requests by which a workload asks
//! for a certificate; no I/O, no private keys.
//!
//! The model names the account of every endpoint with [`Account`], the snapshot turns it into the exact URI SAN
//! that a client's proxy demands, and the certificate authority writes the same URI into the leaf.

mod bundle;
mod certificate;
mod request;
mod spiffe;

pub use bundle::TrustBundle;
pub use certificate::{CertificateError, certificate_end, certificate_uris, certificates_pem, peer_identity};
pub use request::{PublicKey, RequestError, SigningRequest};
pub use spiffe::{Account, IdentityError, SpiffeId, TrustDomain};
