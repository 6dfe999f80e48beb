//! A client and a server joined by two queues of bytes, and owners who do anything at any time: requests, bodies,
//! trailers, early and interim responses, tunnels, hang-ups and misuse.
//!
//! What must hold: each end reads what the other was told to write, up to where it has come; only a hang-up makes an
//! error of it; a command that is refused writes nothing; and after an error nothing is read or written any more.

use byrnie_http1::{Body, Client, Error, Limits, Misuse, Server, Space, client, server};

use super::tape::Tape;

/// Little room for output, so that `send` often takes a part.
const LIMITS: Limits = Limits {
    head_bytes: 64 * 1024,
    fields: 100,
    name: 256,
    value: 32 * 1024,
    target: 16 * 1024,
    leading_empty_lines: 2,
    connection_options: 32,
    chunk_extension_bytes: 4 * 1024,
    trailer_bytes: 8 * 1024,
    trailers: 32,
    interim_responses: 3,
    buffered_output: 200,
};
/// Bytes that frame a chunk, beyond those that count as output.
const FRAMING: usize = 64;

/// Methods and targets, two that cannot be written at last.
const REQUESTS: [(&str, &str); 10] = [
    ("GET", "/a"),
    ("POST", "/b?c=d"),
    ("PUT", "http://a/b"),
    ("HEAD", "/"),
    ("CONNECT", "a:1"),
    ("OPTIONS", "*"),
    ("GET", "?q"),
    ("GET", ""),
    ("G T", "/"),
    ("GET", "/ /"),
];
const STATUSES: [u16; 10] = [200, 404, 204, 304, 999, 101, 201, 100, 103, 99];
/// What is written as fields and trailers; those after [`WRITTEN`] are the core's own or cannot be written.
const FIELDS: [(&[u8], &[u8]); 8] = [
    (b"X-Sum", b"7"),
    (b"x-empty", b""),
    (b"Link", b"</a>; rel=\"b\",\t<\xe4>"),
    (b"Connection", b"close"),
    (b"Transfer-Encoding", b"gzip"),
    (b"content-length", b"5"),
    (b"X Y", b"z"),
    (b"X-Split", b"a\r\nb"),
];
const WRITTEN: usize = 3;
const BODY: [u8; 256] = [b'x'; 256];

/// Plays `data` as a script.
pub fn run(data: &[u8]) {
    let mut tape = Tape(data);
    let mut play = Play {
        client: Client::new(LIMITS),
        server: Server::new(LIMITS),
        up: Queue::default(),
        down: Queue::default(),
        interim: Vec::new(),
        interim_read: Vec::new(),
    };
    while !tape.is_at_end() {
        play.step(&mut tape);
        play.check();
    }
    play.come_to_rest();
}

/// A message as it was written or read so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    /// The first line's words.
    line: (String, String),
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Length only: all bytes are the same, and which came is told by how many.
    body: usize,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    is_complete: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Queue {
    /// Written, not yet on its way.
    out: Vec<u8>,
    /// Arrived, not yet read.
    held: Vec<u8>,
    /// The writing side closed.
    is_cut: bool,
    /// The reading side was told so.
    has_ended: bool,
    /// The reading side met an error.
    error: Option<Error>,
    written: Vec<Message>,
    read: Vec<Message>,
    tunnel_written: usize,
    tunnel_read: usize,
}

impl Queue {
    fn carry(&mut self, count: usize) {
        if !self.is_cut {
            self.held.extend(self.out.drain(..count.min(self.out.len())));
        }
    }

    /// Closes; what was written and is not on its way is lost.
    fn cut(&mut self) {
        self.is_cut = true;
        self.out.clear();
    }

    fn wrote_body(&mut self, count: usize, is_tunnel: bool) {
        if is_tunnel {
            self.tunnel_written += count;
        } else if let Some(message) = self.written.last_mut() {
            message.body += count;
        }
    }

