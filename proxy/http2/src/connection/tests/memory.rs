//! What a connection holds for a peer that asks much and reads nothing: output, tables, fields, streams.

use super::*;
use crate::limits::{Limits, Windows};

const CALM: ErrorCode = ErrorCode::ENHANCE_YOUR_CALM;
const NONE: [&str; 0] = [];

fn with(limits: Limits) -> Config {
    Config { limits, ..Config::default() }
}

#[test]
fn data_waits_while_the_output_is_full_and_heads_at_twice_as_much() {
    let mut server = server(with(Limits { buffered_output: 1_000, ..Limits::default() }));
    feed(&mut server, &[request(1, true), request(3, true), request(5, true)].concat());
    let [first, second, third] = [1, 3, 5].map(|id| server.streams.find(id).unwrap());
    server.respond(first, 200).unwrap().finish(false).unwrap();
    let taken = server.send(first, &[b'x'; 5_000], true).unwrap();
    assert!(taken < 1_000 && server.output().len() >= 1_000, "{taken}");
    assert_eq!(server.send(first, b"more", false), Ok(0));
    // The download of one does not hold up the head of another.
    let mut head = server.respond(second, 200).unwrap();
    head.field(b"x", &[b'v'; 1_000]);
    head.finish(true).unwrap();
    assert_eq!(server.respond(third, 200).err(), Some(Refused::OutputFull));
    assert_eq!(server.next_writable(), None);
    server.wrote(server.output().len() - 500);
    assert_eq!(server.next_writable(), Some(first));
    assert_eq!(server.next_writable(), Some(third));
    assert_eq!(server.next_writable(), None);
    server.respond(third, 200).unwrap().finish(true).unwrap();
}

#[test]
fn a_peer_that_asks_and_does_not_read_ends_its_connection() {
    let limits = Limits { buffered_output: 1_000, pings: u32::MAX, settings: u32::MAX, ..Limits::default() };
    for octets in [framed(PING, 0, 0, &[1; 8]), settings(&[])] {
        let mut server = server(with(limits));
        let mut words = Vec::new();
        for _ in 0..1_000 {
            words = feed(&mut server, &octets);
            if failed_with(&words, CALM) {
                break;
            }
            assert!(server.output().len() <= 1_250);
        }
        assert!(failed_with(&words, CALM));
        assert!(server.output().len() < 1_500);
    }
}

/// The peer asked for one head only; that it is large is our doing.
#[test]
fn a_large_head_of_ours_does_not_end_the_connection() {
    let mut server = server(with(Limits { buffered_output: 1_000, ..Limits::default() }));
    feed(&mut server, &request(1, true));
    let theirs = newest(&server);
    let mut head = server.respond(theirs, 200).unwrap();
    head.field(b"x", &[b'v'; 3_000]);
    head.finish(true).unwrap();
    assert_eq!(feed(&mut server, &framed(PING, 0, 0, &[1; 8])), NONE);
}

#[test]
fn data_alone_cannot_fill_the_output_beyond_its_limit() {
    let windows = Windows { stream: 1, connection: 65_535 };
    let limits = Limits { buffered_output: 1_000, ..Limits::default() };
    let mut server = server(Config { windows, limits, ..Config::default() });
    feed(&mut server, &request(1, false));
    let theirs = newest(&server);
    let mut largest = 0;
    for _ in 0..1_000 {
        let words = feed(&mut server, &data(1, b"x", false));
        server.release(theirs, 1);
        largest = largest.max(server.output().len());
        if failed_with(&words, CALM) {
            break;
        }
    }
    assert!(largest <= 1_300, "{largest} octets of output wait for a peer that does not read");
}

#[test]
fn padding_alone_cannot_fill_the_output_beyond_its_limit() {
    let windows = Windows { stream: 256, connection: 65_535 };
    let limits = Limits { buffered_output: 1_000, empty_frames: u32::MAX, ..Limits::default() };
    let mut server = server(Config { windows, limits, ..Config::default() });
    feed(&mut server, &request(1, false));
    let mut frame = vec![255];
    frame.resize(256, 0);
    for _ in 0..1_000 {
        if failed_with(&feed(&mut server, &framed(DATA, PADDED, 1, &frame)), CALM) {
            break;
        }
    }
    assert!(server.output().len() <= 1_300, "{} octets wait", server.output().len());
}

#[test]
fn a_server_cannot_fill_its_clients_output_with_late_frames() {
    let ways: [fn(u32) -> Vec<u8>; 3] = [
        |id| data(id, b"x", false),
        |id| response(id, b"200", false),
        |id| framed(PRIORITY, 0, id, &id.to_be_bytes().into_iter().chain([0]).collect::<Vec<_>>()),
    ];
    for (way, octets) in ways.into_iter().enumerate() {
        let mut client = client(with(Limits { buffered_output: 1_000, ..Limits::default() }));
        for id in (1..400).step_by(2) {
            client.open(&get(b"/")).unwrap().finish(true).unwrap();
            sent(&mut client);
            feed(&mut client, &response(id, b"200", true));
        }
        'all: for _ in 0..10 {
            for id in (1..400).step_by(2) {
                let words = feed(&mut client, &octets(id));
                if words.last().is_some_and(|word| word.starts_with("failed")) {
                    break 'all;
                }
            }
        }
        assert!(client.output().len() <= 1_500, "way {way}: {} octets wait", client.output().len());
    }
}

