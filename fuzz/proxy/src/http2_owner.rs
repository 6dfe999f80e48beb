//! The owner of one end of HTTP/2, who gives any command at any time, and what he may expect of it.
//!
//! What must hold: events come in the order of a message and name streams that are open; a command does what its
//! contract says in the state that the owner knows; the end counts its streams as he does; a head that is dropped leaves
//! no trace; and memory stays within the limits.

use byrnie_http2::{
    Connection, ConnectionError, ErrorCode, Event, Fields, HeadWriter, Key, Refused, RequestHead, Role,
};

use super::http2_frames::{HEADER, TIGHT};
use super::tape::Tape;

/// What a connection may hold at most, with the limits of [`TIGHT`]: the output with a head and what the owner adds, twice;
/// the header table four times over; a block, and its fields.
const MOST_MEMORY: usize = 2 * 12_000 + 4 * 65_536 + 4 * 17_000;
/// And for each stream that there ever was, with a RST_STREAM in the output.
const MOST_MEMORY_OF_A_STREAM: usize = 512;

/// Fields that are written; the last two cannot be, and stand in heads that are dropped or refused.
const FIELDS: [(&[u8], &[u8]); 6] = [
    (b"X-Sum", b"7"),
    (b"x-empty", b""),
    (b"Connection", b"close"),
    (b"te", b"trailers"),
    (b"x y", b"z"),
    (b"x", b"\r\n"),
];
const GOOD: usize = 4;

/// How far a stream is, as its owner knows.
#[derive(Debug)]
struct Known {
    key: Key,
    sending: Phase,
    receiving: Phase,
    /// Given out and not released.
    held: usize,
    /// Room was refused, and the stream was not named since.
    waits: bool,
    /// Its key is stale.
    is_gone: bool,
    /// It answers HEAD.
    is_bodiless: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
    Done,
}

/// One end and its owner.
#[derive(Debug)]
pub struct Owner {
    /// The end.
    pub connection: Connection,
    /// Every event in words, the pieces of bodies joined.
    pub transcript: Vec<String>,
    fields: Fields,
    /// Bytes that were presented and not taken.
    held: Vec<u8>,
    known: Vec<Known>,
    has_ended: bool,
}

