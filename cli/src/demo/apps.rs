//! The applications of the demo: small HTTP servers that know nothing of the mesh. What each sees of its caller, it
//! tells in its reply, so that the load generator learns of every hop from the answer.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    faults::{Faults, Turn, burst},
    http_client::HttpClient,
};

/// Where an application tells what it failed on purpose.
pub const FAILING_PATH: &str = "/demo/failing";
/// Where an application tells whether it is well, as `catalog-policy.yaml` asks it.
const HEALTH_PATH: &str = "/health";
/// The header of the requests that a route may send elsewhere.
pub const BETA_HEADER: &str = "x-beta";

const CALL_LIMIT: Duration = Duration::from_secs(5);

/// One application of the demo.
#[derive(Clone, Debug, clap::Args)]
pub struct Application {
    /// The Pod that it is.
    #[arg(long)]
    pub pod: String,
    /// Where it listens.
    #[arg(long)]
    pub listen: SocketAddr,
    /// What it calls for each request: NAME=ADDRESS.
    #[arg(long, value_parser = call)]
    pub calls: Vec<(String, SocketAddr)>,
    /// Fail in bursts.
    #[arg(long)]
    pub failing: bool,
}

/// What an application answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The Pod.
    pub pod: String,
    /// Who called and as whom, as the sidecar proved it; none where the call came in plain text.
    pub proof: Option<Proof>,
    /// The replies to its own calls.
    pub calls: Vec<Reply>,
}

/// The identities at both ends of one hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The caller's identity.
    pub caller: String,
    /// The identity of the sidecar that was called.
    pub callee: String,
}

impl Application {
    /// Serves until the process is ended.
    pub async fn serve(self) -> anyhow::Result<()> {
        let listener =
            TcpListener::bind(self.listen).await.with_context(|| format!("{} cannot be bound", self.listen))?;
        let server = Arc::new(Server {
            application: self,
            client: HttpClient::new(CALL_LIMIT),
            first_call: OnceLock::new(),
            faults: Mutex::default(),
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let server = server.clone();
                        let service = service_fn(move |request| server.clone().answer(request));
                        let connection = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .serve_connection(TokioIo::new(stream), service);
                        connections.spawn(connection);
                    }
                    Err(error) => tracing::debug!(%error, "accept failed"),
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

struct Server {
    application: Application,
    client: HttpClient,
    first_call: OnceLock<Instant>,
    faults: Mutex<Faults>,
}

impl Server {
    /// An error makes hyper close the connection without an answer.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        if request.uri().path() == FAILING_PATH {
            return json(&self.faults.lock().unwrap_or_else(PoisonError::into_inner).counted());
        }
        if request.uri().path() == HEALTH_PATH {
            let fails = self.application.failing && self.first_call.get().is_some_and(|first| burst(first.elapsed()));
            let status = if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            return Ok(text(status, String::new()));
        }
        if self.application.failing {
            let age = self.first_call.get_or_init(Instant::now).elapsed();
            match self.faults.lock().unwrap_or_else(PoisonError::into_inner).next(age) {
                Turn::Answer => {}
                Turn::Refuse => return Ok(text(StatusCode::SERVICE_UNAVAILABLE, "fails on purpose".to_owned())),
                Turn::Close => return Err(io::Error::other("fails on purpose")),
            }
        }
        let mut calls = Vec::new();
        for (name, address) in &self.application.calls {
            match self.call(*address, request.headers()).await {
                Ok(reply) => calls.push(reply),
                Err(error) => return Ok(text(StatusCode::BAD_GATEWAY, format!("{name}: {error:#}"))),
            }
        }
        json(&Reply { pod: self.application.pod.clone(), proof: proof(request.headers()), calls })
    }

    async fn call(&self, address: SocketAddr, headers: &HeaderMap) -> anyhow::Result<Reply> {
        let beta = headers.get(BETA_HEADER).map(|value| (BETA_HEADER, value.clone()));
        let (status, body) = self.client.get(address, "/", beta).await?;
        if status != StatusCode::OK {
            anyhow::bail!("{} {}", status.as_u16(), String::from_utf8_lossy(&body).trim());
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Reads `x-forwarded-client-cert` as Envoy writes it under SANITIZE_SET: one hop, `By=URI;Hash=...;URI=URI`.
fn proof(headers: &HeaderMap) -> Option<Proof> {
    let text = headers.get("x-forwarded-client-cert")?.to_str().ok()?;
    let field = |wanted| {
        let mut fields = text.split(';').filter_map(|field| field.trim().split_once('='));
        fields.find(|(name, _)| *name == wanted).map(|(_, value)| value.trim_matches('"').to_owned())
    };
    Some(Proof { caller: field("URI")?, callee: field("By")? })
}

fn json(body: &impl Serialize) -> io::Result<Response<Full<Bytes>>> {
    Ok(text(StatusCode::OK, serde_json::to_string(body)?))
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

fn call(text: &str) -> Result<(String, SocketAddr), String> {
    let wrong = || format!("{text:?} is no call: NAME=ADDRESS:PORT is accepted");
    let (name, address) = text.split_once('=').ok_or_else(wrong)?;
    Ok((name.to_owned(), address.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_the_sidecar_tells_both_identities() {
        let mut headers = HeaderMap::new();
        assert_eq!(proof(&headers), None, "a call in plain text proves nothing");
        let hop = "By=spiffe://cluster.local/ns/shop/sa/cart;Hash=ab12;URI=spiffe://cluster.local/ns/shop/sa/web";
        headers.insert("x-forwarded-client-cert", hop.parse().unwrap());
        let proof = proof(&headers).unwrap();
        assert_eq!(proof.caller, "spiffe://cluster.local/ns/shop/sa/web");
        assert_eq!(proof.callee, "spiffe://cluster.local/ns/shop/sa/cart");
    }

    #[test]
    fn a_call_that_cannot_be_read_says_what_is_accepted() {
        assert_eq!(call("cart=127.0.0.1:80"), Ok(("cart".to_owned(), "127.0.0.1:80".parse().unwrap())));
        assert!(call("cart").unwrap_err().contains("NAME=ADDRESS:PORT"));
    }
}
