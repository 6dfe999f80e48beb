//! Both roles through an upgrade (RFC 9110 section 7.8): what follows 101 passes in both directions, however it is cut.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use byrnie_http1::{Body, Client, Limits, Server, Space, client, server};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBuf, Write};
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use proptest::collection::vec;
use proptest::prelude::*;

use super::pipe::{End, Pipe};
use super::plan;

/// Turns that no tunnel needs.
const TURNS: u32 = 20_000;

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn a_tunnel_of_our_server_to_hypers_client_passes_all_bytes(
        (there, back) in (vec(any::<u8>(), 0..5_000), vec(any::<u8>(), 0..5_000)),
        pieces in (plan::pieces(), plan::pieces()),
        seed: u64,
    ) {
        let pipe = Pipe::new(pieces.0, pieces.1, seed);
        let ours = Ours::server(pipe.server(), &back);
        let (mut sender, connection) = now(hyper::client::conn::http1::handshake(pipe.client())).unwrap();
        let request = Request::builder().uri("/").header("host", "a").header("connection", "upgrade").header("upgrade", "echo");
        let response = Box::pin(sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()));
        let theirs = Theirs { coming: Coming::Response(response), upgraded: None, sent: 0, received: Vec::new() };
        run(&pipe, ours, theirs, Box::pin(connection.with_upgrades()), &there, &back).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_tunnel_of_our_client_to_hypers_server_passes_all_bytes(
        (there, back) in (vec(any::<u8>(), 0..5_000), vec(any::<u8>(), 0..5_000)),
        pieces in (plan::pieces(), plan::pieces()),
        seed: u64,
    ) {
        let pipe = Pipe::new(pieces.0, pieces.1, seed);
        let ours = Ours::client(pipe.client(), &there);
        let slot = Rc::new(RefCell::new(None));
        let desk = Rc::clone(&slot);
        let service = service_fn(move |request: Request<Incoming>| {
            *desk.borrow_mut() = Some(hyper::upgrade::on(request));
            let response = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo");
            ready(Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap()))
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .header_read_timeout(None)
            .serve_connection(pipe.server(), service)
            .with_upgrades();
        let theirs = Theirs { coming: Coming::Request(slot), upgraded: None, sent: 0, received: Vec::new() };
        run(&pipe, ours, theirs, Box::pin(connection), &back, &there).map_err(TestCaseError::fail)?;
    }
}

type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// hyper's end of the tunnel.
struct Theirs {
    coming: Coming,
    upgraded: Option<Upgraded>,
    sent: usize,
    received: Vec<u8>,
}

/// Where the tunnel comes from.
enum Coming {
    Response(Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>>),
    Request(Rc<RefCell<Option<OnUpgrade>>>),
    Upgrade(OnUpgrade),
}

/// Our end.
struct Ours<'d> {
    core: Core,
    end: End,
    input: Vec<u8>,
    out: Vec<u8>,
    to_send: &'d [u8],
    received: Vec<u8>,
}

enum Core {
    Server(Server),
    Client(Client),
}

/// Turns until all bytes have passed, then ends the tunnel from hyper's side.
fn run(
    pipe: &Pipe,
    mut ours: Ours<'_>,
    mut theirs: Theirs,
    mut connection: Connection,
    from_them: &[u8],
    from_us: &[u8],
) -> Result<(), String> {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut over = false;
    for _ in 0..TURNS {
        ours.turn()?;
        if !over && let Poll::Ready(end) = connection.as_mut().poll(cx) {
            over = true;
            end.map_err(|error| format!("hyper: {error:?}"))?;
        }
        theirs.turn(cx, from_them)?;
        pipe.turn();
        if ours.received.len() >= from_them.len() && theirs.received.len() >= from_us.len() && theirs.upgraded.is_some()
        {
            break;
        }
    }
    if ours.received != from_them || theirs.received != from_us {
        return Err(format!("{} and {} octets have passed", ours.received.len(), theirs.received.len()));
    }
    ours.check_end()
}

