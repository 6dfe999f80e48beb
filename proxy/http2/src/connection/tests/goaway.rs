//! The end of a connection (RFC 9113 sections 5.4.1 and 6.8): drained, closed or failed.

use super::*;

const NONE: [&str; 0] = [];
const NO_ERROR: ErrorCode = ErrorCode::NO_ERROR;

/// The answer to the PING that goes out with the first GOAWAY of a server.
fn answer_to_ping(octets: &[u8]) -> Vec<u8> {
    let ping = frames(octets).into_iter().find(|frame| frame.kind == PING).expect("a PING");
    framed(PING, ACK, 0, &ping.payload)
}

#[test]
fn a_server_drains_in_two_steps_and_serves_what_was_on_its_way() {
    let mut server = server(Config::default());
    feed(&mut server, &request(1, true));
    let first = newest(&server);
    server.drain();
    let pong = answer_to_ping(server.output());
    assert_eq!(sent(&mut server), ["GOAWAY 2147483647 NO_ERROR", "PING"]);
    assert!(server.is_closing() && !server.is_finished());
    // The client did not know yet.
    assert_eq!(feed(&mut server, &request(3, true)).len(), 1);
    let second = newest(&server);
    assert_eq!(feed(&mut server, &pong), NONE);
    assert_eq!(sent(&mut server), ["GOAWAY 3 NO_ERROR"]);
    // Now it does; the stream is not processed, and stays so.
    assert_eq!(feed(&mut server, &[request(5, false), data(5, b"x", true)].concat()), NONE);
    assert_eq!(feed(&mut server, &framed(PING, 0, 0, &[1; 8])), NONE);
    assert_eq!(sent(&mut server), ["PING ack"]);
    for (stream, finished) in [(first, false), (second, true)] {
        server.respond(stream, 200).unwrap().finish(true).unwrap();
        assert_eq!(server.is_finished(), finished);
    }
    assert_eq!(sent(&mut server), ["HEADERS 1 end", "HEADERS 3 end"]);
}

#[test]
fn compression_stays_in_step_with_streams_above_the_last_one() {
    let mut server = server(Config::default());
    feed(&mut server, &request(1, true));
    server.drain();
    let pong = answer_to_ping(server.output());
    feed(&mut server, &pong);
    let indexed = [&block(GET)[..], &[0x40, 1, b'k', 1, b'v']].concat();
    assert_eq!(feed(&mut server, &framed(HEADERS, END_HEADERS | END_STREAM, 3, &indexed)), NONE);
    assert!(server.decoder.memory() > 0);
    // It goes by the dynamic table, which the ignored head has filled.
    assert_eq!(feed(&mut server, &framed(HEADERS, END_HEADERS | END_STREAM, 5, &[0x80 | 62])), NONE);
    let words = feed(&mut server, &framed(HEADERS, END_HEADERS | END_STREAM, 7, &[0x80 | 63]));
    assert!(failed_with(&words, ErrorCode::COMPRESSION_ERROR));
}

#[test]
fn a_connection_that_fails_while_it_drains_does_not_raise_the_last_stream() {
    let mut server = server(Config::default());
    feed(&mut server, &request(1, true));
    server.drain();
    let pong = answer_to_ping(server.output());
    feed(&mut server, &pong);
    feed(&mut server, &request(3, true));
    sent(&mut server);
    server.close(ErrorCode::INTERNAL_ERROR);
    assert_eq!(sent(&mut server), ["GOAWAY 1 INTERNAL_ERROR"]);
}

#[test]
fn a_server_without_streams_that_drains_is_finished_with_the_answer_to_its_ping() {
    let (mut client, mut server) = pair(Config::default());
    server.drain();
    assert!(!server.is_finished());
    assert_eq!(pass(&mut server, &mut client), ["goaway 2147483647 NO_ERROR"]);
    assert_eq!(client.open(&get(b"/")).err(), Some(Refused::Closing));
    assert!(client.is_closing() && client.is_finished());
    pass(&mut client, &mut server);
    assert!(server.is_finished());
    assert_eq!(pass(&mut server, &mut client), ["goaway 0 NO_ERROR"]);
}

#[test]
fn a_client_that_drains_opens_no_more_and_ends_what_it_has() {
    let (mut client, mut server) = pair(Config::default());
    let ours = client.open(&get(b"/")).unwrap().finish(false).unwrap();
    client.drain();
    assert!(client.is_closing() && !client.is_finished() && !client.can_open());
    assert_eq!(client.open(&get(b"/")).err(), Some(Refused::Closing));
    assert_eq!(client.send(ours, b"x", true), Ok(1));
    assert_eq!(pass(&mut client, &mut server), ["request GET /", "goaway 0 NO_ERROR", "data 1 end"]);
    let theirs = newest(&server);
    server.respond(theirs, 200).unwrap().finish(true).unwrap();
    assert_eq!(pass(&mut server, &mut client), ["response 200 end"]);
    assert!(client.is_finished());
}

