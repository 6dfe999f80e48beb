//! Each limit: just below it is served, just above it ends with the documented outcome.

use super::*;
use crate::limits::Limits;

const CALM: ErrorCode = ErrorCode::ENHANCE_YOUR_CALM;
const NONE: [&str; 0] = [];

fn with(limits: Limits) -> Config {
    Config { limits, ..Config::default() }
}

fn with_fields(fields: crate::FieldLimits) -> Config {
    with(Limits { fields, ..Limits::default() })
}

/// `count` frames of `octets` are within the limit and one more is not; after a tick it is full again.
fn check_budget(mut connection: Connection, count: u32, octets: &[u8]) {
    for round in 0..2 {
        for at in 0..count {
            let words = feed(&mut connection, octets);
            assert!(!words.iter().any(|word| word.starts_with("failed")), "round {round}, frame {at}: {words:?}");
        }
        sent(&mut connection);
        if round == 0 {
            connection.tick();
        }
    }
    assert!(failed_with(&feed(&mut connection, octets), CALM), "one above {count}");
    assert_eq!(sent(&mut connection).last().unwrap().split(' ').next_back(), Some("ENHANCE_YOUR_CALM"));
    assert!(connection.is_finished());
}

/// Requests 1, 3, .. that are opened and at once ended by `end`.
fn opened_and_reset(id: u32) -> Vec<u8> {
    [request(id, false), rst_stream(id, ErrorCode::CANCEL)].concat()
}

#[test]
fn a_head_at_each_field_limit_is_served_and_one_above_it_is_answered_with_431() {
    let defaults = crate::FieldLimits::default();
    let pseudo: usize = GET.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    // Names are at least as long as `:authority`, which is held to the limit as well.
    let cases: [(crate::FieldLimits, Vec<u8>, Vec<u8>); 4] = [
        (
            crate::FieldLimits { list_size: u32::try_from(pseudo + 32 + 1 + 50).unwrap(), ..defaults },
            request_with(1, true, &[(b"x", &[b'v'; 50])]),
            request_with(3, true, &[(b"x", &[b'v'; 51])]),
        ),
        (
            crate::FieldLimits { count: 6, ..defaults },
            request_with(1, true, &[(b"a", b""), (b"b", b"")]),
            request_with(3, true, &[(b"a", b""), (b"b", b""), (b"c", b"")]),
        ),
        (
            crate::FieldLimits { name: 20, ..defaults },
            request_with(1, true, &[(&[b'n'; 20], b"")]),
            request_with(3, true, &[(&[b'n'; 21], b"")]),
        ),
        (
            crate::FieldLimits { value: 20, ..defaults },
            request_with(1, true, &[(b"n", &[b'v'; 20])]),
            request_with(3, true, &[(b"n", &[b'v'; 21])]),
        ),
    ];
    for (fields, below, above) in cases {
        let mut server = server(with_fields(fields));
        assert_eq!(feed(&mut server, &below).len(), 1, "{fields:?}");
        assert_eq!(feed(&mut server, &above), NONE, "{fields:?}");
        let octets = server.output().to_vec();
        assert_eq!(sent(&mut server), ["HEADERS 3 end"]);
        let mut client = client(Config::default());
        for path in [b"/1", b"/3"] {
            client.open(&get(path)).unwrap().finish(true).unwrap();
        }
        assert_eq!(feed(&mut client, &octets), ["response 431 end"]);
        assert_eq!(server.active_streams(), 1);
        assert_eq!(feed(&mut server, &request(5, true)).len(), 1, "the connection goes on");
    }
}

