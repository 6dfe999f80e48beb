//! Envoy's metrics, as its admin interface tells them.

use std::{net::SocketAddr, time::Duration};

use byrnie_config::Version;
use bytes::Bytes;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Full, Limited};
use tokio::{net::TcpStream, time::timeout};
use tracing::debug;

use crate::conversation::Conversation;

/// Some thousand clusters.
const LARGEST: usize = 32 << 20;
const LIMIT: Duration = Duration::from_secs(5);

/// Text of Prometheus; empty where Envoy does not answer, which its scraper sees by that.
pub async fn metrics(envoy: SocketAddr) -> String {
    timeout(LIMIT, asked(envoy)).await.ok().flatten().unwrap_or_else(|| {
        debug!(%envoy, "no metrics of envoy");
        String::new()
    })
}

async fn asked(envoy: SocketAddr) -> Option<String> {
    let stream = TcpStream::connect(envoy).await.ok()?;
    let mut conversation = Conversation::begin(Version::Http1, Box::new(stream)).await.ok()?;
    let request = Request::get("/stats/prometheus").header(HOST, "envoy").body(Full::default()).ok()?;
    let read = async |response: http::Response<hyper::body::Incoming>| -> Option<Bytes> {
        if response.status() != StatusCode::OK {
            return None;
        }
        Some(Limited::new(response.into_body(), LARGEST).collect().await.ok()?.to_bytes())
    };
    let body = conversation.ask(request, read).await?;
    String::from_utf8(body.into()).ok()
}
