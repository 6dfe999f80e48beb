//! The event loop: sockets, a clock for open loops, and the window of a measurement.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use mio::{
    Events, Interest, Poll, Token,
    event::Event,
    net::{TcpListener, TcpStream},
    unix::SourceFd,
};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use slab::Slab;

use super::{
    Application, Load, Moment, Tally,
    bytes::BytesServer,
    end::{End, Flow},
    http1::Http1Server,
    http2::Http2Server,
    pace::Pace,
};

const TIMER: Token = Token(usize::MAX - 1);
/// The tokens of listeners stand above those of connections.
const LISTENERS: usize = usize::MAX - 10;

/// Reads and writes of one connection before others have their turn.
const TURN: usize = 4;

/// How long the last answers of a run may take.
const DRAIN: Duration = Duration::from_secs(2);

/// How long the loop goes on behind a run, so that the application sees connections close.
const SETTLE: Duration = Duration::from_millis(20);

/// The application's end of a new connection.
type Serve = fn() -> Box<dyn End>;

/// Clients and the application.
pub struct Reactor {
    poll: Poll,
    listeners: Vec<(TcpListener, Serve)>,
    connections: Slab<Connection>,
    /// Connections that had more to do than a turn allows.
    busy: Vec<usize>,
    buffer: Vec<u8>,
    timer: OwnedFd,
}

struct Connection {
    stream: TcpStream,
    end: Box<dyn End>,
    /// What was read and not understood yet.
    rest: Vec<u8>,
    is_client: bool,
}

/// Why a connection ends.
enum Ended {
    /// The end says so, or its peer where nothing is awaited.
    Well,
    Badly(anyhow::Error),
}

