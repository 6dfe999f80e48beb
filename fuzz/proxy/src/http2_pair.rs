//! A client and a server of HTTP/2 joined by two queues of bytes, and owners who do anything at any time: requests, bodies,
//! interim responses, trailers, resets, drains and hang-ups.
//!
//! What must hold: each end reads what the other was told to write; neither finds fault with the other; who waits for
//! room is named when there is some; and once all is over no stream is left, and both windows are whole.

use byrnie_http2::{Cause, Config, Connection, ErrorCode, Event, Fields, Key, Limits, Refused, RequestHead, Windows};

use super::http2_exchange::{
    CLIENT, Content, Exchange, Message, Pipe, SERVER, SHARED, Waiting, bits, body_byte, written,
};
use super::tape::Tape;

/// The budgets of a second are for peers that mean harm; these two do not, but no second ever passes.
const LIMITS: Limits = Limits {
    fields: byrnie_http2::FieldLimits { list_size: 30_000, count: 100, name: 1 << 10, value: 20_000 },
    block_bytes: 64 << 10,
    continuations: 16,
    concurrent_streams: 8,
    resets: u32::MAX,
    pings: u32::MAX,
    settings: u32::MAX,
    empty_frames: u32::MAX,
    window_updates: u32::MAX,
    ignored_frames: u32::MAX,
    interim_responses: u16::MAX,
    buffered_output: 30_000,
};
/// Longer scripts take longer, and show nothing more.
const MOST_STEPS: usize = 200;

/// Plays `data` as a script.
pub fn run(data: &[u8]) {
    let mut tape = Tape(data);
    let mut play = Play::new(&mut tape);
    for _ in 0..MOST_STEPS {
        if tape.is_at_end() || play.is_over {
            break;
        }
        play.step(&mut tape);
    }
    if !play.is_over {
        play.come_to_rest();
    }
}

struct Play {
    ends: [Connection; 2],
    pipes: [Pipe; 2],
    exchanges: Vec<Exchange>,
    fields: Fields,
    pings: u8,
    is_drained: bool,
    is_over: bool,
}

impl Play {
    fn new(tape: &mut Tape<'_>) -> Self {
        let choices = tape.byte();
        let config = |bits: u8| Config {
            windows: Windows { stream: [2_000, 500, 20_000, 100_000][usize::from(bits & 3)], connection: SHARED },
            limits: LIMITS,
            header_table_size: [4_096, 0][usize::from(bits >> 2 & 1)],
            huffman: bits & 8 > 0,
            extended_connect: true,
        };
        Self {
            ends: [Connection::client(config(choices)), Connection::server(config(choices >> 4))],
            pipes: [Pipe::default(), Pipe::default()],
            exchanges: Vec::new(),
            fields: Fields::new(),
            pings: 0,
            is_drained: false,
            is_over: false,
        }
    }

    fn step(&mut self, tape: &mut Tape<'_>) {
        match tape.below(16) {
            0 | 1 => self.request(tape),
            2 => self.head(tape),
            3 => self.inform(tape),
            4..=6 => self.body(tape),
            7 => self.trailers(tape),
            8 => self.release(tape),
            9 => self.reset(tape),
            10 => {
                let (end, count) = (tape.below(2), tape.number());
                self.carry(end, count);
                self.receive(1 - end);
            }
            11 => self.flow(),
            12 => {
                let end = tape.below(2);
                self.serve_waiting(end);
            }
            13 => self.rare(tape),
            _ => {
                let end = tape.below(2);
                self.carry(end, usize::MAX);
                self.receive(1 - end);
                self.serve_waiting(1 - end);
            }
        }
    }

    fn rare(&mut self, tape: &mut Tape<'_>) {
        let (end, choice) = (tape.below(2), tape.below(16));
        match choice {
            0 => {
                self.ends[end].drain();
                self.is_drained = true;
            }
            1 => self.hang_up(end),
            2..=4 if self.pings < 20 => {
                self.pings += 1;
                self.ends[end].ping([self.pings; 8]);
            }
            5..=7 => self.ends[end].rest(),
            _ => self.ends[end].tick(),
        }
    }

