//! The states of a stream (RFC 9113 section 5.1): what each frame does in each of them, and each command.

use super::*;

/// A stream's state, as the end under test sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Open,
    /// The peer has ended its side.
    HalfClosedRemote,
    /// We have ended our side.
    HalfClosedLocal,
    /// Both have.
    Ended,
    /// The peer has reset it.
    ResetByPeer,
    /// We have.
    ResetByUs,
}

const STATES: [State; 7] = [
    State::Idle,
    State::Open,
    State::HalfClosedRemote,
    State::HalfClosedLocal,
    State::Ended,
    State::ResetByPeer,
    State::ResetByUs,
];

/// The end under test with stream 1 in `state`, and its key if it has one.
fn in_state(role: Role, state: State) -> (Connection, Option<Key>) {
    let (mut end, key) = match role {
        Role::Server => server_in(state),
        Role::Client => client_in(state),
    };
    match (state, key) {
        (State::ResetByPeer, _) => {
            assert_eq!(feed(&mut end, &rst_stream(1, ErrorCode::CANCEL)), ["reset CANCEL by Peer"]);
        }
        (State::ResetByUs, Some(key)) => end.reset(key, ErrorCode::CANCEL),
        _ => {}
    }
    sent(&mut end);
    (end, key)
}

fn server_in(state: State) -> (Connection, Option<Key>) {
    let mut server = server(Config::default());
    if state == State::Idle {
        return (server, None);
    }
    let peer_ended = matches!(state, State::HalfClosedRemote | State::Ended);
    feed(&mut server, &request(1, peer_ended));
    let key = newest(&server);
    if matches!(state, State::HalfClosedLocal | State::Ended) {
        server.respond(key, 200).unwrap().finish(true).unwrap();
    }
    (server, Some(key))
}

fn client_in(state: State) -> (Connection, Option<Key>) {
    let mut client = client(Config::default());
    if state == State::Idle {
        return (client, None);
    }
    let we_ended = matches!(state, State::HalfClosedLocal | State::Ended);
    let key = client.open(&get(b"/")).unwrap().finish(we_ended).unwrap();
    let peer_ended = matches!(state, State::HalfClosedRemote | State::Ended);
    feed(&mut client, &response(1, b"200", peer_ended));
    (client, Some(key))
}

/// What `octets` do to the end: an event, a reset, the end of the connection, or nothing.
fn effect(end: &mut Connection, octets: &[u8]) -> String {
    let words = feed(end, octets);
    let frames = sent(end);
    match (words.last(), frames.last()) {
        (Some(word), Some(frame)) if word.starts_with("failed") => {
            let code = frame.rsplit(' ').next().unwrap();
            assert!(frame.starts_with("GOAWAY"), "{frame}");
            format!("connection {code}")
        }
        (_, Some(frame)) if frame.starts_with("RST_STREAM 1 ") => frame.replace("RST_STREAM 1", "stream"),
        (Some(word), None) => word.clone(),
        (None, None) => "nothing".to_owned(),
        other => panic!("{other:?}"),
    }
}

/// What RFC 9113 allows to happen. Of a closed stream it leaves much to the receiver.
fn allowed(role: Role, kind: u8, state: State) -> &'static [&'static str] {
    const IDLE: &[&str] = &["connection PROTOCOL_ERROR"];
    const HALF_CLOSED: &[&str] = &["stream STREAM_CLOSED"];
    const CLOSED: &[&str] = &["stream STREAM_CLOSED", "connection STREAM_CLOSED"];
    const NOTHING: &[&str] = &["nothing"];
    match (kind, state) {
        (PUSH_PROMISE | CONTINUATION, _) => &["connection PROTOCOL_ERROR"],
        (PRIORITY | 0x77, _) => NOTHING,
        (HEADERS, State::Idle) if role == Role::Server => &["request GET / end"],
        (_, State::Idle) => IDLE,
        (WINDOW_UPDATE, _) => NOTHING,
        (RST_STREAM, State::Open | State::HalfClosedRemote | State::HalfClosedLocal) => &["reset CANCEL by Peer"],
        (RST_STREAM, _) => NOTHING,
        (DATA, State::Open | State::HalfClosedLocal) => &["data 1"],
        (HEADERS, State::Open | State::HalfClosedLocal) => &["trailers x=y"],
        (_, State::HalfClosedRemote) => HALF_CLOSED,
        (_, State::ResetByUs) => NOTHING,
        _ => CLOSED,
    }
}

