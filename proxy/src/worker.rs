//! A worker: one thread with an event loop, and everything that it owns in plain fields.
//!
//! A turn: wait for the sockets, read those that have something, hand what was understood to the other side at once,
//! look at timers, and write once what the turn has produced. Nothing is shared between workers but [`Shared`], and
//! what the process counts (limits, health, ejection).
//!
//! A request goes downwards through the files: [`accept`] takes the connection, [`inspect`] chooses the chain,
//! [`downstream`] reads the request, [`request`] routes it and chooses cluster, endpoint and connection, [`upstream`]
//! connects and reads the response, [`response`] carries it back. Octets without HTTP go through [`tunnel`].

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use byrnie_balance::Health;
use byrnie_config::{RequestHead, ResponseHead};
use byrnie_http2 as http2;
use mio::{Events, Interest, Poll, Registry, Token, Waker, event::Event, net::TcpStream};

use crate::{
    config::Config,
    shared::{Shared, Stage},
    telemetry,
};

mod accept;
mod buffer;
mod client;
mod conn;
mod downstream;
mod early;
mod ends;
mod exchange;
mod front;
mod inspect;
mod keys;
mod message;
mod outdated;
mod pipe;
mod pool;
mod reason;
mod record;
mod request;
mod response;
mod server;
mod splice;
mod streams;
mod timers;
mod tunnel;
mod upstream;

use buffer::Buffer;
use conn::{After, Broken, Conn, Got, Role};
use exchange::Exchange;
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

/// How long a client may take to hear that its connection is over.
const LINGER: Duration = Duration::from_secs(1);

/// How long a connection that is to end may wait for its peer to take anything of what is left.
const STUCK: Duration = Duration::from_secs(60);