    /// One end closes; the other reads so much, and finds no fault with it.
    fn hang_up(&mut self, end: usize) {
        self.is_drained = true;
        self.ends[end].close(ErrorCode::NO_ERROR);
        for exchange in &mut self.exchanges {
            exchange.is_broken = true;
        }
        assert!(self.ends[end].is_finished() && self.ends[end].active_streams() == 0);
        self.carry(end, usize::MAX);
        self.receive(1 - end);
        assert!(self.ends[1 - end].is_closing());
        self.carry(1 - end, usize::MAX);
        self.receive(end);
        self.is_over = true;
    }

    fn request(&mut self, tape: &mut Tape<'_>) {
        let (choices, fields) = (tape.byte(), fields(tape));
        let end = choices & 1 > 0;
        let path = format!("/{}", self.exchanges.len());
        let head = RequestHead {
            method: if choices & 2 > 0 { b"POST" } else { b"GET" },
            scheme: Some(b"http"),
            authority: Some(b"shop"),
            path: Some(path.as_bytes()),
            protocol: None,
        };
        let can = self.ends[CLIENT].can_open();
        let opened = self.ends[CLIENT].open(&head);
        assert_eq!(opened.is_ok(), can);
        let Ok(key) = opened.and_then(|writer| written(writer, fields).finish(end)) else { return };
        let mut exchange = Exchange { keys: [Some(key), None], ..Exchange::default() };
        exchange.messages[CLIENT].written = Content { head: Some(fields), is_complete: end, ..Content::default() };
        self.exchanges.push(exchange);
    }

    /// A final response.
    fn head(&mut self, tape: &mut Tape<'_>) {
        let Some(at) = self.pick(tape) else { return };
        let (fields, end) = (fields(tape), tape.byte() & 1 > 0);
        self.write(at, SERVER, Waiting::Head(fields, end));
    }

    fn inform(&mut self, tape: &mut Tape<'_>) {
        let Some(at) = self.pick(tape) else { return };
        let Some(key) = self.exchanges[at].keys[SERVER] else { return };
        let done = self.ends[SERVER].inform(key, 103).and_then(|writer| writer.finish(false));
        self.exchanges[at].messages[SERVER].interim_written += usize::from(done.is_ok());
    }

    fn body(&mut self, tape: &mut Tape<'_>) {
        let (Some(at), end) = (self.pick(tape), tape.below(2)) else { return };
        let length = if tape.byte() & 1 > 0 { usize::from(tape.byte()) } else { tape.number() % 6_000 };
        self.write(at, end, Waiting::Body(length, tape.byte() & 3 == 0));
    }

    fn trailers(&mut self, tape: &mut Tape<'_>) {
        let (Some(at), end) = (self.pick(tape), tape.below(2)) else { return };
        self.write(at, end, Waiting::Trailers(fields(tape)));
    }

    /// Writes what comes next of a message, or, if it already waits for room, tries that again.
    fn write(&mut self, at: usize, end: usize, what: Waiting) {
        let exchange = &mut self.exchanges[at];
        let Some(key) = exchange.keys[end] else { return };
        let message = &mut exchange.messages[end];
        let what = message.waits.take().unwrap_or(what);
        let connection = &mut self.ends[end];
        let before = connection.output().len();
        let refused = match what {
            Waiting::Head(fields, end) => {
                let done = connection.respond(key, 200).and_then(|writer| written(writer, fields).finish(end));
                if done.is_ok() {
                    message.written = Content { head: Some(fields), is_complete: end, ..Content::default() };
                }
                done.err()
            }
            Waiting::Body(length, end) => {
                let bytes: Vec<u8> = (0..length).map(|offset| body_byte(at, message.written.body + offset)).collect();
                let done = connection.send(key, &bytes, end);
                if let Ok(taken) = done {
                    message.written.body += taken;
                    message.written.is_complete |= end && taken == length;
                    message.waits = (taken < length).then_some(Waiting::Body(length - taken, end));
                }
                done.err()
            }
            Waiting::Trailers(fields) => {
                let done = connection.trailers(key).and_then(|writer| written(writer, fields).finish(true));
                if done.is_ok() {
                    message.written.trailers = Some(fields);
                    message.written.is_complete = true;
                }
                done.err()
            }
        };
        if let Some(refused) = refused {
            assert_eq!(connection.output().len(), before, "{refused}, but something was written");
            match refused {
                Refused::OutputFull => message.waits = Some(what),
                Refused::Gone => assert!(exchange.is_broken || exchange.is_over(), "gone: {exchange:?}"),
                Refused::OutOfOrder | Refused::HeadTooLarge { .. } => {}
                other => panic!("{other}"),
            }
        }
    }

