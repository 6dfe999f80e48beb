//! The load and the application behind the proxies, in one thread and one event loop, so that they take as little of
//! their core as can be.
//!
//! Every byte of every reply is compared, every status looked at. In an open loop latency runs from the moment when
//! the request was due, whether or not the proxy was ready to take it (no coordinated omission).

mod bytes;
mod end;
mod http1;
mod http2;
mod pace;
mod pattern;
mod reactor;

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use self::{
    bytes::{Connecting, Download, Upload},
    end::End,
    http1::Http1Client,
    http2::Http2Client,
};
pub use self::{pace::Tally, reactor::Reactor};

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// HTTP/1: GET, answered with 1 KiB.
    Http1,
    /// HTTP/1: GET, answered with 16 MiB.
    Http1Down,
    /// HTTP/1: POST of 16 MiB, answered with 2 bytes.
    Http1Up,
    /// gRPC: a unary call, answered with a message of 1 KiB and trailers.
    Grpc,
    /// Bytes: the server sends without end.
    BytesDown,
    /// Bytes: the client sends without end.
    BytesUp,
    /// Bytes: connect, send one byte, read one, close.
    Connect,
}

/// One run of clients.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Where the proxy listens.
    pub to: SocketAddr,
    /// What they do.
    pub exchange: Exchange,
    /// How many connections there are.
    pub connections: usize,
    /// Requests at once on each.
    pub streams: usize,
    /// Requests a second; a closed loop where there is none.
    pub rate: Option<u32>,
    /// How long it runs before it is measured.
    pub warm: Duration,
    /// How long it is measured.
    pub window: Duration,
}

/// What happens in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The window begins.
    Begin,
    /// The window ends.
    End,
}

/// Where the application listens for one protocol.
#[derive(Clone, Copy, Debug)]
pub struct Application {
    /// HTTP/1
    pub http: SocketAddr,
    /// HTTP/2 with prior knowledge
    pub grpc: SocketAddr,
    /// Bytes
    pub bytes: SocketAddr,
}

impl Application {
    /// All on one address.
    pub fn at(ip: IpAddr) -> Self {
        let port = |port| SocketAddr::new(ip, port);
        Self { http: port(8080), grpc: port(8081), bytes: port(8082) }
    }
}

impl Exchange {
    /// The client's end of a new connection.
    fn client(self, token: usize, now: Instant) -> Box<dyn End> {
        match self {
            Self::Http1 => Box::new(Http1Client::get(token, "/small", pattern::SMALL)),
            Self::Http1Down => Box::new(Http1Client::get(token, "/big", pattern::BIG)),
            Self::Http1Up => Box::new(Http1Client::post(token, "/sink", pattern::BIG)),
            Self::Grpc => Box::new(Http2Client::new(token)),
            Self::BytesDown => Box::new(Download::client()),
            Self::BytesUp => Box::new(Upload::client()),
            Self::Connect => Box::new(Connecting::new(now)),
        }
    }

    /// Whether it has requests, which have latencies.
    pub fn has_requests(self) -> bool {
        !matches!(self, Self::BytesDown | Self::BytesUp)
    }
}
