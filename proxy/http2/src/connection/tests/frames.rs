//! Frames (RFC 9113 sections 4 and 6): their sizes and places, padding, continuation, and inputs that are cut anywhere.

use super::*;

const NONE: [&str; 0] = [];

/// The words of each event, pieces of one DATA frame joined, however the input is cut.
fn events(end: &mut Connection, parts: &[&[u8]]) -> Vec<String> {
    let (mut kept, mut fields, mut words) = (Vec::new(), Fields::new(), Vec::new());
    let mut body: Option<(Key, Vec<u8>)> = None;
    for part in parts {
        kept.extend_from_slice(part);
        let mut input = &kept[..];
        loop {
            match end.receive(&mut input, &mut fields) {
                Ok(Some(Event::Data { stream, bytes, end })) => {
                    assert!(!bytes.is_empty() || end, "a piece of nothing");
                    match &mut body {
                        Some((key, joined)) if *key == stream => joined.extend_from_slice(bytes),
                        other => {
                            words.extend(other.take().map(|(_, joined)| format!("body {}", text(&joined))));
                            *other = Some((stream, bytes.to_vec()));
                        }
                    }
                    if end {
                        words.extend(body.take().map(|(_, joined)| format!("body {} end", text(&joined))));
                    }
                }
                Ok(Some(event)) => {
                    words.extend(body.take().map(|(_, joined)| format!("body {}", text(&joined))));
                    words.push(describe(&event));
                }
                Ok(None) => break,
                Err(error) => {
                    words.extend(body.take().map(|(_, joined)| format!("body {}", text(&joined))));
                    words.push(error.to_string());
                    return words;
                }
            }
        }
        assert!(input.len() <= 16_393, "{} octets left", input.len());
        kept = input.to_vec();
    }
    words.extend(body.take().map(|(_, joined)| format!("body {}", text(&joined))));
    words
}

/// `octets` give the same events and the same output whole, in two parts cut anywhere, and octet by octet.
fn check_cuts(make: impl Fn() -> Connection, octets: &[u8]) -> Vec<String> {
    let mut whole = make();
    let expected = events(&mut whole, &[octets]);
    let output = whole.output().to_vec();
    let check = |parts: &[&[u8]]| {
        let mut end = make();
        assert_eq!(events(&mut end, parts), expected, "cut at {}", parts[0].len());
        assert_eq!(end.output(), output, "cut at {}", parts[0].len());
    };
    for cut in 0..=octets.len() {
        check(&[&octets[..cut], &octets[cut..]]);
    }
    check(&octets.iter().map(std::slice::from_ref).collect::<Vec<_>>());
    expected
}

/// All that a client sends in a few exchanges of every kind.
fn exchanges() -> Vec<u8> {
    let long = block(&[GET, &[(b"x-long".as_slice(), [b'v'; 200].as_slice())]].concat());
    let padded = [&[7, 0, 0, 0, 3, 16][..], &block(GET), &[0; 7]].concat();
    [
        PREFACE,
        &settings(&[(4, 100_000), (0x99, 1)]),
        &framed(SETTINGS, ACK, 0, &[]),
        &request(1, true),
        &framed(HEADERS, END_STREAM, 3, &long[..10]),
        &framed(CONTINUATION, 0, 3, &long[10..100]),
        &framed(CONTINUATION, 0, 3, b""),
        &framed(CONTINUATION, END_HEADERS, 3, &long[100..]),
        &framed(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 5, &padded),
        &data(5, b"hello", false),
        &framed(DATA, PADDED, 5, b"\x03 padded\0\0\0"),
        &framed(DATA, PADDED, 5, b"\x00"),
        &framed(DATA, PADDED, 5, b"\x02\0\0"),
        &framed(PRIORITY, 0, 7, &[0, 0, 0, 3, 0]),
        &framed(0x42, 0xff, 5, b"not known"),
        &framed(PING, 0, 0, b"ping-pay"),
        &window_update(0, 10),
        &window_update(5, 10),
        &framed(HEADERS, END_HEADERS | END_STREAM, 5, &block(&[(b"grpc-status", b"0")])),
        &request(7, false),
        &framed(DATA, PADDED | END_STREAM, 7, b"\x04last\0\0\0\0"),
        &request(9, false),
        &framed(DATA, PADDED | END_STREAM, 9, b"\x02\0\0"),
        &request(11, false),
        &rst_stream(11, ErrorCode::CANCEL),
        &request_with(13, false, &[(b"content-length", b"3")]),
        &data(13, b"four", false),
        &data(13, b"discarded", true),
        &goaway(0, ErrorCode::NO_ERROR),
    ]
    .concat()
}

