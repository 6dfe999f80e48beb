use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use byrnie_identity::{TrustDomain, certificate_uris, certificates_pem};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ROOT_LIFETIME: Duration = Duration::from_secs(3650 * DAY.as_secs());
const ISSUER_LIFETIME: Duration = Duration::from_secs(365 * DAY.as_secs());

/// What is issued now is valid since a minute ago, for peers whose clock is behind.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A certificate that may sign others, with its key: the root or the issuer.
pub(crate) struct Signer {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    validity: Validity,
}

/// The time within which a certificate holds, in whole seconds as X.509 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

/// A root or issuer that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// No certificate in the file.
    #[error("holds no certificate that can be read: one in PEM is accepted ({0})")]
    Certificate(String),
    /// No key in the file.
    #[error("holds no key that can be read: one in PEM, PKCS #8, not encrypted, is accepted ({0})")]
    Key(String),
    /// The key is another's.
    #[error("is not the key of its certificate")]
    Mismatch,
    /// A certificate that may not sign others.
    #[error("is no CA certificate: basicConstraints CA:TRUE and keyUsage keyCertSign are needed")]
    NotCa,
    /// A certificate of another trust domain, or of none.
    #[error("is for {found}, not for {wanted}")]
    TrustDomain {
        /// The URI SAN that was found.
        found: String,
        /// The one that is needed.
        wanted: String,
    },
    /// A broken chain.
    #[error("is not signed by the root")]
    Chain,
    /// The key of a user's issuer cannot be used.
    #[error(
        "holds no key that can be used: ECDSA P-256 or P-384, or RSA, in PEM, PKCS #8, PKCS #1 or SEC 1, not encrypted, \
         is accepted ({0})"
    )]
    IssuerKey(String),
    /// A user's chain that is torn.
    #[error(
        "is not signed by the certificate after it: the issuer comes first, then the one that signed it, and so on"
    )]
    Order,
    /// A user's issuer that leads to no root.
    #[error("is signed by none of the certificates in ca.crt, where its root is needed")]
    Unrooted,
    /// A name that cannot be written into leaves.
    #[error("has a subject that leaves cannot name: one attribute a part, none twice, and at least one is accepted")]
    Subject,
    /// An issuer whose leaves would be refused.
    #[error("cannot issue for the mesh, a leaf of it is refused: {0}")]
    Trial(String),
    /// Its time is over.
    #[error("expired at {0}")]
    Expired(String),
    /// Its time has not come: the clock is wrong.
    #[error("is not valid before {not_before} and the clock says {now}")]
    NotYet {
        /// When the certificate begins.
        not_before: String,
        /// The time of this machine.
        now: String,
    },
    /// The cryptographic library refused.
    #[error("cannot be made: {0}")]
    Library(#[from] rcgen::Error),
}

impl Signer {
    /// A new root of `trust_domain`.
    pub(crate) fn root(trust_domain: &TrustDomain, now: SystemTime) -> Result<Self, SignerError> {
        let key = KeyPair::generate()?;
        let validity = Validity::starting(now, ROOT_LIFETIME);
        let params = ca_params("root", trust_domain, validity, BasicConstraints::Unconstrained)?;
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { certificate, issuer: Issuer::new(params, key), validity })
    }

    /// A new issuer signed by this root, which ends no later than the root.
    pub(crate) fn intermediate(&self, trust_domain: &TrustDomain, now: SystemTime) -> Result<Self, SignerError> {
        let key = KeyPair::generate()?;
        let validity = Validity::starting(now, ISSUER_LIFETIME).within(self.validity);
        let mut params = ca_params("issuer", trust_domain, validity, BasicConstraints::Constrained(0))?;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        Ok(Self { certificate, issuer: Issuer::new(params, key), validity })
    }

    /// Reads a certificate and its key, and checks that they belong together.
    pub(crate) fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, SignerError> {
        let certificate =
            CertificateDer::from_pem_slice(certificate).map_err(|error| SignerError::Certificate(error.to_string()))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(key).map_err(|error| SignerError::Key(error.to_string()))?;
        let key = KeyPair::try_from(&key).map_err(|error| SignerError::Key(error.to_string()))?;
        Self::new(certificate, key)
    }

    /// A signer of a certificate and the key that belongs to it.
    pub(crate) fn new(certificate: CertificateDer<'static>, key: KeyPair) -> Result<Self, SignerError> {
        let own = parsed(&certificate)?;
        if own.public_key().raw != key.subject_public_key_info() {
            return Err(SignerError::Mismatch);
        }
        let validity = Validity::of(&own);
        let issuer = Issuer::from_ca_cert_der(&certificate, key);
        let issuer = issuer.map_err(|error| SignerError::Certificate(error.to_string()))?;
        Ok(Self { certificate, issuer, validity })
    }

    /// Whether this signer may be used now: a CA of `trust_domain`, signed by `by` (itself, for a root).
    pub(crate) fn check(&self, by: &Signer, trust_domain: &TrustDomain, now: SystemTime) -> Result<(), SignerError> {
        let own = parsed(&self.certificate)?;
        check_ca(&own)?;
        let (found, wanted) = (uris(&own)?, uri(trust_domain));
        if found != [wanted.as_str()] {
            let found = if found.is_empty() { "no trust domain".to_owned() } else { found.join(", ") };
            return Err(SignerError::TrustDomain { found, wanted });
        }
        if !is_signed_by(&own, &parsed(&by.certificate)?) {
            return Err(SignerError::Chain);
        }
        self.validity.check(now)
    }

    /// Signs a certificate for `key`.
    pub(crate) fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<CertificateDer<'static>, rcgen::Error> {
        Ok(params.signed_by(key, &self.issuer)?.der().clone())
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(crate) fn certificate_pem(&self) -> String {
        certificates_pem(std::slice::from_ref(&self.certificate))
    }

    pub(crate) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub(crate) fn validity(&self) -> Validity {
        self.validity
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl Validity {
    /// The time of a certificate.
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let time = |time: ASN1Time| UNIX_EPOCH + Duration::from_secs(time.timestamp().try_into().unwrap_or_default());
        let validity = certificate.validity();
        Self { not_before: time(validity.not_before), not_after: time(validity.not_after) }
    }

    /// From [`CLOCK_SKEW`] before `now` until `lifetime` after it.
    pub(crate) fn starting(now: SystemTime, lifetime: Duration) -> Self {
        let now = whole_seconds(now);
        Self { not_before: now - CLOCK_SKEW, not_after: now + Duration::from_secs(lifetime.as_secs()) }
    }

    /// The part of this time that lies in `outer` too.
    pub(crate) fn within(self, outer: Self) -> Self {
        Self { not_before: self.not_before.max(outer.not_before), not_after: self.not_after.min(outer.not_after) }
    }

    /// Two thirds of the way from the start to the end.
    pub(crate) fn two_thirds(self) -> SystemTime {
        let whole = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + whole * 2 / 3
    }

    pub(crate) fn check(self, now: SystemTime) -> Result<(), SignerError> {
        if now < self.not_before {
            return Err(SignerError::NotYet { not_before: written(self.not_before), now: written(now) });
        }
        if now > self.not_after {
            return Err(SignerError::Expired(written(self.not_after)));
        }
        Ok(())
    }
}

