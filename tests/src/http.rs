//! Requests as an application makes them: plain HTTP to an address.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};

/// No answer takes longer than this, or the test fails.
const LIMIT: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names are lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: String,
    /// Names are lower case.
    pub trailers: Vec<(String, String)>,
}

impl Answer {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The value of a trailer, by its lower-case name.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        value(&self.trailers, name)
    }
}

/// `GET path` of `host` at `address`.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> Result<Answer> {
    send(address, Method::GET, host, path, &[], Bytes::new()).await
}

/// One HTTP/1 request on a connection of its own.
pub async fn send(
    address: SocketAddr,
    method: Method,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Answer> {
    let mut request = Request::builder().method(method).uri(path).header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let answer = answer(sender.send_request(request.body(Full::new(body))?).await?).await;
        connection.abort();
        answer
    };
    timeout(LIMIT, exchange).await.with_context(|| format!("{address} did not answer within {LIMIT:?}"))?
}

/// One HTTP/2 request with prior knowledge, on a connection of its own.
pub async fn send_http2(
    address: SocketAddr,
    method: Method,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Answer> {
    let mut request = Request::builder().method(method).uri(format!("http://{host}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let answer = answer(sender.send_request(request.body(Full::new(body))?).await?).await;
        connection.abort();
        answer
    };
    timeout(LIMIT, exchange).await.with_context(|| format!("{address} did not answer within {LIMIT:?}"))?
}

/// A connection that is kept for many requests.
#[derive(Debug)]
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    task: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = timeout(LIMIT, TcpStream::connect(address)).await??;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, task: tokio::spawn(connection) })
    }

    /// Whether it takes another request; a server may have closed it after the last.
    pub async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// The next request on it.
    pub async fn get(&mut self, host: &str, path: &str) -> Result<Answer> {
        let request = Request::get(path).header("host", host).body(Full::new(Bytes::new()))?;
        let exchange = async {
            self.sender.ready().await?;
            answer(self.sender.send_request(request).await?).await
        };
        timeout(LIMIT, exchange).await.with_context(|| format!("no answer within {LIMIT:?}"))?
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The whole of an answer.
pub(crate) async fn answer(response: Response<Incoming>) -> Result<Answer> {
    let status = response.status().as_u16();
    let headers = list(response.headers());
    let collected = response.into_body().collect().await?;
    let trailers = collected.trailers().map(list).unwrap_or_default();
    let body = String::from_utf8_lossy(&collected.to_bytes()).into_owned();
    Ok(Answer { status, headers, body, trailers })
}

fn list(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn value<'a>(list: &'a [(String, String)], name: &str) -> Option<&'a str> {
    list.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}
