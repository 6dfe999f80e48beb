use super::{Client, Event};
use crate::{Body, Error, Limits, Misuse, Space};

/// A client, what it was sent and what it sent.
struct Peer {
    client: Client,
    input: Vec<u8>,
    out: Vec<u8>,
}

impl Peer {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self { client: Client::new(limits), input: Vec::new(), out: Vec::new() }
    }

    /// A client that sent a request without a body.
    fn that_sent(method: &str) -> Self {
        let mut peer = Self::new();
        peer.request(method, Body::None).expect("a request");
        peer
    }

    fn request(&mut self, method: &str, body: Body) -> Result<(), Misuse> {
        self.client.request(&mut self.out, method, "/")?.field("Host", "a").end(body)
    }

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
        let event = self.client.receive(&mut rest, &mut Space::new()).map(|event| event.map(|event| text(&event)));
        self.input = rest.to_vec();
        event
    }

    fn sent(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.out)).expect("text")
    }
}

fn text(event: &Event<'_, '_>) -> String {
    match event {
        Event::Informational(response) => format!("interim {}", response.status()),
        Event::Response(response) => response.status().to_string(),
        Event::Data(data) => format!("data {}", String::from_utf8_lossy(data)),
        Event::Trailers(trailers) => format!("{trailers:?}"),
        Event::End => "end".to_owned(),
    }
}

