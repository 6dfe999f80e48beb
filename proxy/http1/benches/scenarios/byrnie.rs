//! byrnie-http1's client and server on one connection, driven as a proxy's worker would: one write of all that is at
//! hand, one read into the worker's buffer.

use byrnie_http1::{Body, Client, Limits, Server, Space, client, server};

use super::message::{ADDED, BODY, DROPPED, REQUEST_FIELDS, RESPONSE_FIELDS, TARGET};
use super::wire::Wire;

/// A worker's read buffer.
const ROOM: usize = 64 << 10;

/// A client and a server that keep one connection.
pub struct Pair {
    pub client: Client,
    pub server: Server,
    there: Wire,
    back: Wire,
    input: Vec<u8>,
    out: Vec<u8>,
}

impl Pair {
    pub fn new() -> Self {
        Self {
            client: Client::new(Limits::default()),
            server: Server::new(Limits::default()),
            there: Wire::default(),
            back: Wire::default(),
            input: vec![0; ROOM],
            out: Vec::new(),
        }
    }

    /// A GET and its reply of 1 KiB.
    pub fn exchange(&mut self) {
        let request = self.client.request(&mut self.out, "GET", TARGET).expect("the connection is idle");
        request.fields(REQUEST_FIELDS).end(Body::None).expect("the request is well formed");
        self.there.write(&self.out);
        self.out.clear();
        self.serve();
        self.back.write(&self.out);
        self.out.clear();
        self.receive();
        assert!(self.client.can_reuse(), "the connection is used again");
    }

    fn serve(&mut self) {
        let read = self.there.read_into(&mut self.input);
        let mut input = &self.input[..read];
        let mut asked = false;
        while let Some(event) = self.server.receive(&mut input, &mut Space::new()).expect("the request is well formed")
        {
            match event {
                server::Event::Request(request) => {
                    assert_eq!(request.path(), TARGET);
                    assert_eq!(request.fields().count(), REQUEST_FIELDS.len());
                }
                server::Event::End => asked = true,
                other => panic!("{other:?} in a GET"),
            }
        }
        assert!(asked && input.is_empty(), "the request is whole");
        let response = self.server.respond(&mut self.out, 200, "OK").expect("a request was received");
        let head = response.fields(RESPONSE_FIELDS).end(Body::Sized(BODY.len() as u64));
        head.expect("the response is well formed");
        assert_eq!(self.server.send(&mut self.out, &BODY), Ok(BODY.len()));
    }

    fn receive(&mut self) {
        let read = self.back.read_into(&mut self.input);
        let mut input = &self.input[..read];
        let (mut received, mut whole) = (0, false);
        while let Some(event) = self.client.receive(&mut input, &mut Space::new()).expect("the response is well formed")
        {
            match event {
                client::Event::Response(response) => {
                    assert_eq!(response.status(), 200);
                    assert_eq!(response.fields().count(), RESPONSE_FIELDS.len() + 1);
                }
                client::Event::Data(bytes) => received += bytes.len(),
                client::Event::End => whole = true,
                other => panic!("{other:?} in a plain response"),
            }
        }
        assert!(whole && input.is_empty(), "the response is whole");
        assert_eq!(received, BODY.len());
    }
}

/// Reads the head in `input` and writes it, changed, to `out`: what a proxy does between two connections. The
/// connections are new, so that no response is needed in between.
pub fn rewrite(mut input: &[u8], out: &mut Vec<u8>) {
    let mut server = Server::new(Limits::default());
    let mut space = Space::new();
    let event = server.receive(&mut input, &mut space).expect("the request is well formed");
    let Some(server::Event::Request(request)) = event else { panic!("{event:?} instead of a request") };
    assert_eq!(request.fields().count(), REQUEST_FIELDS.len());
    let mut client = Client::new(Limits::default());
    let head = client.request(out, request.method(), request.path()).expect("the connection is idle");
    let kept = |name: &[u8], _: &[u8]| !DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped.as_bytes()));
    let head = head.forward(request.end_to_end(), kept).fields(ADDED);
    head.end(request.body().into()).expect("what was received can be sent");
}
