use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use byrnie_identity::{PublicKey, SpiffeId, TrustBundle, TrustDomain};
use rcgen::{KeyPair, PublicKeyData, SanType, SubjectPublicKeyInfo};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{sync::watch, time::sleep};

use crate::{
    Clock,
    keys::{Keys, KeysError},
    leaf::{Issued, Leaf, PrivateKey, leaf_params},
    signer::{Validity, written},
    token::TokenKey,
};

/// How long a leaf lasts, and the longest that anyone may ask for.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a running process looks whether former roots can go.
const LOOK_AT_ROOTS: Duration = Duration::from_secs(60);
/// How far the clocks of peers may be behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The certificate authority of one trust domain, ready to issue. Issuing touches no disk.
pub struct Authority {
    trust_domain: TrustDomain,
    keys: ArcSwap<Keys>,
    roots: watch::Sender<TrustBundle>,
    /// Held while keys or roots are replaced.
    former: Mutex<Vec<Former>>,
    lifetime: Duration,
    jitter: Box<dyn Fn() -> f64 + Send + Sync>,
}

/// A root that issues no more, and until when leaves under it may be in use.
struct Former {
    root: CertificateDer<'static>,
    until: SystemTime,
}

/// A leaf that cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// An identity that this authority does not vouch for.
    #[error("{id} is not of the trust domain {ours}")]
    TrustDomain {
        /// The identity asked for.
        id: SpiffeId,
        /// Ours.
        ours: TrustDomain,
    },
    /// The issuer's time is over and it could not be renewed.
    #[error("the issuer ended at {0} and was not renewed")]
    IssuerEnded(String),
    /// A name that no certificate can hold.
    #[error("{0:?} cannot be written as a name in a certificate: a DNS name or an IP address is accepted")]
    Name(String),
    /// A public key that the library cannot write.
    #[error("the public key cannot be certified: {0}")]
    Key(rcgen::Error),
    /// The cryptographic library refused.
    #[error("cannot sign: {0}")]
    Library(#[from] rcgen::Error),
}

impl Authority {
    /// The authority that issues with `keys`.
    pub fn new(keys: Keys) -> Self {
        Self {
            trust_domain: keys.trust_domain().clone(),
            roots: watch::Sender::new(keys.roots().clone()),
            keys: ArcSwap::from_pointee(keys),
            former: Mutex::default(),
            lifetime: LEAF_LIFETIME,
            jitter: Box::new(system_jitter),
        }
    }

    /// With leaves of another lifetime than [`LEAF_LIFETIME`].
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// With another source of chance, uniform in -1 to 1.
    pub fn with_jitter(self, jitter: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self { jitter: Box::new(jitter), ..self }
    }

