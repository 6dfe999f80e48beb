//! The two ends of a pair of connections that carries octets without HTTP.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_config::{Listener, Tcp};

use super::{keys::Key, pipe::Pipe, reason::Reason};
use crate::{config::Upstream, telemetry::Carried};

/// One end of a pair.
pub struct Tunnel {
    /// The other end, once there is one.
    pub other: Option<Key>,
    pub out: Vec<u8>,
    at: usize,
    pub side: Side,
    /// Nothing more is read here.
    pub done: bool,
    /// Octets that went from here to the other end.
    pub passed: u64,
    /// What the other end has no room for, where the kernel moves octets.
    pub pipe: Option<Pipe>,
}

/// Which end.
pub enum Side {
    /// The client's.
    Client(Box<Accepted>),
    /// The endpoint's.
    Endpoint(Dialled),
}

/// What is known of the client's end.
pub struct Accepted {
    pub listener: Arc<Listener>,
    pub tcp: Arc<Tcp>,
    pub offers: Option<Arc<[Box<[u8]>]>>,
    pub called: SocketAddr,
    pub cluster: Option<Arc<str>>,
    pub attempts: u32,
    pub started: Option<Instant>,
    pub received: u64,
    pub sent: u64,
    /// The endpoint of the last attempt.
    pub via: Option<Key>,
    /// What counts its octets, once an endpoint was chosen.
    pub carried: Option<Carried>,
    /// The client may still turn out to speak HTTP.
    pub undecided: bool,
    /// Why it could not be carried, or no further.
    pub reason: Option<Reason>,
}

/// What is known of the endpoint's end.
pub struct Dialled {
    pub upstream: Arc<Upstream>,
    /// The endpoint in the worker's table, for what counts it.
    pub endpoint: Key,
    pub connecting: bool,
}

impl Tunnel {
    pub fn of_client(
        listener: Arc<Listener>,
        tcp: Arc<Tcp>,
        offers: Option<Arc<[Box<[u8]>]>>,
        called: SocketAddr,
    ) -> Self {
        let accepted = Accepted {
            listener,
            tcp,
            offers,
            called,
            cluster: None,
            attempts: 0,
            started: None,
            received: 0,
            sent: 0,
            via: None,
            carried: None,
            undecided: false,
            reason: None,
        };
        Self {
            other: None,
            out: Vec::new(),
            at: 0,
            side: Side::Client(Box::new(accepted)),
            done: false,
            passed: 0,
            pipe: None,
        }
    }

    pub fn of_endpoint(client: Key, dialled: Dialled) -> Self {
        Self {
            other: Some(client),
            out: Vec::new(),
            at: 0,
            side: Side::Endpoint(dialled),
            done: false,
            passed: 0,
            pipe: None,
        }
    }

    pub fn output(&self) -> &[u8] {
        &self.out[self.at..]
    }

    pub fn wrote(&mut self, octets: usize) {
        self.at += octets;
        if self.at == self.out.len() {
            self.at = 0;
            self.out.clear();
            if self.out.capacity() > 64 << 10 {
                self.out = Vec::new();
            }
        } else if self.at > 128 << 10 {
            self.out.drain(..self.at);
            self.at = 0;
        }
    }

    /// `idle_timeout` of the client's chain.
    pub fn idle_timeout(&self) -> Option<Duration> {
        match &self.side {
            Side::Client(accepted) => accepted.tcp.idle_timeout,
            Side::Endpoint(_) => None,
        }
    }

    pub fn is_connecting(&self) -> bool {
        matches!(&self.side, Side::Endpoint(dialled) if dialled.connecting)
    }
}
