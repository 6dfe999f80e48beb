//! What is sent: heads, bodies, trailers, and the end of streams before their time.

use super::writer::Target;
use super::{Connection, HeadWriter, Role};
use crate::error::{ErrorCode, Refused};
use crate::frame::{self, Kind};
use crate::head::{RequestHead, check_request_head};
use crate::stream::{Blocked, Key, Phase};

/// Octets of content in one DATA frame, whatever the peer takes: with its header and that of TLS, one record.
const DATA_LEN: usize = frame::DEFAULT_MAX_FRAME_SIZE as usize;

/// Less content than this in a DATA frame that a window cut short is a crumb.
const CRUMB: usize = 256;

impl Connection {
    /// Begins a request. The stream is open once the writer is [finished](HeadWriter::finish).
    ///
    /// # Errors
    /// [`Refused::StreamLimit`] and [`Refused::OutputFull`] pass, [`Refused::Closing`] does not: take another
    /// connection. [`Refused::ExtendedConnect`]: the peer has not enabled it. [`Refused::Field`]: a value that no
    /// request may have.
    pub fn open(&mut self, head: &RequestHead<'_>) -> Result<HeadWriter<'_>, Refused> {
        self.may_open()?;
        if head.protocol.is_some() && !self.peer.extended_connect {
            return Err(Refused::ExtendedConnect);
        }
        let tunnel = check_request_head(head).map_err(|_| Refused::Field)?.tunnel;
        let pseudo: [(&[u8], Option<&[u8]>); 5] = [
            (b":method", Some(head.method)),
            (b":scheme", head.scheme),
            (b":authority", head.authority),
            (b":path", head.path),
            (b":protocol", head.protocol),
        ];
        let mut writer = HeadWriter::begin(self, Target::Request { bodiless: head.method == b"HEAD", tunnel });
        for (name, value) in pseudo {
            if let Some(value) = value {
                writer.pseudo(name, value);
            }
        }
        Ok(writer)
    }

    /// Begins the response to a request.
    ///
    /// # Errors
    /// [`Refused::Gone`], [`Refused::OutOfOrder`] after an earlier final head, [`Refused::OutputFull`],
    /// [`Refused::Status`].
    pub fn respond(&mut self, stream: Key, status: u16) -> Result<HeadWriter<'_>, Refused> {
        if !(200..1_000).contains(&status) {
            return Err(Refused::Status(status));
        }
        self.begin_response(stream, status, Target::Response(stream, status))
    }

