//! The end of the connection that is `hyper`, driven by a plan.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::Service;

use super::pipe::End;
use super::plan::{self, Exchange, Framing, Line, Plan, Side};
use super::seen::Seen;

type Answer = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>>;

pub struct Theirs<'p> {
    plan: &'p Plan,
    side: Side,
    role: Role,
    shared: Rc<RefCell<Shared>>,
    /// The client's next exchange.
    next: usize,
    waiting: Option<Answer>,
    pub closed: bool,
}

enum Role {
    Client { sender: client::SendRequest<Scripted>, connection: Box<client::Connection<End, Scripted>> },
    Server(Box<server::Connection<End, Desk>>),
}

/// What the messages under way have in common.
struct Shared {
    seen: Vec<Seen>,
    /// The exchange at hand, and what comes of its body.
    number: usize,
    incoming: Option<Incoming>,
}

impl<'p> Theirs<'p> {
    pub fn new(plan: &'p Plan, side: Side, end: End) -> Result<Self, String> {
        let seen = plan.exchanges.iter().map(|_| Seen::default()).collect();
        let shared = Rc::new(RefCell::new(Shared { seen, number: 0, incoming: None }));
        let role = match side {
            Side::Server => {
                let desk = Desk { plan: plan.clone(), next: RefCell::new(0), shared: Rc::clone(&shared) };
                let connection = server::Builder::new().header_read_timeout(None).serve_connection(end, desk);
                Role::Server(Box::new(connection))
            }
            Side::Client => {
                let cx = &mut Context::from_waker(Waker::noop());
                let mut handshake = Box::pin(client::Builder::new().handshake(end));
                let Poll::Ready(Ok((sender, connection))) = handshake.as_mut().poll(cx) else {
                    return Err("hyper's handshake waits for nothing".to_owned());
                };
                Role::Client { sender, connection: Box::new(connection) }
            }
        };
        Ok(Self { plan, side, role, shared, next: 0, waiting: None, closed: false })
    }

    pub fn turn(&mut self) -> Result<(), String> {
        let cx = &mut Context::from_waker(Waker::noop());
        self.drive(cx)?;
        if self.side == Side::Client {
            self.ask(cx)?;
        }
        self.shared.borrow_mut().receive(cx, self.side)?;
        self.drive(cx)
    }

    pub fn is_done(&self) -> bool {
        self.shared.borrow().seen.iter().all(|seen| seen.whole)
    }

    /// Fails with what was not received as it was sent.
    pub fn check(&self) -> Result<(), String> {
        let from = if self.side == Side::Client { Side::Server } else { Side::Client };
        let shared = self.shared.borrow();
        let mut messages = shared.seen.iter().zip(&self.plan.exchanges).enumerate();
        messages.try_for_each(|(number, (seen, exchange))| seen.check(number, exchange, from))
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        if self.closed {
            return Ok(());
        }
        let end = match &mut self.role {
            Role::Client { connection, .. } => Pin::new(connection).poll(cx),
            Role::Server(connection) => Pin::new(connection).poll(cx),
        };
        if let Poll::Ready(end) = end {
            self.closed = true;
            end.map_err(|error| format!("hyper: {error:?}"))?;
        }
        Ok(())
    }

    fn ask(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        let Role::Client { sender, .. } = &mut self.role else { return Ok(()) };
        let mut shared = self.shared.borrow_mut();
        if let Some(answer) = &mut self.waiting {
            let Poll::Ready(response) = answer.as_mut().poll(cx) else { return Ok(()) };
            let (head, incoming) = response.map_err(|error| format!("hyper: {error:?}"))?.into_parts();
            self.waiting = None;
            shared.number = self.next - 1;
            let number = shared.number;
            shared.seen[number].head(head.status.as_str().to_owned(), bytes_of(&head.headers));
            shared.incoming = Some(incoming);
        }
        let over = self.next == 0 || shared.seen[self.next - 1].whole;
        let Some(exchange) = self.plan.exchanges.get(self.next).filter(|_| over) else { return Ok(()) };
        let Poll::Ready(ready) = sender.poll_ready(cx) else { return Ok(()) };
        ready.map_err(|error| format!("hyper: {error:?}"))?;
        let mut request = Request::new(Scripted::new(exchange, self.next, Side::Client, None));
        *request.method_mut() = Method::from_bytes(exchange.method.as_bytes()).expect("a method");
        *request.uri_mut() = exchange.path.parse().expect("a target");
        *request.headers_mut() = map(&exchange.lines(Side::Client));
        request.headers_mut().append("te", HeaderValue::from_static("trailers"));
        request.headers_mut().append("connection", HeaderValue::from_static("te"));
        if exchange.request.framing == Framing::Chunked {
            // Without it a GET would have no body.
            request.headers_mut().append("transfer-encoding", HeaderValue::from_static("chunked"));
        }
        if self.plan.close == Some(Side::Client) && self.next + 1 == self.plan.exchanges.len() {
            request.headers_mut().append("connection", HeaderValue::from_static("close"));
        }
        self.waiting = Some(Box::pin(sender.send_request(request)));
        self.next += 1;
        Ok(())
    }
}