    /// The trust domain that this authority speaks for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The keys that are in use.
    pub fn keys(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// What peers need to verify all leaves that may be in use.
    pub fn roots(&self) -> TrustBundle {
        self.roots.borrow().clone()
    }

    /// [`roots`](Self::roots), and each change of them.
    pub fn follow_roots(&self) -> watch::Receiver<TrustBundle> {
        self.roots.subscribe()
    }

    /// Mints and verifies join tokens; there are none where the issuer is the user's own.
    pub fn tokens(&self) -> Option<Arc<TokenKey>> {
        self.keys.load().tokens().cloned()
    }

    /// Issues with `keys` from now on; says whether that changed the roots, as [`follow_roots`](Self::follow_roots)
    /// tells too.
    ///
    /// Leaves that are out keep their peers' trust: a root that `keys` lack stays in the bundle until the last leaf
    /// under it has ended. This process alone remembers it: one that starts later knows the roots of `keys` only. Nor
    /// can it help peers that have not yet heard of a new root, and get a leaf under it: where no handshake may fail,
    /// `keys` with the old issuer and both roots come first, and the new issuer when all peers have both.
    pub fn replace(&self, keys: Keys, now: SystemTime) -> Result<bool, KeysError> {
        if *keys.trust_domain() != self.trust_domain {
            let (found, wanted) = (keys.trust_domain().clone(), self.trust_domain.clone());
            return Err(KeysError::TrustDomain { found, wanted });
        }
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        let until = now + self.lifetime + CLOCK_SKEW;
        let old = self.keys.load();
        // One that stands there from an earlier time was in use again since.
        former.retain(|former| !old.roots().roots().contains(&former.root));
        former.extend(old.roots().roots().iter().map(|root| Former { root: root.clone(), until }));
        // Roots first: whoever gets a leaf of the new issuer can be told its root.
        let changed = self.publish(&keys, &mut former, now);
        self.keys.store(Arc::new(keys));
        Ok(changed)
    }

    /// Drops former roots whose leaves have ended; says whether there were any.
    pub fn forget_former_roots(&self, now: SystemTime) -> bool {
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        self.publish(&self.keys.load(), &mut former, now)
    }

    /// Forgets former roots in time for as long as it runs. The owner aborts it.
    pub async fn keep_roots(self: Arc<Self>, clock: Clock) {
        loop {
            sleep(LOOK_AT_ROOTS).await;
            self.forget_former_roots(clock());
        }
    }

    /// Makes the bundle of `keys` and what is left of `former` the one in force; says whether it is another.
    fn publish(&self, keys: &Keys, former: &mut Vec<Former>, now: SystemTime) -> bool {
        let present = keys.roots().roots();
        former.retain(|former| now < former.until && !present.contains(&former.root));
        let roots: Vec<_> = present.iter().chain(former.iter().map(|former| &former.root)).cloned().collect();
        let bundle = TrustBundle::new(self.trust_domain.clone(), roots);
        self.roots.send_if_modified(|current| {
            let changed = *current != bundle;
            *current = bundle;
            changed
        })
    }

    /// A leaf for a workload that keeps its key, which holds `names` too. A `lifetime` longer than the authority's own is cut to it.
    pub fn issue(
        &self,
        id: &SpiffeId,
        names: &[ServerName<'_>],
        key: &PublicKey,
        lifetime: Option<Duration>,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let key = SubjectPublicKeyInfo::from_der(key.spki()).map_err(IssueError::Key)?;
        self.sign(id, names, &key, lifetime.unwrap_or(self.lifetime).min(self.lifetime), now)
    }

    /// A leaf and its key, for a workload that cannot make one: a stand-alone Envoy, by SDS.
    pub fn leaf(&self, id: &SpiffeId, now: SystemTime) -> Result<Leaf, IssueError> {
        self.server_leaf(id, &[], now)
    }

    /// A leaf and its key for a server that is also known by `names`: the control plane's own xDS port.
    pub fn server_leaf(&self, id: &SpiffeId, names: &[ServerName<'_>], now: SystemTime) -> Result<Leaf, IssueError> {
        let key = KeyPair::generate()?;
        let issued = self.sign(id, names, &key, self.lifetime, now)?;
        Ok(Leaf { issued, key: PrivateKey::new(key.serialize_der()) })
    }

    fn sign(
        &self,
        id: &SpiffeId,
        names: &[ServerName<'_>],
        key: &impl PublicKeyData,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        if *id.trust_domain() != self.trust_domain {
            return Err(IssueError::TrustDomain { id: id.clone(), ours: self.trust_domain.clone() });
        }
        let names: Result<Vec<_>, _> = names.iter().map(san).collect();
        let keys = self.keys.load();
        let issuing = keys.issuing();
        let validity = Validity::starting(now, lifetime).within(issuing.validity);
        let left = validity.not_after.duration_since(now).unwrap_or_default();
        if left.is_zero() {
            return Err(IssueError::IssuerEnded(written(issuing.validity.not_after)));
        }
        let leaf = issuing.signer.sign(&leaf_params(id, &names?, validity)?, key)?;
        let share = 2.0 / 3.0 * (1.0 + 0.05 * (self.jitter)().clamp(-1.0, 1.0));
        Ok(Issued {
            chain: [&[leaf], &issuing.chain[..]].concat(),
            not_after: validity.not_after,
            renew_at: now + left.mul_f64(share),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("keys", &*self.keys.load())
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// A name as a certificate holds it.
fn san(name: &ServerName<'_>) -> Result<SanType, IssueError> {
    match name {
        ServerName::DnsName(dns) => Ok(SanType::DnsName(dns.as_ref().try_into()?)),
        ServerName::IpAddress(ip) => Ok(SanType::IpAddress((*ip).into())),
        other => Err(IssueError::Name(other.to_str().into_owned())),
    }
}

/// Uniform in -1 to 1, from the system's random source; 0 should it fail.
fn system_jitter() -> f64 {
    let mut bytes = [0; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX) * 2.0 - 1.0,
        Err(_) => 0.0,
    }
}

#[cfg(test)]
mod tests;
