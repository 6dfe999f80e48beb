//! What is measured.

use std::{net::SocketAddr, time::Duration};

use crate::load::{Exchange, Load};

/// How many proxies are in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// The client's sidecar and the server's, mTLS between them.
    Pair,
    /// The client's sidecar alone, towards a server outside the mesh.
    Hop,
}

/// One kind of traffic.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    /// For the tables.
    pub title: &'static str,
    pub path: Path,
    pub exchange: Exchange,
    pub connections: usize,
    pub streams: usize,
    pub rate: Option<u32>,
}

/// Where one peer's client sidecar listens for a path.
#[derive(Clone, Copy, Debug)]
pub struct Entrance {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    /// nginx may lack the module for it.
    pub bytes: Option<SocketAddr>,
}

/// What the requests of a case are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Request,
    Connection,
    Gigabyte,
}

const fn closed(
    name: &'static str,
    title: &'static str,
    path: Path,
    exchange: Exchange,
    connections: usize,
    streams: usize,
) -> Case {
    Case { name, title, path, exchange, connections, streams, rate: None }
}

const fn open(name: &'static str, title: &'static str, path: Path, exchange: Exchange, connections: usize) -> Case {
    Case { name, title, path, exchange, connections, streams: 1, rate: Some(1_000) }
}

/// All of them.
pub const CASES: &[Case] = &[
    closed("pair/http1/1", "pair, HTTP/1, 1 connection", Path::Pair, Exchange::Http1, 1, 1),
    closed("pair/http1/64", "pair, HTTP/1, 64 connections", Path::Pair, Exchange::Http1, 64, 1),
    open("pair/http1/1000rps", "pair, HTTP/1, 1,000 requests/s", Path::Pair, Exchange::Http1, 64),
    closed("pair/grpc/1", "pair, gRPC, 1 connection, 1 call", Path::Pair, Exchange::Grpc, 1, 1),
    closed("pair/grpc/1x64", "pair, gRPC, 1 connection, 64 calls", Path::Pair, Exchange::Grpc, 1, 64),
    closed("pair/grpc/64", "pair, gRPC, 64 connections", Path::Pair, Exchange::Grpc, 64, 1),
    open("pair/grpc/1000rps", "pair, gRPC, 1,000 calls/s", Path::Pair, Exchange::Grpc, 64),
    closed("pair/down", "pair, HTTP/1, replies of 16 MiB", Path::Pair, Exchange::Http1Down, 4, 1),
    closed("pair/up", "pair, HTTP/1, requests of 16 MiB", Path::Pair, Exchange::Http1Up, 4, 1),
    closed("pair/tcp/down", "pair, TCP, server sends", Path::Pair, Exchange::BytesDown, 4, 1),
    closed("pair/tcp/up", "pair, TCP, client sends", Path::Pair, Exchange::BytesUp, 4, 1),
    closed("pair/tcp/connect", "pair, TCP, new connections", Path::Pair, Exchange::Connect, 8, 1),
    closed("hop/http1/1", "one hop, HTTP/1, 1 connection", Path::Hop, Exchange::Http1, 1, 1),
    closed("hop/http1/64", "one hop, HTTP/1, 64 connections", Path::Hop, Exchange::Http1, 64, 1),
    open("hop/http1/1000rps", "one hop, HTTP/1, 1,000 requests/s", Path::Hop, Exchange::Http1, 64),
    closed("hop/grpc/64", "one hop, gRPC, 64 connections", Path::Hop, Exchange::Grpc, 64, 1),
    open("hop/grpc/1000rps", "one hop, gRPC, 1,000 calls/s", Path::Hop, Exchange::Grpc, 64),
    closed("hop/down", "one hop, HTTP/1, replies of 16 MiB", Path::Hop, Exchange::Http1Down, 4, 1),
    closed("hop/tcp/down", "one hop, TCP, server sends", Path::Hop, Exchange::BytesDown, 4, 1),
    closed("hop/tcp/connect", "one hop, TCP, new connections", Path::Hop, Exchange::Connect, 8, 1),
];

impl Case {
    pub fn unit(&self) -> Unit {
        match self.exchange {
            Exchange::Http1 | Exchange::Grpc => Unit::Request,
            Exchange::Connect => Unit::Connection,
            Exchange::Http1Down | Exchange::Http1Up | Exchange::BytesDown | Exchange::BytesUp => Unit::Gigabyte,
        }
    }

    /// Its load, unless there is nowhere to go.
    pub fn load(&self, entrance: &Entrance, warm: Duration, window: Duration) -> Option<Load> {
        let to = match self.exchange {
            Exchange::Http1 | Exchange::Http1Down | Exchange::Http1Up => entrance.http,
            Exchange::Grpc => entrance.grpc,
            Exchange::BytesDown | Exchange::BytesUp | Exchange::Connect => entrance.bytes?,
        };
        let Self { exchange, connections, streams, rate, .. } = *self;
        Some(Load { to, exchange, connections, streams, rate, warm, window })
    }
}
