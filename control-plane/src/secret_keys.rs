//! Keys that are kept in a Secret: made once by replicas that start together, or brought by the user.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_ca::{Authority, Clock, Keys, KeysError};
use byrnie_identity::TrustDomain;
use byrnie_source::{CallError, Calls, Cluster, Few, Held, ObjectPath, Scope, Turn, secret};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use crate::{cluster_names::CA_SECRET as OWN, trust};

/// How often what is waited for is told and tried again.
const LOOK: Duration = Duration::from_secs(5);

/// How long a Secret that is gone is waited for before a new root is made. A replica that runs sees it go at once.
const PUT_BACK: Duration = Duration::from_secs(10);

/// How often it is looked whether the issuer is due. A wall clock may jump: one long sleep would miss it.
const LOOK_AT_ISSUER: Duration = Duration::from_secs(60);

/// Where the keys are.
#[derive(Clone, Debug)]
pub struct KeySecret {
    /// The namespace of the control plane.
    pub namespace: Arc<str>,
    /// The Secret of an own issuer (`tls.crt`, `tls.key`, `ca.crt`); without one it is [`CA_SECRET`](OWN).
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

/// What came of looking for keys.
enum Found {
    /// They are there, and can be used.
    Keys(Keys),
    /// Somebody else writes them just now, and the watch tells of it.
    Soon,
    /// They are waited for, and why.
    Waiting(String),
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
        let (mut told, mut missing) = (String::new(), None);
        loop {
            let held = match timeout(LOOK, opened.followed.changed()).await {
                Ok(held) => Some(held),
                Err(_) => opened.followed.now(),
            };
            let found = match held.as_deref().map(|held| opened.secret(held)) {
                None => Found::Waiting("the API server has not told it yet".to_owned()),
                Some(Some(secret)) => opened.found(secret).await?,
                Some(None) if opened.at.issuer.is_some() => Found::Waiting("it is not there".to_owned()),
                Some(None) => {
                    let since = *missing.get_or_insert_with(Instant::now);
                    opened.missing(cluster, since).await?
                }
            };
            match found {
                Found::Keys(keys) => return Ok((opened, keys)),
                Found::Waiting(why) if why != told => {
                    warn!(secret = opened.at.named(), why, "waiting for the Secret of the keys");
                    told = why;
                }
                Found::Waiting(_) | Found::Soon => {}
            }
        }
    }

    /// The keys of the Secret. An issuer of ours that has ended is renewed first, since nothing can be served by it; one
    /// of the user's that cannot be used is for the user to mend.
    async fn found(&self, secret: &Value) -> Result<Found, SecretError> {
        let keys = match self.read(secret) {
            Ok(keys) => keys,
            Err(error) if self.at.issuer.is_some() => return Ok(Found::Waiting(error.to_string())),
            Err(error) => return Err(error),
        };
        let now = (self.clock)();
        if now < keys.not_after() {
            return Ok(Found::Keys(keys));
        }
        let Some(renewed) = keys.renewed(now).map_err(|error| self.unusable(error))? else {
            return Ok(Found::Keys(keys));
        };
        Ok(match self.store_renewed(secret, &renewed).await {
            Ok(()) => Found::Keys(renewed),
            Err(CallError::Conflict(_)) => Found::Soon,
            Err(error) => Found::Waiting(format!("the issuer has ended and cannot be renewed: {error}")),
        })
    }

    /// Makes keys where there never were any. Where the mesh has a trust bundle there were: a replica that runs has them
    /// still, and puts them back. A second root would part those that trust it from those that do not.
    async fn missing(&self, cluster: &Cluster, since: Instant) -> Result<Found, SecretError> {
        if since.elapsed() < PUT_BACK {
            match timeout(LOOK, trust::is_told(cluster, &self.at.namespace)).await {
                Ok(false) => {}
                Ok(true) => {
                    return Ok(Found::Waiting(format!(
                        "it is gone, and the mesh has a trust bundle: a replica that runs puts it back; where none does \
                         within {PUT_BACK:?} a new root is made"
                    )));
                }
                Err(_) => {
                    let why = "the API server does not tell whether there is a trust bundle";
                    return Ok(Found::Waiting(why.to_owned()));
                }
            }
        }
        self.create().await
    }

    /// Makes keys and their Secret.
    async fn create(&self) -> Result<Found, SecretError> {
        let keys = Keys::make(&self.trust_domain, (self.clock)()).map_err(SecretError::Make)?;
        Ok(match self.store_new(&keys).await {
            Ok(()) => {
                info!(secret = self.at.named(), trust_domain = %self.trust_domain, "made a new root");
                Found::Keys(keys)
            }
            Err(CallError::Exists(_)) => Found::Soon,
            Err(error) => Found::Waiting(format!("it cannot be made: {error}")),
        })
    }

    async fn store_new(&self, keys: &Keys) -> Result<(), CallError> {
        let document = secret::opaque(&self.at.namespace, OWN, &keys.texts());
        self.calls.create(&self.path(), &document).await.map(drop)
    }

    /// Issues with whatever the Secret holds for as long as it runs, and renews an issuer of ours while this process
    /// holds the Lease. The owner drops it.
    pub async fn keep(mut self, authority: Arc<Authority>, mut turn: watch::Receiver<Turn>) {
        loop {
            if self.at.issuer.is_none() {
                let is_mine = turn.borrow_and_update().is_mine();
                self.tend(&authority, is_mine).await;
            }
            tokio::select! {
                held = self.followed.changed() => self.take(&held, &authority),
                Ok(()) = turn.changed() => {}
                () = sleep(LOOK_AT_ISSUER) => {}
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

    /// Puts back what is gone, so that no second root is ever made: any replica does, for the holder may just have
    /// started, and wait for it. The holder of the Lease renews what is due.
    async fn tend(&self, authority: &Authority, is_holder: bool) {
        let Some(held) = self.followed.now() else { return };
        let keys = authority.keys();
        let done = match self.secret(&held) {
            None => self.store_new(&keys).await.map(|()| info!(secret = self.at.named(), "put the keys back")),
            Some(_) if !is_holder => Ok(()),
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
            None => Keys::from_texts(&data, &self.kept_domain(&data), now),
            Some(_) => {
                let text = |key: &str| data.get(key).map(Vec::as_slice).unwrap_or_default();
                Keys::of_issuer(&self.trust_domain, text("tls.crt"), text("tls.key"), text("ca.crt"), now)
            }
        };
        read.map_err(|error| self.unusable(error))
    }

    /// The trust domain of keys of ours is that of the time when they were made: a MeshConfig that asks for another is told
    /// so, and is no reason to serve nobody.
    fn kept_domain(&self, data: &BTreeMap<String, Vec<u8>>) -> TrustDomain {
        let text = data.get("trust-domain").and_then(|text| str::from_utf8(text).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or_else(|| self.trust_domain.clone())
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