fn example(role: Role, kind: u8, state: State) -> Vec<u8> {
    match kind {
        DATA => data(1, b"x", false),
        HEADERS if state == State::Idle && role == Role::Server => request(1, true),
        HEADERS => framed(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(b"x", b"y")])),
        PRIORITY => framed(PRIORITY, 0, 1, &[0, 0, 0, 3, 0]),
        RST_STREAM => rst_stream(1, ErrorCode::CANCEL),
        PUSH_PROMISE => framed(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
        WINDOW_UPDATE => window_update(1, 1),
        CONTINUATION => framed(CONTINUATION, END_HEADERS, 1, &[]),
        other => framed(other, 0xff, 1, b"unknown"),
    }
}

#[test]
fn each_frame_has_in_each_state_the_effect_that_the_rfc_gives_it() {
    for role in [Role::Server, Role::Client] {
        for state in STATES {
            for kind in [DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, WINDOW_UPDATE, CONTINUATION, 0x77] {
                let (mut end, _) = in_state(role, state);
                let effect = effect(&mut end, &example(role, kind, state));
                let allowed = allowed(role, kind, state);
                assert!(allowed.contains(&&effect[..]), "{role:?}, {state:?}, type {kind}: {effect}, not {allowed:?}");
            }
        }
    }
}

#[test]
fn a_stream_below_the_newest_that_was_never_opened_is_closed() {
    let mut server = server(Config::default());
    feed(&mut server, &request(5, true));
    // Section 5.1.1 names PROTOCOL_ERROR, section 5.1 STREAM_CLOSED.
    let effect = effect(&mut server, &request(3, true));
    assert!(["connection PROTOCOL_ERROR", "connection STREAM_CLOSED"].contains(&&effect[..]), "{effect}");
}

#[test]
fn a_client_cannot_open_an_even_stream_and_a_server_none() {
    assert_eq!(effect(&mut server(Config::default()), &request(2, true)), "connection PROTOCOL_ERROR");
    for id in [1, 2, 3] {
        assert_eq!(effect(&mut client(Config::default()), &response(id, b"200", true)), "connection PROTOCOL_ERROR");
    }
}

/// The octets of HEADERS on `id` that says to depend on `id`.
fn head_on_itself(id: u32) -> Vec<u8> {
    let payload = [&id.to_be_bytes()[..], &[0], &block(GET)].concat();
    framed(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, id, &payload)
}

#[test]
fn a_server_cannot_move_its_clients_identifiers() {
    for id in [2, 8, 9, 0x7fff_fffe] {
        let mut client = client(Config::default());
        let words = feed(&mut client, &head_on_itself(id));
        assert!(failed_with(&words, ErrorCode::PROTOCOL_ERROR), "stream {id}: {words:?}");
    }
}

#[test]
fn an_even_stream_is_an_error_of_the_connection_whatever_it_depends_on() {
    let words = feed(&mut server(Config::default()), &head_on_itself(2));
    assert!(failed_with(&words, ErrorCode::PROTOCOL_ERROR), "{words:?}");
}

/// RFC 9113 section 6.4: RST_STREAM must not be sent for a stream that is idle.
#[test]
fn no_idle_stream_is_reset() {
    for (end, id) in [(server(Config::default()), 7), (client(Config::default()), 2), (client(Config::default()), 7)] {
        let mut end = end;
        feed(&mut end, &framed(PRIORITY, 0, id, &[0, 0, 0, id as u8, 0]));
        let sent = sent(&mut end);
        assert!(!sent.iter().any(|frame| frame.starts_with("RST_STREAM")), "{sent:?}");
    }
}

#[test]
fn a_client_does_not_take_data_before_the_head() {
    let mut client = client(Config::default());
    client.open(&get(b"/")).unwrap().finish(true).unwrap();
    sent(&mut client);
    assert_eq!(effect(&mut client, &data(1, b"x", false)), "stream PROTOCOL_ERROR");
}

