use super::{Event, Server};
use crate::{Body, Error, Limits, Misuse, Space};

mod endings;
mod responses;

/// A server, what it was sent and what it sent.
struct Peer {
    server: Server,
    input: Vec<u8>,
    out: Vec<u8>,
}

impl Peer {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self { server: Server::new(limits), input: Vec::new(), out: Vec::new() }
    }

    /// A server that was sent `bytes` and gave the events that they make.
    fn after(bytes: &str) -> Self {
        let mut peer = Self::new();
        peer.events(bytes.as_bytes()).expect(bytes);
        peer
    }

    /// The events that `bytes` lead to, as text.
    fn events(&mut self, bytes: &[u8]) -> Result<Vec<String>, Error> {
        self.input.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(event) = self.next()? {
            events.push(event);
        }
        Ok(events)
    }

    fn next(&mut self) -> Result<Option<String>, Error> {
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        let event = self.server.receive(&mut rest, &mut Space::new()).map(|event| event.map(|event| text(&event)));
        self.input = rest.to_vec();
        event
    }

    fn respond(&mut self, status: u16, body: Body) -> Result<(), Misuse> {
        self.server.respond(&mut self.out, status, "")?.end(body)
    }

    fn sent(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.out)).expect("text")
    }
}

fn text(event: &Event<'_, '_>) -> String {
    match event {
        Event::Request(request) => format!("{} {}", request.method(), request.target()),
        Event::Data(data) => format!("data {}", String::from_utf8_lossy(data)),
        Event::Trailers(trailers) => format!("{trailers:?}"),
        Event::End => "end".to_owned(),
    }
}

/// Requests one after the other, with every framing. The last one opens a tunnel.
const EXCHANGES: &[u8] = b"\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
    POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nSum: 1\r\n\r\n\
    HEAD /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\r\n\r\n\
    GET /5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
    CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\nin the tunnel";

/// Serves `pieces` and answers each request at its end. Neighbouring data is joined.
fn serve<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<String>, String) {
    let mut peer = Peer::new();
    let mut events: Vec<String> = Vec::new();
    for piece in pieces {
        peer.input.extend_from_slice(piece);
        while let Some(event) = peer.next().expect("no breach") {
            if event == "end" && peer.server.may_respond() {
                let is_connect = events.iter().rev().any(|event| event.starts_with("CONNECT"));
                peer.respond(200, if is_connect { Body::None } else { Body::Sized(2) }).expect("due");
                let is_head = events.last().is_some_and(|event| event.starts_with("HEAD"));
                if !is_connect && !is_head {
                    assert_eq!(peer.server.send(&mut peer.out, b"ok"), Ok(2));
                }
            }
            match (events.last_mut(), event.strip_prefix("data ")) {
                (Some(last), Some(more)) if last.starts_with("data ") => last.push_str(more),
                _ => events.push(event),
            }
        }
    }
    (events, peer.sent())
}

#[test]
fn exchanges_read_the_same_wherever_the_input_is_cut() {
    let whole = serve([EXCHANGES]);
    let wanted = [
        "GET /1",
        "end",
        "POST /2",
        "data hello",
        "end",
        "POST /3",
        "data abcde",
        "{\"Sum\": \"1\"}",
        "end",
        "HEAD /4",
        "end",
        "GET /5",
        "end",
        "CONNECT b:443",
        "end",
        "data in the tunnel",
    ];
    assert_eq!(whole.0, wanted);
    assert_eq!(whole.1.matches("HTTP/1.1 200 \r\n").count(), 6);
    assert_eq!(serve(EXCHANGES.chunks(1)), whole);
    for cut in 0..EXCHANGES.len() {
        let (first, second) = EXCHANGES.split_at(cut);
        assert_eq!(serve([first, second]), whole, "cut at {cut}");
    }
}

