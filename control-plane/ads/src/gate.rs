//! Who is let in, decided by the control plane.

use std::{net::SocketAddr, sync::Arc};

use byrnie_identity::Account;
use byrnie_snapshot::Client;
use tonic::{Extensions, Status, async_trait, metadata::MetadataMap};

/// Decides on each stream, at its first message.
#[async_trait]
pub trait Gate: Send + Sync + 'static {
    /// Lets the caller in, or says why not: the status goes to the client as it is. It may take its time; the client
    /// that goes away meanwhile drops the question.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` or `PERMISSION_DENIED`, and what would be accepted; `UNAVAILABLE` where it cannot be decided now.
    async fn admit(&self, caller: &Caller<'_>) -> Result<Admission, Status>;
}

/// Who asks.
#[derive(Debug)]
pub struct Caller<'a> {
    /// The request's metadata: the token is there.
    pub metadata: &'a MetadataMap,
    /// The request's extensions: the TLS connection's facts are there.
    pub extensions: &'a Extensions,
    /// Where it calls from.
    pub peer: Option<SocketAddr>,
    /// Whom it claims to be.
    pub client: &'a Client,
}

/// What the caller may have.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Whose secrets it gets, or why it gets none; it gets everything else in any case.
    pub secrets: Result<Account, Arc<str>>,
}
