//! The applications of the demo: small HTTP servers that know nothing of the mesh. What each sees of its caller, it
//! tells in its reply, so that the load generator learns of every hop from the answer.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    counts::Counts,
    faults::{Faults, Turn, burst},
    http_client::HttpClient,
};

/// Where an application tells its [`Counts`].
pub const COUNTS_PATH: &str = "/demo/counts";
/// The header in which an application says which Pod it is.
pub const CALLER_HEADER: &str = "x-demo-caller";
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
            noted: Mutex::default(),
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
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    counts: Counts,
    faults: Faults,
}

impl Server {
    /// An error makes hyper close the connection without an answer.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        match request.uri().path() {
            COUNTS_PATH => return json(&self.counts()),
            HEALTH_PATH => return Ok(self.health()),
            _ => {}
        }
        let caller = request.headers().get(CALLER_HEADER).and_then(|caller| caller.to_str().ok()).unwrap_or("unknown");
        match self.turn(caller) {
            Turn::Answer => {}
            Turn::Refuse => return Ok(text(StatusCode::SERVICE_UNAVAILABLE, "fails on purpose".to_owned())),
            Turn::Close => return Err(io::Error::other("fails on purpose")),
        }
        let mut calls = Vec::new();
        for (name, address) in &self.application.calls {
            match self.call(name, *address, request.headers()).await {
                Ok(reply) => calls.push(reply),
                Err(error) => return Ok(text(StatusCode::BAD_GATEWAY, format!("{name}: {error:#}"))),
            }
        }
        json(&Reply { pod: self.application.pod.clone(), proof: proof(request.headers()), calls })
    }

    fn counts(&self) -> Counts {
        let noted = self.noted();
        Counts { failing: noted.faults.counted().clone(), ..noted.counts.clone() }
    }

    fn health(&self) -> Response<Full<Bytes>> {
        let fails = self.application.failing && self.first_call.get().is_some_and(|first| burst(first.elapsed()));
        text(if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, String::new())
    }

    fn turn(&self, caller: &str) -> Turn {
        let mut noted = self.noted();
        *noted.counts.arrived.entry(caller.to_owned()).or_default() += 1;
        match self.application.failing {
            true => noted.faults.next(caller, self.first_call.get_or_init(Instant::now).elapsed()),
            false => Turn::Answer,
        }
    }

    async fn call(&self, name: &str, address: SocketAddr, headers: &HeaderMap) -> anyhow::Result<Reply> {
        let mut sent = vec![(CALLER_HEADER, HeaderValue::from_str(&self.application.pod)?)];
        sent.extend(headers.get(BETA_HEADER).map(|value| (BETA_HEADER, value.clone())));
        let begun = Instant::now();
        self.noted().counts.calls.entry(name.to_owned()).or_default().sent += 1;
        let answer = self.client.get(address, "/", &sent).await;
        let is_good = matches!(answer, Ok((StatusCode::OK, _)));
        self.noted().counts.calls.entry(name.to_owned()).or_default().end(begun, is_good);
        let (status, body) = answer?;
        if status != StatusCode::OK {
            anyhow::bail!("{} {}", status.as_u16(), String::from_utf8_lossy(&body).trim());
        }
        Ok(serde_json::from_slice(&body)?)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `x-forwarded-client-cert` as a sidecar writes it under SANITIZE_SET: one hop, `By=URI;Hash=...;URI=URI`.
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
