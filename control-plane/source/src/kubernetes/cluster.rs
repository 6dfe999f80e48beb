//! An API server, as one of its users: what it tells, and what it is told.

use std::fmt;

use kube::Client;

use super::{
    Access, AccessError, Kubernetes, TokenReviews,
    call::{CallError, Calls},
    few::Few,
    forward::Forward,
    lease::{Candidate, Leadership},
    resources::Scope,
};

/// An API server, reached in one way. Clones share their connections.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl Cluster {
    /// Prepares to ask. An error is about the credentials; whether the server answers is seen when it is asked.
    pub async fn connect(access: &Access) -> Result<Self, AccessError> {
        Ok(Self { client: access.client().await? })
    }

    /// Starts to follow all objects of the mesh.
    pub fn watch(&self) -> Kubernetes {
        Kubernetes::start(&self.client)
    }

    /// Starts to follow a few objects, which are held as they are.
    pub fn follow(&self, scope: Scope) -> Few {
        Few::start(&self.client, scope)
    }

    /// Reviews of tokens for an audience.
    pub fn token_reviews(&self, audience: &str) -> TokenReviews {
        TokenReviews::new(self.client.clone(), audience)
    }

    /// Single requests.
    pub fn calls(&self) -> Calls {
        Calls::new(self.client.clone())
    }

    /// Opens a connection to a port of a Pod.
    pub async fn forward(&self, namespace: &str, pod: &str, port: u16) -> Result<Forward, CallError> {
        Forward::open(self.client.clone(), namespace, pod, port).await
    }

    /// The namespace that the user means where none is named.
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// Starts to compete for a Lease.
    pub fn compete(&self, candidate: Candidate) -> Leadership {
        Leadership::start(self.calls(), candidate)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}
