//! The way to one process of a control plane, and one question through it.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use byrnie_source::Cluster;
use http_body_util::{BodyExt, Empty};
use hyper::{StatusCode, body::Bytes};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

/// Longer than a control plane with many clients takes, shorter than an operator waits.
const LIMIT: Duration = Duration::from_secs(10);

/// Where a control plane in a Pod shows its debug pages, to nobody but who comes by port-forward.
const PORT: u16 = 15015;

/// One process of a control plane.
#[derive(Clone, Debug)]
pub enum Door {
    /// At an address.
    Address(SocketAddr),
    /// In a Pod.
    Pod {
        /// Of this cluster.
        cluster: Cluster,
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
}

/// Why there is no document.
#[derive(Debug)]
pub enum Failure {
    /// It answered that it has none, in its own words.
    Refused(String),
    /// It did not answer, or not as a control plane does.
    Silent(anyhow::Error),
}

impl Door {
    /// The JSON document at `path`.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        let fetched = match timeout(LIMIT, self.fetch(path)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(anyhow!("{self} did not answer within {LIMIT:?}")),
        };
        let (status, body) = fetched.map_err(Failure::Silent)?;
        if !status.is_success() {
            return Err(Failure::Refused(String::from_utf8_lossy(&body).trim().to_owned()));
        }
        let read = serde_json::from_slice(&body);
        read.with_context(|| format!("what answers at {self} to {path} is no control plane")).map_err(Failure::Silent)
    }

    /// The Pod, where it is one.
    pub fn replica(&self) -> Option<&str> {
        match self {
            Self::Address(_) => None,
            Self::Pod { name, .. } => Some(name),
        }
    }

    async fn fetch(&self, path: &str) -> Result<(StatusCode, Bytes)> {
        match self {
            Self::Address(address) => {
                let stream = TcpStream::connect(address).await.with_context(|| {
                    format!(
                        "no control plane at {address}: start one with `byrnie run`, or name its admin address with \
                         --admin-address, or its cluster with --kubeconfig or --context"
                    )
                })?;
                exchange(stream, &address.to_string(), path).await.with_context(|| format!("{address} broke off"))
            }
            Self::Pod { cluster, namespace, name } => {
                let refused = || format!("no port-forward to {self}");
                let stream = cluster.forward(namespace, name, PORT).await.with_context(refused)?;
                let broken = || format!("{self} does not answer on port {PORT}");
                exchange(stream, "localhost", path).await.with_context(broken)
            }
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "the control plane at {address}"),
            Self::Pod { namespace, name, .. } => write!(f, "Pod {namespace}/{name}"),
        }
    }
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(text) => Self::msg(text),
            Failure::Silent(error) => error,
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    host: &str,
    path: &str,
) -> Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = hyper::Request::get(path).header("host", host).body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        done = &mut exchange => done,
        ended = &mut connection => {
            ended?;
            exchange.await
        }
    }
}
