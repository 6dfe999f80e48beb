//! Keys that are kept in a Secret: made once by replicas that start together, or brought by the user.

use std::{sync::Arc, time::Duration};

use byrnie_ca::{Authority, Clock, Keys, KeysError};
use byrnie_identity::TrustDomain;
use byrnie_source::{CallError, Calls, Cluster, Few, Held, ObjectPath, Scope, Turn, secret};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

/// The Secret of keys that are made here.
pub const OWN: &str = "byrnie-ca";

/// How often what is waited for is told and tried again.
const LOOK: Duration = Duration::from_secs(5);

/// How often it is looked whether the issuer is due. A wall clock may jump: one long sleep would miss it.
const LOOK_AT_ISSUER: Duration = Duration::from_secs(60);

/// Where the keys are.
#[derive(Clone, Debug)]
pub struct KeySecret {
    /// The namespace of the control plane.
    pub namespace: Arc<str>,
    /// The Secret of an own issuer (`tls.crt`, `tls.key`, `ca.crt`); without one it is [`OWN`].
    pub issuer: Option<Arc<str>>,
}

/// Keys that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The Secret is there, and of no use.
    #[error("Secret {secret}: {error}")]
    Keys {
        /// `NAMESPACE/NAME`
        secret: String,
        /// What is wrong with it.
        error: KeysError,
    },
    /// None can be made.
    #[error("cannot make keys: {0}")]
    Make(KeysError),
}

/// Keys in a Secret, which is followed.
pub struct SecretKeys {
    at: KeySecret,
    calls: Calls,
    followed: Few,
    trust_domain: TrustDomain,
    clock: Clock,
}

impl SecretKeys {
    /// Waits until there are keys, which it makes where they are to be made.
    pub async fn open(
        cluster: &Cluster,
        at: KeySecret,
        trust_domain: &TrustDomain,
        clock: Clock,
    ) -> Result<(Self, Keys), SecretError> {
        let followed = cluster.follow(Scope::secret(&at.namespace, at.name()));
        let mut opened = Self { at, calls: cluster.calls(), followed, trust_domain: trust_domain.clone(), clock };
        loop {
            match timeout(LOOK, opened.followed.changed()).await {
                Ok(held) => {
                    if let Some(secret) = opened.secret(&held) {
                        let keys = opened.read(secret)?;
                        return Ok((opened, keys));
                    }
                }
                Err(_) if opened.followed.now().is_none() => {
                    warn!(secret = opened.at.named(), "waiting for the API server to tell the Secret of the keys");
                    continue;
                }
                Err(_) => {}
            }
            if opened.at.issuer.is_some() {
                warn!(secret = opened.at.named(), "waiting for the Secret of the issuer, which is not there");
            } else if let Some(keys) = opened.create().await? {
                return Ok((opened, keys));
            }
        }
    }

    /// Makes keys and their Secret. `None` where somebody else was first, and where the API server did not take it.
    async fn create(&self) -> Result<Option<Keys>, SecretError> {
        let keys = Keys::make(&self.trust_domain, (self.clock)()).map_err(SecretError::Make)?;
        match self.store_new(&keys).await {
            Ok(()) => {
                info!(secret = self.at.named(), trust_domain = %self.trust_domain, "made a new root");
                Ok(Some(keys))
            }
            Err(CallError::Exists(_)) => Ok(None),
            Err(error) => {
                warn!(secret = self.at.named(), %error, "the Secret of the keys cannot be made; it is tried again");
                Ok(None)
            }
        }
    }

    async fn store_new(&self, keys: &Keys) -> Result<(), CallError> {
        let document = secret::opaque(&self.at.namespace, OWN, &keys.texts());
        self.calls.create(&self.path(), &document).await.map(drop)
    }

