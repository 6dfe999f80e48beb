//! Exchanges that end early: half-closed clients, requests that were not read, errors and misuse.

use super::Peer;
use crate::{Body, Error, Misuse};

#[test]
fn a_tunnel_to_a_client_that_has_closed_its_side_ends_with_the_other() {
    let mut peer = Peer::after("CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n");
    peer.server.end_of_input().unwrap();
    peer.respond(200, Body::None).unwrap();
    assert!(peer.server.is_tunnel() && !peer.server.must_close());
    assert_eq!(peer.server.send(&mut peer.out, b"x"), Ok(1));
    peer.server.finish(&mut peer.out, []).unwrap();
    assert!(peer.server.must_close());

    let offer = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n";
    let mut peer = Peer::after(&format!("{offer}\r\n"));
    peer.server.end_of_input().unwrap();
    peer.server.respond(&mut peer.out, 101, "").unwrap().upgrade("x").end(Body::None).unwrap();
    peer.server.finish(&mut peer.out, []).unwrap();
    assert!(peer.server.must_close());

    let mut cut_off = Peer::after(&format!("{offer}Content-Length: 1\r\n\r\n"));
    assert_eq!(cut_off.server.end_of_input().map(drop), Err(Error::Truncated));
    let refused = cut_off.server.respond(&mut cut_off.out, 101, "").unwrap().upgrade("x").end(Body::None);
    assert_eq!(refused, Err(Misuse::Upgrade));
}

#[test]
fn a_head_says_close_where_the_request_will_not_be_read() {
    let put = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n";
    let says_close = |peer: &mut Peer, body: Body| {
        peer.out.clear();
        peer.respond(401, body).unwrap();
        peer.sent().contains("Connection: close\r\n")
    };
    assert!(says_close(&mut Peer::after(&format!("{put}\r\nhell")), Body::None));
    assert!(!says_close(&mut Peer::after(&format!("{put}\r\nhello")), Body::None));
    assert!(!says_close(&mut Peer::after(&format!("{put}\r\nhell")), Body::Sized(2)), "the rest may still be read");

    let expecting = format!("{put}Expect: 100-continue\r\n\r\n");
    assert!(says_close(&mut Peer::after(&expecting), Body::Sized(2)));
    assert!(!says_close(&mut Peer::after(&format!("{expecting}h")), Body::Sized(2)), "the client did not wait");
    let mut told = Peer::after(&expecting);
    told.server.inform(&mut told.out, 103).unwrap().end(Body::None).unwrap();
    told.server.inform(&mut told.out, 100).unwrap().end(Body::None).unwrap();
    assert!(!says_close(&mut told, Body::Sized(2)));
    let mut hinted = Peer::after(&expecting);
    hinted.server.inform(&mut hinted.out, 103).unwrap().end(Body::None).unwrap();
    assert!(says_close(&mut hinted, Body::Sized(2)));
}

#[test]
fn nothing_is_read_or_sent_after_misuse() {
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut peer = Peer::new();
    assert_eq!(peer.respond(200, Body::None), Err(Misuse::NoRequest));
    assert_eq!(peer.events(get), Ok(vec![]));
    assert_eq!(peer.respond(200, Body::None), Err(Misuse::Closed));
    assert!(peer.out.is_empty() && !peer.server.may_respond() && !peer.server.is_idle());
}

#[test]
fn a_response_stays_complete_when_the_rest_of_its_request_breaks() {
    let put = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut peer = Peer::after(put);
    peer.respond(413, Body::None).unwrap();
    assert_eq!(peer.events(b"x"), Err(Error::ChunkSize { byte: b'x' }));
    assert!(peer.server.is_response_complete() && peer.server.must_close());
    let mut peer = Peer::after(put);
    peer.respond(413, Body::None).unwrap();
    assert_eq!(peer.server.end_of_input().map(drop), Err(Error::Truncated));
    assert!(peer.server.is_response_complete() && !peer.server.may_respond());
}

#[test]
fn a_refused_request_gets_no_interim_response() {
    let mut peer = Peer::new();
    assert_eq!(peer.events(b"GET / HTTP/1.1\r\n\r\n"), Err(Error::HostMissing));
    assert_eq!(peer.server.inform(&mut peer.out, 100).err(), Some(Misuse::Closed));
    assert_eq!(peer.respond(400, Body::None), Ok(()));
}

#[test]
fn an_interim_response_switches_to_nothing() {
    let mut peer = Peer::after("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    let refused = peer.server.inform(&mut peer.out, 103).unwrap().upgrade("x").end(Body::None);
    assert_eq!(refused, Err(Misuse::Upgrade));
    assert!(peer.out.is_empty() && peer.server.may_respond());
}
