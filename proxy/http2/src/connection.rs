//! One connection: its state, and what concerns it as a whole. What arrives is in [`receive`], what is sent in
//! [`send`].

use std::collections::VecDeque;

use crate::error::{ConnectionError, ErrorCode, Refused, Violation};
use crate::flow::{Allowed, Granted};
use crate::frame::{self, Kind};
use crate::hpack;
use crate::limits::{Budgets, Config};
use crate::output::Output;
use crate::stream::{Key, Phase, Stream, Streams};

mod control;
mod data;
mod heads;
mod receive;
mod send;
mod settings;
#[cfg(test)]
mod tests;
mod writer;

pub use settings::PeerSettings;
pub use writer::HeadWriter;

/// The PING that measures how long the first GOAWAY takes to arrive (RFC 9113 section 6.8).
const DRAIN_PING: [u8; 8] = *b"goaway-2";

/// One HTTP/2 connection, as server or as client, without I/O. See the [crate's page](crate) for its use.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    config: Config,
    decoder: hpack::Decoder,
    encoder: hpack::Encoder,
    output: Output,
    streams: Streams,
    /// The highest stream that the client opened.
    last_stream: u32,
    reading: receive::Reading,
    /// A header block that needs CONTINUATION.
    block: Option<Box<heads::Block>>,
    granted: Granted,
    /// Our SETTINGS_INITIAL_WINDOW_SIZE; until it is acknowledged, the protocol's default where that is more.
    granted_to_new_streams: u32,
    allowed: Allowed,
    /// Streams that wait for the connection's window or for room in the output, first come, first served.
    queue: VecDeque<Key>,
    /// The stream that was named last, whose turn it is.
    turn: Option<Key>,
    peer: PeerSettings,
    settings_unacknowledged: u32,
    /// Of the caller's.
    pings_unanswered: u32,
    /// Our encoder's dynamic table was told to be empty (RFC 7541 section 4.2).
    table_emptied: bool,
    budgets: Budgets,
    /// Streams that we reset a short while ago: the peer may not know yet.
    resets: Resets,
    going: Going,
    peer_going: PeerGoing,
    end: Option<End>,
}

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Receives requests.
    Server,
    /// Sends requests.
    Client,
}

/// How far our own GOAWAY is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    No,
    /// GOAWAY with 2^31-1 and a PING are sent.
    Announced,
    /// GOAWAY with the last stream is sent; streams above it are ignored.
    Final {
        last: u32,
    },
}

/// What the peer said by GOAWAY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PeerGoing {
    No,
    /// `told`: the caller knows of every stream above `last`.
    Yes {
        last: u32,
        told: bool,
    },
}

/// Why nothing is received any more.
#[derive(Debug, Clone)]
enum End {
    Failed(ConnectionError),
    Closed,
}

impl Connection {
    /// The server's end. Its SETTINGS are in the output at once.
    pub fn server(config: Config) -> Self {
        Self::new(Role::Server, config)
    }

    /// The client's end. The preface and its SETTINGS are in the output at once, and requests may follow.
    pub fn client(config: Config) -> Self {
        Self::new(Role::Client, config)
    }