impl Theirs {
    fn turn(&mut self, cx: &mut Context<'_>, to_send: &[u8]) -> Result<(), String> {
        match &mut self.coming {
            Coming::Response(response) => {
                if let Poll::Ready(response) = response.as_mut().poll(cx) {
                    let response = response.map_err(|error| format!("hyper: {error:?}"))?;
                    self.coming = Coming::Upgrade(hyper::upgrade::on(response));
                }
            }
            Coming::Request(slot) => {
                let upgrade = slot.borrow_mut().take();
                if let Some(upgrade) = upgrade {
                    self.coming = Coming::Upgrade(upgrade);
                }
            }
            Coming::Upgrade(upgrade) if self.upgraded.is_none() => {
                if let Poll::Ready(upgraded) = Pin::new(upgrade).poll(cx) {
                    self.upgraded = Some(upgraded.map_err(|error| format!("hyper: {error:?}"))?);
                }
            }
            Coming::Upgrade(_) => {}
        }
        let Some(upgraded) = &mut self.upgraded else { return Ok(()) };
        if self.sent < to_send.len()
            && let Poll::Ready(written) = Pin::new(&mut *upgraded).poll_write(cx, &to_send[self.sent..])
        {
            self.sent += written.map_err(|error| error.to_string())?;
        }
        let mut room = [0; 1_000];
        let mut buffer = ReadBuf::new(&mut room);
        if let Poll::Ready(read) = Pin::new(upgraded).poll_read(cx, buffer.unfilled()) {
            read.map_err(|error| error.to_string())?;
            self.received.extend_from_slice(buffer.filled());
        }
        Ok(())
    }
}

impl<'d> Ours<'d> {
    fn server(end: End, to_send: &'d [u8]) -> Self {
        let core = Core::Server(Server::new(Limits::default()));
        Self { core, end, input: Vec::new(), out: Vec::new(), to_send, received: Vec::new() }
    }

    fn client(end: End, to_send: &'d [u8]) -> Self {
        let (mut client, mut out) = (Client::new(Limits::default()), Vec::new());
        let head = client.request(&mut out, "GET", "/").expect("a new connection takes a request");
        head.field("Host", "a").upgrade("echo").end(Body::None).expect("the head is well formed");
        Self { core: Core::Client(client), end, input: Vec::new(), out, to_send, received: Vec::new() }
    }

    fn turn(&mut self) -> Result<(), String> {
        self.end.read_into(&mut self.input);
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        let is_tunnel = match &mut self.core {
            Core::Server(server) => {
                while let Some(event) =
                    server.receive(&mut rest, &mut Space::new()).map_err(|error| error.to_string())?
                {
                    match event {
                        server::Event::Request(head) => assert_eq!(head.upgrade(), Some(&b"echo"[..])),
                        server::Event::End => {
                            let head = server.respond(&mut self.out, 101, "").map_err(|misuse| misuse.to_string())?;
                            head.upgrade("echo").end(Body::None).map_err(|misuse| misuse.to_string())?;
                        }
                        server::Event::Data(bytes) => self.received.extend_from_slice(bytes),
                        server::Event::Trailers(_) => return Err("trailers of a request without a body".to_owned()),
                    }
                }
                server.is_tunnel()
            }
            Core::Client(client) => {
                while let Some(event) =
                    client.receive(&mut rest, &mut Space::new()).map_err(|error| error.to_string())?
                {
                    match event {
                        client::Event::Response(head) => assert_eq!(head.status(), 101),
                        client::Event::Data(bytes) => self.received.extend_from_slice(bytes),
                        client::Event::End => {}
                        other => return Err(format!("{other:?}")),
                    }
                }
                client.is_tunnel()
            }
        };
        self.input = rest.to_vec();
        if is_tunnel && !self.to_send.is_empty() {
            let taken = match &mut self.core {
                Core::Server(server) => server.send(&mut self.out, self.to_send),
                Core::Client(client) => client.send(&mut self.out, self.to_send),
            };
            self.to_send = &self.to_send[taken.map_err(|misuse| misuse.to_string())?..];
        }
        let written = self.end.write(&self.out);
        self.out.drain(..written);
        Ok(())
    }

    /// The end of the input is the end of the tunnel.
    fn check_end(&mut self) -> Result<(), String> {
        let ended = match &mut self.core {
            Core::Server(server) => matches!(server.end_of_input(), Ok(Some(server::Event::End))),
            Core::Client(client) => matches!(client.end_of_input(), Ok(Some(client::Event::End))),
        };
        if ended { Ok(()) } else { Err("the tunnel does not end".to_owned()) }
    }
}

/// What waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}