impl Owner {
    /// The owner of a fresh end.
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            transcript: Vec::new(),
            fields: Fields::new(),
            held: Vec::new(),
            known: Vec::new(),
            has_ended: false,
        }
    }

    /// The owner of a client that has opened these requests, each as by a command with two bytes.
    pub fn with_requests(connection: Connection, requests: &[[u8; 2]]) -> Self {
        let mut owner = Self::new(connection);
        for request in requests {
            owner.open_stream(&mut Tape(request));
        }
        owner
    }

    /// Reads until nothing more comes.
    pub fn receive(&mut self, bytes: &[u8]) {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut input = &held[..];
        let most = 2 * held.len() + self.known.len() + 10;
        for _ in 0..most {
            let before = input;
            let mut fields = std::mem::take(&mut self.fields);
            let received = self.connection.receive(&mut input, &mut fields);
            assert!(before.ends_with(input), "the input is not what was left of it");
            let goes_on = match received {
                Ok(Some(event)) => {
                    self.event(&event, before);
                    true
                }
                Ok(None) => false,
                Err(error) => {
                    self.failed(&error);
                    false
                }
            };
            self.fields = fields;
            if !goes_on {
                assert!(self.has_ended || input.len() < HEADER + 16_384 + 1, "{} bytes are left", input.len());
                self.held = if self.has_ended { Vec::new() } else { input.to_vec() };
                self.check();
                return;
            }
        }
        panic!("more than {most} events from {} bytes", held.len());
    }

    fn event(&mut self, event: &Event<'_, '_>, input: &[u8]) {
        assert!(!self.has_ended, "an event after the end: {event:?}");
        let is_server = self.connection.role() == Role::Server;
        match event {
            Event::Request { stream, head, end } => {
                assert!(is_server && self.known.iter().all(|known| known.key != *stream), "a key is used again");
                self.transcript.push(format!("request {} {:?} {end}", head.method().escape_ascii(), head.path()));
                assert!(head.fields().all(|field| !field.is_pseudo()));
                let receiving = if *end { Phase::Done } else { Phase::Body };
                let is_bodiless = head.method() == b"HEAD";
                self.known.push(Known { is_bodiless, ..Known::new(*stream, receiving) });
            }
            Event::Response { stream, head, end } => {
                assert!(!is_server && (200..600).contains(&head.status()));
                self.transcript.push(format!("response {} {end}", head.status()));
                self.open(*stream).received(Phase::Head, if *end { Phase::Done } else { Phase::Body });
            }
            Event::Interim { stream, head } => {
                assert!(!is_server && (100..200).contains(&head.status()));
                self.transcript.push(format!("interim {}", head.status()));
                self.open(*stream).received(Phase::Head, Phase::Head);
            }
            Event::Trailers { stream, fields } => {
                assert!(fields.iter().all(|field| !field.is_pseudo()));
                self.transcript.push(format!("trailers {}", fields.len()));
                self.open(*stream).received(Phase::Body, Phase::Done);
            }
            Event::Data { stream, bytes, end } => {
                let (around, inside) = (input.as_ptr_range(), bytes.as_ptr_range());
                assert!(bytes.is_empty() || (around.start <= inside.start && inside.end <= around.end));
                assert!(*end || !bytes.is_empty(), "a piece of nothing");
                let known = self.open(*stream);
                known.held += bytes.len();
                known.received(Phase::Body, if *end { Phase::Done } else { Phase::Body });
                self.wrote_body(*stream, bytes.len(), *end);
            }
            Event::Reset { stream, code, cause } => {
                let _ = cause.is_unprocessed(*code);
                self.transcript.push(format!("reset {code} {cause:?}"));
                self.open(*stream).is_gone = true;
            }
            Event::GoAway { last, code, debug } => self.transcript.push(format!("goaway {last} {code} {debug:?}")),
            Event::Pong(payload) => self.transcript.push(format!("pong {payload:?}")),
            Event::Settings => self.transcript.push("settings".to_owned()),
            other => panic!("an event that is not known: {other:?}"),
        }
        self.forget();
    }

    /// Bodies come in pieces that depend on how the input is cut; only their sum is written down, once it ends.
    fn wrote_body(&mut self, stream: Key, length: usize, end: bool) {
        let last = self.transcript.last_mut().and_then(|entry| entry.strip_prefix("body of ").map(str::to_owned));
        let name = format!("{stream:?}");
        let before = last.as_deref().and_then(|entry| entry.strip_prefix(&name[..])?.trim().parse::<usize>().ok());
        if before.is_some() {
            self.transcript.pop();
        }
        let mark = if end { ".." } else { "" };
        self.transcript.push(format!("body of {name} {}{mark}", before.unwrap_or(0) + length));
    }

    fn failed(&mut self, error: &ConnectionError) {
        if !self.has_ended {
            self.transcript.push(format!("failed: {error}"));
        }
        assert!(!error.violation.section().is_empty() && self.connection.is_finished());
        self.ended();
    }

    fn ended(&mut self) {
        self.has_ended = true;
        for known in &mut self.known {
            known.is_gone = true;
        }
    }

    /// The stream of an event, which is open.
    fn open(&mut self, key: Key) -> &mut Known {
        let known = self.known.iter_mut().find(|known| known.key == key).expect("an event of a stream that is known");
        assert!(!known.is_gone, "an event of a stream that is gone");
        known
    }

    /// Streams that are done and hold nothing are gone.
    fn forget(&mut self) {
        for known in &mut self.known {
            known.is_gone |= known.is_done() && known.held == 0;
        }
    }

    /// One command, that is right or wrong in its state.
    pub fn command(&mut self, tape: &mut Tape<'_>) {
        match tape.below(16) {
            0..=2 if self.connection.role() == Role::Client => self.open_stream(tape),
            0..=2 => self.respond(tape),
            3 => self.inform(tape),
            4..=6 => self.send(tape),
            7 => self.trailers(tape),
            8 | 9 => self.release(tape),
            10 => self.reset(tape),
            11 => self.next_writable(),
            12 => {
                let count = usize::from(tape.byte()) * 8;
                self.connection.wrote(count);
            }
            13 => self.connection.wrote(self.connection.output().len()),
            14 => self.rare(tape),
            _ => self.drop_heads(tape),
        }
        self.forget();
        self.check();
    }

    fn rare(&mut self, tape: &mut Tape<'_>) {
        match tape.below(16) {
            0 => {
                self.connection.close(ErrorCode::INTERNAL_ERROR);
                self.ended();
            }
            1 => self.connection.drain(),
            2 if self.connection.output().len() < 1_000 => self.connection.ping(*b"12345678"),
            3..=5 => self.connection.rest(),
            _ => self.connection.tick(),
        }
    }

    fn open_stream(&mut self, tape: &mut Tape<'_>) {
        let choices = tape.byte();
        let methods: [&[u8]; 4] = [b"GET", b"POST", b"HEAD", b"CONNECT"];
        let method = methods[usize::from(choices & 3)];
        let tunnel = method == b"CONNECT";
        let head = RequestHead {
            method,
            scheme: (!tunnel).then_some(&b"http"[..]),
            authority: Some(b"shop"),
            path: (!tunnel).then_some(&b"/cart"[..]),
            protocol: None,
        };
        let (before, can) = (self.connection.output().to_vec(), self.connection.can_open());
        let (end, fields) = (choices & 4 > 0, tape.byte());
        let opened = self.connection.open(&head).and_then(|writer| written(writer, fields).finish(end));
        match opened {
            Ok(key) => {
                assert!(can && self.known.iter().all(|known| known.key != key), "a key is used again");
                let sending = if end { Phase::Done } else { Phase::Body };
                self.known.push(Known { sending, ..Known::new(key, Phase::Head) });
            }
            Err(refused) => {
                let is_head = matches!(refused, Refused::Field | Refused::HeadTooLarge { .. });
                assert!(can == is_head, "{refused}, and a stream {} be opened", if can { "can" } else { "cannot" });
                assert_eq!(self.connection.output(), before, "a refused head left something");
            }
        }
    }

    fn respond(&mut self, tape: &mut Tape<'_>) {
        let Some(at) = self.pick(tape) else { return };
        let (choices, fields) = (tape.byte(), tape.byte());
        let (status, end) = ([200, 503, 199, 600][usize::from(choices >> 6)], choices & 1 > 0);
        let (before, key) = (self.connection.output().to_vec(), self.known[at].key);
        let done = self.connection.respond(key, status).and_then(|writer| written(writer, fields).finish(end));
        self.known[at].head(done, &before, &self.connection, if end { Phase::Done } else { Phase::Body });
    }

    fn inform(&mut self, tape: &mut Tape<'_>) {
        let Some(at) = self.pick(tape) else { return };
        let (before, key) = (self.connection.output().to_vec(), self.known[at].key);
        let done = self.connection.inform(key, 103).and_then(|writer| writer.finish(true));
        if self.connection.role() == Role::Client {
            assert_eq!(done, Err(Refused::Role));
            return;
        }
        self.known[at].head(done, &before, &self.connection, Phase::Head);
    }

    fn send(&mut self, tape: &mut Tape<'_>) {
        let Some(at) = self.pick(tape) else { return };
        let (length, end) = (tape.number() % 20_000, tape.byte() & 1 > 0);
        let (before, known) = (self.connection.output().len(), &mut self.known[at]);
        let done = self.connection.send(known.key, &vec![b'y'; length], end);
        match known.refusal(Phase::Body) {
            Some(refused) => assert_eq!(done, Err(refused)),
            None if known.is_bodiless && length > 0 => assert_eq!(done, Err(Refused::OutOfOrder)),
            None => {
                let taken = done.expect("a body in its place");
                assert!(taken <= length.min((TIGHT.buffered_output as usize).saturating_sub(before)));
                known.waits |= taken < length;
                if end && taken == length {
                    known.sending = Phase::Done;
                }
            }
        }
        if let Ok(0) | Err(_) = done
            && !(end && length == 0)
        {
            assert_eq!(self.connection.output().len(), before, "nothing was taken, but something written");
        }
    }

    fn trailers(&mut self, tape: &mut Tape<'_>) {
        let Some(at) = self.pick(tape) else { return };
        let (before, fields) = (self.connection.output().to_vec(), tape.byte());
        let done = self.connection.trailers(self.known[at].key);
        let done = done.and_then(|writer| written(writer, fields).finish(fields & 1 > 0));
        let known = &mut self.known[at];
        match (known.refusal(Phase::Body), done) {
            (Some(refused), done) => assert_eq!(done, Err(refused)),
            (None, Ok(_)) => known.sending = Phase::Done,
            (None, Err(refused)) => known.refused_head(refused),
        }
        if done.is_err() {
            assert_eq!(self.connection.output(), before, "refused trailers left something");
        }
    }

    fn release(&mut self, tape: &mut Tape<'_>) {
        let Some(at) = self.pick(tape) else { return };
        let known = &mut self.known[at];
        let released = if tape.byte() & 1 > 0 { known.held } else { usize::from(tape.byte()).min(known.held) };
        let before = self.connection.output().len();
        self.connection.release(known.key, released);
        if known.is_gone {
            assert_eq!(self.connection.output().len(), before, "a late release was answered");
        } else {
            known.held -= released;
        }
    }

    fn reset(&mut self, tape: &mut Tape<'_>) {
        let Some(at) = self.pick(tape) else { return };
        let known = &mut self.known[at];
        let before = self.connection.output().len();
        self.connection.reset(known.key, ErrorCode(u32::from(tape.byte() & 15)));
        if known.is_gone {
            assert_eq!(self.connection.output().len(), before, "a late reset was written");
        }
        known.is_gone = true;
    }

    /// Every stream that is named was refused room, and has not ended since.
    fn next_writable(&mut self) {
        let mut named = Vec::new();
        while let Some(key) = self.connection.next_writable() {
            let known = self.known.iter_mut().find(|known| known.key == key).expect("a stream that is known");
            assert!(known.waits && !known.is_gone && known.sending != Phase::Done, "named for nothing: {known:?}");
            known.waits = false;
            assert!(!named.contains(&key), "named twice");
            named.push(key);
        }
    }

    /// Heads that are begun and dropped change nothing.
    fn drop_heads(&mut self, tape: &mut Tape<'_>) {
        let Some(at) = self.pick(tape) else { return };
        let (before, fields, key) = (self.connection.output().to_vec(), tape.byte(), self.known[at].key);
        let _ = self.connection.inform(key, 100).map(|writer| drop(written(writer, fields)));
        let _ = self.connection.trailers(key).map(|writer| drop(written(writer, fields)));
        if self.connection.role() == Role::Server {
            let _ = self.connection.respond(key, 200).map(|writer| drop(written(writer, fields)));
        }
        if self.connection.output().len() >= TIGHT.buffered_output as usize {
            self.known[at].waits = true;
        }
        assert_eq!(self.connection.output(), before, "a dropped head left something");
    }

    /// One of the streams there ever were, mostly a late one.
    fn pick(&self, tape: &mut Tape<'_>) -> Option<usize> {
        let back = usize::from(tape.byte() & 7);
        self.known.len().checked_sub(1).map(|last| last.saturating_sub(back))
    }

    fn check(&self) {
        let active = self.known.iter().filter(|known| !known.is_gone && !known.is_done()).count();
        assert_eq!(self.connection.active_streams() as usize, active, "{:?}", self.known);
        let memory = self.connection.memory() + self.fields.memory();
        let most = MOST_MEMORY + self.known.len() * MOST_MEMORY_OF_A_STREAM;
        assert!(memory <= most, "{memory} bytes, at most {most} should be");
        assert!(!self.has_ended || (self.connection.is_finished() && self.connection.is_closing()));
    }
}

