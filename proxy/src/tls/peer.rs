//! Who the peer is, and whether it may be.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use byrnie_config::PeerName;
use byrnie_identity::{CertificateError as NameError, peer_identity};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256},
    server::{
        ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::proven::Proven;
use crate::identity::validity;

/// A peer that proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its identity, a URI.
    pub uri: Arc<str>,
    /// SHA-256 of its certificate, as `Hash` of x-forwarded-client-cert has it.
    pub certificate_sha256: [u8; 32],
}

/// A peer that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Somebody else.
    #[error("expected the peer {expected}, found {found}")]
    Name {
        /// What the context accepts.
        expected: String,
        /// What the certificate says.
        found: String,
    },
    /// A certificate that names no workload.
    #[error("expected a workload's certificate, found: {0}")]
    Unnamed(#[from] NameError),
    /// A certificate that the roots do not vouch for, or not now.
    #[error("expected a certificate that the roots of the mesh vouch for, found: {0}")]
    Chain(String),
    /// A certificate that ended after the session began which was resumed.
    #[error("expected a certificate that is valid at {now}, found one from {not_before} to {not_after} (Unix seconds)")]
    Expired {
        /// Our clock.
        now: u64,
        /// Of the certificate.
        not_before: u64,
        /// Of the certificate.
        not_after: u64,
    },
    /// No certificate.
    #[error("expected a certificate, found none")]
    Missing,
}

/// The URIs that a context accepts, any of them.
#[derive(Debug)]
pub(super) struct Names(Box<[PeerName]>);

impl Names {
    pub fn new(names: &[PeerName]) -> Self {
        Self(names.into())
    }

    /// Whether the certificate `leaf` has an accepted name, and which.
    fn accept(&self, leaf: &[u8]) -> Result<String, PeerError> {
        let found = peer_identity(leaf)?.to_string();
        if self.0.iter().any(|name| name.accepts(&found)) {
            return Ok(found);
        }
        Err(PeerError::Name { expected: self.to_string(), found })
    }

    /// The peer of a finished handshake. A resumed one is checked here for the first time: rustls asks no verifier
    /// then, and hands on the certificate that was verified when the session began.
    pub fn peer(&self, leaf: &[u8], now: SystemTime) -> Result<Peer, PeerError> {
        let uri = self.accept(leaf)?;
        let (not_before, not_after) = validity(leaf)?;
        if now < not_before || now > not_after {
            let [now, not_before, not_after] = [now, not_before, not_after].map(seconds);
            return Err(PeerError::Expired { now, not_before, not_after });
        }
        Ok(Peer { uri: uri.into(), certificate_sha256: sha256(leaf) })
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(none is accepted)");
        }
        for (index, name) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " or " };
            match name {
                PeerName::Exact(uri) => write!(f, "{separator}{uri}")?,
                PeerName::Prefix(uri) => write!(f, "{separator}{uri}*")?,
            }
        }
        Ok(())
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("a suite of TLS 1.3");
    let hash = suite.common.hash_provider.hash(octets);
    hash.as_ref().try_into().expect("SHA-256 has 32 octets")
}

fn refused(error: PeerError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

/// Verifies servers: chain, time, name. The name that was called is of no meaning (SPIFFE has no DNS names).
#[derive(Debug)]
pub(super) struct Servers {
    pub roots: Arc<RootCertStore>,
    pub names: Arc<Names>,
    pub provider: Arc<CryptoProvider>,
    pub proven: Proven,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.proven.check(leaf, issuers, now, || {
            let algorithms = self.provider.signature_verification_algorithms.all;
            let parsed = ParsedCertificate::try_from(leaf)?;
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, issuers, now, algorithms)
        })?;
        self.names.accept(leaf).map_err(refused)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies clients, the same way.
#[derive(Debug)]
pub(super) struct Clients {
    chain: Arc<dyn ClientCertVerifier>,
    names: Arc<Names>,
    proven: Proven,
}

impl Clients {
    pub fn new(
        roots: Arc<RootCertStore>,
        names: Arc<Names>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        // Without hints: a client of the mesh has one certificate, and during a rotation its root may not be ours.
        let chain = WebPkiClientVerifier::builder_with_provider(roots, provider).clear_root_hint_subjects().build()?;
        Ok(Self { chain, names, proven: Proven::default() })
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.proven.check(leaf, issuers, now, || self.chain.verify_client_cert(leaf, issuers, now).map(drop))?;
        self.names.accept(leaf).map_err(refused)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
