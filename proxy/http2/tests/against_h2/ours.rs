//! Our end of the connection, driven by a plan.

use std::collections::HashMap;

use byrnie_http2::{
    Cause, Config, Connection, ErrorCode, Event, Fields, HeadWriter, Key, Limits, Refused, RequestHead, Windows, hpack,
};

use super::pipe::End;
use super::plan::{self, Exchange, Line, Plan, Side, Step};
use super::seen::{Head, Seen, Stop};

/// Below this window DATA earns the peer no WINDOW_UPDATE, and time has to pass: eight turns are a second then. Otherwise
/// no time passes, so that an honest peer within its budgets is shown to stay there.
const CRUMB: u32 = 256;

pub struct Ours<'p> {
    plan: &'p Plan,
    side: Side,
    pub connection: Connection,
    end: End,
    input: Vec<u8>,
    fields: Fields,
    /// The client's next exchange.
    next: usize,
    /// The peer has spoken.
    greeted: bool,
    live: HashMap<Key, Live>,
    held: Vec<Held>,
    pub seen: Vec<Seen>,
}

/// An exchange under way.
struct Live {
    number: usize,
    since: u32,
    steps: Vec<Step>,
    at: usize,
    /// Octets of the body that were sent in the step at hand.
    sent_of_step: u32,
    sent: u64,
    /// Until `next_writable` names the stream.
    waits: bool,
}

/// Octets of a body that wait for their release.
struct Held {
    until: u32,
    stream: Key,
    octets: usize,
}

impl<'p> Ours<'p> {
    pub fn new(plan: &'p Plan, side: Side, end: End) -> Self {
        let settings = side.settings(plan);
        let config = Config {
            windows: Windows { stream: settings.stream_window, connection: settings.connection_window },
            limits: Limits { concurrent_streams: settings.streams, ..Limits::default() },
            header_table_size: settings.table,
            huffman: settings.huffman,
            ..Config::default()
        };
        let connection = match side {
            Side::Client => Connection::client(config),
            Side::Server => Connection::server(config),
        };
        Self {
            plan,
            side,
            connection,
            end,
            input: Vec::new(),
            fields: Fields::new(),
            next: 0,
            greeted: false,
            live: HashMap::new(),
            held: Vec::new(),
            seen: plan.exchanges.iter().map(|_| Seen::default()).collect(),
        }
    }

    /// Whether anything was done.
    pub fn turn(&mut self, turn: u32) -> Result<bool, String> {
        let peer = if self.side == Side::Client { self.plan.server } else { self.plan.client };
        if peer.stream_window < CRUMB && turn.is_multiple_of(8) {
            self.connection.tick();
        }
        let before = self.input.len();
        self.end.read_into(&mut self.input);
        let mut busy = self.input.len() > before;
        self.receive(turn)?;
        if let Some(going) = self.plan.going
            && going.turn == turn
            && going.by == self.side
        {
            self.go(going.abrupt);
        }
        busy |= self.release(turn);
        if self.side == Side::Client {
            busy |= self.open(turn)?;
        }
        busy |= self.send(turn)?;
        while !self.connection.output().is_empty() {
            let written = self.end.write(self.connection.output());
            self.connection.wrote(written);
            if written == 0 {
                break;
            }
            busy = true;
        }
        if self.connection.is_finished() && self.connection.output().is_empty() {
            self.end.close();
        }
        if self.end.is_over() {
            self.lose();
        }
        Ok(busy)
    }

    pub fn is_settled(&self) -> bool {
        let opened =
            self.side == Side::Server || self.next == self.plan.exchanges.len() || self.connection.is_closing();
        opened && self.held.is_empty() && self.seen.iter().all(|seen| !seen.opened || seen.is_over())
    }

    fn receive(&mut self, turn: u32) -> Result<(), String> {
        let input = std::mem::take(&mut self.input);
        let mut fields = std::mem::take(&mut self.fields);
        let mut rest = &input[..];
        while let Some(event) = self.connection.receive(&mut rest, &mut fields).map_err(|error| error.to_string())? {
            self.happened(turn, event)?;
        }
        self.input = rest.to_vec();
        self.fields = fields;
        Ok(())
    }