#[test]
fn a_servers_input_cut_anywhere_gives_the_same_events() {
    let words = check_cuts(|| Connection::server(Config::default()), &exchanges());
    let long = format!("request GET / x-long={} end", "v".repeat(200));
    assert_eq!(
        words,
        [
            "settings",
            "request GET / end",
            &long,
            "request GET /",
            "body hello padded",
            "trailers grpc-status=0",
            "request GET /",
            "body last end",
            "request GET /",
            "body  end",
            "request GET /",
            "reset CANCEL by Peer",
            "request GET / content-length=3",
            "reset PROTOCOL_ERROR: a body that is not as long as its Content-Length",
            "goaway 0 NO_ERROR",
        ]
    );
}

#[test]
fn an_error_is_the_same_wherever_the_input_is_cut() {
    let faults = [
        framed(DATA, PADDED, 1, b"\x05abc"),
        data(9, b"idle", false),
        framed(HEADERS, PADDED | END_HEADERS, 9, &[200, 0x82]),
        framed(PUSH_PROMISE, END_HEADERS, 1, &[0; 4]),
        framed(WINDOW_UPDATE, 0, 0, &[0; 3]),
    ];
    for fault in faults {
        let octets = [&request(1, false), &data(1, b"body", false), &fault, &data(1, b"behind", false)[..]].concat();
        let words = check_cuts(|| server(Config::default()), &octets);
        assert_eq!(words.len(), 3, "{words:?}");
    }
}

#[test]
fn a_clients_input_cut_anywhere_gives_the_same_events() {
    let octets = [
        settings(&[(3, 10), (8, 1)]),
        framed(SETTINGS, ACK, 0, &[]),
        response(1, b"103", false),
        response(1, b"200", false),
        data(1, b"some content", false),
        framed(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(b"grpc-status", b"0")])),
        framed(HEADERS, 0, 3, &[]),
        framed(CONTINUATION, 0, 3, &[0x88]),
        framed(CONTINUATION, END_HEADERS, 3, &[]),
        framed(DATA, PADDED | END_STREAM, 3, b"\x03all\0\0\0"),
        rst_stream(5, ErrorCode::REFUSED_STREAM),
        framed(PING, ACK, 0, &[3; 8]),
        goaway(7, ErrorCode::NO_ERROR),
        response(7, b"204", true),
    ]
    .concat();
    let make = || {
        let mut client = Connection::client(Config::default());
        for _ in 0..5 {
            client.open(&get(b"/")).unwrap().finish(true).unwrap();
        }
        client.ping([3; 8]);
        client.wrote(usize::MAX);
        client
    };
    let words = check_cuts(make, &octets);
    assert_eq!(
        words,
        [
            "settings",
            "interim 103",
            "response 200",
            "body some content",
            "trailers grpc-status=0",
            "response 200",
            "body all end",
            "reset REFUSED_STREAM by Peer",
            "pong",
            "goaway 7 NO_ERROR",
            "reset REFUSED_STREAM by GoAway",
            "response 204 end",
        ]
    );
}