#[test]
fn streams_above_the_last_one_of_a_goaway_are_told_to_be_unprocessed() {
    let mut client = client(Config::default());
    let keys: Vec<Key> = (0..4).map(|_| client.open(&get(b"/")).unwrap().finish(true).unwrap()).collect();
    feed(&mut client, &response(1, b"200", true));
    sent(&mut client);
    let mut input = &[goaway(3, ErrorCode::ENHANCE_YOUR_CALM), response(3, b"200", true)].concat()[..];
    let mut fields = Fields::new();
    let mut unprocessed = Vec::new();
    let mut words = Vec::new();
    while let Some(event) = client.receive(&mut input, &mut fields).unwrap() {
        if let Event::Reset { stream, cause, code } = event {
            assert!(cause.is_unprocessed(code));
            unprocessed.push(stream);
        }
        words.push(describe(&event));
    }
    unprocessed.sort_by_key(|key| key.index());
    // The slot of the first stream is used by none, since it was free only after the others were opened.
    assert_eq!(unprocessed, keys[2..]);
    assert_eq!(words[0], "goaway 3 ENHANCE_YOUR_CALM");
    assert_eq!(words.last().unwrap(), "response 200 end");
    assert!(client.is_finished());
    assert_eq!(sent(&mut client), NONE);
}

#[test]
fn a_second_goaway_may_lower_the_last_stream_and_not_raise_it() {
    let mut client = client(Config::default());
    for _ in 0..3 {
        client.open(&get(b"/")).unwrap().finish(true).unwrap();
    }
    assert_eq!(feed(&mut client, &goaway(0x7fff_ffff, NO_ERROR)), ["goaway 2147483647 NO_ERROR"]);
    assert_eq!(feed(&mut client, &goaway(3, NO_ERROR)).len(), 2);
    assert_eq!(feed(&mut client, &goaway(3, NO_ERROR)).len(), 1);
    assert_eq!(feed(&mut client, &goaway(1, NO_ERROR)).len(), 2);
    assert!(failed_with(&feed(&mut client, &goaway(3, NO_ERROR)), ErrorCode::PROTOCOL_ERROR));
}

#[test]
fn a_goaway_may_carry_any_octets_for_a_log() {
    let mut client = client(Config::default());
    let octets = framed(GOAWAY, 0xff, 0, &[&[0x80, 0, 0, 5, 0, 0, 0, 99][..], b"\0\xff why"].concat());
    let mut input = &octets[..];
    match client.receive(&mut input, &mut Fields::new()) {
        Ok(Some(Event::GoAway { last: 5, code: ErrorCode(99), debug: b"\0\xff why" })) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_that_is_closed_says_so_once_and_takes_nothing_any_more() {
    for mut end in [server(Config::default()), client(Config::default())] {
        let octets = if end.role() == Role::Server { request(1, true) } else { Vec::new() };
        feed(&mut end, &octets);
        if end.role() == Role::Client {
            end.open(&get(b"/")).unwrap().finish(true).unwrap();
        }
        let key = newest(&end);
        sent(&mut end);
        end.close(ErrorCode::INTERNAL_ERROR);
        end.close(ErrorCode::CANCEL);
        end.drain();
        end.ping([0; 8]);
        end.reset(key, ErrorCode::CANCEL);
        end.release(key, 1);
        let last = if end.role() == Role::Server { 1 } else { 0 };
        assert_eq!(sent(&mut end), [format!("GOAWAY {last} INTERNAL_ERROR")]);
        assert!(end.is_finished() && end.is_closing() && !end.can_open());
        assert_eq!(end.active_streams(), 0);
        assert_eq!(end.send(key, b"x", true), Err(Refused::Gone));
        assert_eq!(feed(&mut end, b"any octets at all"), NONE);
        assert_eq!(feed(&mut end, &request(3, true)), NONE);
        assert_eq!(end.next_writable(), None);
        assert_eq!(sent(&mut end), NONE);
    }
}

#[test]
fn a_connection_that_failed_says_the_same_error_again_and_takes_no_commands() {
    let mut server = server(Config::default());
    feed(&mut server, &[request(1, true), request(3, false)].concat());
    let key = newest(&server);
    let words = feed(&mut server, &framed(PING, 0, 1, &[0; 8]));
    assert!(failed_with(&words, ErrorCode::PROTOCOL_ERROR));
    assert_eq!(sent(&mut server), ["GOAWAY 3 PROTOCOL_ERROR"]);
    assert_eq!(feed(&mut server, &request(5, true)), words);
    assert_eq!(feed(&mut server, b""), words);
    assert_eq!(server.respond(key, 200).err(), Some(Refused::Gone));
    server.close(NO_ERROR);
    server.drain();
    server.ping([0; 8]);
    server.tick();
    assert_eq!(sent(&mut server), NONE);
    assert_eq!(feed(&mut server, b""), words);
    assert!(server.is_finished());
}

#[test]
fn a_peer_that_does_not_speak_http2_is_turned_away_with_its_first_octets() {
    for octets in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\nXX"] {
        let words = feed(&mut Connection::server(Config::default()), octets);
        assert!(failed_with(&words, ErrorCode::PROTOCOL_ERROR), "{octets:?}: {words:?}");
    }
    for first in [framed(PING, 0, 0, &[0; 8]), framed(SETTINGS, ACK, 0, &[]), request(1, true), framed(0x77, 0, 0, b"")]
    {
        let words = feed(&mut Connection::server(Config::default()), &[PREFACE, &first].concat());
        assert!(failed_with(&words, ErrorCode::PROTOCOL_ERROR), "{words:?}");
        let words = feed(&mut Connection::client(Config::default()), &first);
        assert!(failed_with(&words, ErrorCode::PROTOCOL_ERROR), "{words:?}");
    }
}

#[test]
fn an_acknowledgement_of_nothing_is_an_error() {
    for mut end in [server(Config::default()), client(Config::default())] {
        assert!(failed_with(&feed(&mut end, &framed(SETTINGS, ACK, 0, &[])), ErrorCode::PROTOCOL_ERROR));
    }
}
