//! A server that sends any bytes, to a client that goes on with requests as long as it may.
//!
//! What must hold: the events do not depend on how the bytes were cut; they borrow from the input and keep to the
//! limits; after an error nothing is read; and a response that was accepted, written again for the client behind, is
//! accepted there and means the same.

use byrnie_http1::{Body, BodyLength, Client, Error, Limits, Response, Server, Space, Version, client, server};

use super::transcript::{Entry, Reader, TIGHT, Transcript, check_same, check_within, cuts, lines, read};

/// Reads `data` as all that a server sends. A first line may name a [`Kind`] of the requests.
pub fn run(data: &[u8]) {
    let line = data.iter().position(|byte| *byte == b'\n').map_or(&[][..], |end| &data[..=end]);
    let (kind, data) = match line.trim_ascii_end() {
        b"GET" => (Kind::Get, &data[line.len()..]),
        b"POST" => (Kind::Post, &data[line.len()..]),
        b"HEAD" => (Kind::Head, &data[line.len()..]),
        b"CONNECT" => (Kind::Connect, &data[line.len()..]),
        b"UPGRADE" => (Kind::Upgrade, &data[line.len()..]),
        _ => (Kind::Get, data),
    };
    let cuts = cuts(data);
    for limits in [Limits::default(), TIGHT] {
        let whole = read(Asking::new(kind, limits), data, &[], &limits);
        let in_pieces = read(Asking::new(kind, limits), data, &cuts, &limits);
        check_same(&whole, &in_pieces, &cuts);
    }
}

/// What is asked, and so how responses are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Get,
    /// With a body that is sent when the response has been read.
    Post,
    Head,
    Connect,
    Upgrade,
}

impl Kind {
    fn method(self) -> &'static str {
        match self {
            Self::Get | Self::Upgrade => "GET",
            Self::Post => "POST",
            Self::Head => "HEAD",
            Self::Connect => "CONNECT",
        }
    }

    /// Writes the request to which responses belong.
    fn ask(self, client: &mut Client, out: &mut Vec<u8>) {
        let target = if self == Self::Connect { "a:1" } else { "/" };
        let head = client.request(out, self.method(), target).expect("a request line").field("Host", "a:1");
        let head = if self == Self::Upgrade { head.upgrade("any") } else { head };
        head.end(if self == Self::Post { Body::Sized(4) } else { Body::None }).expect("a head");
    }
}

/// A client whose requests are all of one kind.
struct Asking {
    client: Client,
    kind: Kind,
    limits: Limits,
    interim: u32,
    out: Vec<u8>,
}

impl Asking {
    fn new(kind: Kind, limits: Limits) -> Self {
        let mut asking = Self { client: Client::new(limits), kind, limits, interim: 0, out: Vec::new() };
        kind.ask(&mut asking.client, &mut asking.out);
        asking
    }

    /// The response is complete: so is the request now, and the next one goes out.
    fn go_on(&mut self) {
        self.out.clear();
        self.interim = 0;
        if self.client.must_close() || self.client.is_tunnel() {
            return;
        }
        if !self.client.is_request_complete() {
            assert_eq!(self.client.send(&mut self.out, b"body"), Ok(4));
        }
        if self.client.can_reuse() {
            self.kind.ask(&mut self.client, &mut self.out);
        }
    }
}

impl Reader for Asking {
    fn receive(&mut self, input: &mut &[u8], transcript: &mut Transcript) -> Result<bool, Error> {
        let before = *input;
        let mut space = Space::new();
        let event = match self.client.receive(input, &mut space) {
            Ok(event) => event,
            Err(error) => {
                assert!(!error.section().is_empty() && !error.to_string().is_empty());
                assert!(self.client.must_close() && !self.client.can_reuse(), "goes on after {error}");
                return Err(error);
            }
        };
        match event {
            None => return Ok(false),
            Some(client::Event::Informational(response)) => {
                self.interim += 1;
                assert!(self.interim <= self.limits.interim_responses, "{} interim responses", self.interim);
                check_limits(&response, before, before.len() - input.len(), &self.limits);
                check_forwarded(&response, self.kind);
                transcript.0.push(Entry::Head(words(&response)));
            }
            Some(client::Event::Response(response)) => {
                check_limits(&response, before, before.len() - input.len(), &self.limits);
                check_forwarded(&response, self.kind);
                transcript.0.push(Entry::Head(words(&response)));
            }
            Some(client::Event::Data(bytes)) => transcript.data(before, bytes),
            Some(client::Event::Trailers(trailers)) => transcript.trailers(before, &trailers, &self.limits),
            Some(client::Event::End) => {
                transcript.0.push(Entry::End);
                self.go_on();
            }
        }
        Ok(true)
    }