/// Section 5.1, closed: a peer that does not know yet that we reset may have sent anything on each stream.
#[test]
fn what_was_in_flight_when_many_streams_were_reset_is_discarded() {
    let trailers = |id| framed(HEADERS, END_HEADERS | END_STREAM, id, &block(&[(b"x", b"y")]));
    let ways: [&dyn Fn(u32) -> Vec<u8>; 3] =
        [&trailers, &|id| [data(id, b"x", false), data(id, b"y", true)].concat(), &|id| {
            [data(id, b"x", false), trailers(id)].concat()
        }];
    for (way, in_flight) in ways.into_iter().enumerate() {
        let mut server = server(Config::default());
        for id in (1..=511).step_by(2) {
            assert_eq!(feed(&mut server, &request(id, false)).len(), 1);
        }
        while let Some((_, theirs)) = server.streams.last() {
            server.reset(theirs, ErrorCode::CANCEL);
        }
        assert_eq!(sent(&mut server).len(), 256);
        for id in (1..=511).step_by(2) {
            assert_eq!(feed(&mut server, &in_flight(id)), [""; 0], "way {way}, stream {id}");
        }
        assert_eq!(feed(&mut server, &request(513, true)).len(), 1);
    }
}

/// Each command that a stream of a server can be given, in words.
fn server_commands(server: &mut Connection, key: Key) -> [&'static str; 5] {
    let name = |refused: Option<Refused>| match refused {
        None => "done",
        Some(Refused::Gone) => "gone",
        Some(Refused::OutOfOrder) => "out of order",
        Some(other) => panic!("{other}"),
    };
    [
        name(server.inform(key, 103).err()),
        name(server.respond(key, 200).err()),
        name(server.send(key, b"", false).err()),
        name(server.trailers(key).err()),
        name(server.open(&get(b"/")).err().filter(|refused| *refused != Refused::Role)),
    ]
}

#[test]
fn each_command_is_refused_where_it_does_not_belong() {
    let (done, order, gone) = ("done", "out of order", "gone");
    let cases = [
        (State::Open, [done, done, order, order, done]),
        (State::HalfClosedRemote, [done, done, order, order, done]),
        (State::HalfClosedLocal, [order, order, order, order, done]),
        (State::Ended, [gone, gone, gone, gone, done]),
        (State::ResetByPeer, [gone, gone, gone, gone, done]),
        (State::ResetByUs, [gone, gone, gone, gone, done]),
    ];
    for (state, expected) in cases {
        let (mut server, key) = in_state(Role::Server, state);
        assert_eq!(server_commands(&mut server, key.unwrap()), expected, "{state:?}");
        assert_eq!(sent(&mut server), [""; 0], "{state:?}: a command that was refused or dropped left a trace");
    }
    let (mut server, key) = in_state(Role::Server, State::Open);
    let key = key.unwrap();
    server.respond(key, 200).unwrap().finish(false).unwrap();
    assert_eq!(server_commands(&mut server, key), [order, order, done, done, done], "after the head");
    server.trailers(key).unwrap().finish(false).unwrap();
    assert_eq!(server_commands(&mut server, key), [order, order, order, order, done], "after the trailers");
    assert_eq!(sent(&mut server), ["HEADERS 1", "HEADERS 1 end"]);
}

#[test]
fn a_client_neither_responds_nor_informs() {
    let (mut client, key) = in_state(Role::Client, State::Open);
    let key = key.unwrap();
    assert_eq!(client.respond(key, 200).err(), Some(Refused::Role));
    assert_eq!(client.inform(key, 103).err(), Some(Refused::Role));
    for (state, expected) in [
        (State::HalfClosedLocal, Refused::OutOfOrder),
        (State::Ended, Refused::Gone),
        (State::ResetByPeer, Refused::Gone),
        (State::ResetByUs, Refused::Gone),
    ] {
        let (mut client, key) = in_state(Role::Client, state);
        assert_eq!(client.send(key.unwrap(), b"x", true), Err(expected), "{state:?}");
        assert_eq!(client.trailers(key.unwrap()).err(), Some(expected), "{state:?}");
    }
}

#[test]
fn reset_is_written_once_and_only_for_a_stream_that_has_not_ended() {
    for role in [Role::Server, Role::Client] {
        for state in STATES {
            let (mut end, Some(key)) = in_state(role, state) else { continue };
            end.reset(key, ErrorCode::INTERNAL_ERROR);
            end.reset(key, ErrorCode::INTERNAL_ERROR);
            end.release(key, 1);
            let live = matches!(state, State::Open | State::HalfClosedLocal | State::HalfClosedRemote);
            let expected: &[&str] = if live { &["RST_STREAM 1 INTERNAL_ERROR"] } else { &[] };
            assert_eq!(sent(&mut end), expected, "{role:?}, {state:?}");
            assert_eq!(end.active_streams(), 0);
            assert!(end.streams.is_empty());
        }
    }
}