#[test]
fn a_prefix_is_no_breach_and_its_end_is_told_apart() {
    let message = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n";
    for end in 0..=message.len() {
        let mut peer = Peer::new();
        let events = peer.events(&message[..end]).expect("no breach");
        assert_eq!(events.contains(&"end".to_owned()), end == message.len(), "{end} bytes");
        let clean = end == 0 || end == message.len();
        let wanted = if clean { Ok(true) } else { Err(Error::Truncated) };
        assert_eq!(peer.server.end_of_input().map(|event| event.is_none()), wanted, "{end} bytes");
        assert_eq!(peer.server.must_close(), end != message.len(), "{end} bytes");
    }
}

#[test]
fn pipelined_requests_wait_for_the_response_before_them() {
    let mut peer = Peer::new();
    let two = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(peer.events(two), Ok(vec!["GET /1".to_owned(), "end".to_owned()]));
    assert_eq!(peer.events(b""), Ok(vec![]));
    peer.respond(200, Body::None).unwrap();
    assert_eq!(peer.events(b""), Ok(vec!["GET /2".to_owned(), "end".to_owned()]));
}

#[test]
fn the_end_of_a_request_is_not_given_when_its_response_is_complete() {
    let mut peer = Peer::new();
    peer.input = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    assert_eq!(peer.next(), Ok(Some("GET /1".to_owned())));
    peer.respond(200, Body::None).unwrap();
    assert!(peer.server.is_idle());
    assert_eq!(peer.next(), Ok(Some("GET /2".to_owned())));
}

#[test]
fn leading_empty_lines_are_passed_over_up_to_the_limit() {
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(Peer::new().events(&[&b"\r\n\r\n"[..], get].concat()).is_ok());
    let refused = Peer::new().events(&[&b"\r\n\r\n\r\n"[..], get].concat());
    assert_eq!(refused, Err(Error::LeadingEmptyLines { limit: 2 }));
    assert_eq!(Peer::new().events(b"\n"), Err(Error::BareLf));
    assert_eq!(Peer::new().events(b"\r\r"), Err(Error::BareCr));
    let mut peer = Peer::new();
    for byte in b"\r\n\r\n" {
        assert_eq!(peer.events(&[*byte]), Ok(vec![]));
        assert!(peer.server.is_idle());
    }
    assert_eq!(peer.events(b"\r\n"), Err(Error::LeadingEmptyLines { limit: 2 }));
}

#[test]
fn a_head_longer_than_the_limit_is_refused_whole_or_in_pieces() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: 12345678\r\n\r\n";
    let limit = head.len() as u32;
    let exact = Limits { head_bytes: limit, ..Limits::default() };
    let less = Limits { head_bytes: limit - 1, ..Limits::default() };
    for size in [1, 7, head.len()] {
        let feed = |limits| {
            let mut peer = Peer::with(limits);
            head.chunks(size).try_for_each(|piece| peer.events(piece).map(drop))
        };
        assert_eq!(feed(exact), Ok(()), "pieces of {size}");
        assert_eq!(feed(less), Err(Error::HeadTooLong { limit: limit - 1 }), "pieces of {size}");
    }
    let line = [&b"GET /"[..], &b"a".repeat(100)].concat();
    let limits = Limits { head_bytes: 64, ..Limits::default() };
    assert_eq!(Peer::with(limits).events(&line), Err(Error::TargetTooLong { limit: 64 }));
    assert_eq!(Error::TargetTooLong { limit: 64 }.status(), Some(414));
}

#[test]
fn a_head_in_pieces_of_one_byte_is_searched_once() {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let mut server = Server::new(Limits::default());
    for end in 1..head.len() {
        let mut input = &head.as_bytes()[..end];
        assert!(server.receive(&mut input, &mut Space::new()).is_ok_and(|event| event.is_none()));
        // What was seen moves on with the input, but for the last line end that may begin the empty line.
        let seen = format!("{:?}", server.search).trim_matches(|digit: char| !digit.is_ascii_digit()).parse::<usize>();
        assert!(seen.is_ok_and(|seen| seen + 3 >= end || seen == 1), "{end}");
    }
}