#[test]
fn a_large_head_with_a_body_is_answered_with_431_and_its_body_is_discarded() {
    let limits = crate::FieldLimits { value: 20, ..crate::FieldLimits::default() };
    let mut server = server(with_fields(limits));
    assert_eq!(feed(&mut server, &request_with(1, false, &[(b"n", &[b'v'; 21])])), NONE);
    assert_eq!(sent(&mut server), ["HEADERS 1 end", "RST_STREAM 1 NO_ERROR"]);
    assert_eq!(feed(&mut server, &[data(1, b"body", false), data(1, b"", true)].concat()), NONE);
    assert_eq!(sent(&mut server), NONE);
    assert_eq!(server.active_streams(), 0);
}

#[test]
fn trailers_and_responses_beyond_the_field_limits_reset_their_stream() {
    let limits = crate::FieldLimits { value: 20, ..crate::FieldLimits::default() };
    let large = block(&[(b"n", &[b'v'; 21])]);
    let mut server = server(with_fields(limits));
    feed(&mut server, &request(1, false));
    let words = feed(&mut server, &framed(HEADERS, END_HEADERS | END_STREAM, 1, &large));
    assert!(words[0].starts_with("reset ENHANCE_YOUR_CALM"), "{words:?}");
    assert_eq!(sent(&mut server), ["RST_STREAM 1 ENHANCE_YOUR_CALM"]);

    for status in [b"200", b"103"] {
        let mut client = client(with_fields(limits));
        client.open(&get(b"/")).unwrap().finish(true).unwrap();
        sent(&mut client);
        let head = [block(&[(b":status", status)]), large.clone()].concat();
        let words = feed(&mut client, &framed(HEADERS, END_HEADERS, 1, &head));
        assert!(words[0].starts_with("reset ENHANCE_YOUR_CALM"), "{words:?}");
        assert_eq!(sent(&mut client), ["RST_STREAM 1 ENHANCE_YOUR_CALM"]);
        assert_eq!(client.active_streams(), 0);
    }
}

#[test]
fn compression_stays_in_step_after_a_head_that_was_too_large() {
    let limits = crate::FieldLimits { count: 5, ..crate::FieldLimits::default() };
    let mut server = server(with_fields(limits));
    // The last field is beyond the limit, and is added to the dynamic table all the same (RFC 7541 section 6.2.1).
    let mut head = block(&[GET, &[(b"a".as_slice(), b"".as_slice())]].concat());
    head.extend_from_slice(&[0x40, 1, b'k', 3, b'v', b'a', b'l']);
    assert_eq!(feed(&mut server, &framed(HEADERS, END_HEADERS | END_STREAM, 1, &head)), NONE);
    let mut head = block(GET);
    head.push(0x80 | 62);
    let words = feed(&mut server, &framed(HEADERS, END_HEADERS | END_STREAM, 3, &head));
    assert_eq!(words, ["request GET / k=val end"]);
}

/// A request whose block has `octets` octets, cut after each of `cuts`.
fn cut_request(octets: usize, cuts: &[usize]) -> Vec<u8> {
    let mut head = block(GET);
    // A literal with the name `x`: flags, name, and the length of the value in four octets.
    let value = octets - head.len() - 7;
    head.extend_from_slice(&[0, 1, b'x', 0x7f]);
    let rest = value - 127;
    head.extend_from_slice(&[0x80 | (rest & 0x7f) as u8, 0x80 | (rest >> 7 & 0x7f) as u8, (rest >> 14) as u8]);
    head.resize(octets, b'v');
    let mut frames = Vec::new();
    let mut at = 0;
    for (index, &cut) in cuts.iter().chain([&octets]).enumerate() {
        let kind = if index == 0 { HEADERS } else { CONTINUATION };
        let end = if index == 0 { END_STREAM } else { 0 };
        let last = if index == cuts.len() { END_HEADERS } else { 0 };
        frames.extend_from_slice(&framed(kind, end | last, 1, &head[at..cut]));
        at = cut;
    }
    frames
}