impl Shared {
    fn receive(&mut self, cx: &mut Context<'_>, side: Side) -> Result<(), String> {
        let from = if side == Side::Client { Side::Server } else { Side::Client };
        while let Some(incoming) = &mut self.incoming {
            let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) else { break };
            let seen = &mut self.seen[self.number];
            match frame.transpose().map_err(|error| format!("hyper: {error:?}"))?.map(Frame::into_data) {
                None => {
                    seen.whole = true;
                    self.incoming = None;
                }
                Some(Ok(bytes)) => seen.receive(self.number, from, &bytes),
                Some(Err(frame)) => {
                    let trailers = frame.into_trailers().map_err(|frame| format!("{frame:?}"))?;
                    seen.trailers = plan::grouped(&super::seen::lines(bytes_of(&trailers)));
                }
            }
        }
        Ok(())
    }
}

/// Where requests arrive at hyper's server.
struct Desk {
    plan: Plan,
    next: RefCell<usize>,
    shared: Rc<RefCell<Shared>>,
}

impl Service<Request<Incoming>> for Desk {
    type Response = Response<Scripted>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let number = *self.next.borrow();
        *self.next.borrow_mut() += 1;
        let (head, incoming) = request.into_parts();
        let mut shared = self.shared.borrow_mut();
        shared.number = number;
        shared.seen[number].head(format!("{} {}", head.method, head.uri), bytes_of(&head.headers));
        shared.incoming = Some(incoming);
        let exchange = &self.plan.exchanges[number];
        let body = Scripted::new(exchange, number, Side::Server, Some(Rc::clone(&self.shared)));
        let mut response = Response::new(body);
        *response.status_mut() = exchange.status.try_into().expect("a status");
        *response.headers_mut() = map(&exchange.lines(Side::Server));
        if self.plan.close == Some(Side::Server) && number + 1 == self.plan.exchanges.len() {
            response.headers_mut().append("connection", HeaderValue::from_static("close"));
        }
        let (early, shared) = (exchange.early, Rc::clone(&self.shared));
        let mut response = Some(response);
        Box::pin(std::future::poll_fn(move |_| {
            if early || shared.borrow().seen[number].whole {
                Poll::Ready(Ok(response.take().expect("it is asked for once")))
            } else {
                Poll::Pending
            }
        }))
    }
}

/// A body by plan: a frame each time that hyper asks, every second time.
pub struct Scripted {
    frames: VecDeque<Frame<Bytes>>,
    left: Option<u64>,
    asked: bool,
    number: usize,
    /// The last frame waits for the end of the request.
    after: Option<Rc<RefCell<Shared>>>,
}

impl Scripted {
    fn new(exchange: &Exchange, number: usize, side: Side, after: Option<Rc<RefCell<Shared>>>) -> Self {
        let message = exchange.message(side);
        let mut sent = 0;
        let mut frames: VecDeque<_> = VecDeque::new();
        for &length in &message.chunks {
            frames.push_back(Frame::data(Bytes::from(plan::body(number, side, sent, length as usize))));
            sent += u64::from(length);
        }
        if !message.trailers.is_empty() {
            frames.push_back(Frame::trailers(map(&message.trailers)));
        }
        let left = (message.framing != Framing::Chunked).then_some(message.length());
        Self { frames, left, asked: false, number, after }
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.asked = !self.asked;
        let waits = self.after.as_ref().is_some_and(|shared| !shared.borrow().seen[self.number].whole);
        if self.asked || (self.frames.len() <= 1 && waits) {
            return Poll::Pending;
        }
        let frame = self.frames.pop_front();
        if let (Some(left), Some(bytes)) = (&mut self.left, frame.as_ref().and_then(Frame::data_ref)) {
            *left -= bytes.len() as u64;
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

fn map(lines: &[Line]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value).expect("a value");
        map.append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value);
    }
    map
}

fn bytes_of(map: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}
