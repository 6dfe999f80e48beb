//! hyper's client and server on one connection, polled by hand: no runtime, no task, no wake-up is counted.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::{Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::server::conn::http1 as server;
use hyper::service::Service;

use super::message::{BODY, REQUEST_FIELDS, RESPONSE_FIELDS, TARGET};
use super::wire::{End, Wire};

/// More turns than any exchange needs: a subject that waits for ever fails instead.
const TURNS: usize = 16;

// Made once and cloned for each message, which is the cheapest way to fill a head.
static REQUEST: LazyLock<(Uri, HeaderMap)> = LazyLock::new(|| (Uri::from_static(TARGET), map(&REQUEST_FIELDS)));
static RESPONSE: LazyLock<HeaderMap> = LazyLock::new(|| map(&RESPONSE_FIELDS));

/// A client and a server that keep one connection.
pub struct Pair {
    pub client: Client,
    pub server: Pin<Box<server::Connection<End, Catalog>>>,
    /// Kept, so that neither end holds what lies on the wire.
    _wires: [Rc<RefCell<Wire>>; 2],
}

/// The two halves of a client's connection.
pub struct Client {
    sender: SendRequest<Empty<Bytes>>,
    connection: Pin<Box<client::Connection<End, Empty<Bytes>>>>,
}

impl Pair {
    pub fn new() -> Self {
        let cx = &mut Context::from_waker(Waker::noop());
        let (near, far) = End::pair();
        let wires = near.wires();
        let Poll::Ready(Ok((sender, connection))) = pin!(client::handshake(near)).poll(cx) else {
            panic!("the client's handshake waits for nothing");
        };
        let server = server::Builder::new().auto_date_header(false).serve_connection(far, Catalog);
        let mut pair = Self {
            client: Client { sender, connection: Box::pin(connection) },
            server: Box::pin(server),
            _wires: wires,
        };
        pair.turn(cx);
        pair
    }

    /// A GET and its reply of 1 KiB.
    pub fn exchange(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut request = Request::new(Empty::new());
        request.uri_mut().clone_from(&REQUEST.0);
        request.headers_mut().clone_from(&REQUEST.1);
        let mut waiting = pin!(self.client.sender.send_request(request));
        let response = turns(|| {
            turn(&mut self.client.connection, &mut self.server, cx);
            waiting.as_mut().poll(cx)
        });
        let response = response.expect("the server answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers().len(), RESPONSE_FIELDS.len() + 1);
        let mut body = response.into_body();
        let mut received = 0;
        while let Some(frame) = turns(|| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Pending => {
                turn(&mut self.client.connection, &mut self.server, cx);
                Poll::Pending
            }
            done => done,
        }) {
            received += frame.expect("the body is whole").data_ref().map_or(0, Bytes::len);
        }
        assert_eq!(received, BODY.len());
        if !self.client.sender.is_ready() {
            self.turn(cx);
        }
        assert!(self.client.sender.is_ready(), "the connection is used again");
    }

    fn turn(&mut self, cx: &mut Context<'_>) {
        turn(&mut self.client.connection, &mut self.server, cx);
    }
}

/// Lets the client send, the server answer and the client receive.
fn turn(
    client: &mut Pin<Box<client::Connection<End, Empty<Bytes>>>>,
    server: &mut Pin<Box<server::Connection<End, Catalog>>>,
    cx: &mut Context<'_>,
) {
    assert!(client.as_mut().poll(cx).is_pending(), "the client's connection stays open");
    assert!(server.as_mut().poll(cx).is_pending(), "the server's connection stays open");
    assert!(client.as_mut().poll(cx).is_pending(), "the client's connection stays open");
}

fn turns<T>(mut poll: impl FnMut() -> Poll<T>) -> T {
    for _ in 0..TURNS {
        if let Poll::Ready(done) = poll() {
            return done;
        }
    }
    panic!("nothing came in {TURNS} turns");
}

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

/// Answers every request with 1 KiB.
pub struct Catalog;

impl Service<Request<Incoming>> for Catalog {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        assert_eq!(request.uri().path_and_query().map(|target| target.as_str()), Some(TARGET));
        assert_eq!(request.headers().len(), REQUEST_FIELDS.len());
        let mut response = Response::new(Full::new(Bytes::from_static(&BODY)));
        response.headers_mut().clone_from(&RESPONSE);
        ready(Ok(response))
    }
}
