use proptest::prelude::*;

use crate::{Body, Client, Limits, Server, Space};

/// A command to either role, or bytes and the end of them.
#[derive(Clone, Debug)]
enum Step {
    Bytes(usize),
    End,
    Begin(u16, Body, bool),
    Inform,
    Send(usize),
    Finish,
    CloseAfter,
}

/// Pieces of messages of either role, and breaches of them.
const PIECES: [&[u8]; 16] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: b\r\n\r\n",
    b"abc",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"0\r\nA: b\r\n\r\n",
    b"\r",
];

fn step() -> impl Strategy<Value = Step> {
    let body = prop_oneof![Just(Body::None), Just(Body::Sized(3)), Just(Body::Unknown)];
    let status = prop_oneof![Just(200_u16), Just(204), Just(304), Just(101), Just(100)];
    prop_oneof![
        6 => (0..PIECES.len()).prop_map(Step::Bytes),
        1 => Just(Step::End),
        4 => (status, body, any::<bool>()).prop_map(|(status, body, upgrade)| Step::Begin(status, body, upgrade)),
        1 => Just(Step::Inform),
        3 => (0_usize..5).prop_map(Step::Send),
        2 => Just(Step::Finish),
        1 => Just(Step::CloseAfter),
    ]
}

proptest! {
    /// In no order do bytes and commands make a server panic, loop, or forget that it must close.
    #[test]
    fn a_server_bears_any_order_of_steps(steps in proptest::collection::vec(step(), 0..30)) {
        let (mut server, mut input, mut out) = (Server::new(Limits::default()), Vec::new(), Vec::new());
        let (mut must_close, mut has_ended) = (false, false);
        for step in steps {
            let written = out.len();
            let refused = match step {
                Step::Bytes(piece) => {
                    input.extend_from_slice(PIECES[piece]);
                    let mut rest = &input[..];
                    let refused = loop {
                        match server.receive(&mut rest, &mut Space::new()) {
                            Ok(Some(_)) => {}
                            Ok(None) => break false,
                            Err(_) => break true,
                        }
                    };
                    input = rest.to_vec();
                    must_close |= refused;
                    false
                }
                Step::End => {
                    must_close |= server.end_of_input().is_err();
                    has_ended = true;
                    false
                }
                Step::Begin(status, body, upgrade) => match server.respond(&mut out, status, "") {
                    Ok(head) => (if upgrade { head.upgrade("b") } else { head }).end(body).is_err(),
                    Err(_) => true,
                },
                Step::Inform => match server.inform(&mut out, 103) {
                    Ok(head) => head.end(Body::None).is_err(),
                    Err(_) => true,
                },
                Step::Send(bytes) => server.send(&mut out, &b"12345"[..bytes]).is_err(),
                Step::Finish => server.finish(&mut out, []).is_err(),
                Step::CloseAfter => {
                    server.close_after_response();
                    false
                }
            };
            prop_assert!(!refused || out.len() == written, "a refused command leaves nothing behind");
            prop_assert!(!must_close || server.must_close());
            prop_assert!(!(server.is_idle() && server.may_respond()));
            prop_assert!(!(has_ended && server.is_response_complete()) || server.must_close(), "both sides are done");
        }
    }

    /// The same of a client.
    #[test]
    fn a_client_bears_any_order_of_steps(steps in proptest::collection::vec(step(), 0..30)) {
        let (mut client, mut input, mut out) = (Client::new(Limits::default()), Vec::new(), Vec::new());
        let (mut must_close, mut has_ended) = (false, false);
        for step in steps {
            let written = out.len();
            let refused = match step {
                Step::Bytes(piece) => {
                    input.extend_from_slice(PIECES[piece]);
                    let mut rest = &input[..];
                    let refused = loop {
                        match client.receive(&mut rest, &mut Space::new()) {
                            Ok(Some(_)) => {}
                            Ok(None) => break false,
                            Err(_) => break true,
                        }
                    };
                    input = rest.to_vec();
                    must_close |= refused;
                    false
                }
                Step::End => {
                    must_close |= client.end_of_input().is_err();
                    has_ended = true;
                    false
                }
                Step::Begin(status, body, upgrade) => {
                    let method = if status == 101 { "CONNECT" } else { "GET" };
                    match client.request(&mut out, method, "/") {
                        Ok(head) => {
                            let head = head.field("Host", "a");
                            (if upgrade { head.upgrade("b") } else { head }).end(body).is_err()
                        }
                        Err(_) => true,
                    }
                }
                Step::Send(bytes) => client.send(&mut out, &b"12345"[..bytes]).is_err(),
                Step::Finish => client.finish(&mut out, []).is_err(),
                Step::Inform | Step::CloseAfter => {
                    client.close_after_response();
                    false
                }
            };
            prop_assert!(!refused || out.len() == written, "a refused command leaves nothing behind");
            prop_assert!(!must_close || client.must_close());
            prop_assert!(!client.can_reuse() || (client.is_idle() && client.is_request_complete()));
            prop_assert!(!(has_ended && client.is_request_complete()) || client.must_close(), "both sides are done");
        }
    }
}