#[test]
fn frames_of_a_fixed_size_are_held_to_it() {
    let cases: [(u8, u8, u32, &[usize]); 6] = [
        (PING, 0, 0, &[0, 7, 9]),
        (PING, ACK, 0, &[7, 9]),
        (RST_STREAM, 0, 1, &[0, 3, 5]),
        (WINDOW_UPDATE, 0, 0, &[0, 3, 5]),
        (SETTINGS, 0, 0, &[1, 5, 7]),
        (GOAWAY, 0, 0, &[0, 7]),
    ];
    for (kind, flags, stream, lengths) in cases {
        for &length in lengths {
            let mut server = server(Config::default());
            feed(&mut server, &request(1, false));
            let words = feed(&mut server, &framed(kind, flags, stream, &vec![0; length]));
            assert!(failed_with(&words, ErrorCode::FRAME_SIZE_ERROR), "type {kind} of {length}: {words:?}");
        }
    }
    let mut acknowledging = client(Config::default());
    let words = feed(&mut acknowledging, &framed(SETTINGS, ACK, 0, &[0; 6]));
    assert!(failed_with(&words, ErrorCode::FRAME_SIZE_ERROR), "{words:?}");
    // Section 6.3: PRIORITY ends its stream only.
    let mut server = server(Config::default());
    feed(&mut server, &request(1, false));
    let words = feed(&mut server, &framed(PRIORITY, 0, 1, &[0; 4]));
    assert!(words[0].starts_with("reset FRAME_SIZE_ERROR"), "{words:?}");
}

#[test]
fn frames_stand_on_a_stream_or_on_the_connection() {
    for kind in [DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION] {
        let words = feed(&mut server(Config::default()), &framed(kind, END_HEADERS, 0, &[0; 5]));
        assert!(failed_with(&words, ErrorCode::PROTOCOL_ERROR), "type {kind}: {words:?}");
    }
    for (kind, length) in [(SETTINGS, 0), (PING, 8), (GOAWAY, 8)] {
        let mut server = server(Config::default());
        feed(&mut server, &request(1, false));
        let words = feed(&mut server, &framed(kind, 0, 1, &vec![0; length]));
        assert!(failed_with(&words, ErrorCode::PROTOCOL_ERROR), "type {kind}: {words:?}");
    }
}

#[test]
fn a_frame_may_have_16384_octets_and_no_more() {
    let mut server = server(Config::default());
    assert_eq!(feed(&mut server, &framed(0x77, 0, 0, &[0; 16_384])), NONE);
    feed(&mut server, &request(1, false));
    assert_eq!(feed(&mut server, &data(1, &[0; 16_384], false)), ["data 16384"]);
    for kind in [DATA, HEADERS, 0x77] {
        // Its header says enough.
        let header = framed(kind, 0, 1, &[0; 16_385])[..9].to_vec();
        let words = feed(&mut self::server(Config::default()), &header);
        assert!(failed_with(&words, ErrorCode::FRAME_SIZE_ERROR), "type {kind}: {words:?}");
    }
}

#[test]
fn the_reserved_bit_of_a_stream_identifier_is_ignored() {
    let mut server = server(Config::default());
    let mut octets = request(1, true);
    octets[5] |= 0x80;
    assert_eq!(feed(&mut server, &octets), ["request GET / end"]);
}

#[test]
fn padding_may_fill_its_frame_and_no_more() {
    let block = block(GET);
    for (padding, fits) in [(0, true), (100, true), (101, false)] {
        let payload = [&[padding][..], &block, &[0; 100]].concat();
        let cut = |octets: usize| [&payload[..], &[0; 0]].concat()[..payload.len() - 100 + octets].to_vec();
        let words =
            feed(&mut server(Config::default()), &framed(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, &cut(100)));
        match fits {
            // What is beyond the padding is of the block, and zeros are none.
            true if padding == 100 => assert_eq!(words, ["request GET / end"]),
            _ => assert!(words[0].starts_with("failed") || words[0].starts_with("reset"), "{words:?}"),
        }
    }
    let too_much = [&[block.len() as u8 + 1][..], &block].concat();
    let words = feed(&mut server(Config::default()), &framed(HEADERS, PADDED | END_HEADERS, 1, &too_much));
    assert!(failed_with(&words, ErrorCode::PROTOCOL_ERROR), "{words:?}");
    for (padding, content) in [(0, 4), (4, 0), (3, 1)] {
        let mut server = server(Config::default());
        feed(&mut server, &request(1, false));
        let payload = [&[padding][..], &[b'x'; 4]].concat();
        let words = feed(&mut server, &framed(DATA, PADDED | END_STREAM, 1, &payload));
        assert_eq!(words, [format!("data {content} end")]);
    }
    for (payload, code) in [
        (&[5, 0, 0, 0, 0][..], ErrorCode::PROTOCOL_ERROR),
        (&[1], ErrorCode::PROTOCOL_ERROR),
        (&[], ErrorCode::FRAME_SIZE_ERROR),
    ] {
        let mut server = server(Config::default());
        feed(&mut server, &request(1, false));
        let words = feed(&mut server, &framed(DATA, PADDED, 1, payload));
        assert!(failed_with(&words, code), "{payload:?}: {words:?}");
    }
}

