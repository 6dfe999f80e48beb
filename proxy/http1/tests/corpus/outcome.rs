//! What the crate makes of a case when its bytes come in pieces.

use byrnie_http1::{Body, Client, Error, FieldIter, Limits, Server, Space, Trailers, client, server};

use crate::case::{Case, End, Message, Role};

/// The messages that were delivered whole, and what came after them.
#[derive(Debug)]
pub struct Outcome {
    messages: Vec<Delivered>,
    end: End,
}

/// A message as an application gets it.
#[derive(Clone, Debug, Default)]
struct Delivered {
    start: String,
    authority: Option<String>,
    body: Vec<u8>,
    trailers: Vec<String>,
    /// Names of its fields for the next hop, in lower case.
    end_to_end: Vec<String>,
}

/// One role's connection. Each gives what `receive` gave, in the words of `Step`.
trait Peer {
    fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Step>, Error>;
    fn end_of_input(&mut self) -> Result<bool, Error>;
    fn is_idle(&self) -> bool;
    fn must_close(&self) -> bool;
}

/// An event without its borrows.
enum Step {
    Head(Delivered),
    /// A whole message without an end of its own: an interim response, or one that opens a tunnel.
    Whole(Delivered),
    Data(Vec<u8>),
    Trailers(Vec<String>),
    End,
}

impl Outcome {
    /// Presents the bytes of the case up to each of `ends`, one after the other.
    pub fn of(case: &Case, ends: &[usize]) -> Self {
        let tunnels = matches!(case.end, End::Tunnel(_));
        let mut peer: Box<dyn Peer> = match &case.role {
            Role::Request => Box::new(Served { server: Server::new(Limits::default()), tunnels, tunnel: None }),
            role => Box::new(Asking::of(role)),
        };
        let mut intake = Intake::default();
        for end in ends {
            if let Err(error) = intake.take(peer.as_mut(), &case.send[..*end]) {
                let left = &mut &case.send[intake.taken..];
                let after = peer.receive(left);
                assert!(!matches!(after, Ok(Some(_))), "{}: an event behind the error {error}", case.place);
                return Self { messages: intake.messages, end: refused(error, &case.role) };
            }
        }
        let end = intake.end(peer.as_mut(), &case.send);
        Self { messages: intake.messages, end }
    }

    /// What is not as the case expects it.
    pub fn difference(&self, case: &Case) -> Option<String> {
        let delivered = self.messages.len() == case.messages.len();
        if !delivered || self.end != case.end {
            return Some(format!("expected {:?} {:?}, found {self:?}", case.messages, case.end));
        }
        let mut pairs = self.messages.iter().zip(&case.messages);
        pairs.find(|(found, expected)| !found.is(expected)).map(|pair| format!("expected and found differ: {pair:?}"))
    }
}

fn refused(error: Error, role: &Role) -> End {
    let status = if *role == Role::Request { error.status() } else { None };
    End::Refused { status, rule: error.section().to_owned() }
}

impl Delivered {
    fn is(&self, expected: &Message) -> bool {
        let has = |name: &String| self.end_to_end.contains(name);
        self.start == expected.start
            && self.body == expected.body
            && self.trailers == expected.trailers
            && (expected.authority.is_none() || self.authority == expected.authority)
            && expected.keeps.iter().all(has)
            && !expected.drops.iter().any(has)
    }
}

/// The reader's side: what is taken off the bytes, and the messages that it adds up to.
#[derive(Default)]
struct Intake {
    taken: usize,
    messages: Vec<Delivered>,
    /// A head was given, its end was not.
    open: Option<Delivered>,
    /// What came where no message was open.
    tunnel: Vec<u8>,
    in_tunnel: bool,
}