#[test]
fn a_header_block_may_have_as_many_octets_as_the_limit_and_no_more() {
    for (octets, cuts) in [(1_000, vec![500]), (1_000, vec![]), (20_000, vec![10_000])] {
        let limits = Limits { block_bytes: octets, ..Limits::default() };
        let octets = octets as usize;
        let words = feed(&mut server(with(limits)), &cut_request(octets, &cuts));
        assert!(words[0].starts_with("request"), "{octets} cut at {cuts:?}");
        let words = feed(&mut server(with(limits)), &cut_request(octets + 1, &cuts));
        assert!(failed_with(&words, CALM), "{} cut at {cuts:?}: {words:?}", octets + 1);
    }
}

#[test]
fn a_header_block_beyond_the_limit_fails_before_it_is_whole() {
    let mut server = server(with(Limits { block_bytes: 20_000, continuations: 255, ..Limits::default() }));
    feed(&mut server, &framed(HEADERS, 0, 1, &[0; 16_000]));
    assert!(failed_with(&feed(&mut server, &framed(CONTINUATION, 0, 1, &[0; 4_001])), CALM));
    assert!(server.memory() < 100_000);
}

#[test]
fn a_header_block_may_have_as_many_continuations_as_the_limit_and_no_more() {
    let limits = Limits { continuations: 3, ..Limits::default() };
    let words = feed(&mut server(with(limits)), &cut_request(400, &[100, 100, 200]));
    assert!(words[0].starts_with("request"), "{words:?}");
    let words = feed(&mut server(with(limits)), &cut_request(400, &[100, 100, 200, 300]));
    assert!(failed_with(&words, CALM), "{words:?}");
}

#[test]
fn one_stream_more_than_allowed_is_refused_and_may_be_tried_again() {
    let mut server = server(with(Limits { concurrent_streams: 2, ..Limits::default() }));
    assert_eq!(feed(&mut server, &[request(1, true), request(3, false)].concat()).len(), 2);
    let theirs = newest(&server);
    assert_eq!(feed(&mut server, &request(5, true)), NONE);
    assert_eq!(sent(&mut server), ["RST_STREAM 5 REFUSED_STREAM"]);
    server.reset(theirs, ErrorCode::CANCEL);
    assert_eq!(feed(&mut server, &request(7, true)).len(), 1);
    assert_eq!(server.active_streams(), 2);
}

#[test]
fn a_client_opens_no_more_streams_than_its_peer_allows() {
    let limits = Limits { concurrent_streams: 2, ..Limits::default() };
    let (mut client, mut server) = pair(with(limits));
    client.open(&get(b"/1")).unwrap().finish(true).unwrap();
    client.open(&get(b"/2")).unwrap().finish(true).unwrap();
    assert!(!client.can_open());
    assert_eq!(client.open(&get(b"/3")).err(), Some(Refused::StreamLimit(2)));
    pass(&mut client, &mut server);
    let theirs = newest(&server);
    server.respond(theirs, 200).unwrap().finish(true).unwrap();
    pass(&mut server, &mut client);
    assert!(client.can_open());
}

#[test]
fn rapid_resets_end_the_connection() {
    let mut server = server(with(Limits { resets: 3, ..Limits::default() }));
    for id in [1, 3, 5] {
        assert_eq!(feed(&mut server, &opened_and_reset(id)).len(), 2);
    }
    server.tick();
    for id in [7, 9, 11] {
        assert_eq!(feed(&mut server, &opened_and_reset(id)).len(), 2);
    }
    assert!(failed_with(&feed(&mut server, &opened_and_reset(13)), CALM));
}

#[test]
fn resets_after_the_response_are_no_flood() {
    let mut server = server(with(Limits { resets: 3, ..Limits::default() }));
    for id in (1..100).step_by(2) {
        feed(&mut server, &request(id, false));
        let theirs = newest(&server);
        server.respond(theirs, 200).unwrap().finish(true).unwrap();
        let words = feed(&mut server, &rst_stream(id, ErrorCode::CANCEL));
        assert_eq!(words, ["reset CANCEL by Peer"]);
    }
}