#[test]
fn nothing_stands_between_the_frames_of_a_header_block() {
    let head = block(GET);
    let others = [
        data(1, b"x", false),
        request(3, true),
        framed(PRIORITY, 0, 1, &[0, 0, 0, 3, 0]),
        rst_stream(1, ErrorCode::CANCEL),
        settings(&[]),
        framed(PING, 0, 0, &[0; 8]),
        window_update(0, 1),
        goaway(0, ErrorCode::NO_ERROR),
        framed(0x77, 0, 1, b"unknown"),
        framed(CONTINUATION, END_HEADERS, 3, &head[2..]),
    ];
    for other in others {
        let mut server = server(Config::default());
        assert_eq!(feed(&mut server, &framed(HEADERS, END_STREAM, 1, &head[..2])), NONE);
        assert!(failed_with(&feed(&mut server, &other), ErrorCode::PROTOCOL_ERROR));
    }
}

#[test]
fn a_header_block_that_cannot_be_decoded_ends_the_connection_on_any_stream() {
    let mut server = server(Config::default());
    feed(&mut server, &request(1, false));
    let theirs = newest(&server);
    server.reset(theirs, ErrorCode::CANCEL);
    let words = feed(&mut server, &framed(HEADERS, END_HEADERS | END_STREAM, 1, &[0x80]));
    assert!(failed_with(&words, ErrorCode::COMPRESSION_ERROR), "{words:?}");
}

#[test]
fn our_large_heads_are_cut_into_frames_that_the_peer_takes() {
    for max in [16_384_u32, 20_000, (1 << 24) - 1] {
        for length in [16_300, 16_384, 32_768, 50_000] {
            let mut client = client(Config::default());
            feed(&mut client, &settings(&[(5, max)]));
            sent(&mut client);
            let mut head = client.open(&get(b"/")).unwrap();
            for _ in 0..length / 1_000 {
                head.field(b"x", &[b'v'; 996]);
            }
            head.field(b"y", &vec![b'w'; length % 1_000]);
            head.finish(true).unwrap();
            let octets = client.output().to_vec();
            let cut = frames(&octets);
            let (last, others) = cut.split_last().unwrap();
            assert!(others.iter().all(|frame| frame.payload.len() == max as usize && frame.flags & END_HEADERS == 0));
            assert!(!last.payload.is_empty() && last.payload.len() <= max as usize);
            assert_eq!(last.flags & END_HEADERS, END_HEADERS);
            assert_eq!(cut[0].flags & END_STREAM, END_STREAM);
            assert!(cut[1..].iter().all(|frame| frame.kind == CONTINUATION && frame.flags & !END_HEADERS == 0));
            if max == 16_384 {
                let words = feed(&mut server(Config::default()), &octets);
                assert!(words[0].starts_with("request GET / x=") && words[0].ends_with(" end"), "{length}");
            }
        }
    }
}

#[test]
fn our_trailers_and_responses_are_cut_too() {
    let (mut client, mut server) = pair(Config::default());
    client.open(&get(b"/")).unwrap().finish(true).unwrap();
    pass(&mut client, &mut server);
    let theirs = newest(&server);
    for at in 0..2 {
        let mut head = if at == 0 { server.respond(theirs, 200).unwrap() } else { server.trailers(theirs).unwrap() };
        head.field(b"x", &[b'v'; 20_000]);
        head.finish(false).unwrap();
    }
    let kinds: Vec<(u8, u8)> = frames(server.output()).iter().map(|frame| (frame.kind, frame.flags)).collect();
    assert_eq!(kinds, [(HEADERS, 0), (CONTINUATION, END_HEADERS), (HEADERS, END_STREAM), (CONTINUATION, END_HEADERS)]);
    let words = pass(&mut server, &mut client);
    assert_eq!((words.len(), &words[0][..]), (2, "response 200"));
    assert!(words[1].starts_with("trailers x=vvv"));
}

