//! A client that sends any bytes, to a server that answers each request.
//!
//! What must hold: the events do not depend on how the bytes were cut; they borrow from the input and keep to the
//! limits; after an error nothing is read; and a request that was accepted, written again for the next hop, is accepted
//! there and means the same.

use byrnie_http1::{
    Body, BodyLength, Client, Error, Limits, Request, Server, Space, TargetForm, Version, server::Event,
};

use super::transcript::{Entry, Reader, TIGHT, Transcript, check_same, check_within, cuts, lines, read};

/// Reads `data` as all that a client sends.
pub fn run(data: &[u8]) {
    let cuts = cuts(data);
    for limits in [Limits::default(), TIGHT] {
        let whole = read(Answering::new(limits), data, &[], &limits);
        let in_pieces = read(Answering::new(limits), data, &cuts, &limits);
        check_same(&whole, &in_pieces, &cuts);
    }
}

/// A server whose answers follow from the requests alone.
struct Answering {
    server: Server,
    limits: Limits,
    answer: Answer,
    out: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Answer {
    Plain,
    Connected,
    Switched,
}

impl Answering {
    fn new(limits: Limits) -> Self {
        Self { server: Server::new(limits), limits, answer: Answer::Plain, out: Vec::new() }
    }

    fn answer(&mut self) {
        self.out.clear();
        let written = match self.answer {
            Answer::Plain => self.server.respond(&mut self.out, 403, "No").and_then(|head| head.end(Body::Sized(2))),
            Answer::Connected => self.server.respond(&mut self.out, 200, "").and_then(|head| head.end(Body::None)),
            Answer::Switched => {
                self.server.respond(&mut self.out, 101, "").and_then(|head| head.upgrade("any").end(Body::None))
            }
        };
        written.expect("a response to a request that was read");
        if !self.server.is_response_complete() && !self.server.is_tunnel() {
            assert_eq!(self.server.send(&mut self.out, b"no"), Ok(2));
        }
        assert!(self.out.starts_with(b"HTTP/1.1 ") && !self.server.may_respond());
    }
}

impl Reader for Answering {
    fn receive(&mut self, input: &mut &[u8], transcript: &mut Transcript) -> Result<bool, Error> {
        let before = *input;
        let mut space = Space::new();
        let event = match self.server.receive(input, &mut space) {
            Ok(event) => event,
            Err(error) => {
                check_refusal(&mut self.server, error);
                return Err(error);
            }
        };
        match event {
            None => return Ok(false),
            Some(Event::Request(request)) => {
                check_limits(&request, before, before.len() - input.len(), &self.limits);
                check_forwarded(&request);
                self.answer = match (request.method(), request.upgrade()) {
                    ("CONNECT", _) if request.target().len() % 2 == 1 => Answer::Connected,
                    (_, Some(_)) if request.target().len() % 2 == 1 => Answer::Switched,
                    _ => Answer::Plain,
                };
                transcript.0.push(Entry::Head(words(&request)));
                // Some are answered before their body is read.
                if request.target().ends_with('!') && matches!(self.answer, Answer::Plain) {
                    self.answer();
                }
            }
            Some(Event::Data(bytes)) => transcript.data(before, bytes),
            Some(Event::Trailers(trailers)) => transcript.trailers(before, &trailers, &self.limits),
            Some(Event::End) => {
                transcript.0.push(Entry::End);
                if self.server.may_respond() {
                    self.answer();
                }
            }
        }
        Ok(true)
    }

    fn end_of_input(&mut self, transcript: &mut Transcript) -> Result<bool, Error> {
        let event = self.server.end_of_input()?;
        match event {
            None => Ok(false),
            Some(Event::End) => {
                transcript.0.push(Entry::End);
                Ok(true)
            }
            Some(event) => panic!("the end of the input gave {event:?}"),
        }
    }

