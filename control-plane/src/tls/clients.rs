//! The certificates that clients show.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use byrnie_ca::Authority;
use byrnie_identity::{TrustBundle, peer_identity};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};

/// Asks clients for a certificate, of which they may show none: a token will do. One that is shown leads to the roots of
/// this moment and names one workload, or the handshake ends.
pub(super) struct MeshClients {
    authority: Arc<Authority>,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Current>,
}

/// What verifies by the roots that were in force last.
struct Current {
    roots: TrustBundle,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl MeshClients {
    pub(super) fn new(authority: Arc<Authority>, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let current = ArcSwap::from_pointee(Current::new(authority.roots(), &provider)?);
        Ok(Self { authority, provider, current })
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let (roots, current) = (self.authority.roots(), self.current.load());
        if current.roots == roots {
            return Ok(Arc::clone(&current.verifier));
        }
        let new = Arc::new(Current::new(roots, &self.provider)?);
        self.current.store(Arc::clone(&new));
        Ok(Arc::clone(&new.verifier))
    }
}

impl Current {
    fn new(roots: TrustBundle, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let mut store = RootCertStore::empty();
        for root in roots.roots() {
            store.add(root.clone())?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build();
        let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { roots, verifier })
    }
}

impl ClientCertVerifier for MeshClients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: they would be of the roots of another moment, and a client has one certificate or none.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier()?.verify_client_cert(end_entity, intermediates, now)?;
        match peer_identity(end_entity) {
            Ok(_) => Ok(verified),
            // As `InvalidCertificate` it would be written in its debug form.
            Err(error) => Err(Error::General(format!("invalid peer certificate: {error}"))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().verifier.supported_verify_schemes()
    }
}

impl fmt::Debug for MeshClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshClients").finish_non_exhaustive()
    }
}
