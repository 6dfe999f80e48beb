//! Requests and answers as either side saw them.

use std::{fmt, hash::Hasher, io};

use bytes::Bytes;
use hyper::HeaderMap;

/// Names in lower case, in the order of the wire.
pub type Headers = Vec<(String, String)>;

/// The head of a request as an application got it.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The Host header, or `:authority`.
    pub host: String,
    /// `HTTP/1.1`
    pub version: String,
    /// `:scheme` and `:protocol` of HTTP/2, empty where there is none.
    pub scheme: String,
    pub protocol: String,
    pub headers: Headers,
}

/// A request as an application got it: one try.
#[derive(Clone, Debug)]
pub struct Received {
    /// The application's endpoint in the scenario: `cart/0`.
    pub by: String,
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Headers,
    /// `None` as long as it runs.
    pub end: Option<End>,
}

/// An answer as a client got it.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The 1xx answers before it.
    pub interim: Vec<u16>,
    pub version: String,
    /// 0 where none came.
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub trailers: Headers,
    pub end: End,
    /// What became of the connection, where the client looked.
    pub after: Option<&'static str>,
}

/// How an exchange ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum End {
    #[default]
    Complete,
    /// The peer closed the connection before its message was whole.
    Closed,
    /// The peer reset the connection.
    Reset,
    /// The peer reset the stream, or ended the connection of HTTP/2, for this reason.
    Stream(String),
    /// The application's own doing.
    Scripted,
    /// Nothing came for as long as a test waits.
    Silent,
    /// What came is not HTTP.
    Malformed(String),
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }
}

impl Head {
    /// Of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The path without the query.
    pub fn route(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Closed => f.write_str("closed early"),
            Self::Reset => f.write_str("connection reset"),
            Self::Stream(reason) => write!(f, "stream ended: {reason}"),
            Self::Scripted => f.write_str("as scripted"),
            Self::Silent => f.write_str("silence"),
            Self::Malformed(what) => write!(f, "malformed: {what}"),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            _ => Self::Closed,
        }
    }
}

impl From<h2::Error> for End {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_go_away() => Self::Stream(format!("GOAWAY {reason:?}")),
            Some(reason) => Self::Stream(format!("{reason:?}")),
            None => error.into_io().map_or(Self::Closed, Self::from),
        }
    }
}

/// The value of a header, by its lower-case name.
pub fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Headers of a test.
pub fn headers(list: &[(&str, &str)]) -> Headers {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Headers of a test as a map.
pub fn map(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: hyper::header::HeaderName = name.parse().expect("a name of a test is valid");
        map.append(name, value.parse().expect("a value of a test is valid"));
    }
    map
}

/// A map as it is shown.
pub fn list(headers: &HeaderMap) -> Headers {
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// A body in words: its text where that is short, else its length and a hash of it.
pub fn shown(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if body.len() <= 300 => format!("{text:?}"),
        _ => {
            let mut hash = std::hash::DefaultHasher::new();
            hash.write(body);
            format!("{} bytes, hash {:016x}", body.len(), hash.finish())
        }
    }
}

/// So many bytes that no two blocks of are alike.
pub fn filler(length: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// A message of gRPC, without compression.
pub fn grpc(message: &[u8]) -> Bytes {
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed.into()
}
