//! One request and its response on their way through: state, and nothing that moves it.

use std::{rc::Rc, sync::Arc, time::Instant};

use byrnie_balance::Tried;
use byrnie_config::{Action, Fields, Forward, RequestHead, ResponseHead, Retry, Route, Target, Version};
use byrnie_http2 as http2;

use super::{front::Front, keys::Key, message::Length, reason::Reason};

/// Octets of a request's body that are kept for another try; a body beyond it is sent once. As much as Envoy keeps.
pub const COPY: usize = 1 << 20;

/// Octets of room that an exchange keeps for its next use.
const ROOM: usize = 4 << 10;

/// One request.
pub struct Exchange {
    /// The client's connection, and its stream there in HTTP/2.
    pub down: Key,
    pub stream: Option<http2::Key>,
    pub front: Rc<Front>,
    /// By which version the request came.
    pub version: Version,
    /// The request came by HTTP/1.0.
    pub old: bool,
    /// As it came, hop-by-hop fields apart: each try edits a copy.
    pub head: RequestHead,
    pub length: Length,
    pub route: Option<Arc<Route>>,
    /// Which target of the route.
    pub target: usize,
    pub request: Outgoing,
    pub up: Up,
    /// Tries that were begun.
    pub tries: u32,
    pub tried: Tried,
    /// A retry is under way and counted among those of its cluster.
    pub holds_retry: Option<Arc<crate::config::Upstream>>,
    pub reply: Reply,
    pub deadlines: Deadlines,
    /// The endpoint went on to the protocol that the client asked for: both directions are octets.
    pub switches: bool,
    pub record: Record,
}

/// The body of the request on its way up.
#[derive(Default)]
pub struct Outgoing {
    /// What waits, and while a retry is possible all that there was.
    pub octets: Vec<u8>,
    /// How much of it this try was given.
    pub sent: usize,
    /// What was sent is kept for another try.
    pub keeps: bool,
    /// Nothing more comes from the client, but maybe these.
    pub ended: bool,
    pub trailers: Option<Box<Fields>>,
    /// This try was given the end.
    pub finished: bool,
    /// Octets of the client's that were not given back to its window.
    pub owed: usize,
}

/// The response on its way down.
#[derive(Default)]
pub struct Reply {
    /// The final head was sent, or waits in `head`.
    pub started: bool,
    /// What the client's connection had no room for, and whether it ends the response.
    pub head: Option<Box<(ResponseHead, Length, bool)>>,
    /// What the client's connection had no room for.
    pub octets: Vec<u8>,
    /// Nothing more comes from the endpoint, but maybe these.
    pub ended: bool,
    pub trailers: Option<Box<Fields>>,
    /// The client was given the end.
    pub finished: bool,
    /// Octets of the endpoint's that were not given back to its window.
    pub owed: usize,
}

/// Where the request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Up {
    /// Nowhere yet.
    None,
    /// Waits for a connection to this endpoint.
    Waiting { endpoint: Key, lane: super::pool::Lane },
    /// Was written to a connection.
    Sent { endpoint: Key, conn: Key, stream: Option<http2::Key> },
    /// Waits for its next try.
    Pausing,
    /// The endpoint is done with it, or gone.
    Over,
}

/// Until when what has to have happened; none is for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deadlines {
    /// The whole response (`timeout`).
    pub response: Option<Instant>,
    /// The whole stream (`max_stream_duration`, `grpc-timeout`).
    pub stream: Option<Instant>,
    /// The head of the response to this try (`per_try_timeout`).
    pub attempt: Option<Instant>,
    /// The next octet in either direction (`idle_timeout`), and how long that may take.
    pub idle: Option<(Instant, std::time::Duration)>,
    /// It is among those that are watched.
    pub watched: bool,
}

impl Deadlines {
    /// The first that passes.
    pub fn soonest(&self) -> Option<Instant> {
        [self.response, self.stream, self.attempt, self.idle.map(|(at, _)| at)].into_iter().flatten().min()
    }
}

/// What logs and metrics want to know.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub started: Instant,
    pub status: u16,
    pub reason: Option<Reason>,
    pub received: u64,
    pub sent: u64,
    /// The endpoint of the last try.
    pub via: Option<Key>,
    pub grpc_status: Option<u32>,
    /// When the response's head came.
    pub answered: Option<Instant>,
}

impl Exchange {
    /// One that stands for nothing yet; it is used again and again.
    pub fn new(down: Key, stream: Option<http2::Key>, front: Rc<Front>, now: Instant) -> Self {
        Self {
            down,
            stream,
            front,
            version: Version::Http1,
            old: false,
            head: RequestHead::default(),
            length: Length::None,
            route: None,
            target: 0,
            request: Outgoing::default(),
            up: Up::None,
            tries: 0,
            tried: Tried::default(),
            holds_retry: None,
            reply: Reply::default(),
            deadlines: Deadlines::default(),
            switches: false,
            record: Record::new(now),
        }
    }

    /// Stands for another request, with the room of the last.
    pub fn renew(&mut self, down: Key, stream: Option<http2::Key>, front: Rc<Front>, now: Instant) {
        let head = std::mem::take(&mut self.head);
        let (up, reply) = (std::mem::take(&mut self.request.octets), std::mem::take(&mut self.reply.octets));
        *self = Self::new(down, stream, front, now);
        self.head = head;
        (self.request.octets, self.reply.octets) = (up, reply);
    }

    /// Waits for its next use with little room, and without what belongs to a configuration.
    pub fn rest(&mut self) {
        for octets in [&mut self.request.octets, &mut self.reply.octets] {
            octets.clear();
            octets.shrink_to(ROOM);
        }
        if self.head.fields().memory() > ROOM {
            self.head = RequestHead::default();
        }
        (self.route, self.tried) = (None, Tried::default());
    }

    /// How the route forwards, if it does.
    pub fn forward(&self) -> Option<&Forward> {
        match &self.route.as_ref()?.action {
            Action::Forward(forward) => Some(forward),
            Action::Redirect(_) | Action::Respond(_) => None,
        }
    }

    /// The chosen target.
    pub fn target(&self) -> Option<&Target> {
        self.forward()?.targets.get(self.target)
    }

    /// When it is tried again.
    pub fn retry(&self) -> Option<&Arc<Retry>> {
        self.forward()?.retry.as_ref()
    }

    /// Whether the stream has taken all the time that it has, seen or not.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.deadlines.stream.is_some_and(|at| at <= now)
    }

    /// Whether the client wants to go on with octets of another protocol.
    pub fn is_upgrade(&self) -> bool {
        self.head.upgrade().is_some()
    }

    /// Whether both directions are octets of another protocol by now.
    pub fn switched(&self) -> bool {
        self.switches
    }

    /// Whether it is a gRPC call, whose errors are told in gRPC's form.
    pub fn is_grpc(&self) -> bool {
        self.head.is_grpc()
    }
}

impl Outgoing {
    /// What waits to be given to this try.
    pub fn waiting(&self) -> usize {
        self.octets.len() - self.sent
    }

    /// The whole request is to be sent anew.
    pub fn rewind(&mut self) {
        self.sent = 0;
        self.finished = false;
    }

    /// No further try: what was sent goes.
    pub fn forget(&mut self) {
        self.keeps = false;
        self.octets.drain(..self.sent);
        self.sent = 0;
        if self.octets.is_empty() && self.octets.capacity() > 4 << 10 {
            self.octets = Vec::new();
        }
    }
}

impl Record {
    fn new(started: Instant) -> Self {
        Self { started, status: 0, reason: None, received: 0, sent: 0, via: None, grpc_status: None, answered: None }
    }
}
