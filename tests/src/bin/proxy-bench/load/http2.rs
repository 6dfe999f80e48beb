//! gRPC over HTTP/2: unary calls with a small message each way, an answer of 1 KiB, and trailers.

use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use byrnie_http2::{Config, Connection, ErrorCode, Event, Fields, Key, RequestHead, Response};

use super::{
    end::{End, Flow},
    pace::Pace,
    pattern,
};

/// Bytes of a message of a request, with the five in front that gRPC has.
const ASKED: u64 = 64;
/// Those of a reply.
const REPLY: u64 = pattern::SMALL;

/// What a stream received of its message, and when its request was due.
#[derive(Clone, Copy, Debug)]
struct Message {
    since: Instant,
    received: u64,
}

/// Streams by their index in the connection.
#[derive(Debug, Default)]
struct Messages(Vec<Option<Message>>);

impl Messages {
    fn open(&mut self, stream: Key, since: Instant) {
        let at = stream.index();
        if self.0.len() <= at {
            self.0.resize(at + 1, None);
        }
        self.0[at] = Some(Message { since, received: 0 });
    }

    /// Takes a piece of a message. Messages are the pattern, in place of gRPC's five bytes and a Protocol Buffer: no
    /// proxy looks inside.
    fn data(&mut self, stream: Key, bytes: &[u8], pace: &mut Pace) -> Result<()> {
        let message = self.0.get_mut(stream.index()).and_then(Option::as_mut).context("data of no stream")?;
        pattern::check(message.received, bytes)?;
        message.received += bytes.len() as u64;
        pace.carried(bytes.len());
        Ok(())
    }

    /// Ends a stream, which must have received so much.
    fn close(&mut self, stream: Key, length: u64) -> Result<Instant> {
        let message = self.0.get_mut(stream.index()).and_then(Option::take).context("the end of no stream")?;
        ensure!(message.received == length, "a message of {} bytes instead of {length}", message.received);
        Ok(message.since)
    }
}

/// A client with some streams at once.
pub struct Http2Client {
    token: usize,
    connection: Connection,
    fields: Fields,
    messages: Messages,
    outstanding: usize,
    closing: bool,
}

impl Http2Client {
    pub fn new(token: usize) -> Self {
        let connection = Connection::client(Config::default());
        let (fields, messages) = (Fields::new(), Messages::default());
        Self { token, connection, fields, messages, outstanding: 0, closing: false }
    }

    fn answered(&mut self, stream: Key, pace: &mut Pace) -> Result<()> {
        let since = self.messages.close(stream, REPLY)?;
        self.outstanding -= 1;
        let now = Instant::now();
        pace.answered(since, now);
        if self.closing {
            return Ok(());
        }
        match pace.next(self.token, now) {
            Some(due) => self.begin(due),
            None => Ok(()),
        }
    }
}

fn refused(why: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the load's own HTTP/2 refuses: {why}")
}

fn check_head(head: &Response<'_>, end: bool) -> Result<()> {
    let status = head.status();
    let grpc = head.get(b"grpc-status").map(String::from_utf8_lossy);
    ensure!(status == 200 && !end, "answered {status}, grpc-status {grpc:?}");
    Ok(())
}

fn check_trailers(fields: &Fields) -> Result<()> {
    let status = fields.iter().find(|field| field.name == b"grpc-status").context("trailers without grpc-status")?;
    ensure!(status.value == b"0", "grpc-status {}", String::from_utf8_lossy(status.value));
    Ok(())
}

impl End for Http2Client {
    fn receive(&mut self, input: &mut &[u8], pace: &mut Pace) -> Result<Flow> {
        loop {
            // Heads borrow from the arena, which is put back behind the event.
            let mut fields = std::mem::take(&mut self.fields);
            let done = match self.connection.receive(input, &mut fields)? {
                None => break self.fields = fields,
                Some(Event::Response { head, end, .. }) => check_head(&head, end).map(|()| None),
                Some(Event::Data { stream, bytes, end }) => {
                    self.connection.release(stream, bytes.len());
                    ensure!(!end, "an answer without trailers");
                    self.messages.data(stream, bytes, pace).map(|()| None)
                }
                Some(Event::Trailers { stream, fields }) => check_trailers(fields).map(|()| Some(stream)),
                Some(Event::Reset { code, .. }) => Err(anyhow!("reset with {code:?}")),
                Some(Event::GoAway { code, .. }) => {
                    self.closing = true;
                    ensure!(code == ErrorCode::NO_ERROR, "GOAWAY with {code:?}");
                    Ok(None)
                }
                Some(_) => Ok(None),
            }?;
            self.fields = fields;
            if let Some(stream) = done {
                self.answered(stream, pace)?;
            }
        }
        Ok(if self.closing && self.outstanding == 0 { Flow::Close } else { Flow::Open })
    }

