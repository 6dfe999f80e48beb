//! Asking a running control plane through its admin port.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

/// `--admin-address`
#[derive(Clone, Debug, clap::Args)]
pub struct Admin {
    /// Admin address of the control plane
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15014")]
    admin_address: SocketAddr,
}

/// Longer than a control plane with many clients takes, shorter than an operator waits.
const LIMIT: Duration = Duration::from_secs(10);

impl Admin {
    /// The JSON document at `path`. A refusal is an error with the server's own message.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let address = self.admin_address;
        let (status, body) = timeout(LIMIT, fetch(address, path))
            .await
            .with_context(|| format!("the control plane at {address} did not answer within {LIMIT:?}"))??;
        if !status.is_success() {
            bail!("{}", String::from_utf8_lossy(&body).trim());
        }
        serde_json::from_slice(&body).with_context(|| format!("what answers at {address}{path} is no control plane"))
    }
}

async fn fetch(address: SocketAddr, path: &str) -> Result<(hyper::StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await.with_context(|| {
        format!(
            "no control plane at {address}: start one with `byrnie run`, or name its admin address with --admin-address"
        )
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = hyper::Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new())?;
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
            ended.with_context(|| format!("{address} broke off"))?;
            exchange.await
        }
    }
}