/// While it drains, a worker without requests ends after so long.
const QUIET: Duration = Duration::from_millis(500);

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
            listening: accept::Listening::default(),
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
        let had = conn.kept.len();
        let got = conn.read(&mut buffers.plain, &mut buffers.cipher);
        if !conn.is_flushed() {
            self.mark(key);
        }
        match got {
            Got::Nothing if had == 0 => return,
            Got::Failed(broken) => return self.broken(key, &broken),
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

    /// A connection that has written everything may be at its end.
    fn settle(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        if !conn.is_drained() || self.is_connecting(key) {
            return self.limit_end(key);
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.after == After::Shut && !conn.is_secured() {
            return;
        }
        match conn.after {
            After::Shut => {
                conn.shut();
                self.tunnel_settled(key);
            }
            After::Close => {
                conn.shut();
                if conn.ended || !matches!(conn.role, Role::Server(_)) {
                    return self.close(key);
                }
                conn.role = Role::Done;
                conn.kept = Vec::new();
                conn.paused = false;
                self.set_deadline(key, LINGER);
                self.enqueue(key);
            }
            After::Reset => {
                conn.reset();
                self.close(key);
            }
            After::Open | After::IsShut => {}
        }
    }

    /// A peer that takes nothing of what it is sent last does not keep its connection for ever.
    fn limit_end(&mut self, key: Key) {
        if let Some(conn) = self.conns.get(key)
            && matches!(conn.after, After::Close | After::Reset)
            && conn.deadline.is_none()
        {
            self.set_deadline(key, STUCK);
        }
    }

    /// Closes when all is written.
    fn close_when_written(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.after = After::Close;
            self.mark(key);
        }
    }

    /// Ends a connection that is not wanted, so that its client sees that.
    fn refuse(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.reset();
        }
        self.close(key);
    }

    /// Takes a connection out. Whoever used it was told before.
    fn close(&mut self, key: Key) {
        if let Some(conn) = self.conns.remove(key) {
            self.shared.connections.fetch_sub(1, Relaxed);
            self.forget(key, &conn);
        }
    }

    /// Puts in a connection.
    fn open(&mut self, mut stream: TcpStream, peer: std::net::SocketAddr, role: Role) -> Option<Key> {
        let registry = &self.registry;
        let mut registered = Ok(());
        let key = self.conns.insert_with(|key| {
            registered = registry.register(&mut stream, key.token(), Interest::READABLE | Interest::WRITABLE);
            Conn::new(stream, peer, role, self.now)
        });
        self.shared.connections.fetch_add(1, Relaxed);
        if let Err(error) = registered {
            tracing::warn!(%error, "a socket could not be watched");
            // Nobody has counted it yet.
            self.conns.remove(key);
            self.shared.connections.fetch_sub(1, Relaxed);
            return None;
        }
        Some(key)
    }

    fn connection_is_due(&mut self, key: Key) {
        let due = |conn: &Conn| conn.deadline.is_some_and(|deadline| deadline <= self.now);
        if !self.conns.get(key).is_some_and(due) {
            return;
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.deadline = None;
        let took = self.now.saturating_duration_since(conn.active) < STUCK;
        match conn.role {
            _ if matches!(conn.after, After::Close | After::Reset) && took => self.set_deadline(key, STUCK),
            _ if matches!(conn.after, After::Close | After::Reset) => self.close(key),
            Role::Inspecting(_) => self.inspection_is_due(key),
            Role::Client(_) => self.connect_is_due(key),
            Role::Tunnel(_) => self.tunnel_is_due(key),
            Role::Server(_) | Role::Done => self.close(key),
        }
    }

    fn set_deadline(&mut self, key: Key, after: Duration) {
        let at = self.now + after;
        if let Some(conn) = self.conns.get_mut(key) {
            conn.deadline = Some(at);
            self.timers.add(at, Due::Connection(key));
        }
    }

    /// Takes over the configuration and the stage in force.
    fn follow(&mut self) {
        let config = self.shared.config.load_full();
        if !Arc::ptr_eq(&config, &self.config) {
            let same_listeners = Arc::ptr_eq(&config.listeners, &self.config.listeners);
            self.config = config;
            self.follow_config();
            if !same_listeners {
                self.drain_outdated();
            }
        }
        let stage = self.shared.stage();
        if stage != self.stage {
            let begins = self.stage == Stage::Running;
            self.stage = stage;
            if begins {
                self.drain();
            }
        }
    }

    /// Clusters first, then listeners: what is taken in can be sent on.
    fn follow_config(&mut self) {
        let config = self.config.clone();
        let mut retired = Vec::new();
        for name in self.pools.clusters.keys().cloned().collect::<Vec<_>>() {
            match config.upstreams.get(&name) {
                Some(upstream) => drop(self.pools.cluster(&name, upstream, self.random, &mut retired)),
                None => {
                    if let Some(cluster) = self.pools.clusters.remove(&name) {
                        retired.extend(cluster.endpoints());
                    }
                }
            }
        }
        self.retire(retired);
        self.bind();
        self.hand_over_waiting();
    }

    fn drain(&mut self) {
        for key in self.conns.keys() {
            if let Some(Conn { role: Role::Server(server), .. }) = self.conns.get_mut(key) {
                server.drain();
                self.mark(key);
            }
        }
    }

    fn is_over(&self) -> bool {
        match self.stage {
            Stage::Running | Stage::Draining => false,
            Stage::Finishing => self.now >= self.active + QUIET,
            Stage::Ending => true,
        }
    }

    /// Once a second while something happens.
    fn keep_house(&mut self, buffers: &mut Buffers) {
        self.kept = self.now;
        self.busy = false;
        for key in self.conns.keys() {
            self.keep_conn(key);
        }
        self.pools.sweep();
        self.pipes.clear();
        self.accept_late();
        self.sweep_waiting();
        self.spare.truncate(64);
        if buffers.sealed.capacity() > 128 << 10 {
            buffers.sealed = Vec::new();
        }
    }

    fn keep_conn(&mut self, key: Key) {
        if self.leave_failed(key) {
            return;
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.rest();
        let silent = self.now.saturating_duration_since(conn.active);
        let (idle, limit) = match &mut conn.role {
            Role::Server(server) => (server.rest(), server.front.http.idle_timeout),
            Role::Client(client) => {
                let endpoint = self.pools.endpoints.get(client.host);
                (client.rest(), endpoint.and_then(|endpoint| endpoint.upstream.cluster.idle_timeout))
            }
            Role::Tunnel(tunnel) => (true, tunnel.idle_timeout()),
            Role::Inspecting(_) | Role::Done => (true, None),
        };
        // Budgets are filled and timeouts looked at while there is something that needs it.
        self.busy |= !idle || limit.is_some();
        if idle && limit.is_some_and(|limit| silent >= limit) {
            self.idle_for_too_long(key);
        }
    }

    /// `close_connections_on_host_health_failure`: whether a connection was taken from an endpoint that is not well.
    fn leave_failed(&mut self, key: Key) -> bool {
        let (endpoint, idle, other) = match self.conns.get(key).map(|conn| &conn.role) {
            Some(Role::Client(client)) => (client.host, client.exchanges().is_empty(), None),
            Some(Role::Tunnel(tunnel)) => match &tunnel.side {
                ends::Side::Endpoint(dialled) => (dialled.endpoint, true, tunnel.other),
                ends::Side::Client(_) => return false,
            },
            _ => return false,
        };
        let Some(endpoint) = self.pools.endpoints.get(endpoint) else { return false };
        if !endpoint.upstream.cluster.close_on_failure {
            return false;
        }
        self.busy = true;
        let failed = endpoint.host.as_ref().is_some_and(|host| host.health() == Health::Unhealthy);
        match other {
            _ if !failed || !idle => return false,
            Some(other) => self.tunnel_over(key, other),
            None => self.leave_pool(key),
        }
        true
    }

    fn idle_for_too_long(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        match &mut conn.role {
            Role::Server(server) => {
                server.drain();
                self.client_gone(key);
            }
            Role::Client(_) => self.leave_pool(key),
            Role::Tunnel(_) => self.tunnel_idle(key),
            Role::Inspecting(_) | Role::Done => {}
        }
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
