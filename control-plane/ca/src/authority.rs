use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use byrnie_identity::{PublicKey, SpiffeId, TrustBundle, TrustDomain};
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, SubjectPublicKeyInfo,
};
use rustls_pki_types::ServerName;
use tokio::{task::spawn_blocking, time::sleep};
use tracing::{error, warn};

use crate::{
    Clock,
    leaf::{Issued, Leaf, PrivateKey},
    signer::{Signer, Validity, random_serial, written},
    state::{State, StateError},
    token::TokenKey,
};

/// How long a leaf lasts, and the longest that anyone may ask for.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a running process looks whether the issuer is due. A wall clock may jump: one long sleep would miss it.
const LOOK_AT_ISSUER: Duration = Duration::from_secs(60 * 60);
const RETRY_ISSUER: Duration = Duration::from_secs(60);

/// The certificate authority of one trust domain, ready to issue. Issuing touches no disk.
pub struct Authority {
    state: State,
    issuer: ArcSwap<Signer>,
    roots: TrustBundle,
    lifetime: Duration,
    jitter: Box<dyn Fn() -> f64 + Send + Sync>,
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
    /// The authority over `state`.
    pub fn new(state: State) -> Self {
        let issuer = ArcSwap::new(state.issuer().clone());
        let roots = TrustBundle::new(state.trust_domain().clone(), vec![state.root().certificate().clone()]);
        Self { state, issuer, roots, lifetime: LEAF_LIFETIME, jitter: Box::new(system_jitter) }
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
        self.state.trust_domain()
    }

    /// What peers need to verify the leaves.
    pub fn roots(&self) -> &TrustBundle {
        &self.roots
    }

    /// Mints and verifies join tokens.
    pub fn tokens(&self) -> &TokenKey {
        self.state.tokens()
    }

    /// A leaf for a workload that keeps its key. A `lifetime` longer than the authority's own is cut to it.
    pub fn issue(
        &self,
        id: &SpiffeId,
        key: &PublicKey,
        lifetime: Option<Duration>,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let key = SubjectPublicKeyInfo::from_der(key.spki()).map_err(IssueError::Key)?;
        self.sign(id, &[], &key, lifetime.unwrap_or(self.lifetime).min(self.lifetime), now)
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

    /// Renews the issuer if two thirds of its life are over; says whether it did. Blocks on the disk.
    pub fn renew_issuer(&self, now: SystemTime) -> Result<bool, StateError> {
        let validity = self.issuer.load().validity();
        if now < validity.two_thirds() {
            return Ok(false);
        }
        let renewed = self.state.renew_issuer(validity, now)?;
        Ok(renewed.map(|issuer| self.issuer.store(issuer)).is_some())
    }

    /// Keeps the issuer renewed for as long as it runs. The owner aborts it.
    pub async fn keep_issuer(self: Arc<Self>, clock: Clock) {
        loop {
            let (authority, now) = (self.clone(), clock());
            let wait = match spawn_blocking(move || authority.renew_issuer(now)).await {
                Ok(Ok(_)) => LOOK_AT_ISSUER,
                Ok(Err(error)) => {
                    error!(%error, "cannot renew the issuer");
                    RETRY_ISSUER
                }
                Err(error) => {
                    warn!(%error, "renewal of the issuer ended early");
                    RETRY_ISSUER
                }
            };
            sleep(wait).await;
        }
    }

    fn sign(
        &self,
        id: &SpiffeId,
        names: &[ServerName<'_>],
        key: &impl PublicKeyData,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        if id.trust_domain() != self.trust_domain() {
            return Err(IssueError::TrustDomain { id: id.clone(), ours: self.trust_domain().clone() });
        }
        let issuer = self.issuer.load();
        let validity = Validity::starting(now, lifetime).within(issuer.validity());
        let left = validity.not_after.duration_since(now).unwrap_or_default();
        if left.is_zero() {
            return Err(IssueError::IssuerEnded(written(issuer.validity().not_after)));
        }
        let leaf = issuer.sign(&leaf_params(id, names, validity)?, key)?;
        let share = 2.0 / 3.0 * (1.0 + 0.05 * (self.jitter)().clamp(-1.0, 1.0));
        Ok(Issued {
            chain: vec![leaf, issuer.certificate().clone()],
            not_after: validity.not_after,
            renew_at: now + left.mul_f64(share),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("state", &self.state)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// A leaf with an empty subject: SPIFFE X509-SVID puts the name into the URI SAN, which is critical then (RFC 5280,
/// section 4.1.2.6).
fn leaf_params(id: &SpiffeId, names: &[ServerName<'_>], validity: Validity) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(random_serial()?);
    params.not_before = validity.not_before.into();
    params.not_after = validity.not_after.into();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names.push(SanType::URI(id.to_string().try_into()?));
    for name in names {
        params.subject_alt_names.push(match name {
            ServerName::DnsName(dns) => SanType::DnsName(dns.as_ref().try_into()?),
            ServerName::IpAddress(ip) => SanType::IpAddress((*ip).into()),
            other => return Err(IssueError::Name(other.to_str().into_owned())),
        });
    }
    Ok(params)
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
