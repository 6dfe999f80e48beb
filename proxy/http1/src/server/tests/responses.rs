use super::Peer;
use crate::{Body, Limits, Misuse};

#[test]
fn a_response_is_framed_as_version_method_and_status_ask() {
    let framed = |request: &str, status: u16, body: Body| {
        let mut peer = Peer::after(&format!("{request}\r\nHost: a\r\n\r\n"));
        peer.respond(status, body).expect("due");
        let complete = peer.server.is_response_complete();
        (peer.sent().split_once("\r\n").expect("a line").1.trim_end().to_owned(), complete, peer.server.must_close())
    };
    let now = |fields: &str, complete: bool, close: bool| (fields.to_owned(), complete, close);
    let (get, head) = ("GET / HTTP/1.1", "HEAD / HTTP/1.1");
    assert_eq!(framed(get, 200, Body::None), now("Content-Length: 0", true, false));
    assert_eq!(framed(get, 200, Body::Sized(0)), now("Content-Length: 0", true, false));
    assert_eq!(framed(get, 200, Body::Sized(u64::MAX)), now("Content-Length: 18446744073709551615", false, false));
    assert_eq!(framed(get, 200, Body::Unknown), now("Transfer-Encoding: chunked", false, false));
    assert_eq!(framed(get, 204, Body::Sized(5)), now("", true, false));
    assert_eq!(framed(get, 304, Body::Sized(5)), now("Content-Length: 5", true, false));
    assert_eq!(framed(get, 304, Body::None), now("", true, false));
    assert_eq!(framed(head, 200, Body::Sized(5)), now("Content-Length: 5", true, false));
    assert_eq!(framed(head, 200, Body::Unknown), now("", true, false));
    let (old, kept) = ("GET / HTTP/1.0", "GET / HTTP/1.0\r\nConnection: keep-alive");
    assert_eq!(framed(old, 200, Body::Sized(1)), now("Content-Length: 1\r\nConnection: close", false, false));
    assert_eq!(framed(kept, 200, Body::Sized(1)), now("Content-Length: 1\r\nConnection: keep-alive", false, false));
    assert_eq!(framed(kept, 200, Body::Unknown), now("Connection: close", false, false));
    assert_eq!(framed(old, 200, Body::None), now("Content-Length: 0\r\nConnection: close", true, true));
}

#[test]
fn bodies_are_written_plain_or_in_chunks() {
    let mut peer = Peer::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.respond(200, Body::Unknown).unwrap();
    peer.out.clear();
    assert_eq!(peer.server.send(&mut peer.out, b""), Ok(0));
    assert_eq!(peer.server.send(&mut peer.out, &[b'x'; 26]), Ok(26));
    let trailers: [(&[u8], &[u8]); 3] = [(b"Sum", b"1"), (b"content-length", b"5"), (b"Host", b"x")];
    peer.server.finish(&mut peer.out, trailers).unwrap();
    assert_eq!(peer.sent(), format!("1a\r\n{}\r\n0\r\nSum: 1\r\n\r\n", "x".repeat(26)));
    assert!(peer.server.is_idle());

    let mut peer = Peer::after("GET / HTTP/1.0\r\n\r\n");
    peer.respond(200, Body::Unknown).unwrap();
    peer.out.clear();
    assert_eq!(peer.server.send(&mut peer.out, b"plain"), Ok(5));
    peer.server.finish(&mut peer.out, [(&b"Sum"[..], &b"1"[..])]).unwrap();
    assert_eq!(peer.sent(), "plain");
    assert!(peer.server.must_close());
}