#[test]
fn a_stream_that_ends_well_gives_one_reset_back() {
    let mut server = server(with(Limits { resets: 1, ..Limits::default() }));
    for id in (1..100).step_by(4) {
        assert_eq!(feed(&mut server, &opened_and_reset(id)).len(), 2, "stream {id}");
        feed(&mut server, &request(id + 2, true));
        let theirs = newest(&server);
        server.respond(theirs, 200).unwrap().finish(true).unwrap();
    }
    // But no more than the limit is ever there.
    feed(&mut server, &opened_and_reset(101));
    assert!(failed_with(&feed(&mut server, &opened_and_reset(103)), CALM));
}

#[test]
fn making_us_reset_is_held_to_the_limit_of_resets() {
    // CVE-2025-8671: by a window that overflows, by nothing, and by a malformed request.
    let ways: [fn(u32) -> Vec<u8>; 4] = [
        |id| [request(id, false), window_update(id, 0)].concat(),
        |id| [request(id, false), window_update(id, 0x7fff_ffff)].concat(),
        |id| [request(id, true), data(id, b"late", true)].concat(),
        |id| request_with(id, true, &[(b"connection", b"close")]),
    ];
    for (way, octets) in ways.into_iter().enumerate() {
        let mut server = server(with(Limits { resets: 3, ..Limits::default() }));
        for id in [1, 3, 5] {
            let words = feed(&mut server, &octets(id));
            assert!(!failed_with(&words, CALM), "way {way}, stream {id}");
            assert!(sent(&mut server)[0].starts_with("RST_STREAM"), "way {way}, stream {id}");
        }
        assert!(failed_with(&feed(&mut server, &octets(7)), CALM), "way {way}");
    }
}

#[test]
fn refused_streams_and_large_heads_are_held_to_the_limit_of_resets() {
    let mut refusing = server(with(Limits { resets: 3, concurrent_streams: 0, ..Limits::default() }));
    let large = crate::FieldLimits { count: 4, ..crate::FieldLimits::default() };
    let mut answering = server(with(Limits { resets: 3, fields: large, ..Limits::default() }));
    for id in [1, 3, 5] {
        assert_eq!(feed(&mut refusing, &request(id, true)), NONE);
        assert_eq!(feed(&mut answering, &request_with(id, true, &[(b"a", b"")])), NONE);
    }
    assert!(failed_with(&feed(&mut refusing, &request(7, true)), CALM));
    assert!(failed_with(&feed(&mut answering, &request_with(7, true, &[(b"a", b"")])), CALM));
}

#[test]
fn resets_by_the_caller_are_no_flood() {
    let mut server = server(with(Limits { resets: 3, ..Limits::default() }));
    for id in (1..100).step_by(2) {
        assert_eq!(feed(&mut server, &request(id, true)).len(), 1);
        let theirs = newest(&server);
        server.reset(theirs, ErrorCode::INTERNAL_ERROR);
    }
}

#[test]
fn pings_settings_and_ignored_frames_have_budgets() {
    let limits =
        Limits { pings: 5, settings: 6, ignored_frames: 7, window_updates: 8, empty_frames: 9, ..Limits::default() };
    let ends: [fn(Config) -> Connection; 2] = [server, client];
    for end in ends {
        // The first SETTINGS have taken one.
        let ready = || {
            let mut connection = end(with(limits));
            connection.tick();
            connection
        };
        check_budget(ready(), 5, &framed(PING, 0, 0, &[7; 8]));
        check_budget(ready(), 6, &settings(&[]));
        check_budget(ready(), 7, &framed(PRIORITY, 0, 1, &[0, 0, 0, 3, 0]));
        check_budget(ready(), 7, &framed(0x77, 0xff, 3, b"unknown"));
        check_budget(ready(), 8, &window_update(0, 1));
        let mut connection = ready();
        feed(&mut connection, &framed(PING, 0, 0, &[7; 8]));
        assert_eq!(sent(&mut connection), ["PING ack"]);
    }
}

