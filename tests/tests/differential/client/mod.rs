//! Clients as applications are: they say what a scenario tells them to and write down all that comes back.

mod http1;
pub mod http2;

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

pub use self::http1::raw;
use crate::message::{Answer, End, Headers};

/// No answer of a scenario takes longer.
const LIMIT: Duration = Duration::from_secs(10);

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: String,
    pub path: String,
    pub host: String,
    pub headers: Headers,
    pub version: Version,
    /// The pieces of its body: with more than one, or with trailers, it has no length before.
    pub body: Vec<Bytes>,
    pub trailers: Headers,
    /// Gives the body only to who asks for it (`expect: 100-continue`).
    pub expects: bool,
    /// Looks whether the connection stays open after the answer.
    pub watches: bool,
    /// Gives up so long after the request was sent.
    pub patience: Option<Duration>,
    label: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

impl Ask {
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            host: "cart.shop".to_owned(),
            headers: Vec::new(),
            version: Version::Http11,
            body: Vec::new(),
            trailers: Vec::new(),
            expects: false,
            watches: false,
            patience: None,
            label: None,
        }
    }

    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub fn post(path: &str, body: impl Into<Bytes>) -> Self {
        Self::new("POST", path).body(body)
    }

    /// A call of gRPC with these messages.
    pub fn grpc(path: &str, messages: &[&[u8]]) -> Self {
        let mut ask = Self::new("POST", path).version(Version::Http2);
        ask = ask.header("content-type", "application/grpc").header("te", "trailers");
        messages.iter().fold(ask, |ask, message| ask.body(crate::message::grpc(message)))
    }

    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    pub fn http2(self) -> Self {
        self.version(Version::Http2)
    }

    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A piece more of its body.
    pub fn body(mut self, piece: impl Into<Bytes>) -> Self {
        self.body.push(piece.into());
        self
    }

    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn expecting(mut self) -> Self {
        self.expects = true;
        self.header("expect", "100-continue")
    }

    pub fn watching(mut self) -> Self {
        self.watches = true;
        self
    }

    /// Gives up so long after the request was sent.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Another name in the record.
    pub fn called(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }

    /// Its name in the record.
    pub fn label(&self) -> String {
        let version = match self.version {
            Version::Http10 => " 1.0",
            Version::Http11 => "",
            Version::Http2 => " h2",
        };
        self.label.clone().unwrap_or_else(|| format!("{} {}{version}", self.method, self.path))
    }

    /// Sends it on a connection of its own.
    pub async fn send(&self, address: SocketAddr) -> Answer {
        let mut answer = Answer::default();
        let exchange = async {
            match self.version {
                Version::Http2 => http2::send(address, self, &mut answer).await,
                _ => http1::send(address, self, &mut answer).await,
            }
        };
        // Who gives up drops the exchange, and with it the connection.
        let ended = timeout(self.patience.unwrap_or(LIMIT), exchange).await.unwrap_or(Err(End::Silent));
        answer.end = ended.err().unwrap_or_default();
        answer
    }
}
