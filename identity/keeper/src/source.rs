//! The control plane as the authority that signs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use byrnie_proto::ca::{SignRequest, certificate_authority_client::CertificateAuthorityClient};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::timeout;
use tonic::{
    Request, Status,
    metadata::{MetadataValue, errors::InvalidMetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use super::{Identity, UnusableIdentity};

/// For a connection, and for a connection and its answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// Of a connection that stays, as of the one for discovery.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where certificates come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// `NAMESPACE/POD`, whom the token is of.
    pub workload: String,
    /// `HOST:PORT` of the control plane.
    pub address: String,
    /// Roots that the control plane is proven by, PEM; none is plain text. Read at each call.
    pub roots_file: Option<PathBuf>,
    /// Read at each call: the token may be replaced.
    pub token_file: PathBuf,
}

/// A certificate that was not issued.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file that cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A token that cannot be sent.
    #[error("{}: expected one line with a token, found something else", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidMetadataValue,
    },
    /// The control plane cannot be called.
    #[error("cannot call {address}: {}", causes(source))]
    Connect {
        /// Of the control plane.
        address: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// The control plane refused.
    #[error("the control plane at {address} answered {}: {}", status.code(), status.message())]
    Refused {
        /// Of the control plane.
        address: String,
        /// Its answer.
        status: Box<Status>,
    },
    /// The control plane does not answer.
    #[error("no answer of the control plane at {address} within {limit:?}")]
    Late {
        /// Of the control plane.
        address: String,
        /// How long was waited.
        limit: Duration,
    },
    /// No key or request could be made.
    #[error("no signing request could be made: {0}")]
    Request(#[from] rcgen::Error),
    /// What came back is of no use.
    #[error("the control plane sent a certificate of no use: {0}")]
    Unusable(#[from] UnusableIdentity),
}

impl Source {
    /// Makes a key and has it signed.
    pub(super) async fn issue(&self) -> Result<(Identity, KeyPair), SourceError> {
        let key = KeyPair::generate()?;
        let csr_der = CertificateParams::default().serialize_request(&key)?.der().to_vec();
        let mut request = Request::new(SignRequest { csr_der, ttl_seconds: 0 });
        request.metadata_mut().insert("authorization", self.authorization()?);
        let channel = self.connect().await?;
        let refused = |status| SourceError::Refused { address: self.address.clone(), status: Box::new(status) };
        let answer = CertificateAuthorityClient::new(channel).sign(request).await.map_err(refused)?.into_inner();
        let certificates = |ders: Vec<Vec<u8>>| ders.into_iter().map(CertificateDer::from).collect();
        let identity = Identity::new(
            certificates(answer.chain_der),
            &PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            certificates(answer.roots_der),
            unix(answer.renew_at),
        )?;
        Ok((identity, key))
    }

    async fn connect(&self) -> Result<Channel, SourceError> {
        let endpoint = self.endpoint()?.timeout(CALL_LIMIT);
        endpoint.connect().await.map_err(|source| self.failed(source))
    }

    /// A connection that stays; a control plane that vanished without closing it is noticed.
    pub async fn connect_for_long(&self) -> Result<Channel, SourceError> {
        let endpoint = self.endpoint()?.http2_keep_alive_interval(KEEPALIVE_INTERVAL);
        let endpoint = endpoint.keep_alive_timeout(KEEPALIVE_TIMEOUT).keep_alive_while_idle(true);
        // The limit of the endpoint is for TCP alone. A peer that vanished after that never says a word of TLS.
        let late = |_| SourceError::Late { address: self.address.clone(), limit: CONNECT_LIMIT };
        timeout(CONNECT_LIMIT, endpoint.connect()).await.map_err(late)?.map_err(|source| self.failed(source))
    }

    fn endpoint(&self) -> Result<Endpoint, SourceError> {
        let failed = |source| self.failed(source);
        let scheme = if self.roots_file.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address))
            .map_err(failed)?
            .connect_timeout(CONNECT_LIMIT);
        if let Some(path) = &self.roots_file {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?));
            endpoint = endpoint.tls_config(tls).map_err(failed)?;
        }
        Ok(endpoint)
    }

    fn failed(&self, source: tonic::transport::Error) -> SourceError {
        SourceError::Connect { address: self.address.clone(), source }
    }

    /// The value of `authorization`, as the token file has it now.
    pub fn authorization(&self) -> Result<MetadataValue<tonic::metadata::Ascii>, SourceError> {
        let text = format!("Bearer {}", read(&self.token_file)?.trim());
        let mut value: MetadataValue<_> =
            text.parse().map_err(|source| SourceError::Token { path: self.token_file.clone(), source })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The file is small and local: reading it does not hold up the control thread.
fn read(path: &Path) -> Result<String, SourceError> {
    fs::read_to_string(path).map_err(|source| SourceError::File { path: path.to_owned(), source })
}

/// Seconds since 1970, as the wire has them.
pub(super) fn unix(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0))
}

/// `error` with what led to it: tonic's own text is only `transport error`.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_says_nothing_after_tcp_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let root = rcgen::generate_simple_self_signed(["byrnie".to_owned()]).unwrap();
        let roots_file = folder.path().join("root.crt");
        fs::write(&roots_file, root.cert.pem()).unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = Source {
            workload: "shop/web-1".to_owned(),
            address: silent.local_addr().unwrap().to_string(),
            roots_file: Some(roots_file),
            token_file: folder.path().join("token"),
        };
        let end = timeout(2 * CONNECT_LIMIT, source.connect_for_long()).await.expect("it is given up");
        assert!(matches!(end, Err(SourceError::Late { .. })), "{end:?}");
    }
}