    fn new(role: Role, config: Config) -> Self {
        let config = config.within_the_protocol();
        let mut output = Output::default();
        if role == Role::Client {
            output.put(frame::PREFACE);
        }
        output.settings(settings::announced(role, &config));
        let beyond = config.windows.connection - frame::DEFAULT_WINDOW;
        if beyond > 0 {
            output.window_update(0, beyond);
        }
        Self {
            role,
            // Until our SETTINGS are acknowledged the peer uses the protocol's default.
            decoder: hpack::Decoder::new(4_096),
            encoder: hpack::Encoder { huffman: config.huffman },
            output,
            streams: Streams::default(),
            last_stream: 0,
            reading: if role == Role::Server { receive::Reading::Preface } else { receive::Reading::FirstFrame },
            block: None,
            granted: Granted::new(config.windows.connection),
            granted_to_new_streams: config.windows.stream.max(frame::DEFAULT_WINDOW),
            allowed: Allowed::new(frame::DEFAULT_WINDOW),
            queue: VecDeque::new(),
            turn: None,
            peer: PeerSettings::default(),
            settings_unacknowledged: 1,
            pings_unanswered: 0,
            table_emptied: false,
            budgets: Budgets::new(&config.limits),
            resets: Resets::default(),
            going: Going::No,
            peer_going: PeerGoing::No,
            end: None,
            config,
        }
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What waits to be written to the peer. All that a turn of the caller's loop produced is here, in one piece.
    #[inline]
    pub fn output(&self) -> &[u8] {
        self.output.pending()
    }

    /// Says how much of [`output`](Self::output) was written.
    #[inline]
    pub fn wrote(&mut self, octets: usize) {
        self.output.wrote(octets);
    }

    /// What the peer announced.
    pub fn peer_settings(&self) -> &PeerSettings {
        &self.peer
    }

    /// Whether SETTINGS of ours wait for their acknowledgement. A caller that has waited long enough may
    /// [`close`](Self::close) with [`ErrorCode::SETTINGS_TIMEOUT`] (RFC 9113 section 6.5.3).
    pub fn awaits_settings_ack(&self) -> bool {
        self.settings_unacknowledged > 0
    }

    /// Streams that are open, half-closed ones included.
    #[inline]
    pub fn active_streams(&self) -> u32 {
        self.streams.active()
    }

    /// Whether a client can open a stream now.
    pub fn can_open(&self) -> bool {
        self.may_open().is_ok()
    }

    /// Whether the connection comes to its end: GOAWAY of either side, a failed connection, or no identifier left. A
    /// client opens no stream on it any more; a server still serves what it is sent.
    pub fn is_closing(&self) -> bool {
        self.end.is_some()
            || self.going != Going::No
            || self.peer_going != PeerGoing::No
            || self.last_stream >= frame::MAX_31_BITS
    }

    /// Whether GOAWAY was sent or received for good, and no stream is left: write the output, then close the transport.
    pub fn is_finished(&self) -> bool {
        let going = match self.going {
            Going::Final { .. } => true,
            Going::No | Going::Announced => self.role == Role::Client && self.peer_going != PeerGoing::No,
        };
        self.end.is_some() || (going && self.streams.is_empty())
    }

    /// Sends a PING (RFC 9113 section 6.7); [`Event::Pong`](crate::Event::Pong) brings `payload` back.
    pub fn ping(&mut self, payload: [u8; 8]) {
        if self.end.is_none() {
            self.output.frame(Kind::Ping, 0, 0, &payload);
            self.pings_unanswered = self.pings_unanswered.saturating_add(1);
        }
    }

    /// Ends the connection without losing a request (RFC 9113 section 6.8). A server announces GOAWAY, and names the
    /// last stream when a PING has come back, so that requests on their way are still served. A client opens no more.
    /// [`is_finished`](Self::is_finished) is true when all streams have ended; how long to wait is the caller's
    /// choice. Called again, it waits for the PING no longer.
    pub fn drain(&mut self) {
        match (self.role, self.going) {
            _ if self.end.is_some() => {}
            (_, Going::Final { .. }) => {}
            (_, Going::Announced) => self.drained_announcement(),
            (Role::Server, Going::No) => {
                self.output.goaway(frame::MAX_31_BITS, ErrorCode::NO_ERROR, "");
                self.output.frame(Kind::Ping, 0, 0, &DRAIN_PING);
                self.going = Going::Announced;
            }
            (Role::Client, Going::No) => {
                self.output.goaway(0, ErrorCode::NO_ERROR, "");
                self.going = Going::Final { last: 0 };
            }
        }
    }

    /// The second step of [`drain`](Self::drain).
    fn drained_announcement(&mut self) {
        self.output.goaway(self.last_stream, ErrorCode::NO_ERROR, "");
        self.going = Going::Final { last: self.last_stream };
    }

    /// Ends the connection at once: GOAWAY is in the output, every stream is gone, and nothing is received any more.
    pub fn close(&mut self, code: ErrorCode) {
        if self.end.is_none() {
            self.goaway(code, "");
            self.end = Some(End::Closed);
        }
    }

    /// To be called once a second: fills the budgets of [`Limits`](crate::Limits).
    pub fn tick(&mut self) {
        self.budgets = Budgets::new(&self.config.limits);
    }

    /// To be called when nothing has happened for a while: frees what an idle connection does not need.
    pub fn rest(&mut self) {
        self.output.rest();
        self.decoder.rest();
        self.streams.rest();
        self.queue.shrink_to_fit();
    }

    /// Octets on the heap, spare room included. The connection itself is `size_of::<Connection>()`.
    pub fn memory(&self) -> usize {
        self.output.capacity()
            + self.decoder.memory()
            + self.streams.memory()
            + self.queue.capacity() * size_of::<Key>()
            + self.block.as_ref().map_or(0, |block| block.memory())
    }

    /// RFC 9113 section 5.4.1.
    fn fail(&mut self, violation: Violation) -> ConnectionError {
        self.goaway(violation.code(), &violation.to_string());
        let error = ConnectionError { violation };
        self.end = Some(End::Failed(error.clone()));
        error
    }

    fn goaway(&mut self, code: ErrorCode, debug: &str) {
        let last = match (self.role, self.going) {
            (Role::Client, _) => 0,
            // An earlier GOAWAY is not taken back.
            (Role::Server, Going::Final { last }) => last,
            (Role::Server, _) => self.last_stream,
        };
        self.output.goaway(last, code, debug);
        self.streams = Streams::default();
        self.queue = VecDeque::new();
        self.block = None;
    }

    /// Called when a direction of a stream is done: if both are, the stream has ended well.
    fn ended(&mut self, key: Key) {
        let Some(stream) = self.streams.get(key) else { return };
        if !stream.is_done() {
            return;
        }
        let holds = stream.held > 0;
        self.streams.no_longer_active();
        self.budgets.earn_by_stream(&self.config.limits);
        if !holds {
            self.remove(key);
        }
    }

    /// The peer does not want the rest of a message whose answer it has sent whole.
    fn end_sending(&mut self, key: Key) {
        let Some(stream) = self.streams.get(key) else { return };
        stream.sending = Phase::Done;
        if stream.blocked.take().is_some() {
            self.queue.retain(|&queued| queued != key);
        }
        self.ended(key);
    }

    /// Takes a stream out before its time, and gives back what its DATA took from the connection's window.
    fn take_out(&mut self, key: Key) {
        if let Some(stream) = self.remove(key) {
            self.release_connection(stream.held);
        }
    }

    fn remove(&mut self, key: Key) -> Option<Stream> {
        let stream = self.streams.remove(key)?;
        if stream.blocked.is_some() {
            self.queue.retain(|&queued| queued != key);
        }
        Some(stream)
    }

    /// RFC 9113 section 6.9 for the window of the connection.
    fn release_connection(&mut self, octets: u32) {
        if let Some(increment) = self.granted.release_shared(octets, self.config.windows.connection) {
            self.output.window_update(0, increment);
        }
    }

    /// How long the output may be for a head to go out: DATA of one stream does not hold up the heads of others.
    fn room_for_heads(&self) -> usize {
        self.config.limits.buffered_output as usize * 2
    }

    fn may_open(&self) -> Result<(), Refused> {
        if self.role != Role::Client {
            Err(Refused::Role)
        } else if self.is_closing() {
            Err(Refused::Closing)
        } else if self.streams.active() >= self.peer.max_concurrent_streams {
            Err(Refused::StreamLimit(self.peer.max_concurrent_streams))
        } else if self.output.len() >= self.room_for_heads() {
            Err(Refused::OutputFull)
        } else {
            Ok(())
        }
    }
}

/// The last streams that we reset (RFC 9113 section 5.1, closed): what the peer sent before it knew is ignored.
#[derive(Debug)]
struct Resets {
    ids: [u32; Self::KEPT],
    next: u8,
    /// The highest stream that there was no room for. Of those up to it nobody knows any more how they ended.
    forgotten: u32,
}

impl Resets {
    const KEPT: usize = 64;

    fn add(&mut self, id: u32) {
        let slot = &mut self.ids[usize::from(self.next)];
        self.forgotten = self.forgotten.max(*slot);
        *slot = id;
        self.next = (self.next + 1) % Self::KEPT as u8;
    }

    fn may_contain(&self, id: u32) -> bool {
        id <= self.forgotten || self.ids.contains(&id)
    }
}

impl Default for Resets {
    fn default() -> Self {
        Self { ids: [0; Self::KEPT], next: 0, forgotten: 0 }
    }
}