    fn read_body(&mut self, bytes: &[u8], is_tunnel: bool) {
        assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == b'x'), "bytes that nobody wrote");
        if is_tunnel {
            self.tunnel_read += bytes.len();
        } else {
            self.read.last_mut().expect("a head in front of a body").body += bytes.len();
        }
    }

    /// Only a writer that hung up makes an error.
    fn failed(&mut self, error: Error) {
        let is_due = match error {
            Error::Truncated | Error::NoResponse => self.has_ended,
            Error::TooManyInterimResponses { .. } => true,
            _ => false,
        };
        assert!(is_due, "what the other side wrote is refused: {error}");
        assert_eq!(self.error.replace(error), None, "a second error");
    }

    /// What was read is what was written, as far as it has come. `blind`: the last message answers a request that was
    /// not read, so that its writer cannot know how its end is found (a HEAD that was cut off).
    fn check(&self, blind: bool) {
        assert!(self.read.len() <= self.written.len(), "more messages than were written");
        assert!(self.tunnel_read <= self.tunnel_written, "more in the tunnel than was written");
        for (at, (read, written)) in self.read.iter().zip(&self.written).enumerate() {
            assert_eq!((&read.line, &read.fields), (&written.line, &written.fields));
            assert!(read.body <= written.body, "more of a body than was written: {read:?} {written:?}");
            if read.is_complete && !(blind && at + 1 == self.written.len()) {
                assert_eq!(read, written, "the end of a message is not where it was written");
            }
        }
    }
}

struct Play {
    client: Client,
    server: Server,
    up: Queue,
    down: Queue,
    /// Statuses of the interim responses.
    interim: Vec<u16>,
    interim_read: Vec<u16>,
}

impl Play {
    fn step(&mut self, tape: &mut Tape<'_>) {
        match tape.below(16) {
            0 | 1 => self.request(tape),
            2 => self.client_sends(tape.byte().into()),
            3 => self.client_finishes(tape),
            4 | 5 => self.respond(tape),
            6 => self.server_sends(tape.byte().into()),
            7 => self.server_finishes(tape),
            8 => self.inform(tape),
            9 => self.up.carry(tape.byte().into()),
            10 => self.down.carry(tape.byte().into()),
            11 => drop(self.server_receives()),
            12 => drop(self.client_receives()),
            13 => self.flow(),
            14 => match tape.below(8) {
                0 => self.up.cut(),
                1 => self.down.cut(),
                2 => self.server.close_after_response(),
                3 => self.client.close_after_response(),
                _ => self.abandon(tape),
            },
            _ => {
                self.flow();
                self.request(tape);
                self.flow();
            }
        }
    }

    fn request(&mut self, tape: &mut Tape<'_>) {
        let (method, target) = REQUESTS[tape.below(REQUESTS.len())];
        let (fields, body, flags) = (tape.byte(), body(tape), tape.byte());
        let before = self.up.out.len();
        let can = self.client.is_idle() && !self.client.must_close();
        let done = self.client.request(&mut self.up.out, method, target).and_then(|head| {
            let head = head.fields(chosen(fields));
            let head = if flags & 0xf0 == 0xf0 { head } else { head.field("Host", "a") };
            let head = if flags & 3 == 3 { head.upgrade("any") } else { head };
            head.end(body)
        });
        if self.up.command(before, done, self.client.must_close()).is_ok() {
            assert!(can, "a request where none is possible");
            let slash = if target.is_empty() || target.starts_with('?') { "/" } else { "" };
            let line = (method.to_owned(), format!("{slash}{target}"));
            self.up.written.push(Message { line, fields: kept(fields), ..Message::default() });
        }
    }

    /// A head that is begun and dropped changes nothing.
    fn abandon(&mut self, tape: &mut Tape<'_>) {
        let fields = tape.byte();
        let before = (self.up.out.clone(), self.down.out.clone());
        if self.client.can_reuse() {
            drop(self.client.request(&mut self.up.out, "GET", "/").map(|head| head.fields(chosen(fields))));
            assert!(self.client.can_reuse());
        }
        if self.server.may_respond() {
            drop(self.server.respond(&mut self.down.out, 200, "").map(|head| head.fields(chosen(fields))));
            assert!(self.server.may_respond());
        }
        assert_eq!(before, (self.up.out.clone(), self.down.out.clone()), "a dropped head left something");
    }

    fn client_sends(&mut self, count: usize) {
        let (before, is_tunnel) = (self.up.out.len(), self.client.is_tunnel());
        let done = self.client.send(&mut self.up.out, &BODY[..count]);
        if let Ok(taken) = self.up.command(before, done, self.client.must_close()) {
            check_taken(before, self.up.out.len(), taken, count);
            self.up.wrote_body(taken, is_tunnel);
        }
    }

    fn client_finishes(&mut self, tape: &mut Tape<'_>) {
        let (trailers, before) = (tape.byte(), self.up.out.len());
        let done = self.client.finish(&mut self.up.out, chosen(trailers));
        self.up.finished(before, done, self.client.must_close(), trailers);
    }