    /// Begins an interim response (RFC 9110 section 15.2), of which there may be several before the final one.
    ///
    /// # Errors
    /// As [`respond`](Self::respond).
    pub fn inform(&mut self, stream: Key, status: u16) -> Result<HeadWriter<'_>, Refused> {
        if !(100..200).contains(&status) || status == 101 {
            return Err(Refused::Status(status));
        }
        self.begin_response(stream, status, Target::Interim(stream))
    }

    fn begin_response(&mut self, key: Key, status: u16, target: Target) -> Result<HeadWriter<'_>, Refused> {
        if self.role != Role::Server {
            return Err(Refused::Role);
        }
        let stream = self.streams.get(key).ok_or(Refused::Gone)?;
        if stream.sending != Phase::Head {
            return Err(Refused::OutOfOrder);
        }
        self.room(key)?;
        let mut writer = HeadWriter::begin(self, target);
        let digit = |weight: u16| b'0' + u8::try_from(status / weight % 10).expect("a digit");
        writer.pseudo(b":status", &[digit(100), digit(10), digit(1)]);
        Ok(writer)
    }

    /// Begins trailers (RFC 9113 section 8.1), which end the message.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`Refused::OutputFull`].
    pub fn trailers(&mut self, stream: Key) -> Result<HeadWriter<'_>, Refused> {
        let sending = self.streams.get(stream).ok_or(Refused::Gone)?.sending;
        if sending != Phase::Body {
            return Err(Refused::OutOfOrder);
        }
        self.room(stream)?;
        Ok(HeadWriter::begin(self, Target::Trailers(stream)))
    }

    /// Sends as much of `bytes` as both windows and the output allow, and says how much that was; the rest stays with
    /// the caller, who need not ask again before [`next_writable`](Self::next_writable) names the stream. `end` ends
    /// the message if all of `bytes` was taken.
    ///
    /// # Errors
    /// [`Refused::Gone`], or [`Refused::OutOfOrder`] before the head, after the end, and for a body where there can be
    /// none: to HEAD, with 204 and 304 (RFC 9110 section 6.4.1).
    pub fn send(&mut self, stream: Key, bytes: &[u8], end: bool) -> Result<usize, Refused> {
        let room = (self.config.limits.buffered_output as usize).saturating_sub(self.output.len());
        let (key, responds) = (stream, self.role == Role::Server);
        let waits = self.waits_behind_others(key);
        let stream = self.streams.get(key).ok_or(Refused::Gone)?;
        if stream.sending != Phase::Body || (responds && stream.bodiless && !bytes.is_empty()) {
            return Err(Refused::OutOfOrder);
        }
        let id = stream.id;
        let (own, shared) = (stream.allowed.octets(), if waits { 0 } else { self.allowed.octets() });
        let taken = bytes.len().min(own.min(shared) as usize).min(room);
        let octets = u32::try_from(taken).expect("a window is below 2^31");
        let ends = end && taken == bytes.len();
        stream.allowed.take(octets);
        if ends {
            stream.sending = Phase::Done;
        }
        self.allowed.take(octets);
        if taken < bytes.len() {
            let by = if own == octets {
                Blocked::Window
            } else if shared == octets {
                Blocked::Connection
            } else {
                Blocked::Output
            };
            self.block_on(key, by);
            // A peer that lets us send by crumbs does not earn more WINDOW_UPDATE by it (CVE-2019-9511).
            if by == Blocked::Output || taken >= CRUMB {
                self.budgets.earn_by_data(&self.config.limits);
            }
        } else {
            self.budgets.earn_by_data(&self.config.limits);
        }
        self.write_data(id, &bytes[..taken], ends);
        if ends {
            self.ended(key);
        }
        Ok(taken)
    }

    #[inline]
    fn write_data(&mut self, id: u32, mut bytes: &[u8], end: bool) {
        while bytes.len() > DATA_LEN {
            let (piece, rest) = bytes.split_at(DATA_LEN);
            self.output.frame(Kind::Data, 0, id, piece);
            self.budgets.earn_by_data(&self.config.limits);
            bytes = rest;
        }
        if !bytes.is_empty() || end {
            self.output.frame(Kind::Data, if end { frame::END_STREAM } else { 0 }, id, bytes);
        }
    }

    /// How much [`send`](Self::send) would take now. If nothing, the stream waits, and
    /// [`next_writable`](Self::next_writable) names it: so a caller need not read its source before there is room.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn sendable(&mut self, stream: Key) -> Result<usize, Refused> {
        let room = (self.config.limits.buffered_output as usize).saturating_sub(self.output.len());
        let shared = if self.waits_behind_others(stream) { 0 } else { self.allowed.octets() };
        let state = self.streams.get(stream).ok_or(Refused::Gone)?;
        if state.sending != Phase::Body {
            return Err(Refused::OutOfOrder);
        }
        let own = state.allowed.octets();
        let by = match (own, shared) {
            (0, _) => Blocked::Window,
            (_, 0) => Blocked::Connection,
            _ => Blocked::Output,
        };
        let sendable = room.min(own.min(shared) as usize);
        if sendable == 0 {
            self.block_on(stream, by);
        }
        Ok(sendable)
    }

    /// Whether others wait for what this stream would take, so that it has to wait behind them.
    fn waits_behind_others(&self, key: Key) -> bool {
        self.turn != Some(key) && self.queue.front().is_some_and(|&first| first != key)
    }

    /// The next stream that was refused room and has it now, each once, first come, first served. To be asked until it
    /// returns `None` after each round of [`receive`](Self::receive) and after [`wrote`](Self::wrote).
    pub fn next_writable(&mut self) -> Option<Key> {
        self.turn = None;
        if self.queue.is_empty() || self.output.len() >= self.config.limits.buffered_output as usize {
            return None;
        }
        let open = self.allowed.octets() > 0;
        loop {
            let streams = &mut self.streams;
            let ready =
                |&key: &Key| streams.get(key).is_none_or(|stream| open || stream.blocked == Some(Blocked::Output));
            let at = self.queue.iter().position(ready)?;
            let key = self.queue.remove(at)?;
            // It may have sent without being asked to, and be done.
            if let Some(stream) = self.streams.get(key)
                && stream.blocked.take().is_some()
                && stream.sending != Phase::Done
            {
                self.turn = Some(key);
                return Some(key);
            }
        }
    }

    /// Gives `octets` of a body back to the peer's windows (RFC 9113 section 5.2.1), once they were passed on. Needed
    /// for the whole body, also after its end, unless the stream is [reset](Self::reset): a stream of which DATA is
    /// held keeps its place.
    #[inline]
    pub fn release(&mut self, stream: Key, octets: usize) {
        let key = stream;
        let Some(stream) = self.streams.get(key) else { return };
        let octets = u32::try_from(octets).map_or(stream.held, |octets| octets.min(stream.held));
        stream.held -= octets;
        if stream.receiving != Phase::Done {
            if let Some(increment) = stream.granted.release(octets, self.config.windows.stream) {
                self.output.window_update(stream.id, increment);
            }
        } else if stream.is_done() && stream.held == 0 {
            self.remove(key);
        }
        self.release_connection(octets);
    }

    /// Ends a stream in whatever state it is; nothing happens if it has ended. A server that has responded and does
    /// not want the rest of the request uses [`ErrorCode::NO_ERROR`] (RFC 9113 section 8.1).
    pub fn reset(&mut self, stream: Key, code: ErrorCode) {
        let Some(state) = self.streams.get(stream) else { return };
        let (id, done) = (state.id, state.is_done());
        self.take_out(stream);
        if !done {
            match self.role {
                // The peer chose how many streams there are to reset, and may not read that they were.
                Role::Server => self.output.rst_stream(id, code),
                Role::Client => self.output.frame(Kind::RstStream, 0, id, &code.0.to_be_bytes()),
            }
            // What it sent before it knew may still come.
            self.resets.add(id);
            self.budgets.earn_by_reset(&self.config.limits);
        }
    }

    /// Whether a head may go out; if not, its stream waits.
    fn room(&mut self, key: Key) -> Result<(), Refused> {
        if self.output.len() < self.room_for_heads() {
            return Ok(());
        }
        self.block_on(key, Blocked::Output);
        Err(Refused::OutputFull)
    }

    fn block_on(&mut self, key: Key, by: Blocked) {
        let Some(stream) = self.streams.get(key) else { return };
        let queued = matches!(stream.blocked, Some(Blocked::Connection | Blocked::Output));
        stream.blocked = Some(by);
        match by {
            Blocked::Window if queued => self.queue.retain(|&waiting| waiting != key),
            Blocked::Connection | Blocked::Output if !queued => self.queue.push_back(key),
            _ => {}
        }
    }
}