    fn has_ended(&self) -> bool {
        self.server.must_close()
    }
}

/// A server can tell what was wrong, if it has not answered before, and must close then.
fn check_refusal(server: &mut Server, error: Error) {
    assert!(!error.section().is_empty() && !error.to_string().is_empty());
    if let (true, Some(status)) = (server.may_respond(), error.status()) {
        let mut out = Vec::new();
        server
            .respond(&mut out, status, "")
            .and_then(|head| head.end(Body::None))
            .expect("an answer to what was refused");
        assert!(String::from_utf8_lossy(&out).contains("Connection: close\r\n"), "goes on after {error}");
    }
    assert!(server.must_close(), "goes on after {error}");
}

fn check_limits(request: &Request<'_, '_>, input: &[u8], taken: usize, limits: &Limits) {
    assert!(taken <= (limits.head_bytes + 2 * limits.leading_empty_lines) as usize, "a head of {taken} bytes");
    assert!(request.fields().count() <= limits.fields as usize);
    assert!(request.target().len() <= limits.target as usize);
    check_within(input, request.method().as_bytes());
    check_within(input, request.target().as_bytes());
    check_within(input, request.upgrade().unwrap_or_default());
    check_within(input, request.authority().unwrap_or_default().as_bytes());
    for (name, value) in request.fields() {
        check_within(input, name);
        check_within(input, value);
        assert!(name.len() <= limits.name as usize && value.len() <= limits.value as usize);
    }
}

/// The next hop reads the request as this one did.
fn check_forwarded(request: &Request<'_, '_>) {
    let (mut client, mut wire) = (Client::new(Limits::default()), Vec::new());
    let has_host = request.end_to_end().any(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    let mut head = client.request(&mut wire, request.method(), request.path()).expect("a request line that was read");
    if !has_host {
        head = head.field("Host", request.authority().unwrap_or_default());
    }
    let body = if request.method() == "CONNECT" { Body::None } else { request.body().into() };
    head.forward(request.end_to_end(), |_, _| true).end(body).expect("a head that was read");
    let (mut input, mut space) = (&wire[..], Space::new());
    let event = Server::new(Limits::default()).receive(&mut input, &mut space);
    let Ok(Some(Event::Request(next))) = event else {
        panic!("the next hop has {event:?} for {:?}", String::from_utf8_lossy(&wire));
    };
    assert!(input.is_empty(), "the next hop sees {} bytes behind the head", input.len());
    assert_eq!(next.method(), request.method());
    assert_eq!(next.authority().unwrap_or_default(), request.authority().unwrap_or_default());
    let path = if request.path().starts_with('?') { format!("/{}", request.path()) } else { request.path().to_owned() };
    assert_eq!(next.path(), path);
    let length = if request.method() == "CONNECT" { BodyLength::None } else { request.body() };
    assert_eq!(next.body(), length);
    // RFC 9110 section 10.1.1: HTTP/1.0 has no such expectation.
    assert!(request.version() == Version::Http10 || next.expects_continue() == request.expects_continue());
    let others = |request: &Request<'_, '_>| -> Vec<(Vec<u8>, Vec<u8>)> {
        let fields = request.end_to_end().filter(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
        fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    };
    assert_eq!(others(&next), others(request), "other fields at the next hop");
}

fn words(request: &Request<'_, '_>) -> String {
    let form = match request.form() {
        TargetForm::Origin => "origin",
        TargetForm::Absolute { .. } => "absolute",
        TargetForm::Authority => "authority",
        TargetForm::Asterisk => "asterisk",
    };
    format!(
        "{} {} {form} {} {:?} {:?} {:?} {} {:?} {}\n{}\n{}",
        request.method(),
        request.target(),
        request.path(),
        request.authority(),
        request.version(),
        request.body(),
        request.keep_alive(),
        request.upgrade(),
        request.expects_continue(),
        lines(request.fields()),
        lines(request.end_to_end()),
    )
}
