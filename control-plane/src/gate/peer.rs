//! Whom a call's connection proved to be, by the certificate that its client showed.

use std::time::SystemTime;

use byrnie_identity::{CertificateError, SpiffeId, certificate_end, peer_identity};
use tonic::{
    Extensions,
    transport::server::{TcpConnectInfo, TlsConnectInfo},
};

/// A workload of some trust domain under our roots, for as long as its certificate holds: a connection may outlive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub id: SpiffeId,
    pub until: SystemTime,
}

impl Peer {
    /// Whose certificate the connection of this call was made with, if with any. The handshake verified its chain.
    pub fn of(extensions: &Extensions) -> Option<Result<Self, CertificateError>> {
        let certificates = extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.peer_certs()?;
        let leaf = certificates.first()?;
        let read = || Ok(Self { id: peer_identity(leaf)?, until: certificate_end(leaf)? });
        Some(read())
    }
}