#[test]
fn a_late_command_never_touches_the_stream_that_has_the_slot_now() {
    for ended_by in 0..3 {
        let mut server = server(Config::default());
        feed(&mut server, &[request(1, false), data(1, b"hello", false)].concat());
        let stale = newest(&server);
        match ended_by {
            0 => server.reset(stale, ErrorCode::CANCEL),
            1 => drop(feed(&mut server, &rst_stream(1, ErrorCode::CANCEL))),
            _ => {
                feed(&mut server, &data(1, b"", true));
                server.release(stale, 5);
                server.respond(stale, 200).unwrap().finish(true).unwrap();
            }
        }
        feed(&mut server, &[request(3, false), data(3, b"hello", false)].concat());
        let fresh = newest(&server);
        assert_eq!(stale.index(), fresh.index());
        assert_ne!(stale, fresh);
        sent(&mut server);

        assert_eq!(server_commands(&mut server, stale)[..4], ["gone"; 4]);
        server.release(stale, 5);
        server.reset(stale, ErrorCode::CANCEL);
        assert_eq!(server.streams.get(fresh).unwrap().held, 5);
        assert_eq!(sent(&mut server), [""; 0]);
        server.respond(fresh, 200).unwrap().finish(true).unwrap();
        assert_eq!(sent(&mut server), ["HEADERS 3 end"]);
    }
}

#[test]
fn a_stale_key_stays_stale_however_often_its_slot_is_used() {
    let mut server = server(Config::default());
    let mut stale = Vec::new();
    for id in (1..200).step_by(2) {
        feed(&mut server, &request(id, true));
        let theirs = newest(&server);
        for &key in &stale {
            assert_eq!(server.respond(key, 200).err(), Some(Refused::Gone));
            server.reset(key, ErrorCode::CANCEL);
        }
        server.respond(theirs, 200).unwrap().finish(true).unwrap();
        server.rest();
        stale.push(theirs);
    }
}

#[test]
fn a_head_that_is_not_finished_leaves_no_trace() {
    let (mut client, _) = pair(Config::default());
    client.ping([1; 8]);
    let before = client.output().to_vec();
    drop(client.open(&get(b"/dropped")).unwrap());
    client.open(&get(b"/dropped")).unwrap().field(b"x", b"y").sensitive_field(b"authorization", b"z");
    assert_eq!(client.output(), before);
    let mut bad = client.open(&get(b"/bad")).unwrap();
    bad.field(b"x y", b"z");
    assert_eq!(bad.finish(true), Err(Refused::Field));
    assert_eq!(client.output(), before);
    assert_eq!(client.active_streams(), 0);

    let mut server = server(Config::default());
    client.open(&get(b"/good")).unwrap().finish(true).unwrap();
    let octets = client.output()[17..].to_vec();
    assert_eq!(feed(&mut server, &octets), ["request GET /good end"]);
    assert_eq!(frames(&octets)[0].stream, 1, "no identifier was used up");
    let theirs = newest(&server);

    drop(server.respond(theirs, 500).unwrap());
    drop(server.inform(theirs, 100).unwrap());
    assert_eq!(server.output(), b"");
    server.respond(theirs, 200).unwrap().finish(false).unwrap();
    let before = server.output().to_vec();
    drop(server.trailers(theirs).unwrap());
    assert_eq!(server.output(), before);
    assert_eq!(server.send(theirs, b"x", true), Ok(1));
    assert_eq!(pass(&mut server, &mut client), ["response 200", "data 1 end"]);
}

#[test]
fn a_head_that_is_dropped_after_part_of_the_output_was_written_leaves_no_trace() {
    let (mut client, _) = pair(Config::default());
    client.ping([1; 8]);
    client.wrote(5);
    let before = client.output().to_vec();
    drop(client.open(&get(b"/")).unwrap());
    assert_eq!(client.output(), before);
}

