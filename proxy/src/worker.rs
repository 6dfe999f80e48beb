//! A worker: one thread with an event loop, and everything that it owns in plain fields.
//!
//! A turn: wait for the sockets, read those that have something, hand what was understood to the other side at once,
//! look at timers, and write once what the turn has produced. Nothing is shared between workers but [`Shared`], and
//! what the process counts (limits, health, ejection).
//!
//! A request goes downwards through the files: `accept` takes the connection, `inspect` chooses the chain,
//! `downstream` reads the request, `route` finds its route, `request` chooses cluster and endpoint, `upstream`
//! and `connect` have a connection for it, `answers` reads the response, `response` carries it back; `retry` and
//! `deadlines` say when a try ends otherwise. Octets without HTTP go through `tunnel`, whose far end `dial`
//! connects. `life`, `house` and `follow` are about connections and the worker as a whole.

use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use byrnie_config::{RequestHead, ResponseHead};
use byrnie_http2 as http2;
use mio::{Events, Poll, Registry, Token, Waker, event::Event};

use crate::{
    config::Config,
    shared::{Shared, Stage},
    telemetry,
};

mod accept;
mod answers;
mod buffer;
mod client;
mod conn;
mod connect;
mod deadlines;
mod dial;
mod downstream;
mod early;
mod ends;
mod exchange;
mod follow;
mod front;
mod house;
mod inspect;
mod keys;
mod life;
mod message;
mod pipe;
mod pool;
mod reason;
mod record;
mod request;
mod response;
mod retry;
mod route;
mod server;
mod socket;
mod splice;
mod streams;
mod timers;
mod tunnel;
mod upstream;

use buffer::Buffer;
use conn::{Broken, Conn, Got, Role};
use exchange::Exchange;
use follow::QUIET;
use keys::{Key, Table};
use pool::Pools;
use timers::{Due, Timers};

/// The token of the waker.
const WAKER: Token = Token(usize::MAX);

/// Events of one turn.
const EVENTS: usize = 256;

/// Between looks at the deadlines of requests, at least.
const SWEEP: Duration = Duration::from_millis(25);

/// Between looks at everything: budgets of HTTP/2, room that is not needed, idle connections.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// A running worker.
pub struct Worker {
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread. `index` counts from 0.
    ///
    /// # Errors
    /// Where the system has no more of what an event loop needs.
    pub fn start(index: usize, shared: Arc<Shared>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let registry = poll.registry().try_clone()?;
        let run = move || Loop::new(index, shared, registry).run(poll);
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).stack_size(512 << 10).spawn(run)?;
        Ok(Self { waker, thread })
    }

    /// Has the worker look at the configuration and the stage.
    pub fn wake(&self) {
        // It fails only where the event loop is gone, and then there is nobody to wake.
        let _ = self.waker.wake();
    }

    /// Whether it has: nothing runs while the stage is `Finishing`, or the stage is `Ending`.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until it has ended.
    pub fn join(self) {
        // A panic of a worker was printed where it happened.
        let _ = self.thread.join();
    }
}

/// What a worker owns.
struct Loop {
    index: usize,
    shared: Arc<Shared>,
    registry: Registry,
    config: Arc<Config>,
    now: Instant,
    listening: accept::Listening,
    conns: Table<Conn>,
    exchanges: Table<Box<Exchange>>,
    /// Exchanges that are over, to be used again.
    #[expect(clippy::vec_box, reason = "they go back into the table in the boxes that they came in")]
    spare: Vec<Box<Exchange>>,
    pools: Pools,
    timers: Timers,
    /// Connections to be read, by the next turn at the latest.
    queue: Vec<Key>,
    /// Connections to be written at the end of the turn.
    dirty: Vec<Key>,
    /// Exchanges with deadlines.
    watched: usize,
    /// When the first of them may have passed.
    sweeps_at: Instant,
    kept: Instant,
    /// Something happened since the last housekeeping.
    busy: bool,
    /// The request that goes up, edited.
    edited: RequestHead,
    random: u64,
    stage: Stage,
    /// Pairs of octets.
    tunnels: usize,
    /// Empty pipes, to be used again.
    pipes: Vec<pipe::Pipe>,
    telemetry: telemetry::Local,
    /// Lines of the access log found no room.
    log_waits: bool,
    /// When last something was under way.
    active: Instant,
}