    /// Issues with whatever the Secret holds for as long as it runs, and renews an issuer of ours while this process
    /// holds the Lease. The owner drops it.
    pub async fn keep(mut self, authority: Arc<Authority>, turn: watch::Receiver<Turn>) {
        loop {
            tokio::select! {
                held = self.followed.changed() => self.take(&held, &authority),
                () = sleep(LOOK_AT_ISSUER) => {}
            }
            if self.at.issuer.is_none() && turn.borrow().is_mine() {
                self.tend(&authority).await;
            }
        }
    }

    fn take(&self, held: &Held, authority: &Authority) {
        let Some(secret) = self.secret(held) else {
            error!(secret = self.at.named(), "the Secret of the keys is gone; what it held stays in force");
            return;
        };
        let taken = self.read(secret).and_then(|keys| {
            let (before, now) = (authority.keys(), (self.clock)());
            let is_same = keys.texts() == before.texts() && keys.roots().pem() == before.roots().pem();
            if is_same && self.at.issuer.is_none() {
                return Ok(());
            }
            let roots_changed = authority.replace(keys, now).map_err(|error| self.unusable(error))?;
            info!(secret = self.at.named(), roots_changed, "issues with the keys of the Secret");
            Ok(())
        });
        if let Err(error) = taken {
            error!(%error, "the Secret of the keys has changed and cannot be used; what it held before stays in force");
        }
    }

    /// Puts back what is gone, so that no second root is ever made, and renews what is due.
    async fn tend(&self, authority: &Authority) {
        let Some(held) = self.followed.now() else { return };
        let keys = authority.keys();
        let done = match self.secret(&held) {
            None => self.store_new(&keys).await.map(|()| info!(secret = self.at.named(), "put the keys back")),
            Some(secret) => match keys.renewed((self.clock)()) {
                Ok(None) => Ok(()),
                Ok(Some(renewed)) => self.store_renewed(secret, &renewed).await,
                Err(error) => {
                    error!(%error, "cannot renew the issuer");
                    Ok(())
                }
            },
        };
        match done {
            // Somebody else was first, and the watch tells of it.
            Ok(()) | Err(CallError::Exists(_) | CallError::Conflict(_)) => {}
            Err(error) => warn!(secret = self.at.named(), %error, "the keys were not written; it is tried again"),
        }
    }

    /// All replicas, this one too, take up the new issuer when the watch tells of it.
    async fn store_renewed(&self, secret: &Value, renewed: &Keys) -> Result<(), CallError> {
        let mut document = secret::opaque(&self.at.namespace, OWN, &renewed.texts());
        document["metadata"]["resourceVersion"] = secret["metadata"]["resourceVersion"].clone();
        self.calls.replace(&self.path(), &document).await?;
        info!(secret = self.at.named(), "renewed the issuer");
        Ok(())
    }

    fn read(&self, secret: &Value) -> Result<Keys, SecretError> {
        let (data, now) = (secret::data(secret), (self.clock)());
        let read = match self.at.issuer {
            None => Keys::from_texts(&data, &self.trust_domain, now),
            Some(_) => {
                let text = |key: &str| data.get(key).map(Vec::as_slice).unwrap_or_default();
                Keys::of_issuer(&self.trust_domain, text("tls.crt"), text("tls.key"), text("ca.crt"), now)
            }
        };
        read.map_err(|error| self.unusable(error))
    }

    fn unusable(&self, error: KeysError) -> SecretError {
        SecretError::Keys { secret: self.at.named(), error }
    }

    fn secret<'a>(&self, held: &'a Held) -> Option<&'a Value> {
        held.get(&(Arc::clone(&self.at.namespace), self.at.name().into())).map(|secret| &**secret)
    }

    fn path(&self) -> ObjectPath {
        ObjectPath::secret(&self.at.namespace, self.at.name())
    }
}

impl KeySecret {
    fn name(&self) -> &str {
        self.issuer.as_deref().unwrap_or(OWN)
    }

    /// `byrnie-system/byrnie-ca`
    fn named(&self) -> String {
        format!("{}/{}", self.namespace, self.name())
    }
}
