//! byrnie-http2's client and server on one connection, driven as a proxy's worker would: one write of all that a turn
//! produced, reads into the worker's buffer.

use byrnie_http2::{Config, Connection, Event, Fields, Key, RequestHead, Windows};

use super::message::{
    AT_ONCE, AUTHORITY, CONNECTION_WINDOW, METHOD, PATH, REQUEST_FIELDS, RESPONSE_FIELDS, SCHEME, STREAM_WINDOW,
};
use super::wire::Wire;

/// More turns than any exchange needs: a subject that waits for ever fails instead.
const TURNS: usize = 100;
/// A worker's read buffer.
const ROOM: usize = 64 << 10;

/// A client and a server that keep one connection.
pub struct Pair {
    pub client: Connection,
    pub server: Connection,
    there: Input,
    back: Input,
    fields: Fields,
    /// Replies that wait for a window, each with what was sent of it.
    begun: Vec<(Key, usize)>,
}

impl Pair {
    pub fn new() -> Self {
        let windows = Windows { stream: STREAM_WINDOW, connection: CONNECTION_WINDOW };
        let config = Config { windows, ..Config::default() };
        let mut pair = Self {
            client: Connection::client(config),
            server: Connection::server(config),
            there: Input::new(),
            back: Input::new(),
            fields: Fields::new(),
            begun: Vec::with_capacity(AT_ONCE),
        };
        for _ in 0..2 {
            pair.serve(&[]);
            pair.receive(&mut 0);
        }
        assert!(!pair.client.awaits_settings_ack() && !pair.server.awaits_settings_ack());
        pair
    }

    /// `many` GETs at once, each answered with `body`; without one, with 204.
    pub fn exchange(&mut self, many: usize, body: &'static [u8]) {
        for _ in 0..many {
            let mut head = self.client.open(&request()).expect("the server takes so many streams at once");
            for (name, value) in REQUEST_FIELDS {
                head.field(name.as_bytes(), value.as_bytes());
            }
            head.finish(true).expect("the request is well formed");
        }
        let (mut whole, mut received) = (0, 0);
        for _ in 0..TURNS {
            self.serve(body);
            whole += self.receive(&mut received);
            if whole == many {
                assert_eq!(received, many * body.len());
                return;
            }
        }
        panic!("{} of {many} replies did not come in {TURNS} turns", many - whole);
    }

    /// Moves what the client wrote to the server, which answers.
    fn serve(&mut self, body: &'static [u8]) {
        let Self { client, server, there, fields, begun, .. } = self;
        there.fill(client);
        while let Some(read) = there.read() {
            let mut input = read;
            while let Some(event) = server.receive(&mut input, fields).expect("the client keeps the rules") {
                match event {
                    Event::Request { stream, head, end } => {
                        assert!(end && head.path() == Some(PATH.as_bytes()));
                        assert_eq!(head.fields().count(), REQUEST_FIELDS.len());
                        let sent = respond(server, stream, body);
                        if sent < body.len() {
                            begun.push((stream, sent));
                        }
                    }
                    Event::Settings => {}
                    other => panic!("{other:?} in a GET"),
                }
            }
            let left = input.len();
            there.keep(left);
        }
        while let Some(stream) = server.next_writable() {
            let at = begun.iter().position(|&(key, _)| key == stream).expect("the reply was begun");
            let sent = &mut begun[at].1;
            *sent += server.send(stream, &body[*sent..], true).expect("the stream is open");
            if *sent == body.len() {
                begun.swap_remove(at);
            }
        }
    }

    /// Moves what the server wrote to the client; gives how many replies are whole, and adds to `received` what came of
    /// their bodies.
    fn receive(&mut self, received: &mut usize) -> usize {
        let Self { client, server, back, fields, .. } = self;
        let mut whole = 0;
        back.fill(server);
        while let Some(read) = back.read() {
            let mut input = read;
            while let Some(event) = client.receive(&mut input, fields).expect("the server keeps the rules") {
                match event {
                    Event::Response { head, end, .. } => {
                        assert_eq!(head.status(), if end { 204 } else { 200 });
                        assert_eq!(head.fields().count(), if end { 0 } else { RESPONSE_FIELDS.len() });
                        whole += usize::from(end);
                    }
                    Event::Data { stream, bytes, end } => {
                        *received += bytes.len();
                        client.release(stream, bytes.len());
                        whole += usize::from(end);
                    }
                    Event::Settings => {}
                    other => panic!("{other:?} in a reply"),
                }
            }
            let left = input.len();
            back.keep(left);
        }
        whole
    }
}

fn request() -> RequestHead<'static> {
    RequestHead {
        method: METHOD.as_bytes(),
        scheme: Some(SCHEME.as_bytes()),
        authority: Some(AUTHORITY.as_bytes()),
        path: Some(PATH.as_bytes()),
        protocol: None,
    }
}

/// Gives how much of `body` went out.
fn respond(server: &mut Connection, stream: Key, body: &[u8]) -> usize {
    if body.is_empty() {
        let head = server.respond(stream, 204).expect("the stream is open");
        head.finish(true).expect("the response is well formed");
        return 0;
    }
    let mut head = server.respond(stream, 200).expect("the stream is open");
    for (name, value) in RESPONSE_FIELDS {
        head.field(name.as_bytes(), value.as_bytes());
    }
    head.finish(false).expect("the response is well formed");
    server.send(stream, body, true).expect("the stream is open")
}

/// One direction: the wire, and the buffer it is read into behind what was left before.
struct Input {
    wire: Wire,
    buffer: Vec<u8>,
    kept: usize,
    filled: usize,
}

impl Input {
    fn new() -> Self {
        Self { wire: Wire::default(), buffer: vec![0; ROOM], kept: 0, filled: 0 }
    }

    /// One write of all that waits.
    fn fill(&mut self, from: &mut Connection) {
        self.wire.write(from.output());
        let octets = from.output().len();
        from.wrote(octets);
    }

    /// What was kept and what one read adds; none when nothing came.
    fn read(&mut self) -> Option<&[u8]> {
        let read = self.wire.read_into(&mut self.buffer[self.kept..]);
        self.filled = self.kept + read;
        (read > 0).then(|| &self.buffer[..self.filled])
    }

    /// Keeps the last `left` octets of what was read.
    fn keep(&mut self, left: usize) {
        self.buffer.copy_within(self.filled - left..self.filled, 0);
        self.kept = left;
    }
}