    fn release(&mut self, tape: &mut Tape<'_>) {
        let (Some(at), end) = (self.pick(tape), tape.below(2)) else { return };
        let message = &mut self.exchanges[at].messages[1 - end];
        let released = message.held.min(tape.number());
        self.release_of(at, end, released);
    }

    fn release_of(&mut self, at: usize, end: usize, released: usize) {
        let exchange = &mut self.exchanges[at];
        if let Some(key) = exchange.keys[end] {
            exchange.messages[1 - end].held -= released;
            self.ends[end].release(key, released);
        }
    }

    fn reset(&mut self, tape: &mut Tape<'_>) {
        let (Some(at), end) = (self.pick(tape), tape.below(2)) else { return };
        let exchange = &mut self.exchanges[at];
        let Some(key) = exchange.keys[end] else { return };
        exchange.is_broken = true;
        exchange.messages[1 - end].held = 0;
        self.ends[end].reset(key, ErrorCode::CANCEL);
    }

    /// One of the last exchanges.
    fn pick(&self, tape: &mut Tape<'_>) -> Option<usize> {
        let back = usize::from(tape.byte() & 15);
        self.exchanges.len().checked_sub(1).map(|last| last.saturating_sub(back))
    }

    fn carry(&mut self, end: usize, count: usize) {
        let bytes = self.ends[end].output();
        let bytes = &bytes[..count.min(bytes.len())];
        let [up, down] = &mut self.pipes;
        let (there, back) = if end == CLIENT { (up, down) } else { (down, up) };
        there.pass(bytes, back);
        let count = bytes.len();
        self.ends[end].wrote(count);
    }

    fn receive(&mut self, end: usize) {
        let arrived = std::mem::take(&mut self.pipes[1 - end].arrived);
        let (mut input, mut fields) = (&arrived[..], std::mem::take(&mut self.fields));
        loop {
            match self.ends[end].receive(&mut input, &mut fields) {
                Ok(Some(event)) => self.event(end, &event),
                Ok(None) => break,
                Err(error) => panic!("an end finds fault with the other: {error}"),
            }
        }
        self.pipes[1 - end].arrived = input.to_vec();
        self.fields = fields;
    }

    fn event(&mut self, end: usize, event: &Event<'_, '_>) {
        match event {
            Event::Request { stream, head, end } => {
                let path = std::str::from_utf8(head.path().expect("a path")).expect("a number");
                let at: usize = path[1..].parse().expect("a number");
                let exchange = &mut self.exchanges[at];
                assert_eq!(exchange.keys[SERVER].replace(*stream), None, "a request arrives twice");
                exchange.messages[CLIENT].read_head(head.fields(), *end);
            }
            Event::Response { stream, head, end } => {
                let (_, message) = self.arriving(CLIENT, *stream);
                message.read_head(head.fields(), *end);
            }
            Event::Interim { stream, .. } => {
                let (_, message) = self.arriving(CLIENT, *stream);
                message.interim_read += 1;
            }
            Event::Data { stream, bytes, end: last } => {
                let (at, message) = self.arriving(end, *stream);
                let is_same = |(offset, byte): (usize, &u8)| *byte == body_byte(at, message.read.body + offset);
                assert!(bytes.iter().enumerate().all(is_same), "other bytes than were written");
                message.read.body += bytes.len();
                message.held += bytes.len();
                message.read.is_complete = *last;
            }
            Event::Trailers { stream, fields } => {
                let (_, message) = self.arriving(end, *stream);
                message.read.trailers = Some(bits(fields.iter()));
                message.read.is_complete = true;
            }
            Event::Reset { stream, code, cause } => {
                let is_drained = self.is_drained;
                let at = self.find(end, *stream);
                let exchange = &mut self.exchanges[at];
                let is_refused = *code == ErrorCode::REFUSED_STREAM && exchange.keys[SERVER].is_none();
                match cause {
                    Cause::Peer => assert!(exchange.is_broken || is_refused, "reset by nobody"),
                    Cause::GoAway => assert!(is_drained && exchange.keys[SERVER].is_none()),
                    Cause::Violation(violation) => panic!("an end finds fault with the other: {violation}"),
                }
                exchange.is_broken = true;
                exchange.messages[1 - end].held = 0;
            }
            Event::GoAway { .. } => assert!(self.is_drained),
            Event::Pong(payload) => assert!(payload[0] <= self.pings),
            Event::Settings => {}
            other => panic!("an event that is not known: {other:?}"),
        }
        if let Event::Data { stream, .. } | Event::Trailers { stream, .. } | Event::Response { stream, .. } = event {
            let (_, message) = self.arriving(end, *stream);
            message.check();
        }
    }