    fn respond(&mut self, tape: &mut Tape<'_>) {
        let status = STATUSES[tape.below(STATUSES.len())];
        let (fields, body, before) = (tape.byte(), body(tape), self.down.out.len());
        let may = self.server.may_respond();
        let done = self.server.respond(&mut self.down.out, status, "Why").and_then(|head| {
            let head = head.fields(chosen(fields));
            let head = if status == 101 { head.upgrade("any") } else { head };
            head.end(body)
        });
        if self.down.command(before, done, self.server.must_close()).is_ok() {
            assert!(may, "a response that nobody waits for");
            let line = (status.to_string(), "Why".to_owned());
            self.down.written.push(Message { line, fields: kept(fields), ..Message::default() });
        }
    }

    fn inform(&mut self, tape: &mut Tape<'_>) {
        let (status, before) = (STATUSES[tape.below(STATUSES.len())], self.down.out.len());
        let done = self.server.inform(&mut self.down.out, status).and_then(|head| head.end(Body::None));
        if self.down.command(before, done, self.server.must_close()).is_ok() {
            self.interim.push(status);
        }
    }

    fn server_sends(&mut self, count: usize) {
        let (before, is_tunnel) = (self.down.out.len(), self.server.is_tunnel());
        let done = self.server.send(&mut self.down.out, &BODY[..count]);
        if let Ok(taken) = self.down.command(before, done, self.server.must_close()) {
            check_taken(before, self.down.out.len(), taken, count);
            self.down.wrote_body(taken, is_tunnel);
        }
    }

    fn server_finishes(&mut self, tape: &mut Tape<'_>) {
        let (trailers, before) = (tape.byte(), self.down.out.len());
        let done = self.server.finish(&mut self.down.out, chosen(trailers));
        self.down.finished(before, done, self.server.must_close(), trailers);
    }

    /// One event, or the end of the input behind the last. False if there was none.
    fn server_receives(&mut self) -> bool {
        let held = std::mem::take(&mut self.up.held);
        let (mut input, mut space) = (&held[..], Space::new());
        let mut received = self.server.receive(&mut input, &mut space);
        self.up.held = input.to_vec();
        if self.up.error.is_some() {
            assert!(matches!(received, Ok(None)) && input.len() == held.len(), "read after an error: {received:?}");
            return false;
        }
        if matches!(received, Ok(None)) && self.up.is_to_end() {
            received = self.server.end_of_input();
        }
        match received {
            Ok(None) => return false,
            Ok(Some(server::Event::Request(request))) => {
                let others = request.end_to_end().filter(|(name, _)| *name != b"Host");
                self.up.read.push(Message {
                    line: (request.method().to_owned(), request.target().to_owned()),
                    fields: owned(others),
                    ..Message::default()
                });
            }
            Ok(Some(server::Event::Data(bytes))) => self.up.read_body(bytes, self.server.is_tunnel()),
            Ok(Some(server::Event::Trailers(trailers))) => self.up.read_trailers(owned(trailers.iter())),
            Ok(Some(server::Event::End)) => self.up.read_end(self.server.is_tunnel()),
            Err(error) => {
                self.up.failed(error);
                assert!(self.server.must_close());
            }
        }
        true
    }

    /// As [`Play::server_receives`].
    fn client_receives(&mut self) -> bool {
        let held = std::mem::take(&mut self.down.held);
        let (mut input, mut space) = (&held[..], Space::new());
        let mut received = self.client.receive(&mut input, &mut space);
        self.down.held = input.to_vec();
        if self.down.error.is_some() {
            assert!(matches!(received, Ok(None)) && input.len() == held.len(), "read after an error: {received:?}");
            return false;
        }
        if matches!(received, Ok(None)) && self.down.is_to_end() {
            received = self.client.end_of_input();
        }
        match received {
            Ok(None) => return false,
            Ok(Some(client::Event::Informational(response))) => self.interim_read.push(response.status()),
            Ok(Some(client::Event::Response(response))) => self.down.read.push(Message {
                line: (response.status().to_string(), String::from_utf8_lossy(response.reason()).into_owned()),
                fields: owned(response.end_to_end()),
                ..Message::default()
            }),
            Ok(Some(client::Event::Data(bytes))) => self.down.read_body(bytes, self.client.is_tunnel()),
            Ok(Some(client::Event::Trailers(trailers))) => self.down.read_trailers(owned(trailers.iter())),
            Ok(Some(client::Event::End)) => self.down.read_end(self.client.is_tunnel()),
            Err(error) => {
                self.down.failed(error);
                assert!(self.client.must_close() && !self.client.can_reuse());
            }
        }
        true
    }

    /// All that was written arrives and is read.
    fn flow(&mut self) {
        self.up.carry(usize::MAX);
        while self.server_receives() {}
        self.down.carry(usize::MAX);
        while self.client_receives() {}
    }

