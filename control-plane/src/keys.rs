//! Where the keys of the mesh are kept: in a state directory, or in a Secret.

use std::{path::PathBuf, sync::Arc};

use byrnie_ca::{Authority, Clock, Keys, State};
use byrnie_identity::TrustDomain;
use byrnie_source::{Cluster, Turn};
use tokio::sync::watch;

use crate::{
    secret_keys::{KeySecret, SecretKeys},
    settings::{Installed, StartError},
};

/// Where keys are to be found or made.
pub enum Place {
    /// A directory of this process.
    Directory(PathBuf),
    /// A Secret of all replicas, which the holder of the Lease renews.
    Secret(Cluster, Installed),
}

/// Keys that were found or made.
pub enum Kept {
    /// In a directory.
    Directory(Arc<State>),
    /// In a Secret.
    Secret(SecretKeys),
}

impl Place {
    /// The keys, made where there are none. For those of a Secret this waits as long as it takes.
    pub async fn open(self, trust_domain: &TrustDomain, clock: &Clock) -> Result<(Kept, Keys), StartError> {
        match self {
            Self::Directory(path) => {
                let state = State::open(&path, trust_domain, clock())?;
                let keys = state.keys().clone();
                Ok((Kept::Directory(Arc::new(state)), keys))
            }
            Self::Secret(cluster, Installed { namespace, issuer, .. }) => {
                let at = KeySecret { namespace, issuer };
                let (secret, keys) = SecretKeys::open(&cluster, at, trust_domain, Arc::clone(clock)).await?;
                Ok((Kept::Secret(secret), keys))
            }
        }
    }
}

impl Kept {
    /// Keeps `authority` issuing with what is kept, and the issuer renewed, for as long as it runs; one in a Secret by the
    /// holder of the Lease. The owner drops it.
    pub async fn keep(self, authority: Arc<Authority>, clock: Clock, turn: watch::Receiver<Turn>) {
        match self {
            Self::Directory(state) => state.keep_issuer(authority, clock).await,
            Self::Secret(secret) => secret.keep(authority, turn).await,
        }
    }
}