impl Intake {
    fn take(&mut self, peer: &mut dyn Peer, bytes: &[u8]) -> Result<(), Error> {
        loop {
            let mut input = &bytes[self.taken..];
            let step = peer.receive(&mut input);
            self.taken = bytes.len() - input.len();
            match step? {
                Some(step) => self.step(step),
                None => return Ok(()),
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Head(head) => assert!(self.open.replace(head).is_none(), "a head within a message"),
            Step::Whole(message) => self.messages.push(message),
            Step::Data(data) => match &mut self.open {
                Some(message) => message.body.extend(data),
                None => self.tunnel.extend(data),
            },
            Step::Trailers(trailers) => self.open.as_mut().expect("trailers are of a message").trailers = trailers,
            Step::End => match self.open.take() {
                Some(message) => self.messages.push(message),
                None => self.in_tunnel = true,
            },
        }
    }

    /// The peer closes: what that is by then.
    fn end(&mut self, peer: &mut dyn Peer, bytes: &[u8]) -> End {
        let (idle, closed) = (peer.is_idle(), peer.must_close());
        match peer.end_of_input() {
            Err(Error::Truncated) => End::Waits,
            Err(error) => panic!("{error} at the end of the input"),
            Ok(true) if self.open.is_some() => {
                self.step(Step::End);
                End::Closed
            }
            Ok(true) => End::Tunnel(std::mem::take(&mut self.tunnel)),
            Ok(false) if closed => End::Closed,
            Ok(false) => {
                assert!(idle && self.taken == bytes.len() && !self.in_tunnel, "neither idle nor at an end");
                End::Idle
            }
        }
    }
}

/// A server that answers each request when it is whole: 200, or what opens a tunnel if the case has one.
struct Served {
    server: Server,
    tunnels: bool,
    /// What the request that is open asks for: the protocol of an upgrade, or CONNECT.
    tunnel: Option<Vec<u8>>,
}

const CONNECT: &[u8] = b"CONNECT";

impl Served {
    fn respond(&mut self) {
        if !self.server.may_respond() {
            return;
        }
        let mut out = Vec::new();
        let answered = match self.tunnel.take().filter(|_| self.tunnels).as_deref() {
            Some(CONNECT) => self.server.respond(&mut out, 200, "OK").and_then(|head| head.end(Body::None)),
            Some(protocol) => {
                let head = self.server.respond(&mut out, 101, "Switching Protocols");
                head.and_then(|head| head.upgrade(protocol).end(Body::None))
            }
            None => self.server.respond(&mut out, 400, "No").and_then(|head| head.end(Body::None)),
        };
        answered.expect("a request that is whole can be answered");
    }
}

impl Peer for Served {
    fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Step>, Error> {
        let mut space = Space::new();
        Ok(self.server.receive(input, &mut space)?.map(|event| match event {
            server::Event::Request(request) => {
                let connect = (request.method() == "CONNECT").then_some(CONNECT);
                self.tunnel = request.upgrade().or(connect).map(<[u8]>::to_vec);
                Step::Head(Delivered {
                    start: format!("{} {}", request.method(), request.target()),
                    authority: request.authority().map(str::to_owned),
                    end_to_end: names(request.end_to_end()),
                    ..Delivered::default()
                })
            }
            server::Event::Data(data) => Step::Data(data.to_vec()),
            server::Event::Trailers(trailers) => Step::Trailers(lines(trailers)),
            server::Event::End => {
                self.respond();
                Step::End
            }
        }))
    }

    fn end_of_input(&mut self) -> Result<bool, Error> {
        self.server.end_of_input().map(|event| event.is_some())
    }

    fn is_idle(&self) -> bool {
        self.server.is_idle()
    }

    fn must_close(&self) -> bool {
        self.server.must_close()
    }
}

/// A client that sent its one request, or none.
struct Asking {
    client: Client,
}

impl Asking {
    fn of(role: &Role) -> Self {
        let mut client = Client::new(Limits::default());
        let mut out = Vec::new();
        let asked = match role {
            Role::ResponseTo(method) => {
                let target = if method == "CONNECT" { "a:443" } else { "/x" };
                client.request(&mut out, method, target).and_then(|head| head.field("Host", "a:443").end(Body::None))
            }
            Role::ResponseToUpgrade => {
                let head = client.request(&mut out, "GET", "/x");
                head.and_then(|head| head.field("Host", "a").upgrade("example/1").end(Body::None))
            }
            Role::Unasked | Role::Request => Ok(()),
        };
        asked.expect("a fresh client can ask");
        Self { client }
    }
}

impl Peer for Asking {
    fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Step>, Error> {
        let mut space = Space::new();
        let event = self.client.receive(input, &mut space)?;
        Ok(event.map(|event| match event {
            client::Event::Informational(response) => Step::Whole(response_head(&response)),
            client::Event::Response(response) if self.client.is_tunnel() => Step::Whole(response_head(&response)),
            client::Event::Response(response) => Step::Head(response_head(&response)),
            client::Event::Data(data) => Step::Data(data.to_vec()),
            client::Event::Trailers(trailers) => Step::Trailers(lines(trailers)),
            client::Event::End => Step::End,
        }))
    }

    fn end_of_input(&mut self) -> Result<bool, Error> {
        self.client.end_of_input().map(|event| event.is_some())
    }

    fn is_idle(&self) -> bool {
        self.client.is_idle()
    }

    fn must_close(&self) -> bool {
        self.client.must_close()
    }
}

fn response_head(response: &byrnie_http1::Response<'_, '_>) -> Delivered {
    Delivered { start: response.status().to_string(), end_to_end: names(response.end_to_end()), ..Delivered::default() }
}

fn names(fields: FieldIter<'_, '_>) -> Vec<String> {
    fields.map(|(name, _)| String::from_utf8_lossy(name).to_lowercase()).collect()
}

fn lines(trailers: Trailers<'_>) -> Vec<String> {
    let text = String::from_utf8_lossy;
    trailers.iter().map(|(name, value)| format!("{}: {}", text(name).to_lowercase(), text(value))).collect()
}