    fn happened(&mut self, turn: u32, event: Event<'_, '_>) -> Result<(), String> {
        let (side, from) = match self.side {
            Side::Client => (Side::Client, Side::Server),
            Side::Server => (Side::Server, Side::Client),
        };
        match event {
            Event::Request { stream, head, end } => {
                let number = head.get(b"exchange").and_then(|number| text(number).parse().ok());
                let number: usize = number.ok_or("a request without its number")?;
                let word = |octets: Option<&[u8]>| octets.map(text);
                let (scheme, authority, path) = (word(head.scheme()), word(head.authority()), word(head.path()));
                let method = text(head.method());
                let line = plan::request_line(&method, scheme.as_deref(), authority.as_deref(), path.as_deref());
                let seen = &mut self.seen[number];
                seen.opened = true;
                seen.whole = end;
                seen.head = Some(Head { line, fields: head.fields().map(line_of).collect() });
                self.live.insert(stream, Live::new(&self.plan.exchanges[number], number, side, turn));
            }
            Event::Response { stream, head, end } => {
                let seen = self.seen(stream)?;
                seen.whole = end;
                let head = Head { line: head.status().to_string(), fields: head.fields().map(line_of).collect() };
                if seen.head.replace(head).is_some() {
                    return Err("a second response".to_owned());
                }
            }
            Event::Interim { stream, head } => {
                let head = Head { line: head.status().to_string(), fields: head.fields().map(line_of).collect() };
                self.seen(stream)?.interim.push(head);
            }
            Event::Data { stream, bytes, end } => {
                let number = self.live.get(&stream).ok_or("DATA of an unknown stream")?.number;
                let seen = &mut self.seen[number];
                seen.receive(number, from, bytes);
                seen.whole = end;
                let until = turn + side.settings(self.plan).hold;
                self.held.push(Held { until, stream, octets: bytes.len() });
            }
            Event::Trailers { stream, fields } => {
                let seen = self.seen(stream)?;
                seen.whole = true;
                seen.trailers = Some(fields.iter().map(line_of).collect());
            }
            Event::Reset { stream, code, cause } => {
                self.seen(stream)?.stopped = Some(match cause {
                    Cause::Peer => Stop::ByPeer(code.0),
                    Cause::GoAway => Stop::Away,
                    Cause::Violation(violation) => return Err(format!("the peer is accused: {violation}")),
                });
                self.live.remove(&stream);
            }
            Event::GoAway { last: _, code, debug } => {
                let abrupt = self.plan.going.is_some_and(|going| going.abrupt.is_some());
                if code != ErrorCode::NO_ERROR && !abrupt {
                    return Err(format!("GOAWAY {code} {}", debug.escape_ascii()));
                }
            }
            Event::Settings => self.greeted = true,
            other => return Err(format!("not expected: {other:?}")),
        }
        Ok(())
    }

    fn seen(&mut self, stream: Key) -> Result<&mut Seen, String> {
        let live = self.live.get(&stream).ok_or("an event of an unknown stream")?;
        Ok(&mut self.seen[live.number])
    }

    fn go(&mut self, abrupt: Option<u32>) {
        match abrupt {
            None => self.connection.drain(),
            Some(code) => {
                self.connection.close(ErrorCode(code));
                self.lose();
            }
        }
    }

    /// All streams are gone.
    pub fn lose(&mut self) {
        for (_, live) in self.live.drain() {
            let seen = &mut self.seen[live.number];
            if !seen.is_over() {
                seen.stopped = Some(Stop::Away);
            }
        }
        self.held.clear();
    }

    fn release(&mut self, turn: u32) -> bool {
        let before = self.held.len();
        let connection = &mut self.connection;
        self.held.retain(|held| {
            if held.until <= turn {
                connection.release(held.stream, held.octets);
            }
            held.until > turn
        });
        before != self.held.len()
    }

    /// Opens what is due and may be.
    fn open(&mut self, turn: u32) -> Result<bool, String> {
        let from = self.next;
        while let Some(exchange) = self.plan.exchanges.get(self.next)
            && self.plan.start(self.next) <= turn
            && (self.greeted || self.may_open_ungreeted())
        {
            let connect = exchange.is_connect();
            let head = RequestHead {
                method: exchange.method.as_bytes(),
                scheme: (!connect).then_some(exchange.scheme.as_bytes()),
                authority: Some(exchange.authority.as_bytes()),
                path: (!connect).then_some(exchange.path.as_bytes()),
                protocol: None,
            };
            let mut live = Live::new(exchange, self.next, self.side, turn);
            let Some(&Step::Head { end }) = live.steps.first() else {
                return Err("a request begins by its head".to_owned());
            };
            let writer = match self.connection.open(&head) {
                Ok(writer) => writer,
                Err(Refused::StreamLimit(_) | Refused::OutputFull | Refused::Closing) => break,
                Err(refused) => return Err(refused.to_string()),
            };
            let stream = write(writer, &exchange.request_fields(self.next), end)?;
            live.at = 1;
            let seen = &mut self.seen[self.next];
            (seen.opened, seen.sent) = (true, end);
            self.live.insert(stream, live);
            self.next += 1;
        }
        Ok(self.next > from)
    }