#[test]
fn our_data_is_cut_into_frames_of_16384_octets() {
    let (mut client, mut server) = pair(Config::default());
    let ours = client.open(&get(b"/")).unwrap().finish(false).unwrap();
    assert_eq!(client.send(ours, &[b'x'; 32_768], true), Ok(32_768));
    assert_eq!(pass(&mut client, &mut server), ["request GET /", "data 16384", "data 16384 end"]);
    let ours = client.open(&get(b"/")).unwrap().finish(false).unwrap();
    assert_eq!(client.send(ours, &[b'x'; 16_385], true), Ok(16_385));
    assert_eq!(sent(&mut client), ["HEADERS 3", "DATA 3 16384", "DATA 3 1 end"]);
}

#[test]
fn settings_are_held_to_their_values() {
    const PROTOCOL: ErrorCode = ErrorCode::PROTOCOL_ERROR;
    let bad = [
        (2, 2, PROTOCOL),
        (4, 1 << 31, ErrorCode::FLOW_CONTROL_ERROR),
        (5, 16_383, PROTOCOL),
        (5, 1 << 24, PROTOCOL),
        (8, 2, PROTOCOL),
    ];
    for end in [server, client] {
        for (id, value, code) in bad {
            let words = feed(&mut end(Config::default()), &settings(&[(id, value)]));
            assert!(failed_with(&words, code), "setting {id} of {value}: {words:?}");
        }
        let good = [(1, u32::MAX), (2, 0), (3, 0), (4, 0x7fff_ffff), (5, (1 << 24) - 1), (6, 0), (8, 1), (0xffff, 7)];
        assert_eq!(feed(&mut end(Config::default()), &settings(&good)), ["settings"]);
    }
    assert_eq!(feed(&mut server(Config::default()), &settings(&[(2, 1)])), ["settings"]);
    assert!(failed_with(&feed(&mut client(Config::default()), &settings(&[(2, 1)])), PROTOCOL));
    // RFC 8441 section 3: not to be taken back.
    assert!(failed_with(&feed(&mut client(Config::default()), &settings(&[(8, 1), (8, 0)])), PROTOCOL));
}

#[test]
fn a_ping_is_answered_and_ours_comes_back() {
    let (mut client, mut server) = pair(Config::default());
    client.ping(*b"payload!");
    assert_eq!(pass(&mut client, &mut server), NONE);
    let octets = server.output().to_vec();
    let mut input = &octets[..];
    assert!(
        matches!(client.receive(&mut input, &mut Fields::new()), Ok(Some(Event::Pong(payload))) if &payload == b"payload!")
    );
}

#[test]
fn the_limit_of_streams_is_the_peers_once_it_has_spoken() {
    let mut client = Connection::client(Config::default());
    assert_eq!(client.peer_settings().max_concurrent_streams, 100);
    feed(&mut client, &settings(&[]));
    assert_eq!(client.peer_settings().max_concurrent_streams, u32::MAX);
    feed(&mut client, &settings(&[(3, 1)]));
    client.open(&get(b"/")).unwrap().finish(true).unwrap();
    assert!(!client.can_open() && !client.is_closing());
    feed(&mut client, &settings(&[(3, 2)]));
    assert!(client.can_open());
}

#[test]
fn extended_connect_is_opened_only_where_the_peer_has_enabled_it() {
    let head = RequestHead { method: b"CONNECT", protocol: Some(b"websocket"), ..get(b"/chat") };
    let (mut client, _) = pair(Config { extended_connect: false, ..Config::default() });
    assert_eq!(client.open(&head).err(), Some(Refused::ExtendedConnect));
    let (mut client, mut server) = pair(Config::default());
    let ours = client.open(&head).unwrap().finish(false).unwrap();
    assert_eq!(pass(&mut client, &mut server), ["request CONNECT /chat"]);
    let theirs = newest(&server);
    server.respond(theirs, 200).unwrap().finish(false).unwrap();
    assert_eq!(server.send(theirs, b"frame", false), Ok(5));
    assert_eq!(client.send(ours, b"frame", false), Ok(5));
    assert_eq!(pass(&mut client, &mut server), ["data 5"]);
    assert_eq!(pass(&mut server, &mut client), ["response 200", "data 5"]);
}