/// Reads a certificate.
pub(crate) fn parsed<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, SignerError> {
    let read = X509Certificate::from_der(der);
    read.map(|(_, certificate)| certificate).map_err(|error| SignerError::Certificate(error.to_string()))
}

/// Whether a certificate may sign others.
pub(crate) fn check_ca(certificate: &X509Certificate<'_>) -> Result<(), SignerError> {
    let may_sign = certificate.key_usage().ok().flatten().is_some_and(|usage| usage.value.key_cert_sign());
    if certificate.is_ca() && may_sign { Ok(()) } else { Err(SignerError::NotCa) }
}

/// Whether `by` signed `certificate`.
pub(crate) fn is_signed_by(certificate: &X509Certificate<'_>, by: &X509Certificate<'_>) -> bool {
    certificate.issuer() == by.subject() && certificate.verify_signature(Some(by.public_key())).is_ok()
}

/// All URI SANs of a certificate, as written.
pub(crate) fn uris(certificate: &X509Certificate<'_>) -> Result<Vec<String>, SignerError> {
    certificate_uris(certificate.as_raw()).map_err(|error| SignerError::Certificate(error.to_string()))
}

/// Random and positive, 128 bits (RFC 5280, section 4.1.2.2: at most 20 bytes; CA/Browser Forum: at least 64 bits).
pub(crate) fn random_serial() -> Result<SerialNumber, rcgen::Error> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| rcgen::Error::RingUnspecified)?;
    // The first bit says negative; the second is set so that the number always has its full length.
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// A time as messages show it.
pub(crate) fn written(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let time = i64::try_from(seconds).ok().and_then(|seconds| ASN1Time::from_timestamp(seconds).ok());
    time.map_or_else(|| format!("second {seconds}"), |time| time.to_string())
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

fn ca_params(
    role: &str,
    trust_domain: &TrustDomain,
    validity: Validity,
    constraints: BasicConstraints,
) -> Result<CertificateParams, rcgen::Error> {
    let serial = random_serial()?;
    let mut params = CertificateParams::default();
    // Two roots of one domain must not share a name: path building would have to try both.
    let tag: String = serial.as_ref().iter().skip(1).take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "byrnie");
    params.distinguished_name.push(DnType::CommonName, format!("byrnie {role} {tag}"));
    params.serial_number = Some(serial);
    params.not_before = validity.not_before.into();
    params.not_after = validity.not_after.into();
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // SPIFFE X509-SVID, section 4.2: a signing certificate names its trust domain, without a path.
    params.subject_alt_names = vec![SanType::URI(uri(trust_domain).try_into()?)];
    Ok(params)
}

/// How a signing certificate names its trust domain.
pub(crate) fn uri(trust_domain: &TrustDomain) -> String {
    format!("spiffe://{trust_domain}")
}