#[test]
fn a_full_output_buffer_takes_no_more() {
    let limits = Limits { buffered_output: 100, ..Limits::default() };
    for (body, overhead) in [(Body::Unknown, 6), (Body::Sized(1000), 0)] {
        let mut peer = Peer::with(limits);
        peer.events(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        peer.respond(200, body).unwrap();
        let head = peer.out.len();
        assert_eq!(peer.server.send(&mut peer.out, &[b'x'; 500]), Ok(100 - head));
        assert_eq!(peer.out.len(), 100 + overhead);
        assert_eq!(peer.server.send(&mut peer.out, &[b'x'; 500]), Ok(0));
        peer.out.clear();
        assert_eq!(peer.server.send(&mut peer.out, &[b'x'; 50]), Ok(50));
    }
}

#[test]
fn a_response_without_a_request_or_a_second_one_is_misuse() {
    let mut peer = Peer::new();
    assert_eq!(peer.respond(200, Body::None), Err(Misuse::NoRequest));
    assert!(peer.server.must_close());
    let mut peer = Peer::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.respond(200, Body::Sized(5)).unwrap();
    let written = peer.out.clone();
    assert_eq!(peer.respond(200, Body::None), Err(Misuse::AlreadyResponded));
    assert!(peer.server.must_close() && peer.out == written);
    assert_eq!(Peer::new().server.send(&mut Vec::new(), b"a"), Err(Misuse::NoRequest));
    assert_eq!(Peer::new().server.finish(&mut Vec::new(), []), Ok(()));
    let mut peer = Peer::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(peer.server.finish(&mut peer.out, []), Err(Misuse::NoHead));
    assert!(peer.server.must_close());
}

#[test]
fn a_body_of_another_length_than_the_head_said_is_misuse() {
    let responded = |body| {
        let mut peer = Peer::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        peer.respond(200, body).expect("due");
        peer.out.clear();
        peer
    };
    let mut peer = responded(Body::Sized(3));
    assert_eq!(peer.server.send(&mut peer.out, b"hello"), Err(Misuse::TooMuch { surplus: 2 }));
    assert!(peer.server.must_close() && peer.out.is_empty());
    let mut peer = responded(Body::Sized(3));
    assert_eq!(peer.server.send(&mut peer.out, b"he"), Ok(2));
    assert_eq!(peer.server.finish(&mut peer.out, []), Err(Misuse::TooLittle { missing: 1 }));
    assert!(peer.server.must_close());
    let mut peer = responded(Body::Sized(3));
    assert_eq!(peer.server.send(&mut peer.out, b"hey"), Ok(3));
    assert_eq!(peer.server.finish(&mut peer.out, []), Ok(()));
    assert!(peer.server.is_idle());
    let mut peer = responded(Body::Unknown);
    let refused = peer.server.finish(&mut peer.out, [(&b"A"[..], &b"1"[..]), (&b"B c"[..], &b"1"[..])]);
    assert_eq!(refused, Err(Misuse::Invalid { what: "trailer name" }));
    assert!(peer.server.must_close() && peer.out.is_empty());
}

#[test]
fn a_head_that_is_dropped_or_refused_leaves_no_trace() {
    let mut peer = Peer::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.out.extend_from_slice(b"before");
    drop(peer.server.respond(&mut peer.out, 200, "OK").unwrap().field("A", "b"));
    assert_eq!(peer.out, b"before");
    for (name, value, what) in [
        ("A b", "c", "field name"),
        ("", "c", "field name"),
        ("A\r\nB", "c", "field name"),
        ("A:", "c", "field name"),
        ("A", "c\r\nB: d", "field value"),
        ("A", "c\0", "field value"),
        ("A", "c\nd-and-more-than-sixteen-bytes", "field value"),
        ("A", "more-than-sixteen-bytes-before\n", "field value"),
    ] {
        let refused = peer.server.respond(&mut peer.out, 200, "OK").unwrap().field(name, value).end(Body::None);
        assert_eq!(refused, Err(Misuse::Invalid { what }), "{name:?} {value:?}");
        assert_eq!(peer.out, b"before");
    }
    let reason = peer.server.respond(&mut peer.out, 200, "a\r\nB: c").err();
    assert_eq!(reason, Some(Misuse::Invalid { what: "reason phrase" }));
    for status in [0, 99, 100, 103, 1000] {
        assert_eq!(peer.respond(status, Body::None), Err(Misuse::Status { status }));
    }
    assert!(!peer.server.must_close());
    assert_eq!(peer.respond(500, Body::None), Ok(()));
}

#[test]
fn the_fields_of_the_core_are_left_out_of_what_a_caller_writes() {
    let mut peer = Peer::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let own = ["connection", "Keep-Alive", "proxy-connection", "TE", "UPGRADE", "http2-settings", "content-length"];
    let head = peer.server.respond(&mut peer.out, 200, "OK").unwrap();
    let head = head.fields(own.map(|name| (name, "x"))).field("transfer-encoding", "x").field("a", "").field("B", "c");
    head.end(Body::Sized(1)).unwrap();
    assert_eq!(peer.sent(), "HTTP/1.1 200 OK\r\na: \r\nB: c\r\nContent-Length: 1\r\n\r\n");
}