impl Known {
    fn new(key: Key, receiving: Phase) -> Self {
        Self { key, sending: Phase::Head, receiving, held: 0, waits: false, is_gone: false, is_bodiless: false }
    }

    fn is_done(&self) -> bool {
        self.sending == Phase::Done && self.receiving == Phase::Done
    }

    fn received(&mut self, from: Phase, to: Phase) {
        assert_eq!(self.receiving, from, "not at this point of a message");
        self.receiving = to;
    }

    /// Why a command that belongs into `phase` is refused.
    fn refusal(&self, phase: Phase) -> Option<Refused> {
        match () {
            () if self.is_gone => Some(Refused::Gone),
            () if self.sending != phase => Some(Refused::OutOfOrder),
            () => None,
        }
    }

    /// What came of a head of a response.
    fn head(&mut self, done: Result<Key, Refused>, before: &[u8], connection: &Connection, then: Phase) {
        match (done, self.refusal(Phase::Head)) {
            (Err(Refused::Status(status)), _) => assert!(!(200..600).contains(&status)),
            (Err(refused), Some(due)) => assert_eq!(refused, due),
            (Err(refused), None) => self.refused_head(refused),
            (Ok(_), Some(due)) => panic!("not refused: {due}"),
            (Ok(_), None) => self.sending = then,
        }
        if done.is_err() {
            assert_eq!(connection.output(), before, "a refused head left something");
        }
    }

    fn refused_head(&mut self, refused: Refused) {
        match refused {
            Refused::OutputFull => self.waits = true,
            Refused::Field | Refused::HeadTooLarge { .. } => {}
            other => panic!("{other}"),
        }
    }
}

/// Each bit is one of [`FIELDS`]; those that cannot be written are rare.
fn written(mut writer: HeadWriter<'_>, bits: u8) -> HeadWriter<'_> {
    let bits = if bits & 0xc0 == 0xc0 { bits & 0x3f } else { bits & ((1 << GOOD) - 1) };
    for (at, (name, value)) in FIELDS.into_iter().enumerate() {
        match bits >> at & 1 {
            0 => {}
            _ if at == 1 => drop(writer.sensitive_field(name, value)),
            _ => drop(writer.field(name, value)),
        }
    }
    writer
}
