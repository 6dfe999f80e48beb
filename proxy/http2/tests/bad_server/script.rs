//! Plays a script to a client, and writes down in words what it makes of it.

use byrnie_http2::{Cause, Config, Connection, ErrorCode, Event, Fields, Key, RequestHead};

use crate::frames::{self, frame, ok_end, ping, settings};

/// One step of a script.
pub enum Step {
    /// What a server sends.
    Receive(Vec<u8>),
    /// Sends a request with this method on the next stream, which ends there or goes on with a body.
    Open(&'static str, bool),
    /// Sends a body of so many octets on a stream, the last of which ends it.
    Upload(u32, usize),
    /// Gives a stream up.
    Cancel(u32),
    /// Sends GOAWAY.
    Drain,
    /// Keeps what bodies bring, so that no window is opened again.
    Hold,
    /// As the first step: the server has not yet said anything, not even its SETTINGS.
    Fresh,
}

impl From<Vec<u8>> for Step {
    fn from(octets: Vec<u8>) -> Self {
        Self::Receive(octets)
    }
}

pub fn get() -> Step {
    Step::Open("GET", true)
}

pub fn head_request() -> Step {
    Step::Open("HEAD", true)
}

pub fn post() -> Step {
    Step::Open("POST", false)
}

pub fn connect() -> Step {
    Step::Open("CONNECT", false)
}

/// Makes a test of each line: a name that is a claim, the script, and what a client makes of it.
///
/// The words, with the stream in front: `1 response 200`, `1 interim 103`, `1 data 5`, `1 trailers`, the last of them
/// with ` end`; `1 reset CODE` and `1 unprocessed CODE` are what the server's RST_STREAM or GOAWAY did, `1 broken CODE`
/// a stream error of ours, which the server is told by RST_STREAM, and `1 closed CODE` the same on a stream that has
/// ended before. `1 sends 5` is DATA, `1 refused: WHY` a request that cannot be sent. Of the connection: `settings`
/// (taken and acknowledged), `goaway LAST CODE`, `pong`, `answers ping`, `window STREAM + OCTETS`, and as the last word
/// `connection CODE`, an error that ends it and of which the server is told by GOAWAY.
///
/// A connection that is not said to end is proved to live: it still answers PING, and where it may, makes one more
/// request.
macro_rules! cases {
    ($($(#[$about:meta])* $name:ident: [$($step:expr),* $(,)?] => [$($word:expr),* $(,)?];)*) => {
        $(
            $(#[$about])*
            #[test]
            fn $name() {
                // Twice, since a step cannot be copied.
                $crate::script::check([vec![$($step.into()),*], vec![$($step.into()),*]], &[$(String::from($word)),*]);
            }
        )*
    };
}
pub(crate) use cases;

/// Plays the same script in whole pieces and octet by octet.
pub fn check([whole, octets]: [Vec<Step>; 2], expected: &[String]) {
    for (script, pieces) in [(whole, usize::MAX), (octets, 1)] {
        let mut client = Client::new(pieces);
        let fresh = matches!(script.first(), Some(Step::Fresh));
        if !fresh {
            client.shake_hands();
        }
        script.into_iter().for_each(|step| client.play(step));
        assert_eq!(client.words, expected, "pieces of {pieces} octets");
        if !client.failed && !fresh {
            client.prove_life();
        }
    }
}

struct Client {
    connection: Connection,
    /// By their order: 1, 3, 5 and so on.
    streams: Vec<Key>,
    /// Bodies that wait for a window: octets left.
    uploads: Vec<(Key, usize)>,
    input: Vec<u8>,
    pieces: usize,
    holds: bool,
    failed: bool,
    words: Vec<String>,
}

impl Client {
    fn new(pieces: usize) -> Self {
        Self {
            connection: Connection::client(Config::default()),
            streams: Vec::new(),
            uploads: Vec::new(),
            input: Vec::new(),
            pieces,
            holds: false,
            failed: false,
            words: Vec::new(),
        }
    }

    fn shake_hands(&mut self) {
        self.take_output();
        self.receive(&settings(&[]));
        self.receive(&frame(frames::SETTINGS, frames::ACK, 0, b""));
        assert_eq!(std::mem::take(&mut self.words), ["settings"]);
        assert!(!self.connection.awaits_settings_ack());
    }

    fn play(&mut self, step: Step) {
        assert!(!self.failed, "the script goes on after {:?}", self.words);
        match step {
            Step::Receive(octets) => {
                let piece = self.pieces.clamp(octets.len().div_ceil(4_096).max(1), octets.len().max(1));
                for octets in octets.chunks(piece) {
                    if !self.failed {
                        self.receive(octets);
                    }
                }
            }
            Step::Open(method, end) => self.open(method, end),
            Step::Upload(stream, octets) => {
                let key = self.streams[stream as usize / 2];
                self.uploads.push((key, octets));
                self.upload(key);
                self.note_output();
            }
            Step::Cancel(stream) => {
                self.connection.reset(self.streams[stream as usize / 2], ErrorCode::CANCEL);
                self.take_output();
            }
            Step::Drain => {
                self.connection.drain();
                self.take_output();
            }
            Step::Hold => self.holds = true,
            Step::Fresh => drop(self.take_output()),
        }
    }

    fn open(&mut self, method: &str, end: bool) {
        let tunnel = method == "CONNECT";
        let head = RequestHead {
            method: method.as_bytes(),
            scheme: (!tunnel).then_some(b"http"),
            authority: Some(b"cart.shop"),
            path: (!tunnel).then_some(b"/"),
            protocol: None,
        };
        let stream = self.streams.len() * 2 + 1;
        match self.connection.open(&head).and_then(|writer| writer.finish(end)) {
            Ok(key) => self.streams.push(key),
            Err(refused) => self.words.push(format!("{stream} refused: {refused}")),
        }
        self.take_output();
    }

    fn upload(&mut self, key: Key) {
        let Some(at) = self.uploads.iter().position(|&(upload, _)| upload == key) else { return };
        let (_, left) = self.uploads.swap_remove(at);
        let Ok(sent) = self.connection.send(key, &vec![b'x'; left], true) else { return };
        if sent < left {
            self.uploads.push((key, left - sent));
        }
    }

    fn receive(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        let input = std::mem::take(&mut self.input);
        let (mut left, mut fields) = (&input[..], Fields::new());
        loop {
            match self.connection.receive(&mut left, &mut fields) {
                Ok(None) => break,
                Ok(Some(event)) => self.note(&event),
                Err(error) => {
                    self.failed = true;
                    self.note_output();
                    self.note_failure(error.code());
                    let again = self.connection.receive(&mut left, &mut fields);
                    assert_eq!(again.err(), Some(error), "a failed connection stays failed");
                    break;
                }
            }
        }
        self.note_output();
        while let Some(key) = self.connection.next_writable() {
            self.upload(key);
        }
        self.note_output();
        self.input = left.to_vec();
    }

    fn note_failure(&mut self, code: ErrorCode) {
        assert_eq!(self.words.pop(), Some(format!("sends goaway 0 {code}")), "the server is told why");
        self.words.push(format!("connection {code}"));
        assert!(self.connection.is_finished() && !self.connection.can_open());
        for &key in &self.streams {
            assert!(self.connection.send(key, b"", true).is_err(), "every stream is gone");
        }
    }

    fn stream(&self, key: Key) -> usize {
        self.streams.iter().position(|&other| other == key).expect("a stream that was opened") * 2 + 1
    }

    /// What was sent comes first: it answers what came before the event, or belongs to it.
    fn note(&mut self, event: &Event<'_, '_>) {
        self.note_output();
        let end = |end: bool| if end { " end" } else { "" };
        let word = match *event {
            Event::Response { stream, ref head, end: last } => {
                format!("{} response {}{}", self.stream(stream), head.status(), end(last))
            }
            Event::Interim { stream, ref head } => format!("{} interim {}", self.stream(stream), head.status()),
            Event::Data { stream, bytes, end: last } => {
                if !self.holds {
                    self.connection.release(stream, bytes.len());
                }
                return self.note_data(self.stream(stream), bytes.len(), end(last));
            }
            Event::Trailers { stream, .. } => format!("{} trailers end", self.stream(stream)),
            Event::Reset { stream, code, cause: Cause::Violation(violation) } => {
                let stream = self.stream(stream);
                assert_eq!(code, violation.code());
                assert_eq!(self.words.pop(), Some(format!("{stream} closed {code}")), "the server is told");
                format!("{stream} broken {code}")
            }
            Event::Reset { stream, code, cause } => {
                let what = if cause.is_unprocessed(code) { "unprocessed" } else { "reset" };
                format!("{} {what} {code}", self.stream(stream))
            }
            Event::GoAway { last, code, .. } => format!("goaway {last} {code}"),
            Event::Pong(_) => "pong".to_owned(),
            Event::Settings => {
                assert_eq!(self.words.pop().as_deref(), Some("acknowledges"));
                "settings".to_owned()
            }
            ref other => panic!("not for a client: {other:?}"),
        };
        self.words.push(word);
    }

    /// Pieces of a body become one word, wherever they were cut.
    fn note_data(&mut self, stream: usize, octets: usize, end: &str) {
        let before = self.words.last().and_then(|word| word.strip_prefix(&format!("{stream} data "))?.parse().ok());
        if before.is_some() {
            self.words.pop();
        }
        self.words.push(format!("{stream} data {}{end}", octets + before.unwrap_or(0)));
    }

    fn take_output(&mut self) -> Vec<u8> {
        let output = self.connection.output().to_vec();
        self.connection.wrote(output.len());
        output
    }

    fn note_output(&mut self) {
        let output = self.take_output();
        let mut left = &output[..];
        while let Some((header, rest)) = left.split_first_chunk::<9>() {
            let [_, _, _, kind, flags, stream @ ..] = *header;
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let (payload, rest) = rest.split_at(length);
            left = rest;
            let (stream, flag) = (u32::from_be_bytes(stream), |flag: u8| flags & flag != 0);
            let number =
                |at: usize| payload[at..at + 4].iter().fold(0, |number, &octet| number << 8 | u32::from(octet));
            self.words.push(match kind {
                frames::DATA if flag(frames::END_STREAM) => format!("{stream} sends {length} end"),
                frames::DATA => format!("{stream} sends {length}"),
                frames::RST_STREAM => format!("{stream} closed {}", ErrorCode(number(0))),
                frames::SETTINGS if flag(frames::ACK) => "acknowledges".to_owned(),
                frames::PING if flag(frames::ACK) => "answers ping".to_owned(),
                frames::GOAWAY => format!("sends goaway {} {}", number(0), ErrorCode(number(4))),
                frames::WINDOW_UPDATE => format!("window {stream} + {}", number(0)),
                _ => panic!("a client sends no {header:?} by itself"),
            });
        }
        assert!(left.is_empty(), "a frame is cut short: {left:?}");
    }

    fn prove_life(&mut self) {
        assert!(self.input.is_empty(), "nobody wants {:?}", self.input);
        self.words.clear();
        self.receive(&ping(frames::NONE, b"prove it"));
        if self.connection.can_open() {
            self.open("GET", true);
            let stream = self.streams.iter().zip((1..).step_by(2)).last().expect("one was opened").1;
            self.receive(&ok_end(stream));
            assert_eq!(self.words, ["answers ping".to_owned(), format!("{stream} response 200 end")]);
        } else {
            assert_eq!(self.words, ["answers ping"]);
        }
    }
}