    fn find(&self, end: usize, key: Key) -> usize {
        let is_it = |exchange: &Exchange| exchange.keys[end] == Some(key);
        self.exchanges.iter().rposition(is_it).expect("an event of a stream that is known")
    }

    /// The message that an end reads on a stream.
    fn arriving(&mut self, end: usize, key: Key) -> (usize, &mut Message) {
        let at = self.find(end, key);
        (at, &mut self.exchanges[at].messages[1 - end])
    }

    /// Those that are named write what they have. Returns whether there was one.
    fn serve_waiting(&mut self, end: usize) -> bool {
        let mut any = false;
        while let Some(key) = self.ends[end].next_writable() {
            let at = self.find(end, key);
            // Who had room in between without asking is named all the same.
            if let Some(what) = self.exchanges[at].messages[end].waits {
                self.write(at, end, what);
                any = true;
            }
        }
        any
    }

    /// All that was written arrives and is read.
    fn flow(&mut self) {
        for end in [CLIENT, SERVER] {
            self.carry(end, usize::MAX);
            self.receive(1 - end);
        }
    }

    /// Everything is carried, read, released and written until nothing is left to do, and then all has arrived.
    fn come_to_rest(&mut self) {
        self.settle();
        for exchange in &self.exchanges {
            if !exchange.is_broken {
                exchange.check_settled(self.is_drained);
            }
        }
        for at in 0..self.exchanges.len() {
            self.exchanges[at].is_broken = true;
            for end in [CLIENT, SERVER] {
                if let Some(key) = self.exchanges[at].keys[end] {
                    self.ends[end].reset(key, ErrorCode::CANCEL);
                    self.exchanges[at].messages[1 - end].held = 0;
                }
            }
        }
        self.settle();
        for (end, pipe) in self.ends.iter().zip(&self.pipes) {
            assert_eq!(end.active_streams(), 0);
            assert!(!end.is_closing() || self.is_drained);
            let (window, all) = (pipe.window, i64::from(SHARED));
            assert!(window <= all && window > all / 2, "a window of {all} came to {window}");
            assert!(pipe.arrived.is_empty() && pipe.is_whole());
        }
        self.ends[SERVER].drain();
        self.ends[CLIENT].drain();
        self.is_drained = true;
        self.settle();
        assert!(self.ends.iter().all(Connection::is_finished), "not finished after the drain");
    }

    fn settle(&mut self) {
        for _ in 0..1_000_000 {
            self.flow();
            for at in 0..self.exchanges.len() {
                for end in [CLIENT, SERVER] {
                    let held = self.exchanges[at].messages[1 - end].held;
                    if held > 0 {
                        self.release_of(at, end, held);
                    }
                }
            }
            let is_served = self.serve_waiting(CLIENT) | self.serve_waiting(SERVER);
            if !is_served && self.ends.iter().all(|end| end.output().is_empty()) {
                return;
            }
        }
        panic!("no end of it");
    }
}

/// The long field, which takes longest, comes with all others only.
fn fields(tape: &mut Tape<'_>) -> u8 {
    match tape.byte() & 15 {
        15 => 15,
        bits => bits & 7,
    }
}
