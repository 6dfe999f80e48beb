use std::{fmt, time::SystemTime};

use byrnie_identity::certificates_pem;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// A signed leaf, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The leaf, then its issuer; peers hold the root.
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
