//! Who this workload is: its certificate and key, and the roots that it trusts.
//!
//! The key is made in this process and never leaves it, but for the file of [`Stored`], which is optional. The control
//! plane signs ([`Source`]); the [`Keeper`] asks again in time, and goes on with what there is while nobody answers.
//! Whoever needs the identity reads [`Current`]: TLS once per connection, the admin page ([`Identity::page`]) on demand.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use byrnie_identity::{CertificateError, SpiffeId, peer_identity};
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

mod current;
mod keeper;
mod page;
mod source;
mod stored;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::unwrap_used, clippy::new_without_default, missing_docs, reason = "of tests alone")]
pub mod testing;

pub use current::Current;
pub use keeper::Keeper;
pub use page::written as rfc3339;
pub use source::{Source, SourceError};
pub use stored::{Stored, StoredError};

/// What a workload proves itself with, and what it proves others by. It prints without the key.
pub struct Identity {
    generation: u64,
    id: SpiffeId,
    uri: Arc<str>,
    chain: Vec<CertificateDer<'static>>,
    own: Arc<SingleCertAndKey>,
    key: PrivateKeyDer<'static>,
    roots: Vec<CertificateDer<'static>>,
    trust: Arc<RootCertStore>,
    not_before: SystemTime,
    not_after: SystemTime,
    renew_at: SystemTime,
}

/// A certificate that nobody can be by.
#[derive(Debug, thiserror::Error)]
pub enum UnusableIdentity {
    /// No certificate at all.
    #[error("expected a chain of certificates, found none")]
    NoCertificate,
    /// It names no workload.
    #[error(transparent)]
    Name(#[from] CertificateError),
    /// Its key is another one, or of no use.
    #[error("expected the certificate of the own key: {0}")]
    Key(rustls::Error),
    /// No root that can be read.
    #[error("expected roots to trust, found {0}")]
    Roots(String),
}

impl Identity {
    /// The identity that the first of `chain` names, with its `key`. Others prove themselves by `roots`.
    ///
    /// # Errors
    /// Where the parts do not belong together. Whether it is valid now is not looked at.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'_>,
        roots: Vec<CertificateDer<'static>>,
        renew_at: SystemTime,
    ) -> Result<Self, UnusableIdentity> {
        let leaf = chain.first().ok_or(UnusableIdentity::NoCertificate)?;
        let id = peer_identity(leaf)?;
        let (not_before, not_after) = validity(leaf)?;
        let signing = aws_lc_rs::sign::any_supported_type(key).map_err(UnusableIdentity::Key)?;
        let certified = CertifiedKey::new(chain.clone(), signing);
        certified.keys_match().map_err(UnusableIdentity::Key)?;
        let mut trust = RootCertStore::empty();
        for root in &roots {
            trust.add(root.clone()).map_err(|error| UnusableIdentity::Roots(error.to_string()))?;
        }
        if trust.is_empty() {
            return Err(UnusableIdentity::Roots("none".to_owned()));
        }
        Ok(Self {
            generation: 0,
            uri: id.to_string().into(),
            id,
            chain,
            own: Arc::new(SingleCertAndKey::from(certified)),
            key: key.clone_key(),
            roots,
            trust: Arc::new(trust),
            not_before,
            not_after,
            renew_at,
        })
    }

    /// Grows with each identity of this process; 0 before it is [published](Current::publish).
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The account that this is.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The same as text.
    pub fn uri(&self) -> &Arc<str> {
        &self.uri
    }

    /// The leaf, then its issuers, DER.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The key in PKCS #8, PEM: for the proxy that an agent serves, and for nobody else.
    pub fn key_pem(&self) -> String {
        let block = pem::Pem::new("PRIVATE KEY", self.key.secret_der());
        pem::encode_config(&block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
    }

    /// What is trusted, DER.
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// When it ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// When to ask for the next one.
    pub fn renew_at(&self) -> SystemTime {
        self.renew_at
    }

    /// Whether peers accept it at `now`.
    pub fn is_valid(&self, now: SystemTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// The chain with its key, for either side of a handshake.
    pub fn own(&self) -> &Arc<SingleCertAndKey> {
        &self.own
    }

    /// What peers are proven by.
    pub fn trust(&self) -> &Arc<RootCertStore> {
        &self.trust
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("uri", &self.uri).field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// From when until when the certificate `der` is valid (RFC 5280, section 4.1.2.5).
pub fn validity(der: &[u8]) -> Result<(SystemTime, SystemTime), CertificateError> {
    let read = X509Certificate::from_der(der);
    let (_, certificate) = read.map_err(|error| CertificateError::Unreadable(error.to_string()))?;
    let validity = certificate.validity();
    Ok((system_time(validity.not_before.timestamp()), system_time(validity.not_after.timestamp())))
}

/// Seconds since 1970 as a time; before that it is 1970.
fn system_time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0))
}