    /// Before the server has spoken, more streams could be opened than it takes, and more sent than its window: of that
    /// `h2` gives nothing back to a window that it makes smaller.
    fn may_open_ungreeted(&self) -> bool {
        let server = self.plan.server;
        self.connection.active_streams() < server.streams && server.stream_window >= 65_535
    }

    fn send(&mut self, turn: u32) -> Result<bool, String> {
        while let Some(stream) = self.connection.next_writable() {
            self.live.get_mut(&stream).ok_or("an unknown stream is writable")?.waits = false;
        }
        let mut busy = false;
        let mut streams: Vec<Key> = self.live.keys().copied().collect();
        streams.sort_by_key(|stream| self.live[stream].number);
        for stream in streams {
            let mut live = self.live.remove(&stream).expect("it is listed");
            let exchange = &self.plan.exchanges[live.number];
            let over = self.seen[live.number].is_over();
            if let Some(reset) = exchange.reset.filter(|reset| reset.by == self.side && !over)
                && live.since + reset.after <= turn
            {
                self.connection.reset(stream, ErrorCode(reset.code));
                self.seen[live.number].stopped = Some(Stop::ByMe(reset.code));
                busy = true;
                continue;
            }
            while self.step(stream, &mut live)? {
                busy = true;
                if exchange.slow {
                    break;
                }
            }
            self.live.insert(stream, live);
        }
        Ok(busy)
    }

    /// Sends what comes next. Whether anything was.
    fn step(&mut self, stream: Key, live: &mut Live) -> Result<bool, String> {
        let exchange = &self.plan.exchanges[live.number];
        let seen = &mut self.seen[live.number];
        let Some(&step) = live.steps.get(live.at) else { return Ok(false) };
        let due = self.side == Side::Client || seen.whole || seen.body >= exchange.respond_at;
        if live.waits || !due || seen.is_over() {
            return Ok(false);
        }
        let message = exchange.message(self.side);
        let writer = match step {
            Step::Interim(index) => self.connection.inform(stream, exchange.interim[index].0),
            Step::Head { .. } => self.connection.respond(stream, exchange.status),
            Step::Trailers => self.connection.trailers(stream),
            Step::Body { length, end } => {
                let left = length - live.sent_of_step;
                let bytes = plan::body(live.number, self.side, live.sent, left as usize);
                let taken = self.connection.send(stream, &bytes, end).map_err(|refused| refused.to_string())?;
                live.sent += taken as u64;
                live.sent_of_step += u32::try_from(taken).expect("a part of a chunk");
                if taken < bytes.len() {
                    live.waits = true;
                    return Ok(taken > 0);
                }
                live.sent_of_step = 0;
                live.at += 1;
                seen.sent = live.at == live.steps.len();
                return Ok(true);
            }
        };
        let writer = match writer {
            Ok(writer) => writer,
            Err(Refused::OutputFull) => {
                live.waits = true;
                return Ok(false);
            }
            Err(refused) => return Err(format!("{step:?}: {refused}")),
        };
        let (lines, end) = match step {
            Step::Interim(index) => (plan::lines(&exchange.interim[index].1), false),
            Step::Head { end } => (message.lines(), end),
            _ => (plan::lines(message.trailers.as_deref().unwrap_or_default()), true),
        };
        write(writer, &lines, end)?;
        live.at += 1;
        seen.sent = live.at == live.steps.len();
        Ok(true)
    }
}

impl Live {
    fn new(exchange: &Exchange, number: usize, side: Side, since: u32) -> Self {
        Self { number, since, steps: exchange.steps(side), at: 0, sent_of_step: 0, sent: 0, waits: false }
    }
}

fn write(mut writer: HeadWriter<'_>, lines: &[Line], end: bool) -> Result<Key, String> {
    for (name, value, sensitive) in lines {
        if *sensitive == Some(true) {
            writer.sensitive_field(name.as_bytes(), value);
        } else {
            writer.field(name.as_bytes(), value);
        }
    }
    writer.finish(end).map_err(|refused| refused.to_string())
}

fn line_of(field: hpack::Field<'_>) -> Line {
    (text(field.name), field.value.to_vec(), Some(field.never_indexed))
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