    fn check(&mut self) {
        if let Some(message) = self.up.written.last_mut() {
            message.is_complete |= self.client.is_request_complete();
        }
        if let Some(message) = self.down.written.last_mut() {
            message.is_complete |= self.server.is_response_complete();
        }
        self.up.check(false);
        self.down.check(self.up.error.is_some());
        assert!(self.interim.starts_with(&self.interim_read), "{:?} of {:?}", self.interim_read, self.interim);
        // One that was cut off is answered too.
        let requests = self.up.read.len() + usize::from(self.up.error.is_some());
        assert!(self.down.written.len() <= requests, "more responses than requests");
        let (client, server) = (&self.client, &self.server);
        assert!(!client.can_reuse() || (client.is_idle() && client.is_request_complete() && !client.must_close()));
        assert!(!server.is_idle() || !server.may_respond());
    }

    /// Where nothing failed, all that was written has come; then both hang up.
    fn come_to_rest(&mut self) {
        self.flow();
        self.check();
        if !self.server.must_close() && !self.up.is_cut {
            assert!(self.up.all_was_read(), "{:?}", self.up);
        }
        if !self.client.must_close() && !self.down.is_cut {
            assert!(self.down.all_was_read(), "{:?}", self.down);
            assert_eq!(self.interim_read, self.interim);
        }
        self.up.cut();
        self.down.cut();
        self.flow();
        self.check();
        assert!(!self.client.can_reuse());
    }
}

impl Queue {
    /// A command writes nothing if it is refused, and nothing at all goes out after one that broke a message.
    fn command<T>(&mut self, before: usize, done: Result<T, Misuse>, must_close: bool) -> Result<T, Misuse> {
        if let Err(misuse) = &done {
            assert_eq!(self.out.len(), before, "{misuse}, but something was written");
            assert!(!misuse.to_string().is_empty());
            let is_harmless = matches!(
                misuse,
                Misuse::Status { .. }
                    | Misuse::Host { .. }
                    | Misuse::Upgrade
                    | Misuse::ConnectBody
                    | Misuse::Invalid { .. }
            );
            assert!(is_harmless || must_close, "goes on after: {misuse}");
        }
        if self.is_cut {
            self.out.truncate(before);
        }
        done
    }

    fn finished(&mut self, before: usize, done: Result<(), Misuse>, must_close: bool, trailers: u8) {
        let after = self.out.len();
        if self.command(before, done, must_close).is_ok()
            && after > before
            && let Some(message) = self.written.last_mut()
        {
            message.trailers = kept(trailers);
        }
    }

    fn read_trailers(&mut self, trailers: Vec<(Vec<u8>, Vec<u8>)>) {
        self.read.last_mut().expect("a head in front of trailers").trailers = trailers;
    }

    fn read_end(&mut self, is_tunnel: bool) {
        if !is_tunnel && !self.has_ended {
            self.read.last_mut().expect("a head in front of an end").is_complete = true;
        }
    }

    /// The reading side has read all there is, and is to be told that nothing follows. Once.
    fn is_to_end(&mut self) -> bool {
        self.is_cut && !std::mem::replace(&mut self.has_ended, true)
    }

    fn all_was_read(&self) -> bool {
        let bodies = |messages: &[Message]| messages.last().map(|message| message.body);
        self.read.len() == self.written.len()
            && bodies(&self.read) == bodies(&self.written)
            && self.tunnel_read == self.tunnel_written
    }
}

fn check_taken(before: usize, after: usize, taken: usize, count: usize) {
    let room = (LIMITS.buffered_output as usize).saturating_sub(before);
    assert_eq!(taken, count.min(room), "took {taken} of {count} with room for {room}");
    assert!(after - before <= taken + FRAMING, "{} bytes for {taken} of a body", after - before);
}

fn body(tape: &mut Tape<'_>) -> Body {
    match tape.below(4) {
        0 => Body::None,
        1 => Body::Sized(tape.byte().into()),
        _ => Body::Unknown,
    }
}

/// Each bit is one of [`FIELDS`]; those that cannot be written are rare.
fn chosen(bits: u8) -> impl Iterator<Item = (&'static [u8], &'static [u8])> {
    let bits = if bits & 0x3f == 0x3f { bits } else { bits & 0x3f };
    FIELDS.iter().copied().enumerate().filter(move |(at, _)| bits >> at & 1 == 1).map(|(_, field)| field)
}

/// Those of [`chosen`] that arrive.
fn kept(bits: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    owned(chosen(bits & ((1 << WRITTEN) - 1)))
}

fn owned<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}