/// What a turn works in: one set for all connections.
struct Buffers {
    plain: Buffer,
    cipher: Buffer,
    sealed: Vec<u8>,
    fields: http2::Fields,
    response: ResponseHead,
}

impl Loop {
    fn new(index: usize, shared: Arc<Shared>, registry: Registry) -> Self {
        let now = Instant::now();
        Self {
            telemetry: telemetry::Local::new(&shared.telemetry),
            log_waits: false,
            index,
            shared,
            registry,
            config: Arc::default(),
            now,
            listening: accept::Listening::new(now),
            conns: Table::default(),
            exchanges: Table::default(),
            spare: Vec::new(),
            pools: Pools::default(),
            timers: Timers::default(),
            queue: Vec::new(),
            dirty: Vec::new(),
            watched: 0,
            sweeps_at: now,
            kept: now,
            busy: false,
            edited: RequestHead::default(),
            random: byrnie_runtime::backoff::random() | 1,
            stage: Stage::Running,
            tunnels: 0,
            pipes: Vec::new(),
            active: now,
        }
    }

    fn run(mut self, mut poll: Poll) {
        let mut events = Events::with_capacity(EVENTS);
        let mut buffers = Buffers {
            plain: Buffer::new(),
            cipher: Buffer::new(),
            sealed: Vec::new(),
            fields: http2::Fields::new(),
            response: ResponseHead::default(),
        };
        self.follow();
        while !self.is_over() {
            let wait = self.wait();
            match poll.poll(&mut events, wait) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, worker = self.index, "the event loop failed");
                    return;
                }
            }
            self.now = Instant::now();
            if self.stage < Stage::Finishing || !self.exchanges.is_empty() || self.tunnels > 0 {
                self.active = self.now;
            }
            for event in &events {
                self.take(event);
            }
            self.turn(&mut buffers);
        }
        self.record_rest();
        self.telemetry.flush();
    }

    /// What follows the events.
    fn turn(&mut self, buffers: &mut Buffers) {
        for key in std::mem::take(&mut self.queue) {
            self.read(key, buffers);
        }
        while let Some(due) = self.timers.next(self.now) {
            match due {
                Due::Connection(key) => self.connection_is_due(key),
                Due::Retry(key) => self.attempt(key),
            }
        }
        if self.watched > 0 && self.now >= self.sweeps_at {
            self.sweep();
        }
        if self.busy && self.now >= self.kept + HOUSEKEEPING {
            self.keep_house(buffers);
        }
        self.flush(buffers);
        self.log_waits = !self.telemetry.flush();
    }

    fn take(&mut self, event: &Event) {
        match event.token() {
            WAKER => self.follow(),
            token if accept::is_listener(token) => self.accept(token),
            token => self.ready(token.into(), event),
        }
    }

    /// A socket has something to read, room to write, or is connected.
    fn ready(&mut self, key: Key, event: &Event) {
        self.busy = true;
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.active = self.now;
        if event.is_writable() {
            conn.writable = true;
            self.mark(key);
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            conn.readable = true;
            conn.closing |= event.is_read_closed() || event.is_error();
            self.enqueue(key);
        }
    }

    /// How long nothing may happen.
    fn wait(&self) -> Option<Duration> {
        if !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let drain = (self.stage == Stage::Finishing).then_some(QUIET / 5);
        let sweep = (self.watched > 0).then(|| self.sweeps_at.saturating_duration_since(self.now));
        let log = self.log_waits.then_some(SWEEP);
        let house = self.busy.then(|| (self.kept + HOUSEKEEPING).saturating_duration_since(self.now));
        [self.timers.wait(self.now), sweep, log, house, drain].into_iter().flatten().min()
    }

    /// Reads a connection once, and lets its role understand it.
    fn read(&mut self, key: Key, buffers: &mut Buffers) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.queued = false;
        match conn.role {
            _ if conn.paused => return,
            Role::Done => return self.discard(key, buffers),
            Role::Tunnel(_) => return self.read_tunnel(key, buffers),
            Role::Inspecting(_) | Role::Server(_) | Role::Client(_) => {}
        }
        let got = conn.read(&mut buffers.plain, &mut buffers.cipher);
        if !conn.is_flushed() {
            self.mark(key);
        }
        match got {
            Got::Failed(broken) => return self.broken(key, &broken),
            // Without a new octet there may still be the end of a message whose reading was stopped before it.
            Got::Nothing | Got::Octets | Got::End => {}
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.ended |= matches!(got, Got::End);
        let (plain, fields) = (&buffers.plain, &mut buffers.fields);
        let mut input = plain.filled();
        match conn.role {
            Role::Inspecting(_) => self.inspect(key, &mut input),
            Role::Server(_) => self.read_requests(key, &mut input, fields),
            Role::Client(_) => self.read_responses(key, &mut input, fields, &mut buffers.response),
            Role::Tunnel(_) | Role::Done => {}
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.keep(input);
        // Requests that are sent before the last one is answered wait in the socket from some point on.
        conn.paused |= conn.kept.len() >= buffer::READ;
        if conn.readable && !conn.paused && !conn.ended {
            self.enqueue(key);
        }
    }

    /// What comes on a connection that is over is of no interest, but unread it would reset what was written last
    /// (RFC 9112, section 9.6).
    fn discard(&mut self, key: Key, buffers: &mut Buffers) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.session = None;
        match conn.read(&mut buffers.plain, &mut buffers.cipher) {
            Got::End | Got::Failed(_) => self.close(key),
            Got::Octets if conn.readable => self.enqueue(key),
            Got::Octets | Got::Nothing => {}
        }
    }

    /// The socket or its TLS failed.
    fn broken(&mut self, key: Key, broken: &Broken) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        tracing::debug!(peer = %conn.peer, error = %broken, "connection broke");
        match conn.role {
            Role::Server(_) => {
                self.client_gone(key);
                // An alert of TLS may still go out, nothing goes to a socket that broke.
                if matches!(broken, Broken::Socket(_)) {
                    self.close(key);
                }
            }
            Role::Client(_) => self.endpoint_gone(key, broken),
            Role::Tunnel(_) => self.tunnel_gone(key, matches!(broken, Broken::Socket(_))),
            Role::Inspecting(_) | Role::Done => self.close(key),
        }
    }

    /// A connection is to be read.
    fn enqueue(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key)
            && !conn.queued
        {
            conn.queued = true;
            self.queue.push(key);
        }
    }

    /// A connection is to be written at the end of the turn.
    fn mark(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key)
            && !conn.dirty
        {
            conn.dirty = true;
            self.dirty.push(key);
        }
    }

    /// Reading goes on where it was stopped for want of room.
    fn resume(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key)
            && conn.paused
        {
            conn.paused = false;
            self.enqueue(key);
        }
    }

    /// Writes what the turn has produced. What was written makes room, which may be used at once.
    fn flush(&mut self, buffers: &mut Buffers) {
        while !self.dirty.is_empty() {
            for key in std::mem::take(&mut self.dirty) {
                self.flush_one(key, buffers);
            }
        }
    }

    fn flush_one(&mut self, key: Key, buffers: &mut Buffers) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.dirty = false;
        if self.is_connecting(key) && !self.connected(key) {
            return;
        }
        loop {
            let Some(conn) = self.conns.get_mut(key) else { return };
            match conn.write(&mut buffers.sealed) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return self.broken(key, &error.into()),
            }
            if !self.refill(key) {
                break;
            }
        }
        if self.conns.get(key).is_some_and(|conn| conn.writable && matches!(conn.role, Role::Tunnel(_))) {
            self.refill_tunnel(key);
        }
        self.settle(key);
    }

    /// What was written made room: those that waited for it go on. Whether there is more to write.
    fn refill(&mut self, key: Key) -> bool {
        let Some(conn) = self.conns.get_mut(key) else { return false };
        match &mut conn.role {
            Role::Server(_) => self.refill_client(key),
            Role::Client(_) => self.refill_endpoint(key),
            Role::Tunnel(_) => self.refill_tunnel(key),
            Role::Inspecting(_) | Role::Done => {}
        }
        self.conns.get(key).is_some_and(|conn| conn.writable && !conn.is_drained())
    }

    /// An evenly distributed number (xorshift64*, Vigna 2016).
    fn draw(&mut self) -> u64 {
        draw(&mut self.random)
    }
}

fn draw(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

#[cfg(test)]
mod tests;
