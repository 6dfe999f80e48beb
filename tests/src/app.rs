//! Applications inside the test: HTTP servers that remember what they were asked.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What an application was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET`
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// The Host header or `:authority`.
    pub host: String,
    /// `HTTP/1.1`
    pub version: String,
    /// Names are lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

/// What an application answers.
pub type Reply = Response<BoxBody<Bytes, Infallible>>;

/// A running application; it stops when this is dropped.
#[derive(Debug)]
pub struct App {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy)]
enum Version {
    Http1,
    Http2,
}

impl App {
    /// Serves HTTP/1 with `answer` on a free port of 127.0.0.1.
    pub async fn http1(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Result<Self> {
        Self::slow(move |asked| std::future::ready(answer(&asked))).await
    }

    /// Serves HTTP/1, and takes its time for an answer.
    pub async fn slow<F>(answer: impl Fn(Asked) -> F + Send + Sync + 'static) -> Result<Self>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await?, Version::Http1, answer)
    }

    /// Serves HTTP/2 with prior knowledge.
    pub async fn http2(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Self::on(listener, Version::Http2, move |asked| std::future::ready(answer(&asked)))
    }

    /// An HTTP/1 application that answers every request with its name.
    pub async fn named(name: &str) -> Result<Self> {
        let name = name.to_owned();
        Self::http1(move |_| reply(200, name.clone())).await
    }

    /// An HTTP/1 application on a given address.
    pub async fn at(address: SocketAddr, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("{address}"))?;
        Self::on(listener, Version::Http1, move |asked| std::future::ready(answer(&asked)))
    }

    /// An HTTP/1 application on a given address whose answers may take their time.
    pub async fn slow_at<F>(address: SocketAddr, answer: impl Fn(Asked) -> F + Send + Sync + 'static) -> Result<Self>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.with_context(|| format!("{address}"))?;
        Self::on(listener, Version::Http1, answer)
    }

    /// An HTTP/2 application on a given address.
    pub async fn http2_at(
        address: SocketAddr,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("{address}"))?;
        Self::on(listener, Version::Http2, move |asked| std::future::ready(answer(&asked)))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no holder panics").clone()
    }

    /// What it was asked since the last call of this.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().expect("no holder panics"))
    }

    fn on<F>(
        listener: TcpListener,
        version: Version,
        answer: impl Fn(Asked) -> F + Send + Sync + 'static,
    ) -> Result<Self>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&asked));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, version, Arc::clone(&answer), Arc::clone(&seen)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, asked, _tasks: tasks })
    }
}

impl Asked {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A plain answer.
pub fn reply(status: u16, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()).boxed());
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status code of a test is valid");
    response
}

/// An answer of 200 with trailers.
pub fn reply_with_trailers(body: impl Into<Bytes>, trailers: &[(&'static str, &'static str)]) -> Reply {
    let trailers: HeaderMap = trailers
        .iter()
        .map(|(name, value)| ((*name).parse().expect("a name"), (*value).parse().expect("a value")))
        .collect();
    Response::new(Full::new(body.into()).with_trailers(std::future::ready(Some(Ok(trailers)))).boxed())
}

/// The same answer with a header more.
pub fn with_header(mut reply: Reply, name: &'static str, value: &str) -> Reply {
    reply.headers_mut().append(name, value.parse().expect("a header of a test is valid"));
    reply
}

// A connection that breaks is what some tests are about, so errors are nobody's concern.
async fn connection<A, F>(stream: TcpStream, version: Version, answer: Arc<A>, seen: Arc<Mutex<Vec<Asked>>>)
where
    A: Fn(Asked) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let service = service_fn(move |request| exchange(request, Arc::clone(&answer), Arc::clone(&seen)));
    let stream = TokioIo::new(stream);
    match version {
        Version::Http1 => drop(http1::Builder::new().serve_connection(stream, service).await),
        Version::Http2 => drop(http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await),
    }
}

async fn exchange<A, F>(
    request: Request<Incoming>,
    answer: Arc<A>,
    seen: Arc<Mutex<Vec<Asked>>>,
) -> Result<Reply, Infallible>
where
    A: Fn(Asked) -> F,
    F: Future<Output = Reply>,
{
    let (head, body) = request.into_parts();
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let authority = head.uri.authority().map(ToString::to_string);
    let asked = Asked {
        method: head.method.to_string(),
        uri: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        host: authority.or_else(|| head.headers.get("host").map(text)).unwrap_or_default(),
        version: format!("{:?}", head.version),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: body.collect().await.map(|body| body.to_bytes()).unwrap_or_default(),
    };
    seen.lock().expect("no holder panics").push(asked.clone());
    Ok(answer(asked).await)
}