impl Reactor {
    /// Begins to listen for the application.
    pub fn new(application: Application) -> Result<Self> {
        let poll = Poll::new()?;
        let mut listeners: Vec<(TcpListener, Serve)> = vec![
            (TcpListener::bind(application.http)?, || Box::new(Http1Server::default())),
            (TcpListener::bind(application.grpc)?, || Box::new(Http2Server::new())),
            (TcpListener::bind(application.bytes)?, || Box::new(BytesServer::Waiting)),
        ];
        for (number, (listener, _)) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(LISTENERS + number), Interest::READABLE)?;
        }
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        let (connections, busy, buffer) = (Slab::new(), Vec::new(), vec![0; super::pattern::PIECE]);
        Ok(Self { poll, listeners, connections, busy, buffer, timer })
    }

    /// Runs clients; `sample` is called where the window begins and where it ends, while they run.
    pub fn run(&mut self, load: &Load, sample: &mut dyn FnMut(Moment) -> Result<()>) -> Result<Tally> {
        let mut pace = Pace::new(load.rate);
        let result = self.phases(load, &mut pace, sample);
        self.timer_in(None)?;
        // Those of the clients; the application's end by the hands of the proxy.
        let clients: Vec<_> = self.connections.iter().filter(|(_, one)| one.is_client).map(|(at, _)| at).collect();
        clients.into_iter().for_each(|at| drop(self.connections.remove(at)));
        let until = Instant::now() + SETTLE;
        while result.is_ok() && Instant::now() < until {
            self.turn(load, &mut pace, until)?;
        }
        result?;
        pace.tally.latencies.sort_unstable();
        Ok(pace.tally)
    }

    fn phases(&mut self, load: &Load, pace: &mut Pace, sample: &mut dyn FnMut(Moment) -> Result<()>) -> Result<()> {
        for _ in 0..load.connections {
            self.connect(load, pace)?;
        }
        let begin = Instant::now() + load.warm;
        self.turns(load, pace, begin)?;
        sample(Moment::Begin)?;
        pace.measure(true);
        self.turns(load, pace, Instant::now() + load.window)?;
        pace.measure(false);
        sample(Moment::End)?;
        pace.stop();
        let limit = Instant::now() + DRAIN;
        while !pace.is_drained() && Instant::now() < limit {
            self.turn(load, pace, limit)?;
        }
        if !pace.is_drained() {
            pace.failed(1, &format!("requests that were not answered within {DRAIN:?}"))?;
        }
        Ok(())
    }

    fn turns(&mut self, load: &Load, pace: &mut Pace, until: Instant) -> Result<()> {
        let mut second = Instant::now();
        while Instant::now() < until {
            self.turn(load, pace, until)?;
            if second.elapsed() >= Duration::from_secs(1) {
                second = Instant::now();
                self.connections.iter_mut().for_each(|(_, one)| one.end.tick());
            }
        }
        Ok(())
    }

    /// Waits for something to do, at most until `limit`, and does it.
    fn turn(&mut self, load: &Load, pace: &mut Pace, limit: Instant) -> Result<()> {
        let now = Instant::now();
        if let Some(wait) = pace.until_due(now) {
            self.timer_in(Some(wait))?;
        }
        let wait = if self.busy.is_empty() { limit.saturating_duration_since(now) } else { Duration::ZERO };
        let mut events = Events::with_capacity(1024);
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let busy = std::mem::take(&mut self.busy);
        for token in busy {
            self.drive(token, false, load, pace)?;
        }
        for event in &events {
            match event.token() {
                TIMER => {}
                Token(listener) if listener >= LISTENERS => self.accept(listener - LISTENERS, load, pace)?,
                Token(token) => self.drive(token, closes(event), load, pace)?,
            }
        }
        while let Some((token, since)) = pace.due(Instant::now()) {
            let begun = self.connections[token].end.begin(since);
            match begun {
                Ok(()) => self.drive(token, false, load, pace)?,
                Err(error) => self.end(token, Ended::Badly(error), load, pace)?,
            }
        }
        Ok(())
    }

    /// Sets the clock; mio's own counts in milliseconds.
    fn timer_in(&self, wait: Option<Duration>) -> Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = match wait {
            None => zero,
            // Zero would turn it off.
            Some(wait) => Timespec::try_from(wait.max(Duration::from_nanos(1)))?,
        };
        let once = Itimerspec { it_interval: zero, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    fn accept(&mut self, listener: usize, load: &Load, pace: &mut Pace) -> Result<()> {
        loop {
            let (socket, end) = &self.listeners[listener];
            let end = *end;
            match socket.accept() {
                Ok((stream, _)) => {
                    let token = self.add(stream, false, |_| end())?;
                    self.drive(token, false, load, pace)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("the application cannot accept"),
            }
        }
    }

    /// Opens a client's connection and begins what it may begin.
    fn connect(&mut self, load: &Load, pace: &mut Pace) -> Result<()> {
        let now = Instant::now();
        let stream = TcpStream::connect(load.to).with_context(|| format!("cannot connect to {}", load.to))?;
        let token = self.add(stream, true, |token| load.exchange.client(token, now))?;
        if load.exchange.has_requests() {
            for _ in 0..load.streams {
                if let Some(due) = pace.next(token, now) {
                    self.connections[token].end.begin(due)?;
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        mut stream: TcpStream,
        is_client: bool,
        end: impl FnOnce(usize) -> Box<dyn End>,
    ) -> Result<usize> {
        stream.set_nodelay(true)?;
        let entry = self.connections.vacant_entry();
        let token = entry.key();
        self.poll.registry().register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        entry.insert(Connection { stream, end: end(token), rest: Vec::new(), is_client });
        Ok(token)
    }

    /// Reads and writes what can be read and written. An event may come late, for a connection that is gone.
    fn drive(&mut self, token: usize, closes: bool, load: &Load, pace: &mut Pace) -> Result<()> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        match connection.drive(&mut self.buffer, closes, pace) {
            Ok(true) => self.busy.push(token),
            Ok(false) => {}
            Err(ended) => self.end(token, ended, load, pace)?,
        }
        Ok(())
    }

    /// Takes a connection away; a client's is replaced while the run goes on.
    fn end(&mut self, token: usize, ended: Ended, load: &Load, pace: &mut Pace) -> Result<()> {
        let connection = self.connections.remove(token);
        pace.forget(token);
        let awaited = connection.end.outstanding();
        match ended {
            Ended::Badly(error) => pace.failed(awaited, &format!("{error:#}"))?,
            Ended::Well if awaited > 0 => pace.failed(awaited, "closed before the answer came")?,
            Ended::Well => {}
        }
        if connection.is_client && pace.is_running() { self.connect(load, pace) } else { Ok(()) }
    }
}

/// Whether the end of what a connection sends is announced, so that reading short is not the end of it.
fn closes(event: &Event) -> bool {
    event.is_read_closed() || event.is_error()
}

impl Connection {
    /// Whether there is more to do at once.
    fn drive(&mut self, buffer: &mut [u8], closes: bool, pace: &mut Pace) -> Result<bool, Ended> {
        let more_to_read = self.read(buffer, closes, pace)?;
        Ok(self.write()? || more_to_read)
    }

    fn read(&mut self, buffer: &mut [u8], closes: bool, pace: &mut Pace) -> Result<bool, Ended> {
        for _ in 0..TURN {
            match self.stream.read(buffer) {
                Ok(0) => return Err(Ended::Well),
                Ok(octets) => {
                    if self.take(&buffer[..octets], pace).map_err(Ended::Badly)? == Flow::Close {
                        return Err(Ended::Well);
                    }
                    if octets < buffer.len() && !closes {
                        return Ok(false);
                    }
                }
                Err(error) if waits(&error) => return Ok(false),
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(true)
    }

    /// Gives the end what was read, behind what it did not understand the last time.
    fn take(&mut self, read: &[u8], pace: &mut Pace) -> Result<Flow> {
        if self.rest.is_empty() {
            let mut input = read;
            let flow = self.end.receive(&mut input, pace)?;
            self.rest.extend_from_slice(input);
            return Ok(flow);
        }
        self.rest.extend_from_slice(read);
        let mut input = &self.rest[..];
        let flow = self.end.receive(&mut input, pace)?;
        let taken = self.rest.len() - input.len();
        self.rest.drain(..taken);
        Ok(flow)
    }

    fn write(&mut self) -> Result<bool, Ended> {
        for _ in 0..TURN {
            let output = self.end.output();
            let whole = output.len();
            if whole == 0 {
                return Ok(false);
            }
            match self.stream.write(output) {
                Ok(octets) => {
                    self.end.wrote(octets);
                    if octets < whole {
                        return Ok(false);
                    }
                }
                Err(error) if waits(&error) => return Ok(false),
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(true)
    }

    /// What an error of the socket means. To the application a client that leaves is nothing.
    fn broken(&self, error: io::Error) -> Ended {
        let awaited = self.is_client && self.end.outstanding() > 0;
        let refused = error.kind() == ErrorKind::ConnectionRefused;
        if awaited || refused { Ended::Badly(error.into()) } else { Ended::Well }
    }
}

/// A socket that still connects answers a read or a write so.
fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}