    fn output(&mut self) -> &[u8] {
        self.connection.output()
    }

    fn wrote(&mut self, octets: usize) {
        self.connection.wrote(octets);
    }

    fn begin(&mut self, since: Instant) -> Result<()> {
        let head = RequestHead {
            method: b"POST",
            scheme: Some(b"http"),
            authority: Some(b"target.bench"),
            path: Some(b"/bench.Target/Ask"),
            protocol: None,
        };
        let mut head = self.connection.open(&head).map_err(refused)?;
        head.field(b"content-type", b"application/grpc").field(b"te", b"trailers");
        head.field(b"user-agent", b"proxy-bench/1").field(b"grpc-accept-encoding", b"identity,gzip");
        let stream = head.finish(false).map_err(refused)?;
        let sent = self.connection.send(stream, pattern::at(0, ASKED as usize), true).map_err(refused)?;
        ensure!(sent as u64 == ASKED, "no window for a request");
        self.messages.open(stream, since);
        self.outstanding += 1;
        Ok(())
    }

    fn outstanding(&self) -> usize {
        self.outstanding
    }

    fn tick(&mut self) {
        self.connection.tick();
    }
}

/// The application.
pub struct Http2Server {
    connection: Connection,
    fields: Fields,
    messages: Messages,
    /// Answers for which the windows have no room, and how much of each is sent.
    waiting: Vec<(Key, u64)>,
}

impl Http2Server {
    pub fn new() -> Self {
        let connection = Connection::server(Config::default());
        let (fields, messages) = (Fields::new(), Messages::default());
        Self { connection, fields, messages, waiting: Vec::new() }
    }

    fn answer(&mut self, stream: Key) -> Result<()> {
        self.messages.close(stream, ASKED)?;
        let mut head = self.connection.respond(stream, 200).map_err(refused)?;
        head.field(b"content-type", b"application/grpc").field(b"grpc-accept-encoding", b"identity,gzip");
        head.finish(false).map_err(refused)?;
        self.send(stream, 0)
    }

    /// Sends the message behind `sent`, and the trailers, or waits for room.
    fn send(&mut self, stream: Key, sent: u64) -> Result<()> {
        let rest = pattern::at(sent, (REPLY - sent) as usize);
        let taken = self.connection.send(stream, rest, false).map_err(refused)?;
        if taken < rest.len() {
            self.waiting.push((stream, sent + taken as u64));
            return Ok(());
        }
        let mut trailers = self.connection.trailers(stream).map_err(refused)?;
        trailers.field(b"grpc-status", b"0").field(b"grpc-message", b"");
        trailers.finish(true).map_err(refused)?;
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        while let Some(stream) = self.connection.next_writable() {
            let at = self.waiting.iter().position(|&(waiting, _)| waiting == stream);
            let (_, sent) = self.waiting.swap_remove(at.context("a stream may send that does not wait")?);
            self.send(stream, sent)?;
        }
        Ok(())
    }
}

impl End for Http2Server {
    fn receive(&mut self, input: &mut &[u8], pace: &mut Pace) -> Result<Flow> {
        loop {
            let mut fields = std::mem::take(&mut self.fields);
            let asked = match self.connection.receive(input, &mut fields)? {
                None => break self.fields = fields,
                Some(Event::Request { stream, head, end }) => {
                    let is_call = head.method() == b"POST" && head.path() == Some(b"/bench.Target/Ask");
                    ensure!(is_call && !end, "the application was asked something else");
                    self.messages.open(stream, Instant::now());
                    None
                }
                Some(Event::Data { stream, bytes, end }) => {
                    self.connection.release(stream, bytes.len());
                    self.messages.data(stream, bytes, pace)?;
                    end.then_some(stream)
                }
                Some(Event::Trailers { stream, .. }) => Some(stream),
                Some(Event::Reset { stream, .. }) => {
                    self.waiting.retain(|&(waiting, _)| waiting != stream);
                    None
                }
                Some(_) => None,
            };
            self.fields = fields;
            if let Some(stream) = asked {
                self.answer(stream)?;
            }
        }
        self.resume()?;
        Ok(if self.connection.is_finished() { Flow::Close } else { Flow::Open })
    }

    fn output(&mut self) -> &[u8] {
        self.connection.output()
    }

    fn wrote(&mut self, octets: usize) {
        self.connection.wrote(octets);
    }

    fn begin(&mut self, _: Instant) -> Result<()> {
        bail!("an application begins nothing")
    }

    fn outstanding(&self) -> usize {
        0
    }

    fn tick(&mut self) {
        self.connection.tick();
    }
}