#[test]
fn a_refused_request_is_answered_and_nothing_more_is_read() {
    let mut peer = Peer::new();
    let refused = peer.events(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(refused, Err(Error::HostMissing));
    assert!(peer.server.may_respond() && peer.server.must_close());
    assert_eq!(peer.events(b""), Ok(vec![]));
    peer.respond(400, Body::None).unwrap();
    assert_eq!(peer.sent(), "HTTP/1.1 400 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(!peer.server.may_respond() && peer.server.must_close());
    assert_eq!(peer.events(b""), Ok(vec![]));
}

#[test]
fn a_body_that_breaks_is_answered_unless_the_response_has_begun() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut peer = Peer::after(head);
    assert_eq!(peer.events(b"x"), Err(Error::ChunkSize { byte: b'x' }));
    assert!(peer.server.may_respond());
    let mut peer = Peer::after(head);
    peer.respond(200, Body::Unknown).unwrap();
    assert_eq!(peer.events(b"x"), Err(Error::ChunkSize { byte: b'x' }));
    assert!(!peer.server.may_respond() && peer.server.must_close());
    assert_eq!(peer.server.send(&mut peer.out, b"a"), Err(Misuse::Closed));
}

#[test]
fn a_refusal_may_have_a_body() {
    let mut peer = Peer::new();
    assert_eq!(peer.events(b"GET / HTTP/3.0\r\n\r\n"), Err(Error::Version));
    peer.respond(505, Body::Sized(2)).unwrap();
    assert_eq!(peer.server.send(&mut peer.out, b"no"), Ok(2));
    assert_eq!(peer.sent(), "HTTP/1.1 505 \r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    assert_eq!(peer.respond(200, Body::None), Err(Misuse::AlreadyResponded));
}

#[test]
fn nothing_is_read_behind_a_request_that_closes() {
    let mut peer = Peer::after("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    peer.respond(200, Body::None).unwrap();
    assert_eq!(peer.sent(), "HTTP/1.1 200 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(peer.server.must_close() && !peer.server.is_idle());
    let late = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\0";
    assert_eq!(peer.events(late), Ok(vec![]));
    assert_eq!(peer.input, late);
}

#[test]
fn a_body_that_was_not_read_ends_the_connection() {
    let mut peer = Peer::after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    peer.respond(200, Body::None).unwrap();
    assert!(peer.server.must_close());
    assert_eq!(peer.events(b"loGET / HTTP/1.1\r\n"), Ok(vec!["data lo".to_owned(), "end".to_owned()]));
    assert_eq!(peer.events(b""), Ok(vec![]));
    let mut read = Peer::after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    read.respond(200, Body::None).unwrap();
    assert!(!read.server.must_close() && read.server.is_idle());
    let mut last_chunk = Peer::after("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    last_chunk.respond(200, Body::None).unwrap();
    assert!(last_chunk.server.must_close());
}

#[test]
fn interim_responses_come_before_the_response_and_never_to_http_1_0() {
    let mut peer = Peer::after("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    peer.server.inform(&mut peer.out, 100).unwrap().end(Body::None).unwrap();
    peer.server.inform(&mut peer.out, 103).unwrap().field("Link", "</a>").end(Body::None).unwrap();
    assert_eq!(peer.sent(), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    for status in [99, 101, 200] {
        assert_eq!(peer.server.inform(&mut peer.out, status).err(), Some(Misuse::Status { status }));
    }
    peer.respond(200, Body::None).unwrap();
    assert_eq!(peer.server.inform(&mut peer.out, 100).err(), Some(Misuse::AlreadyResponded));
    let mut old = Peer::after("GET / HTTP/1.0\r\n\r\n");
    old.server.inform(&mut old.out, 103).unwrap().field("Link", "</a>").end(Body::None).unwrap();
    assert_eq!(old.sent(), "");
    assert!(old.server.may_respond());
}

#[test]
fn connect_opens_a_tunnel_that_each_side_ends() {
    let mut peer = Peer::after("CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\nearly");
    assert_eq!(peer.respond(200, Body::Sized(1)), Err(Misuse::ConnectBody));
    peer.respond(200, Body::None).unwrap();
    assert_eq!(peer.sent(), "HTTP/1.1 200 \r\n\r\n");
    assert!(peer.server.is_tunnel() && !peer.server.must_close());
    assert_eq!(peer.events(b" late"), Ok(vec!["data early late".to_owned()]));
    assert_eq!(peer.server.send(&mut peer.out, b"back"), Ok(4));
    assert!(matches!(peer.server.end_of_input(), Ok(Some(Event::End))));
    assert!(!peer.server.must_close());
    assert_eq!(peer.server.send(&mut peer.out, b"!"), Ok(1));
    peer.server.finish(&mut peer.out, []).unwrap();
    assert_eq!(peer.sent(), "back!");
    assert!(peer.server.must_close());

    let mut peer = Peer::after("CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n");
    peer.respond(200, Body::None).unwrap();
    peer.server.finish(&mut peer.out, []).unwrap();
    assert!(!peer.server.must_close());
    assert_eq!(peer.events(b"more"), Ok(vec!["data more".to_owned()]));
    assert!(matches!(peer.server.end_of_input(), Ok(Some(Event::End))));
    assert!(peer.server.must_close());
}

#[test]
fn what_follows_a_refused_connect_is_no_request() {
    let mut peer = Peer::after("CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.respond(403, Body::None).unwrap();
    assert_eq!(peer.sent(), "HTTP/1.1 403 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(peer.events(b""), Ok(vec![]));
    assert!(peer.server.must_close());
}

#[test]
fn an_upgrade_needs_an_offer_a_protocol_and_a_read_request() {
    let offer = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let mut peer = Peer::after(&format!("{offer}\r\nframes"));
    assert_eq!(peer.respond(101, Body::None), Err(Misuse::Upgrade));
    let head = peer.server.respond(&mut peer.out, 101, "Switching Protocols").unwrap();
    head.field("Sec-WebSocket-Accept", "x").upgrade("websocket").end(Body::None).unwrap();
    let wanted = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    assert_eq!(peer.sent(), wanted);
    assert_eq!(peer.events(b""), Ok(vec!["data frames".to_owned()]));

    let upgrade = |peer: &mut Peer| peer.server.respond(&mut peer.out, 101, "")?.upgrade("websocket").end(Body::None);
    let mut unread = Peer::after(&format!("{offer}Content-Length: 1\r\n\r\n"));
    assert_eq!(upgrade(&mut unread), Err(Misuse::Upgrade));
    unread.events(b"x").unwrap();
    assert_eq!(upgrade(&mut unread), Ok(()));
    assert_eq!(upgrade(&mut Peer::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n")), Err(Misuse::Upgrade));

    let mut declined = Peer::after(&format!("{offer}\r\n"));
    declined.respond(200, Body::None).unwrap();
    assert!(declined.server.is_idle());
}

#[test]
fn a_connection_that_drains_answers_the_next_request_and_closes() {
    let mut peer = Peer::new();
    peer.server.close_after_response();
    assert!(peer.server.is_idle() && !peer.server.must_close());
    peer.events(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    peer.respond(200, Body::None).unwrap();
    assert!(peer.sent().contains("Connection: close\r\n"));
    assert!(peer.server.must_close());
    let mut late = Peer::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    late.respond(200, Body::Sized(1)).unwrap();
    late.server.close_after_response();
    assert!(!late.server.must_close());
    assert_eq!(late.server.send(&mut late.out, b"x"), Ok(1));
    assert!(late.server.must_close());
}

#[test]
fn a_client_that_closes_its_side_still_gets_its_response() {
    let mut peer = Peer::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(matches!(peer.server.end_of_input(), Ok(None)));
    assert!(!peer.server.must_close());
    peer.respond(200, Body::Sized(2)).unwrap();
    assert_eq!(peer.server.send(&mut peer.out, b"ok"), Ok(2));
    assert!(peer.server.must_close());
    let mut idle = Peer::new();
    assert!(matches!(idle.server.end_of_input(), Ok(None)));
    assert!(idle.server.must_close());
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Server>() <= 128, "{} bytes", size_of::<Server>());
}