#[test]
fn an_hpack_bomb_takes_no_more_memory_than_the_limits_name() {
    let mut server = server(Config::default());
    let mut fields = Fields::new();
    // One entry of the dynamic table of almost 4,096 octets, then as many references to it as a frame can have.
    let mut head = block(GET);
    head.extend_from_slice(&[0x40, 1, b'a', 0x7f, 0x80 | ((3_900 - 127) & 0x7f) as u8, ((3_900 - 127) >> 7) as u8]);
    head.extend_from_slice(&[b'v'; 3_900]);
    let mut input = &framed(HEADERS, END_HEADERS | END_STREAM, 1, &head)[..];
    assert!(matches!(server.receive(&mut input, &mut fields), Ok(Some(Event::Request { .. }))));
    let mut bomb = vec![0x80 | 62; 16_384];
    for id in [3, 5, 7, 9] {
        bomb[..3].copy_from_slice(&block(GET)[..3]);
        let octets = framed(HEADERS, END_HEADERS | END_STREAM, id, &bomb);
        assert!(matches!(server.receive(&mut &octets[..], &mut fields), Ok(None)));
        // The block, the list, one field beyond it; vectors may be twice what they hold.
        let most = 2 * (16_384 + (64 << 10) + 4_096) + 2 * 100 * 64;
        assert!(fields.memory() <= most, "{} octets of fields", fields.memory());
    }
    assert!(server.memory() < 100_000, "{}", server.memory());
}

#[test]
fn churn_in_the_dynamic_table_keeps_within_its_size() {
    for size in [0, 4_096, 65_536, u32::MAX] {
        let mut server = Connection::server(Config { header_table_size: size, ..Config::default() });
        // No acknowledgement before the first block, so that the protocol's default holds.
        feed(&mut server, &[PREFACE, &settings(&[])].concat());
        if size > 4_096 {
            feed(&mut server, &framed(SETTINGS, ACK, 0, &[]));
        }
        for id in (1..2_000_u32).step_by(2) {
            let mut head = block(GET);
            for at in 0..50_u8 {
                head.extend_from_slice(&[0x40, 3, b'a' + at % 26, b'a' + (id % 26) as u8, b'a' + (id / 26 % 26) as u8]);
                head.extend_from_slice(&[2, b'0' + at % 10, b'0' + (id % 10) as u8]);
            }
            let words = feed(&mut server, &framed(HEADERS, END_HEADERS | END_STREAM, id, &head));
            assert!(words[0].starts_with("request"), "{words:?}");
            let theirs = newest(&server);
            server.respond(theirs, 200).unwrap().finish(true).unwrap();
            sent(&mut server);
        }
        let most = 4 * size.clamp(4_096, 65_536) as usize + 16_384;
        assert!(server.memory() <= most, "{} octets for a table of {size}", server.memory());
    }
}

#[test]
fn a_smaller_table_holds_once_it_is_acknowledged() {
    let mut server = Connection::server(Config { header_table_size: 100, ..Config::default() });
    feed(&mut server, &[PREFACE, &settings(&[])].concat());
    assert_eq!(frames(server.output())[0].payload[..6], [0, 1, 0, 0, 0, 100]);
    // A size update to 4,096 is still fine, and after the acknowledgement it is not.
    let update = |size: &[u8], id| framed(HEADERS, END_HEADERS | END_STREAM, id, &[size, &block(GET)].concat());
    assert_eq!(feed(&mut server, &update(&[0x3f, 0xe1, 0x1f], 1)).len(), 1);
    feed(&mut server, &framed(SETTINGS, ACK, 0, &[]));
    assert_eq!(feed(&mut server, &update(&[0x3f, 100 - 31], 3)).len(), 1);
    let words = feed(&mut server, &update(&[0x3f, 101 - 31], 5));
    assert!(failed_with(&words, ErrorCode::COMPRESSION_ERROR), "{words:?}");
}

#[test]
fn a_peer_that_asks_all_it_can_and_never_reads_binds_little_memory() {
    let mut server = server(Config::default());
    let body = vec![b'x'; 1 << 20];
    let (mut largest, mut waiting) = (0, Vec::new());
    let mut fields = Fields::new();
    for id in (1..4_000).step_by(2) {
        let octets = [request(id, false), data(id, &[b'y'; 1_000], false), window_update(id, 1 << 20)].concat();
        let mut input = &octets[..];
        loop {
            match server.receive(&mut input, &mut fields) {
                Ok(Some(Event::Request { stream, .. })) => waiting.push(stream),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => {
                    assert!(largest <= 600 << 10, "{largest} octets");
                    return;
                }
            }
        }
        for &stream in &waiting {
            if let Ok(head) = server.respond(stream, 200) {
                head.finish(false).unwrap();
            }
            let _ = server.send(stream, &body, true);
        }
        largest = largest.max(server.memory());
        if id % 999 == 0 {
            server.tick();
        }
    }
    // Output of 5/4 of 256 KiB, doubled by the vector's growth, 256 streams, and little else.
    assert!(largest <= 700 << 10, "{largest} octets");
}

#[test]
fn an_idle_connection_that_rests_holds_little_memory() {
    let (mut client, mut server) = pair(Config::default());
    for _ in 0..200 {
        client.open(&get(b"/")).unwrap().finish(true).unwrap();
    }
    pass(&mut client, &mut server);
    while let Some((_, theirs)) = server.streams.last() {
        server.respond(theirs, 200).unwrap().finish(false).unwrap();
        server.send(theirs, &[b'x'; 100], true).unwrap();
    }
    pass(&mut server, &mut client);
    while let Some((_, ours)) = client.streams.last() {
        client.release(ours, 100);
    }
    pass(&mut client, &mut server);
    for connection in [&mut client, &mut server] {
        connection.rest();
        assert_eq!(connection.active_streams(), 0);
        // Generations of 200 slots are what stays, so that old keys stay safe.
        assert!(connection.memory() < 200 * 160, "{}", connection.memory());
    }
}
