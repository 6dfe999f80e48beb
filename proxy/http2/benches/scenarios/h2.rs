//! h2's client and server on one connection, polled by hand: no runtime, no task, no wake-up is counted.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{RecvStream, server};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};

use super::message::{
    AT_ONCE, AUTHORITY, CONNECTION_WINDOW, PATH, REQUEST_FIELDS, RESPONSE_FIELDS, SCHEME, STREAM_WINDOW,
};
use super::wire::{End, Wire};

/// More turns than any exchange needs: a subject that waits for ever fails instead.
const TURNS: usize = 100;

// Made once and cloned for each message, which is the cheapest way to fill a head.
static REQUEST: LazyLock<(Uri, HeaderMap)> = LazyLock::new(|| {
    let target = format!("{SCHEME}://{AUTHORITY}{PATH}");
    (Uri::try_from(target).expect("the target is well formed"), map(&REQUEST_FIELDS))
});
static RESPONSE: LazyLock<HeaderMap> = LazyLock::new(|| map(&RESPONSE_FIELDS));

/// A client and a server that keep one connection.
pub struct Pair {
    pub client: Client,
    pub server: server::Connection<End, Bytes>,
    waiting: Vec<Exchange>,
    /// Kept, so that neither end holds what lies on the wire.
    _wires: [Rc<RefCell<Wire>>; 2],
}

/// The two halves of a client's connection.
pub struct Client {
    sender: SendRequest<Bytes>,
    connection: Box<client::Connection<End, Bytes>>,
}

/// What the client knows of an exchange.
enum Exchange {
    Asked(ResponseFuture),
    Answered { body: RecvStream, received: usize },
}

impl Pair {
    pub fn new() -> Self {
        let cx = &mut Context::from_waker(Waker::noop());
        let (near, far) = End::pair();
        let wires = near.wires();
        let Poll::Ready(Ok((sender, connection))) = pin!(
            client::Builder::new()
                .initial_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .enable_push(false)
                .handshake(near)
        )
        .poll(cx) else {
            panic!("the client's handshake waits for nothing");
        };
        let mut client = Client { sender, connection: Box::new(connection) };
        client.turn(cx);
        let Poll::Ready(Ok(server)) = pin!(
            server::Builder::new()
                .initial_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(far)
        )
        .poll(cx) else {
            panic!("the server has the client's preface");
        };
        let mut pair = Self { client, server, waiting: Vec::with_capacity(AT_ONCE), _wires: wires };
        for _ in 0..2 {
            assert!(pair.server.poll_accept(cx).is_pending());
            pair.client.turn(cx);
        }
        pair
    }

    /// `many` GETs at once, each answered with `body`; without one, with 204.
    pub fn exchange(&mut self, many: usize, body: &'static [u8]) {
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..many {
            assert!(self.client.sender.poll_ready(cx).is_ready(), "the server takes {many} streams at once");
            let mut request = Request::new(());
            request.uri_mut().clone_from(&REQUEST.0);
            request.headers_mut().clone_from(&REQUEST.1);
            let (response, _) = self.client.sender.send_request(request, true).expect("the connection is open");
            self.waiting.push(Exchange::Asked(response));
        }
        for _ in 0..TURNS {
            self.client.turn(cx);
            self.serve(cx, body);
            self.client.turn(cx);
            self.waiting.retain_mut(|exchange| exchange.poll(cx, body.len()).is_pending());
            if self.waiting.is_empty() {
                return;
            }
        }
        panic!("{} of {many} replies did not come in {TURNS} turns", self.waiting.len());
    }

    fn serve(&mut self, cx: &mut Context<'_>, body: &'static [u8]) {
        while let Poll::Ready(request) = self.server.poll_accept(cx) {
            let (request, mut reply) = request.expect("the connection is open").expect("the request is well formed");
            assert_eq!(request.uri().path_and_query().map(|path| path.as_str()), Some(PATH));
            assert_eq!(request.headers().len(), REQUEST_FIELDS.len());
            assert!(request.body().is_end_stream());
            let mut response = Response::new(());
            if body.is_empty() {
                *response.status_mut() = StatusCode::NO_CONTENT;
                reply.send_response(response, true).expect("the stream is open");
                continue;
            }
            response.headers_mut().clone_from(&RESPONSE);
            let mut stream = reply.send_response(response, false).expect("the stream is open");
            stream.send_data(Bytes::from_static(body), true).expect("the stream is open");
        }
    }
}

impl Client {
    fn turn(&mut self, cx: &mut Context<'_>) {
        assert!(Pin::new(&mut self.connection).poll(cx).is_pending(), "the connection stays open");
    }
}

impl Exchange {
    /// Ready when the whole reply has come.
    fn poll(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<()> {
        if let Self::Asked(response) = self {
            let Poll::Ready(response) = Pin::new(response).poll(cx) else { return Poll::Pending };
            let response = response.expect("the server answers");
            let (status, fields) = if length == 0 { (204, 0) } else { (200, RESPONSE_FIELDS.len()) };
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().len(), fields);
            *self = Self::Answered { body: response.into_body(), received: 0 };
        }
        let Self::Answered { body, received } = self else { return Poll::Pending };
        loop {
            match body.poll_data(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => break,
                Poll::Ready(Some(bytes)) => {
                    let bytes = bytes.expect("the reply is whole").len();
                    body.flow_control().release_capacity(bytes).expect("what came may be released");
                    *received += bytes;
                }
            }
        }
        assert_eq!(*received, length);
        Poll::Ready(())
    }
}

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}
