//! Envoy's streams: passed on to the control plane and back, but for secrets.
//!
//! A stream to Envoy lasts as long as the one to the control plane behind it. When that ends, so does Envoy's, which goes
//! on by what it has and comes back: what either side knows of the other belongs to one stream of both.

use std::{
    error::Error,
    fmt,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::Incoming;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    server::{Grpc, StreamingService},
};
use tracing::{debug, warn};

use super::{
    codec::Octets,
    message::{Head, Passing, Variant},
    secrets::Session,
    upstream::{self, Answers, MESSAGE_LIMIT},
};
use crate::identity::{Current, Identity, Source, SourceError};

/// Messages on their way from one side to the other.
const QUEUE: usize = 4;

/// What Envoy's streams are made of.
#[derive(Debug)]
pub struct Relay {
    source: Source,
    identity: Arc<Current>,
}

/// What becomes of a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    /// Passed on; secrets are answered here.
    Discovery(&'static str, Variant),
    /// Secrets alone, answered here.
    Secrets(Variant),
    /// Load reports, passed on.
    Loads(&'static str),
}

/// Why a stream ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("envoy ended the stream")]
    Client,
    #[error("envoy: {}", .0.message())]
    Broken(Box<Status>),
    #[error("envoy sent what is no request: {0}")]
    Request(#[from] prost::DecodeError),
    #[error("the control plane ended the stream")]
    Server,
    #[error("the control plane: {:?}: {}", .0.code(), .0.message())]
    Refused(Box<Status>),
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Relay {
    /// Passes on to `source`; secrets are of `identity`.
    pub fn new(source: Source, identity: Arc<Current>) -> Self {
        Self { source, identity }
    }

    /// Answers a call of Envoy.
    pub async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> http::Response<Body> {
        let path = request.uri().path();
        let Some(method) = Method::of(path) else {
            return Status::unimplemented(format!("{path}: is not passed on to the control plane")).into_http();
        };
        let mut server = Grpc::new(Octets).max_decoding_message_size(MESSAGE_LIMIT);
        server.streaming(Call { relay: self, method }, request).await
    }

    async fn run(self: Arc<Self>, method: Method, requests: Streaming<Bytes>, answers: mpsc::Sender<Bytes>) -> End {
        debug!(?method, "envoy has opened a stream");
        let ended = match method {
            Method::Discovery(path, variant) => self.discovery(path, variant, requests, &answers).await,
            Method::Secrets(variant) => self.secrets(variant, requests, &answers).await,
            Method::Loads(path) => self.passed(path, requests, &answers).await,
        };
        ended.err().unwrap_or(End::Client)
    }

    async fn discovery(
        &self,
        path: &'static str,
        variant: Variant,
        mut requests: Streaming<Bytes>,
        answers: &mpsc::Sender<Bytes>,
    ) -> Result<(), End> {
        let (passed, mut upstream) = upstream::open(&self.source, path).await?;
        let (asked, questions) = mpsc::channel(QUEUE);
        let mut secrets = Secrets::new(variant, questions, &self.identity);
        // Two ways that do not wait for each other: a side that reads nothing before it was heard holds up nobody.
        let up = async {
            let mut passing = Passing::new(variant);
            while let Some(request) = next(&mut requests).await? {
                let head = Head::of(variant, &request)?;
                let sent = if head.is_for_secrets() {
                    passing.keep(head);
                    asked.send(request).await
                } else {
                    passed.send(passing.pass(&head, request)).await
                };
                if sent.is_err() {
                    // The other way tells why.
                    return std::future::pending().await;
                }
            }
            Ok(())
        };
        let down = async {
            loop {
                let answer = tokio::select! {
                    answer = from(&mut upstream) => answer?,
                    answer = secrets.next() => answer?,
                };
                send(answers, answer).await?;
            }
        };
        tokio::select! {
            ended = up => ended,
            ended = down => ended,
        }
    }

    async fn secrets(
        &self,
        variant: Variant,
        mut requests: Streaming<Bytes>,
        answers: &mpsc::Sender<Bytes>,
    ) -> Result<(), End> {
        let (asked, questions) = mpsc::channel(QUEUE);
        let mut secrets = Secrets::new(variant, questions, &self.identity);
        let up = pass(&mut requests, asked);
        let down = async {
            loop {
                send(answers, secrets.next().await?).await?;
            }
        };
        tokio::select! {
            ended = up => ended,
            ended = down => ended,
        }
    }

    async fn passed(
        &self,
        path: &'static str,
        mut requests: Streaming<Bytes>,
        answers: &mpsc::Sender<Bytes>,
    ) -> Result<(), End> {
        let (passed, mut upstream) = upstream::open(&self.source, path).await?;
        let up = pass(&mut requests, passed);
        let down = async {
            loop {
                send(answers, from(&mut upstream).await?).await?;
            }
        };
        tokio::select! {
            ended = up => ended,
            ended = down => ended,
        }
    }
}

async fn pass(requests: &mut Streaming<Bytes>, passed: mpsc::Sender<Bytes>) -> Result<(), End> {
    while let Some(request) = next(requests).await? {
        if passed.send(request).await.is_err() {
            return std::future::pending().await;
        }
    }
    Ok(())
}

async fn next(requests: &mut Streaming<Bytes>) -> Result<Option<Bytes>, End> {
    requests.message().await.map_err(|status| End::Broken(Box::new(status)))
}

async fn from(upstream: &mut Answers) -> Result<Bytes, End> {
    upstream.next().await.map_err(|status| End::Refused(Box::new(status)))?.ok_or(End::Server)
}

async fn send(answers: &mpsc::Sender<Bytes>, answer: Bytes) -> Result<(), End> {
    answers.send(answer).await.map_err(|_| End::Client)
}

/// Secrets of one stream.
struct Secrets {
    session: Session,
    questions: mpsc::Receiver<Bytes>,
    identity: watch::Receiver<Option<Arc<Identity>>>,
}

impl Secrets {
    fn new(variant: Variant, questions: mpsc::Receiver<Bytes>, identity: &Current) -> Self {
        Self { session: Session::new(variant), questions, identity: identity.watch() }
    }

    /// The next answer. May be dropped and called again.
    async fn next(&mut self) -> Result<Bytes, End> {
        loop {
            let identity = self.identity.borrow_and_update().clone();
            if let Some(answer) = identity.and_then(|identity| self.session.next(&identity)) {
                return Ok(answer);
            }
            tokio::select! {
                Some(question) = self.questions.recv() => self.session.ask(question)?,
                Ok(()) = self.identity.changed() => {}
                else => return Err(End::Client),
            }
        }
    }
}

/// One call before its stream is there.
struct Call {
    relay: Arc<Relay>,
    method: Method,
}

impl StreamingService<Bytes> for Call {
    type Response = Bytes;
    type ResponseStream = Relayed;
    type Future = Ready<Result<Response<Relayed>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (sender, answers) = mpsc::channel(QUEUE);
        let run = Arc::clone(&self.relay).run(self.method, request.into_inner(), sender);
        ready(Ok(Response::new(Relayed { method: self.method, run: Some(Box::pin(run)), answers, end: None })))
    }
}

/// What Envoy is answered. It runs while it is read, and ends with the stream.
struct Relayed {
    method: Method,
    run: Option<Pin<Box<dyn Future<Output = End> + Send>>>,
    answers: mpsc::Receiver<Bytes>,
    end: Option<Status>,
}

impl Stream for Relayed {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(run) = &mut self.run
            && let Poll::Ready(end) = run.as_mut().poll(cx)
        {
            self.run = None;
            self.end = end.told(self.method);
        }
        match self.answers.poll_recv(cx) {
            Poll::Ready(Some(answer)) => Poll::Ready(Some(Ok(answer))),
            Poll::Ready(None) => Poll::Ready(self.end.take().map(Err)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl End {
    /// What Envoy is told; nothing where it has ended the stream itself.
    fn told(self, method: Method) -> Option<Status> {
        let status = match &self {
            Self::Client | Self::Broken(_) => {
                debug!(?method, reason = %self, "a stream of envoy ended");
                return None;
            }
            Self::Request(_) => Status::invalid_argument(self.to_string()),
            // What the control plane itself has said. What became of a connection has a cause.
            Self::Refused(status) if status.source().is_none() => Status::new(status.code(), status.message()),
            Self::Refused(_) | Self::Server | Self::Source(_) => Status::unavailable(self.to_string()),
        };
        warn!(?method, error = %self, "a stream of envoy is ended");
        Some(status)
    }
}

impl Method {
    /// Of the path of a call.
    fn of(path: &str) -> Option<Self> {
        const SOTW: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
        const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
        const LOADS: &str = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";
        Some(match path {
            SOTW => Self::Discovery(SOTW, Variant::Sotw),
            DELTA => Self::Discovery(DELTA, Variant::Delta),
            "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets" => Self::Secrets(Variant::Sotw),
            "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets" => Self::Secrets(Variant::Delta),
            LOADS => Self::Loads(LOADS),
            _ => return None,
        })
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discovery(..) => "discovery",
            Self::Secrets(_) => "secrets",
            Self::Loads(_) => "load reports",
        })
    }
}

#[cfg(test)]
mod tests;