    fn end_of_input(&mut self, transcript: &mut Transcript) -> Result<bool, Error> {
        let event = self.client.end_of_input()?;
        assert!(!self.client.can_reuse(), "takes requests after the end of the input");
        match event {
            None => Ok(false),
            Some(client::Event::End) => {
                transcript.0.push(Entry::End);
                Ok(true)
            }
            Some(event) => panic!("the end of the input gave {event:?}"),
        }
    }

    fn has_ended(&self) -> bool {
        self.client.must_close()
    }
}

fn check_limits(response: &Response<'_, '_>, input: &[u8], taken: usize, limits: &Limits) {
    assert!((100..1000).contains(&response.status()));
    assert!(taken <= limits.head_bytes as usize, "a head of {taken} bytes");
    assert!(response.fields().count() <= limits.fields as usize);
    check_within(input, response.reason());
    check_within(input, response.upgrade().unwrap_or_default());
    for (name, value) in response.fields() {
        check_within(input, name);
        check_within(input, value);
        assert!(name.len() <= limits.name as usize && value.len() <= limits.value as usize);
    }
}

/// The client behind reads the response as this one did.
fn check_forwarded(response: &Response<'_, '_>, kind: Kind) {
    let wire = written(response, kind);
    let mut client = Client::new(Limits::default());
    kind.ask(&mut client, &mut Vec::new());
    if kind == Kind::Post {
        client.send(&mut Vec::new(), b"body").expect("the body of the request");
    }
    let (mut input, mut space) = (&wire[..], Space::new());
    let event = client.receive(&mut input, &mut space);
    let is_interim = matches!(response.status(), 100 | 102..200);
    let next = match event {
        Ok(Some(client::Event::Informational(next))) if is_interim => next,
        Ok(Some(client::Event::Response(next))) if !is_interim => next,
        other => panic!("the client behind has {other:?} for {:?}", String::from_utf8_lossy(&wire)),
    };
    assert!(input.is_empty(), "the client behind sees {} bytes behind the head", input.len());
    assert_eq!((next.status(), next.version()), (response.status(), Version::Http11));
    assert!(is_interim || next.reason() == response.reason(), "another reason");
    let length = match response.body() {
        BodyLength::UntilClose => BodyLength::Chunked,
        length => length,
    };
    assert_eq!(next.body(), length);
    // RFC 9110 section 8.6: 1xx and 204 have no Content-Length.
    if length == BodyLength::None && !is_interim && response.status() != 204 {
        assert_eq!(next.content_length(), response.content_length());
    }
    assert!(next.end_to_end().eq(response.end_to_end()), "other fields for the client behind");
}

/// What a server writes that passes the response on.
fn written(response: &Response<'_, '_>, kind: Kind) -> Vec<u8> {
    let (mut asked, mut wire) = (Vec::new(), Vec::new());
    kind.ask(&mut Client::new(Limits::default()), &mut asked);
    asked.extend_from_slice(if kind == Kind::Post { b"body" } else { b"" });
    let (mut server, mut input) = (Server::new(Limits::default()), &asked[..]);
    while !input.is_empty() {
        let mut space = Space::new();
        let event = server.receive(&mut input, &mut space).expect("a request that a client wrote");
        assert!(!matches!(event, None | Some(server::Event::End)), "a request ends before its last byte");
    }
    let status = response.status();
    let head = match status {
        100 | 102..200 => server.inform(&mut wire, status),
        _ => server.respond(&mut wire, status, response.reason()),
    };
    let mut head = head.expect("a status line that was read").forward(response.end_to_end(), |_, _| true);
    if status == 101 {
        head = head.upgrade("any");
    }
    let body = match response.body() {
        BodyLength::None => response.content_length().map_or(Body::None, Body::Sized),
        length => length.into(),
    };
    head.end(body).expect("a head that was read");
    wire
}

fn words(response: &Response<'_, '_>) -> String {
    format!(
        "{} {:?} {:?} {:?} {:?} {} {:?}\n{}\n{}",
        response.status(),
        response.reason(),
        response.version(),
        response.body(),
        response.content_length(),
        response.keep_alive(),
        response.upgrade(),
        lines(response.fields()),
        lines(response.end_to_end()),
    )
}
