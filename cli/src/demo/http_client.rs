//! GET with a limit, over kept connections: what the load generator, the applications and the watchers of the sidecars
//! all need.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

const BODY_LIMIT: usize = 16 << 20;

/// A client of plain HTTP/1.1.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<HttpConnector, Empty<Bytes>>,
    limit: Duration,
}

impl HttpClient {
    /// A client whose every exchange ends within `limit`.
    pub fn new(limit: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Self { client, limit }
    }

    /// The status and the whole body.
    pub async fn get(
        &self,
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, HeaderValue)],
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let uri: Uri = format!("http://{address}{path}").parse()?;
        let mut request = Request::get(uri).body(Empty::new())?;
        request
            .headers_mut()
            .extend(headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone())));
        let exchange = async {
            let response = self.client.request(request).await.with_context(|| format!("no answer from {address}"))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("the answer of {address} broke off: {error}"))?;
            Ok((status, body.to_bytes()))
        };
        tokio::time::timeout(self.limit, exchange)
            .await
            .with_context(|| format!("no answer from {address} within {:?}", self.limit))?
    }
}
