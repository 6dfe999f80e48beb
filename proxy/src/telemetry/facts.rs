//! What a worker says of a request or a connection that is over: borrowed, nothing formatted.

use std::{net::SocketAddr, time::Instant};

use byrnie_config::{Cluster, Direction, RequestHead, UpstreamTls};

/// A client's connection.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Whose traffic it is.
    pub direction: Direction,
    /// The client.
    pub peer: SocketAddr,
    /// The address that it called.
    pub called: SocketAddr,
    /// The listener that took it.
    pub listener: &'a str,
    /// `stat_prefix` of its filter: `out/shop/cart_80`.
    pub stat: &'a str,
    /// The identity that the client proved.
    pub principal: Option<&'a str>,
}

/// What was called.
#[derive(Clone, Copy, Debug)]
pub struct Upstream<'a> {
    /// The endpoint.
    pub address: SocketAddr,
    /// Its cluster.
    pub cluster: &'a Cluster,
    /// How it was spoken to; none is plain text.
    pub tls: Option<&'a UpstreamTls>,
}

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where it came from.
    pub client: Client<'a>,
    /// Where it went to last; none where no endpoint was chosen.
    pub upstream: Option<Upstream<'a>>,
    /// The cluster that the route named.
    pub cluster: Option<&'a str>,
    /// The rule that took it.
    pub route: Option<&'a str>,
    /// As it came.
    pub head: &'a RequestHead,
    /// `HTTP/1.1`.
    pub version: &'static str,
    /// Whether it is a gRPC call.
    pub is_grpc: bool,
    /// Of the response; 0 where there was none.
    pub status: u16,
    /// Of the response.
    pub grpc_status: Option<u32>,
    /// Why this proxy answered or broke off.
    pub failure: Option<Failure>,
    /// Octets of the request's body.
    pub received: u64,
    /// Octets of the response's body.
    pub sent: u64,
    /// Tries after the first.
    pub retries: u32,
    /// When its head was read.
    pub started: Instant,
    /// When the response's head came.
    pub answered: Option<Instant>,
    /// When all was over.
    pub ended: Instant,
    /// Of the configuration in force.
    pub generation: u64,
}

/// A connection that carries octets.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// Where it came from.
    pub client: Client<'a>,
    /// The cluster that it was given.
    pub cluster: Option<&'a str>,
    /// Where it went to; none where no endpoint was chosen.
    pub upstream: Option<Upstream<'a>>,
}

/// The end of a [`Connection`].
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// Why, if it did not end by itself.
    pub failure: Option<Failure>,
    /// Octets of the client.
    pub received: u64,
    /// Octets to the client.
    pub sent: u64,
    /// When it was accepted.
    pub started: Instant,
    /// Now.
    pub ended: Instant,
    /// Of the configuration in force.
    pub generation: u64,
}

/// Why something did not go as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Envoy's response flag.
    pub flag: &'static str,
    /// In words.
    pub text: &'static str,
}

impl Failure {
    /// The flag; `-` is none.
    pub fn flag_of(failure: Option<Self>) -> &'static str {
        failure.map_or("-", |failure| failure.flag)
    }
}

impl<'a> Upstream<'a> {
    /// The identity that the endpoint has to prove, where it is one.
    pub fn principal(&self) -> Option<&'a str> {
        match self.tls?.peers.first()? {
            byrnie_config::PeerName::Exact(uri) => Some(uri),
            byrnie_config::PeerName::Prefix(_) => None,
        }
    }
}