#[test]
fn a_head_larger_than_the_peer_takes_is_refused_and_the_stream_is_as_it_was() {
    let limits = crate::FieldLimits { list_size: 500, ..crate::FieldLimits::default() };
    let config = Config { limits: crate::Limits { fields: limits, ..crate::Limits::default() }, ..Config::default() };
    let (mut client, mut server) = pair(config);
    // `:method GET`, `:scheme http`, `:authority cart.shop`, `:path /`, and 32 for each.
    let pseudo = 10 + 11 + 19 + 6 + 4 * 32;
    for (over, expected) in [(1, Err(Refused::HeadTooLarge { size: 501, max: 500 })), (0, Ok(()))] {
        let mut head = client.open(&get(b"/")).unwrap();
        head.field(b"x", &vec![b'v'; 500 - pseudo - 33 + over]);
        assert_eq!(head.finish(true).map(drop), expected);
    }
    assert_eq!(pass(&mut client, &mut server).len(), 1);
    let theirs = newest(&server);
    let mut head = server.respond(theirs, 200).unwrap();
    head.field(b"x", &[b'v'; 500]);
    assert!(matches!(head.finish(false), Err(Refused::HeadTooLarge { .. })));
    server.respond(theirs, 502).unwrap().finish(true).unwrap();
    assert_eq!(pass(&mut server, &mut client), ["response 502 end"]);
}

#[test]
fn statuses_that_do_not_fit_are_refused() {
    let (mut server, key) = in_state(Role::Server, State::Open);
    let key = key.unwrap();
    for status in [0, 99, 100, 101, 199, 1_000, u16::MAX] {
        assert_eq!(server.respond(key, status).err(), Some(Refused::Status(status)));
    }
    for status in [0, 99, 101, 200, 600] {
        assert_eq!(server.inform(key, status).err(), Some(Refused::Status(status)));
    }
    assert_eq!(sent(&mut server), [""; 0]);
}

/// [`Refused::Field`]: a value that no request may have.
#[test]
fn a_request_that_a_server_would_call_malformed_is_not_opened() {
    let good = get(b"/");
    let bad = [
        RequestHead { method: b"", ..good },
        RequestHead { method: b"G T", ..good },
        RequestHead { path: Some(b""), ..good },
        RequestHead { path: Some(b"/a b"), ..good },
        RequestHead { path: Some(b"/a\r\nb"), ..good },
        RequestHead { scheme: Some(b"ht tp"), ..good },
        RequestHead { authority: Some(b"a b"), ..good },
        RequestHead { authority: Some(b"a\0b"), ..good },
    ];
    for head in bad {
        let (mut client, mut server) = pair(Config::default());
        let opened = client.open(&head).and_then(|writer| writer.finish(true));
        if opened.is_ok() {
            panic!("{:?}: {:?}", text(head.method), feed(&mut server, client.output()));
        }
        assert_eq!(opened, Err(Refused::Field));
    }
}

#[test]
fn a_field_that_no_message_may_carry_is_refused() {
    let bad: [(&[u8], &[u8]); 9] = [
        (b"", b"x"),
        (b":path", b"/"),
        (b"a b", b"x"),
        (b"a\r", b"x"),
        ("\u{e4}".as_bytes(), b"x"),
        (b"a", b"x\ny"),
        (b"a", b"x\0y"),
        (b"a", b"x\ry"),
        (b"a", b"\x7f"),
    ];
    for (name, value) in bad {
        let (mut client, _) = pair(Config::default());
        let mut head = client.open(&get(b"/")).unwrap();
        head.field(name, value);
        assert_eq!(head.finish(true), Err(Refused::Field), "{name:?}: {value:?}");
        let mut head = client.open(&get(b"/")).unwrap();
        head.sensitive_field(name, value);
        assert_eq!(head.finish(true), Err(Refused::Field), "{name:?}: {value:?}");
    }
}

#[test]
fn a_message_ends_by_its_trailers_only() {
    for role in [Role::Server, Role::Client] {
        let (mut end, _) = in_state(role, State::Open);
        let trailers = framed(HEADERS, END_HEADERS, 1, &block(&[(b"x", b"y")]));
        assert_eq!(effect(&mut end, &trailers), "stream PROTOCOL_ERROR");
        let (mut end, _) = in_state(role, State::Open);
        let pseudo = framed(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(b":status", b"200")]));
        assert_eq!(effect(&mut end, &pseudo), "stream PROTOCOL_ERROR");
    }
}