#[test]
fn empty_data_frames_have_a_budget_with_padding_or_without() {
    let limits = Limits { empty_frames: 9, ..Limits::default() };
    for octets in [data(1, b"", false), framed(DATA, PADDED, 1, &[0]), framed(DATA, PADDED, 1, &[3, 0, 0, 0])] {
        let mut server = server(with(limits));
        feed(&mut server, &request(1, false));
        check_budget(server, 9, &octets);
    }
}

#[test]
fn an_empty_data_frame_that_ends_the_message_is_no_flood() {
    let mut server = server(with(Limits { empty_frames: 0, ..Limits::default() }));
    for id in [1, 3, 5] {
        assert_eq!(feed(&mut server, &[request(id, false), data(id, b"", true)].concat())[1], "data 0 end");
    }
}

#[test]
fn a_stream_that_ends_well_gives_one_ping_back() {
    let mut server = server(with(Limits { pings: 1, ..Limits::default() }));
    for id in (1..100).step_by(2) {
        assert_eq!(feed(&mut server, &[framed(PING, 0, 0, &[7; 8]), request(id, true)].concat()).len(), 1);
        let theirs = newest(&server);
        server.respond(theirs, 200).unwrap().finish(true).unwrap();
    }
    feed(&mut server, &framed(PING, 0, 0, &[7; 8]));
    assert!(failed_with(&feed(&mut server, &framed(PING, 0, 0, &[7; 8])), CALM));
}

#[test]
fn each_data_frame_that_we_send_gives_ten_window_updates_back() {
    let mut server = server(with(Limits { window_updates: 20, ..Limits::default() }));
    feed(&mut server, &request(1, true));
    let theirs = newest(&server);
    server.respond(theirs, 200).unwrap().finish(false).unwrap();
    for _ in 0..50 {
        assert_eq!(server.send(theirs, b"x", false), Ok(1));
        for _ in 0..10 {
            assert_eq!(feed(&mut server, &window_update(1, 1)), NONE);
        }
    }
    assert_eq!(feed(&mut server, &window_update(0, 1).repeat(10)), NONE);
    assert!(failed_with(&feed(&mut server, &window_update(0, 1)), CALM));
}

/// RFC 9113 section 5.1, closed: the client did not know yet that the stream ended.
#[test]
fn window_updates_that_answer_our_data_are_no_flood_on_streams_that_have_just_ended() {
    let mut server = server(with(Limits { ignored_frames: 10, ..Limits::default() }));
    for id in (1..200).step_by(2) {
        feed(&mut server, &request(id, true));
        let theirs = newest(&server);
        server.respond(theirs, 200).unwrap().finish(false).unwrap();
        assert_eq!(server.send(theirs, b"content", true), Ok(7));
        sent(&mut server);
        assert_eq!(feed(&mut server, &[window_update(id, 7), window_update(0, 7)].concat()), NONE, "stream {id}");
    }
}

#[test]
fn one_interim_response_more_than_allowed_resets_the_stream() {
    let mut client = client(with(Limits { interim_responses: 2, ..Limits::default() }));
    client.open(&get(b"/")).unwrap().finish(true).unwrap();
    client.open(&get(b"/")).unwrap().finish(true).unwrap();
    sent(&mut client);
    let interim = |id| response(id, b"103", false);
    let octets = [interim(1), interim(1), response(1, b"200", true), interim(3), interim(3)].concat();
    assert_eq!(feed(&mut client, &octets).len(), 5);
    assert!(feed(&mut client, &interim(3))[0].starts_with("reset ENHANCE_YOUR_CALM"));
    assert_eq!(sent(&mut client), ["RST_STREAM 3 ENHANCE_YOUR_CALM"]);
    assert_eq!(client.active_streams(), 0);
}