/// A method with its response, in the order of one connection. The last one lasts until the server closes.
const EXCHANGES: [(&str, &[u8]); 7] = [
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ("GET", b"HTTP/1.1 103 \r\nA: b\r\n\r\nHTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nSum: 1\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("DELETE", b"HTTP/1.1 204 OK\r\nContent-Length: 3\r\n\r\n"),
    ("GET", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"),
    ("GET", b"HTTP/1.1 200 OK\r\n\r\nuntil close"),
];

/// Runs all exchanges, each response handed over in pieces of `size`, or cut once at `cut`.
fn run(size: usize, cut: usize) -> Vec<String> {
    let mut peer = Peer::new();
    let mut events: Vec<String> = Vec::new();
    for (method, response) in EXCHANGES {
        peer.request(method, Body::None).expect("the connection is free");
        let (first, second) = response.split_at(cut.min(response.len()));
        for piece in first.chunks(size).chain(second.chunks(size)) {
            for event in peer.events(piece).expect("no breach") {
                match (events.last_mut(), event.strip_prefix("data ")) {
                    (Some(last), Some(more)) if last.starts_with("data ") => last.push_str(more),
                    _ => events.push(event),
                }
            }
        }
    }
    assert!(matches!(peer.client.end_of_input(), Ok(Some(Event::End))));
    assert!(peer.client.must_close());
    events
}

#[test]
fn responses_read_the_same_wherever_they_are_cut() {
    let whole = run(usize::MAX, 0);
    let wanted = [
        "200",
        "data hello",
        "end",
        "interim 103",
        "200",
        "data abcd",
        "{\"Sum\": \"1\"}",
        "end",
        "200",
        "end",
        "304",
        "end",
        "204",
        "end",
        "200",
        "data ok",
        "end",
        "200",
        "data until close",
    ];
    assert_eq!(whole, wanted);
    assert_eq!(run(1, 0), whole);
    for cut in 0..120 {
        assert_eq!(run(usize::MAX, cut), whole, "cut at {cut}");
    }
}

#[test]
fn a_prefix_of_a_response_is_no_breach_and_its_end_is_told_apart() {
    let message = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    for end in 0..=message.len() {
        let mut peer = Peer::that_sent("GET");
        peer.events(&message[..end]).expect("no breach");
        let wanted = match end {
            0 => Err(Error::NoResponse),
            _ if end == message.len() => Ok(()),
            _ => Err(Error::Truncated),
        };
        assert_eq!(peer.client.end_of_input().map(drop), wanted, "{end} bytes");
        assert!(peer.client.must_close());
        assert_eq!(peer.request("GET", Body::None), Err(Misuse::Closed));
    }
}

#[test]
fn a_request_is_written_with_its_framing() {
    let written = |method: &str, target: &str, body: Body| {
        let mut peer = Peer::new();
        peer.client.request(&mut peer.out, method, target).unwrap().field("Host", "a").end(body).unwrap();
        peer.sent()
    };
    assert_eq!(written("GET", "/a", Body::None), "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(written("GET", "", Body::None), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(written("GET", "?q", Body::None), "GET /?q HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(written("OPTIONS", "*", Body::None), "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(written("PUT", "/", Body::Sized(7)), "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n");
    assert_eq!(written("PUT", "/", Body::Unknown), "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut last = Peer::new();
    last.client.close_after_response();
    assert!(!last.client.can_reuse());
    last.request("GET", Body::None).unwrap();
    assert_eq!(last.sent(), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
}

#[test]
fn a_request_that_would_be_read_otherwise_is_refused_without_harm() {
    let mut peer = Peer::new();
    let start = |peer: &mut Peer, method: &str, target: &str| peer.client.request(&mut peer.out, method, target).err();
    assert_eq!(start(&mut peer, "G T", "/"), Some(Misuse::Invalid { what: "method" }));
    assert_eq!(start(&mut peer, "", "/"), Some(Misuse::Invalid { what: "method" }));
    for target in ["/ ", "/\r\n", "/#a", "/\u{e9}", "/a-long-path-of-more-than-16-bytes\n"] {
        assert_eq!(start(&mut peer, "GET", target), Some(Misuse::Invalid { what: "target" }), "{target:?}");
    }
    let hosts = |peer: &mut Peer, hosts: usize| {
        let fields = ["Host", "host", "HOST"].into_iter().take(hosts).map(|name| (name, "a"));
        peer.client.request(&mut peer.out, "GET", "/").expect("free").fields(fields).end(Body::None)
    };
    assert_eq!(hosts(&mut peer, 0), Err(Misuse::Host { found: 0 }));
    assert_eq!(hosts(&mut peer, 2), Err(Misuse::Host { found: 2 }));
    assert_eq!(peer.request("CONNECT", Body::Unknown), Err(Misuse::ConnectBody));
    assert!(peer.out.is_empty() && peer.client.can_reuse());
    assert_eq!(hosts(&mut peer, 1), Ok(()));
}

#[test]
fn a_second_request_before_the_end_of_the_first_is_misuse() {
    let mut peer = Peer::that_sent("GET");
    assert_eq!(peer.request("GET", Body::None), Err(Misuse::Busy));
    assert!(peer.client.must_close());
    assert_eq!(Peer::new().client.send(&mut Vec::new(), b"a"), Err(Misuse::NoHead));
}

#[test]
fn bytes_that_answer_no_request_are_refused() {
    assert_eq!(Peer::new().events(b"H"), Err(Error::Unsolicited));
    let mut peer = Peer::that_sent("GET");
    let two = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert_eq!(peer.events(two), Err(Error::Unsolicited));
    assert!(peer.client.must_close() && !peer.client.can_reuse());
    assert_eq!(peer.events(b""), Ok(vec![]));
    let mut early = Peer::new();
    early.request("PUT", Body::Sized(5)).unwrap();
    assert_eq!(early.events(two), Err(Error::Unsolicited));
}

#[test]
fn nothing_is_read_behind_a_response_that_closes() {
    let mut peer = Peer::that_sent("GET");
    let response = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 \r\n\r\n";
    assert_eq!(peer.events(response), Ok(vec!["200".to_owned(), "end".to_owned()]));
    assert!(peer.client.must_close());
    assert_eq!(peer.input, b"HTTP/1.1 500 \r\n\r\n");
}

#[test]
fn a_connection_is_free_when_both_messages_are_complete() {
    let mut peer = Peer::new();
    peer.request("PUT", Body::Sized(5)).unwrap();
    peer.events(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(!peer.client.can_reuse() && !peer.client.must_close() && !peer.client.is_request_complete());
    assert_eq!(peer.client.send(&mut peer.out, b"hello"), Ok(5));
    assert!(peer.client.can_reuse());
    let mut closing = Peer::new();
    closing.request("PUT", Body::Sized(5)).unwrap();
    closing.events(b"HTTP/1.1 413 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(closing.client.must_close());
}

#[test]
fn a_request_body_of_another_length_is_misuse() {
    let mut peer = Peer::new();
    peer.request("PUT", Body::Sized(3)).unwrap();
    assert_eq!(peer.client.send(&mut peer.out, b"four"), Err(Misuse::TooMuch { surplus: 1 }));
    assert!(peer.client.must_close());
    let mut peer = Peer::new();
    peer.request("PUT", Body::Sized(3)).unwrap();
    assert_eq!(peer.client.finish(&mut peer.out, []), Err(Misuse::TooLittle { missing: 3 }));
    assert!(peer.client.must_close());
    assert_eq!(Peer::that_sent("GET").client.send(&mut Vec::new(), b"a"), Err(Misuse::TooMuch { surplus: 1 }));
}

#[test]
fn interim_responses_are_given_up_to_the_limit() {
    let limits = Limits { interim_responses: 2, ..Limits::default() };
    let mut peer = Peer::with(limits);
    let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\n\r\n";
    for _ in 0..2 {
        peer.request("GET", Body::None).unwrap();
        assert_eq!(peer.events(interim), Ok(vec!["interim 100".to_owned(), "interim 103".to_owned()]));
        peer.events(b"HTTP/1.1 204 \r\n\r\n").unwrap();
    }
    peer.request("GET", Body::None).unwrap();
    peer.events(interim).unwrap();
    assert_eq!(peer.events(b"HTTP/1.1 102 \r\n\r\n"), Err(Error::TooManyInterimResponses { limit: 2 }));
}

#[test]
fn an_end_after_an_interim_response_is_not_taken_for_an_untouched_request() {
    let mut peer = Peer::that_sent("GET");
    peer.events(b"HTTP/1.1 100 \r\n\r\n").unwrap();
    assert_eq!(peer.client.end_of_input().map(drop), Err(Error::Truncated));
}

#[test]
fn a_head_longer_than_the_limit_is_refused_whole_or_in_pieces() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: abcdef\r\n\r\n";
    let limit = head.len() as u32;
    for (head_bytes, wanted) in [(limit, Ok(())), (limit - 1, Err(Error::HeadTooLong { limit: limit - 1 }))] {
        for size in [1, 5, head.len()] {
            let mut peer = Peer::with(Limits { head_bytes, ..Limits::default() });
            peer.request("GET", Body::None).unwrap();
            let fed = head.chunks(size).try_for_each(|piece| peer.events(piece).map(drop));
            assert_eq!(fed, wanted, "pieces of {size}");
        }
    }
}

#[test]
fn connect_becomes_a_tunnel_with_2xx_only() {
    let mut peer = Peer::that_sent("CONNECT");
    let opened = peer.events(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes and more");
    assert_eq!(opened, Ok(vec!["200".to_owned(), "data bytes and more".to_owned()]));
    assert!(peer.client.is_tunnel() && !peer.client.must_close());
    peer.out.clear();
    assert_eq!(peer.client.send(&mut peer.out, b"up"), Ok(2));
    peer.client.finish(&mut peer.out, []).unwrap();
    assert_eq!(peer.sent(), "up");
    assert!(!peer.client.must_close());
    assert!(matches!(peer.client.end_of_input(), Ok(Some(Event::End))));
    assert!(peer.client.must_close());
    let mut refused = Peer::that_sent("CONNECT");
    refused.events(b"HTTP/1.1 403 \r\nContent-Length: 1\r\n\r\nx").unwrap();
    assert!(refused.client.can_reuse());
}

#[test]
fn a_switch_of_protocols_was_asked_for_by_a_complete_request() {
    let switch = b"HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nframes";
    let asking = |body| {
        let mut peer = Peer::new();
        let head = peer.client.request(&mut peer.out, "GET", "/").unwrap().field("Host", "a").upgrade("websocket");
        head.end(body).unwrap();
        peer
    };
    let mut peer = asking(Body::None);
    let wanted = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    assert_eq!(peer.sent(), wanted);
    assert_eq!(peer.events(switch), Ok(vec!["101".to_owned(), "data frames".to_owned()]));
    assert!(peer.client.is_tunnel());
    assert_eq!(asking(Body::Sized(1)).events(switch), Err(Error::UnaskedUpgrade));
    assert_eq!(Peer::that_sent("GET").events(switch), Err(Error::UnaskedUpgrade));
    let mut declined = asking(Body::None);
    declined.events(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(declined.client.can_reuse());
}

#[test]
fn a_received_head_is_forwarded_without_what_ends_at_this_hop() {
    let mut input = &b"GET http://b/x?y HTTP/1.1\r\nHost: evil\r\nA:  1 \r\nConnection: keep-alive, C\r\nB:2\r\nC: 3\r\nD: 4\r\n\r\n"[..];
    let mut space = Space::new();
    let mut server = crate::Server::new(Limits::default());
    let Ok(Some(crate::server::Event::Request(request))) = server.receive(&mut input, &mut space) else {
        panic!("a request");
    };
    let mut peer = Peer::new();
    let head = peer.client.request(&mut peer.out, request.method(), request.path()).unwrap();
    let head = head.field("Host", request.authority().unwrap()).forward(request.end_to_end(), |name, _| name != b"B");
    head.field("Via", "1.1 p").end(request.body().into()).unwrap();
    assert_eq!(peer.sent(), "GET /x?y HTTP/1.1\r\nHost: b\r\nA:  1 \r\nD: 4\r\nVia: 1.1 p\r\n\r\n");
    let all = peer_with(&request);
    assert_eq!(all, Err(Misuse::Host { found: 0 }), "what ends at this hop stays out even if all is handed in");
}

fn peer_with(request: &crate::Request<'_, '_>) -> Result<(), Misuse> {
    let mut peer = Peer::new();
    peer.client.request(&mut peer.out, "GET", "/")?.forward(request.fields(), |_, _| true).end(Body::None)
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Client>() <= 128, "{} bytes", size_of::<Client>());
}

#[test]
fn what_is_forwarded_in_runs_is_what_goes_field_by_field() {
    let lines: Vec<String> = (0..9).map(|number| format!("X-{number}: {number}\r\n")).collect();
    let message = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-4\r\n{}\r\n", lines.concat());
    for dropped in 0_u32..512 {
        let mut input = message.as_bytes();
        let mut space = Space::new();
        let mut server = crate::Server::new(Limits::default());
        let Ok(Some(crate::server::Event::Request(request))) = server.receive(&mut input, &mut space) else {
            panic!("a request");
        };
        let keep = |name: &[u8]| name[0] == b'H' || dropped >> (name[2] - b'0') & 1 == 0;
        let (mut runs, mut single) = (Peer::new(), Peer::new());
        let head = runs.client.request(&mut runs.out, "GET", "/").unwrap();
        head.forward(request.end_to_end(), |name, _| keep(name)).end(Body::None).unwrap();
        let head = single.client.request(&mut single.out, "GET", "/").unwrap();
        head.fields(request.end_to_end().filter(|(name, _)| keep(name))).end(Body::None).unwrap();
        assert_eq!(runs.sent(), single.sent(), "{dropped:b}");

        // From the middle on.
        let rest = || {
            let mut rest = request.end_to_end();
            rest.nth(3);
            rest
        };
        let (mut runs, mut single) = (Peer::new(), Peer::new());
        let head = runs.client.request(&mut runs.out, "GET", "/").unwrap().field("Host", "a");
        head.forward(rest(), |name, _| keep(name)).end(Body::None).unwrap();
        let head = single.client.request(&mut single.out, "GET", "/").unwrap().field("Host", "a");
        head.fields(rest().filter(|(name, _)| keep(name))).end(Body::None).unwrap();
        assert_eq!(runs.sent(), single.sent(), "{dropped:b}");
    }
}

#[test]
fn a_switch_names_its_protocol() {
    let switched = |fields: &str| {
        let mut peer = Peer::new();
        let head = peer.client.request(&mut peer.out, "GET", "/").unwrap().field("Host", "a").upgrade("x");
        head.end(Body::None).unwrap();
        peer.events(format!("HTTP/1.1 101 \r\n{fields}\r\n").as_bytes()).map(drop)
    };
    assert_eq!(switched("Connection: upgrade\r\nUpgrade: x\r\n"), Ok(()));
    for fields in ["", "Upgrade: x\r\n", "Connection: upgrade\r\n", "Connection: upgrade\r\nUpgrade: ,\r\n"] {
        assert_eq!(switched(fields), Err(Error::UnnamedUpgrade), "{fields:?}");
    }
}

#[test]
fn a_request_that_was_sent_stays_so_when_the_response_breaks() {
    let mut peer = Peer::that_sent("GET");
    assert_eq!(peer.events(b"garbage\r\n\r\n"), Err(Error::StatusLine));
    assert!(peer.client.is_request_complete() && peer.client.must_close());
    let mut cut_off = Peer::new();
    cut_off.request("PUT", Body::Sized(1)).unwrap();
    assert_eq!(cut_off.events(b"garbage\r\n\r\n"), Err(Error::StatusLine));
    assert!(!cut_off.client.is_request_complete());
}

#[test]
fn connect_has_a_target() {
    for target in ["", "?q"] {
        let mut peer = Peer::new();
        let refused = peer.client.request(&mut peer.out, "CONNECT", target).err();
        assert_eq!(refused, Some(Misuse::Invalid { what: "target" }));
    }
}

#[test]
fn trailers_are_asked_for_where_the_sender_takes_them() {
    let passed_on = |lines: &str| {
        let message = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let (mut server, mut space) = (crate::Server::new(Limits::default()), Space::new());
        let Ok(Some(crate::server::Event::Request(request))) = server.receive(&mut message.as_bytes(), &mut space)
        else {
            panic!("a request");
        };
        let mut peer = Peer::new();
        let head = peer.client.request(&mut peer.out, "GET", "/").unwrap().forward(request.end_to_end(), |_, _| true);
        let head = if request.accepts_trailers() { head.accept_trailers() } else { head };
        head.end(Body::None).unwrap();
        peer.sent().trim_start_matches("GET / HTTP/1.1\r\nHost: a\r\n").to_owned()
    };
    assert_eq!(passed_on("TE: gzip;q=0.5, Trailers\r\n"), "TE: trailers\r\nConnection: TE\r\n\r\n");
    assert_eq!(passed_on("TE: gzip\r\n"), "\r\n");
    assert_eq!(passed_on(""), "\r\n");
    let mut last = Peer::new();
    last.client.close_after_response();
    let head = last.client.request(&mut last.out, "GET", "/").unwrap().field("Host", "a");
    head.upgrade("x").accept_trailers().end(Body::None).unwrap();
    assert!(last.sent().ends_with("Upgrade: x\r\nTE: trailers\r\nConnection: close, upgrade, TE\r\n\r\n"));
}

#[test]
fn a_length_without_a_body_is_passed_on() {
    let passed_on = |method: &str, response: &str| {
        let mut peer = Peer::that_sent(method);
        let (mut input, mut space, mut out) = (response.as_bytes(), Space::new(), Vec::new());
        let Ok(Some(Event::Response(response))) = peer.client.receive(&mut input, &mut space) else {
            panic!("a response");
        };
        let mut server = crate::Server::new(Limits::default());
        let mut request = peer.out.as_slice();
        while server.receive(&mut request, &mut Space::new()).expect("a request").is_some() {}
        server.respond(&mut out, response.status(), "").unwrap().end((&response).into()).unwrap();
        String::from_utf8(out).expect("text")
    };
    assert_eq!(
        passed_on("HEAD", "HTTP/1.1 200 \r\nContent-Length: 7\r\n\r\n"),
        "HTTP/1.1 200 \r\nContent-Length: 7\r\n\r\n"
    );
    assert_eq!(
        passed_on("GET", "HTTP/1.1 304 \r\nContent-Length: 7\r\n\r\n"),
        "HTTP/1.1 304 \r\nContent-Length: 7\r\n\r\n"
    );
    assert_eq!(passed_on("HEAD", "HTTP/1.1 200 \r\n\r\n"), "HTTP/1.1 200 \r\n\r\n");
    assert_eq!(passed_on("GET", "HTTP/1.1 204 \r\nContent-Length: 7\r\n\r\n"), "HTTP/1.1 204 \r\n\r\n");
    let chunked = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(passed_on("GET", chunked), chunked);
}
