//! Requests to the API server over TLS, without a program between.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::{Method, Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::authority::{Authority, Certificate};
use crate::http::{Answer, answer};

/// A server that is ready answers sooner; one that starts, or is paused, may not answer at all.
const LIMIT: Duration = Duration::from_secs(10);

/// A user who is known by a certificate.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl Client {
    pub fn new(address: SocketAddr, authority: &Authority, user: &Certificate) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone())?;
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![user.der().clone()], user.key_der())?;
        Ok(Self { address, tls: Arc::new(tls) })
    }

    /// The whole answer is taken, so a watch needs `timeoutSeconds`.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, "", "").await
    }

    /// One request on a connection of its own; `content` is the type of `body`.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: impl Into<Bytes> + Send,
    ) -> Result<Answer> {
        let exchange = async {
            let stream = TcpStream::connect(self.address).await?;
            let name = ServerName::from(self.address.ip());
            let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let connection = tokio::spawn(connection);
            let mut request = Request::builder().method(method).uri(path).header("host", self.address.to_string());
            if !content.is_empty() {
                request = request.header("content-type", content);
            }
            let answer = answer(sender.send_request(request.body(Full::new(body.into()))?).await?).await;
            connection.abort();
            answer
        };
        let address = self.address;
        timeout(LIMIT, exchange).await.with_context(|| format!("{address} did not answer within {LIMIT:?}"))?
    }
}
