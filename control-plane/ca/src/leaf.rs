use std::{fmt, time::SystemTime};

use byrnie_identity::{SpiffeId, certificates_pem};
use rcgen::{CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::signer::{Validity, random_serial};

/// A signed leaf, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The leaf, then its issuer, then what signed that, and so on; peers hold the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// When the leaf ends.
    pub not_after: SystemTime,
    /// When to ask for the next one: two thirds of the lifetime, spread so that a fleet does not ask at once.
    pub renew_at: SystemTime,
}

/// A leaf with its key, for those who cannot make a key themselves.
#[derive(Debug)]
pub struct Leaf {
    /// The certificate.
    pub issued: Issued,
    /// Its key.
    pub key: PrivateKey,
}

/// A private key. It prints as `[redacted]`.
pub struct PrivateKey {
    pkcs8: PrivatePkcs8KeyDer<'static>,
}

impl Issued {
    /// The chain as one PEM text, leaf first.
    pub fn chain_pem(&self) -> String {
        certificates_pem(&self.chain)
    }
}

impl PrivateKey {
    pub(crate) fn new(pkcs8: Vec<u8>) -> Self {
        Self { pkcs8: pkcs8.into() }
    }

    /// The key in PKCS #8, DER.
    pub fn der(&self) -> &PrivatePkcs8KeyDer<'static> {
        &self.pkcs8
    }

    /// The key in PKCS #8, PEM.
    pub fn pem(&self) -> String {
        let block = pem::Pem::new("PRIVATE KEY", self.pkcs8.secret_pkcs8_der());
        pem::encode_config(&block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A leaf with an empty subject: SPIFFE X509-SVID puts the name into the URI SAN, which is critical then (RFC 5280,
/// section 4.1.2.6).
pub(crate) fn leaf_params(
    id: &SpiffeId,
    names: &[SanType],
    validity: Validity,
) -> Result<CertificateParams, rcgen::Error> {
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
    params.subject_alt_names.extend_from_slice(names);
    Ok(params)
}
