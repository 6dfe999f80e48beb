//! Flow control (RFC 9113 section 5.2): windows are kept to, given back, and never lost.

use super::*;
use crate::limits::{Limits, Windows};

const NONE: [&str; 0] = [];
/// The window of the connection in these tests: the least that the protocol allows.
const SHARED: u32 = 65_535;

fn windows(stream: u32, connection: u32) -> Config {
    Config { windows: Windows { stream, connection }, ..Config::default() }
}

/// A small source of choices, always the same.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Releases whatever of a stream is held.
fn release_all(connection: &mut Connection, key: Key) {
    connection.release(key, usize::MAX);
}

#[test]
fn windows_are_announced_as_configured() {
    let mut server = Connection::server(windows(1_000, 100_000));
    let octets = server.output().to_vec();
    assert_eq!(sent(&mut server), ["SETTINGS", "WINDOW_UPDATE 0 34465"]);
    let mut client = Connection::client(Config::default());
    feed(&mut client, &octets);
    assert_eq!(client.peer_settings().initial_window_size, 1_000);
    assert_eq!(client.allowed.octets(), 100_000);
    // Below the protocol's least and above its most.
    assert_eq!(sent(&mut Connection::server(windows(1_000, 10))), ["SETTINGS"]);
    let mut most = Connection::server(windows(u32::MAX, u32::MAX));
    assert_eq!(sent(&mut most), ["SETTINGS", "WINDOW_UPDATE 0 2147418112"]);
}

#[test]
fn data_up_to_the_streams_window_is_taken_and_one_octet_more_resets_the_stream() {
    let mut server = server(windows(1_000, SHARED));
    feed(&mut server, &[request(1, false), request(3, false)].concat());
    assert_eq!(feed(&mut server, &data(1, &[b'x'; 1_000], false)), ["data 1000"]);
    let words = feed(&mut server, &data(1, b"x", false));
    assert!(words[0].starts_with("reset FLOW_CONTROL_ERROR"), "{words:?}");
    // Padding counts (section 6.9.1).
    assert_eq!(feed(&mut server, &data(3, &[b'x'; 998], false)), ["data 998"]);
    let words = feed(&mut server, &framed(DATA, PADDED, 3, &[1, b'x', 0]));
    assert!(words[0].starts_with("reset FLOW_CONTROL_ERROR"), "{words:?}");
    assert_eq!(sent(&mut server), ["RST_STREAM 1 FLOW_CONTROL_ERROR", "RST_STREAM 3 FLOW_CONTROL_ERROR"]);
}

#[test]
fn data_up_to_the_connections_window_is_taken_and_one_octet_more_ends_the_connection() {
    let mut server = server(windows(1 << 20, SHARED));
    for id in [1, 3, 5] {
        feed(&mut server, &request(id, false));
    }
    for at in 0..4 {
        let length = if at == 3 { 16_383 } else { 16_384 };
        assert_eq!(feed(&mut server, &data(1 + at % 3 * 2, &vec![b'x'; length], false)).len(), 1);
    }
    // An empty frame takes nothing.
    assert_eq!(feed(&mut server, &data(1, b"", true)), ["data 0 end"]);
    let words = feed(&mut server, &data(3, b"x", false));
    assert!(failed_with(&words, ErrorCode::FLOW_CONTROL_ERROR), "{words:?}");
}

#[test]
fn what_is_released_is_given_back_by_halves_of_the_window() {
    let mut server = server(windows(1_000, SHARED));
    feed(&mut server, &[request(1, false), data(1, &[b'x'; 1_000], false)].concat());
    let theirs = newest(&server);
    server.release(theirs, 499);
    assert_eq!(sent(&mut server), NONE);
    server.release(theirs, 1);
    assert_eq!(sent(&mut server), ["WINDOW_UPDATE 1 500"]);
    server.release(theirs, 500);
    assert_eq!(sent(&mut server), ["WINDOW_UPDATE 1 500"]);
    // More than is held is not given back twice.
    release_all(&mut server, theirs);
    assert_eq!(sent(&mut server), NONE);
    assert_eq!(feed(&mut server, &data(1, &[b'x'; 1_000], false)), ["data 1000"]);
    assert!(feed(&mut server, &data(1, b"x", false))[0].starts_with("reset FLOW_CONTROL_ERROR"));
}

#[test]
fn nothing_is_given_back_on_a_stream_whose_body_is_complete() {
    let mut server = server(windows(1_000, SHARED));
    feed(&mut server, &[request(1, false), data(1, &[b'x'; 1_000], true)].concat());
    let theirs = newest(&server);
    server.release(theirs, 1_000);
    assert_eq!(sent(&mut server), NONE);
}

#[test]
fn padding_is_given_back_without_the_caller() {
    let mut server = server(windows(1_000, SHARED));
    feed(&mut server, &request(1, false));
    let theirs = newest(&server);
    let frame = [&[200][..], b"x", &[0; 200]].concat();
    for _ in 0..1_000 {
        assert_eq!(feed(&mut server, &framed(DATA, PADDED, 1, &frame)), ["data 1"]);
        server.release(theirs, 1);
        sent(&mut server);
    }
}

#[test]
fn a_window_of_one_octet_lets_a_body_through() {
    let (mut client, mut server) = pair(windows(1, SHARED));
    let ours = client.open(&get(b"/")).unwrap().finish(false).unwrap();
    pass(&mut client, &mut server);
    let theirs = newest(&server);
    for at in 0..100 {
        assert_eq!(client.send(ours, &[b'x'; 2], true), Ok(1), "octet {at}");
        assert_eq!(pass(&mut client, &mut server), ["data 1"]);
        assert_eq!(client.next_writable(), None);
        server.release(theirs, 1);
        assert_eq!(pass(&mut server, &mut client), NONE);
        assert_eq!(client.next_writable(), Some(ours));
    }
    assert_eq!(client.send(ours, b"x", true), Ok(1));
    assert_eq!(pass(&mut client, &mut server), ["data 1 end"]);
}

#[test]
fn a_window_of_nothing_lets_empty_bodies_through_only() {
    let (mut client, mut server) = pair(windows(0, SHARED));
    let ours = client.open(&get(b"/")).unwrap().finish(false).unwrap();
    assert_eq!(client.send(ours, b"x", true), Ok(0));
    assert_eq!(client.send(ours, b"", true), Ok(0));
    assert_eq!(pass(&mut client, &mut server), ["request GET /", "data 0 end"]);
}

#[test]
fn a_window_of_our_peer_may_be_opened_to_the_end_and_not_beyond() {
    const MOST: u32 = 0x7fff_ffff;
    let mut server = server(Config::default());
    feed(&mut server, &[request(1, true), request(3, true)].concat());
    assert_eq!(feed(&mut server, &[window_update(0, MOST - 65_535), window_update(1, MOST - 65_535)].concat()), NONE);
    let words = feed(&mut server, &window_update(1, 1));
    assert!(words[0].starts_with("reset FLOW_CONTROL_ERROR"), "{words:?}");
    // Section 6.9.2: by SETTINGS it is an error of the connection.
    let mut by_settings = self::server(Config::default());
    feed(&mut by_settings, &[request(1, true), window_update(1, 1)].concat());
    assert_eq!(feed(&mut by_settings, &settings(&[(4, MOST - 1)])), ["settings"]);
    assert!(failed_with(&feed(&mut by_settings, &settings(&[(4, MOST)])), ErrorCode::FLOW_CONTROL_ERROR));

    assert!(failed_with(&feed(&mut server, &window_update(0, 1)), ErrorCode::FLOW_CONTROL_ERROR));
}

#[test]
fn a_window_update_by_nothing_is_an_error_of_its_scope() {
    let mut server = server(Config::default());
    feed(&mut server, &request(1, true));
    assert!(feed(&mut server, &window_update(1, 0))[0].starts_with("reset PROTOCOL_ERROR"));
    // The first bit is reserved.
    assert!(failed_with(&feed(&mut server, &window_update(0, 0x8000_0000)), ErrorCode::PROTOCOL_ERROR));
}

#[test]
fn smaller_initial_windows_hold_for_open_streams_too() {
    let mut server = server(Config::default());
    feed(&mut server, &request(1, true));
    let theirs = newest(&server);
    server.respond(theirs, 200).unwrap().finish(false).unwrap();
    assert_eq!(server.send(theirs, &[b'x'; 1_000], false), Ok(1_000));
    // 1,000 octets are sent already, so that the window is 900 below zero.
    feed(&mut server, &settings(&[(4, 100)]));
    assert_eq!(server.send(theirs, b"x", false), Ok(0));
    feed(&mut server, &window_update(1, 900));
    assert_eq!(server.next_writable(), None);
    assert_eq!(server.send(theirs, b"x", false), Ok(0));
    feed(&mut server, &window_update(1, 1));
    assert_eq!(server.next_writable(), Some(theirs));
    assert_eq!(server.send(theirs, b"xy", false), Ok(1));
    // And larger ones: 100 more than before, of which one is still to come.
    feed(&mut server, &settings(&[(4, 200)]));
    assert_eq!(server.next_writable(), Some(theirs));
    assert_eq!(server.send(theirs, &[b'x'; 1_000], false), Ok(100));
}

#[test]
fn the_last_of_several_initial_windows_in_one_frame_holds() {
    let mut server = server(Config::default());
    feed(&mut server, &request(1, true));
    let theirs = newest(&server);
    server.respond(theirs, 200).unwrap().finish(false).unwrap();
    feed(&mut server, &settings(&[(4, 0), (4, 0x7fff_ffff), (4, 10)]));
    assert_eq!(server.send(theirs, &[b'x'; 100], false), Ok(10));
}

/// A server with a stream for each of 1, 3, .. that has responded, all windows of streams wide.
fn responding(count: u32, limits: Limits) -> (Connection, Vec<Key>) {
    let mut server = server(Config { limits, ..Config::default() });
    feed(&mut server, &settings(&[(4, 1 << 24)]));
    let keys = (0..count)
        .map(|at| {
            feed(&mut server, &request(2 * at + 1, true));
            let key = newest(&server);
            server.respond(key, 200).unwrap().finish(false).unwrap();
            key
        })
        .collect();
    sent(&mut server);
    (server, keys)
}

#[test]
fn streams_that_wait_for_the_connections_window_are_named_once_each_and_in_order() {
    let (mut server, keys) = responding(3, Limits::default());
    assert_eq!(server.send(keys[0], &[b'x'; 65_536], false), Ok(65_535));
    for &key in &[keys[2], keys[1], keys[2], keys[0]] {
        assert_eq!(server.send(key, b"x", false), Ok(0));
    }
    assert_eq!(server.next_writable(), None);
    feed(&mut server, &window_update(0, 10));
    sent(&mut server);
    let named: Vec<Key> = std::iter::from_fn(|| server.next_writable()).collect();
    assert_eq!(named, [keys[0], keys[2], keys[1]]);
}

#[test]
fn a_stream_that_sent_without_being_named_does_not_hide_the_next_one() {
    let (mut server, keys) = responding(3, Limits::default());
    assert_eq!(server.send(keys[0], &[b'x'; 65_536], false), Ok(65_535));
    assert_eq!(server.send(keys[1], b"x", true), Ok(0));
    assert_eq!(server.send(keys[2], b"x", true), Ok(0));
    feed(&mut server, &window_update(0, 10));
    // The caller tries the first two again by itself: one ends, one is reset.
    assert_eq!(server.send(keys[0], b"x", true), Ok(1));
    server.reset(keys[1], ErrorCode::CANCEL);
    assert_eq!(server.next_writable(), Some(keys[2]));
    assert_eq!(server.next_writable(), None);
}

#[test]
fn a_stream_that_ended_by_a_response_without_waiting_is_not_named() {
    let (mut server, keys) = responding(2, Limits { buffered_output: 1_000, ..Limits::default() });
    assert!(server.send(keys[0], &[b'x'; 2_000], true).unwrap() < 2_000);
    assert_eq!(server.send(keys[1], b"x", true), Ok(0));
    sent(&mut server);
    assert_eq!(server.send(keys[0], b"x", true), Ok(1));
    assert_eq!(server.next_writable(), Some(keys[1]));
    assert_eq!(server.send(keys[1], b"x", true), Ok(1));
    assert_eq!(server.next_writable(), None);
    assert!(server.streams.is_empty());
}

#[test]
fn a_stream_that_waits_and_is_ended_by_the_peer_is_not_named() {
    let (mut server, keys) = responding(2, Limits::default());
    assert_eq!(server.send(keys[0], &[b'x'; 65_536], false), Ok(65_535));
    assert_eq!(server.send(keys[1], b"x", false), Ok(0));
    feed(&mut server, &rst_stream(1, ErrorCode::CANCEL));
    feed(&mut server, &window_update(0, 10));
    assert_eq!(server.next_writable(), Some(keys[1]));
    assert_eq!(server.next_writable(), None);
}

#[test]
fn data_of_a_stream_that_is_reset_in_mid_frame_is_discarded_and_given_back() {
    for role in [Role::Server, Role::Client] {
        let (mut end, answer) = match role {
            Role::Server => (server(windows(40_000, SHARED)), request(1, false)),
            Role::Client => {
                let mut client = client(windows(40_000, SHARED));
                client.open(&get(b"/")).unwrap().finish(true).unwrap();
                (client, response(1, b"200", false))
            }
        };
        feed(&mut end, &answer);
        let key = newest(&end);
        sent(&mut end);
        let frame = data(1, &[b'x'; 16_384], true);
        assert_eq!(feed(&mut end, &frame[..5_000]), ["data 4991"]);
        end.reset(key, ErrorCode::CANCEL);
        assert_eq!(feed(&mut end, &frame[5_000..]), NONE);
        // And whole frames behind it.
        assert_eq!(feed(&mut end, &data(1, &[b'x'; 16_384], false)), NONE);
        assert_eq!(sent(&mut end), ["RST_STREAM 1 CANCEL", "WINDOW_UPDATE 0 32768"], "{role:?}");
    }
}

/// A server, what its client may still send, and streams that its owner may do anything to.
struct Churn {
    server: Connection,
    choices: Choices,
    /// The window of the connection, as the client sees it.
    window: u64,
    /// The newest stream of the client.
    last: u32,
    /// Keys, and what of each was given out and not released.
    open: Vec<(Key, usize)>,
}

impl Churn {
    /// One of the newest streams, open or not.
    fn any_stream(&mut self) -> u32 {
        self.last - 2 * self.choices.below(self.last.min(20) as usize / 2 + 1) as u32
    }

    /// What the client sends next, within the window.
    fn frame(&mut self) -> Vec<u8> {
        match self.choices.below(10) {
            0 | 1 => {
                self.last = if self.last == 0 { 1 } else { self.last + 2 };
                let fields: &Pairs<'_> = match self.choices.below(4) {
                    0 => &[(b"content-length", b"100")],
                    1 => &[(b"connection", b"close")],
                    _ => &[],
                };
                request_with(self.last, self.choices.below(3) == 0, fields)
            }
            2 if self.last > 0 => rst_stream(self.any_stream(), ErrorCode::CANCEL),
            3..=7 if self.last > 0 => self.data(),
            _ => Vec::new(),
        }
    }

    fn data(&mut self) -> Vec<u8> {
        let (id, end, length) = (self.any_stream(), u8::from(self.choices.below(8) == 0), self.choices.below(2_500));
        let (flags, payload) = if self.choices.below(2) == 0 {
            (end, vec![b'x'; length])
        } else {
            let padding = self.choices.below(200);
            let mut payload = vec![padding as u8];
            payload.resize(1 + length + padding, 0);
            (PADDED | end, payload)
        };
        match self.window.checked_sub(payload.len() as u64) {
            Some(left) => {
                self.window = left;
                framed(DATA, flags, id, &payload)
            }
            None => Vec::new(),
        }
    }

    /// Returns what is left of `octets`.
    fn receive(&mut self, octets: &[u8], fields: &mut Fields) -> Vec<u8> {
        let mut input = octets;
        while let Some(event) = self.server.receive(&mut input, fields).unwrap() {
            match event {
                Event::Request { stream, .. } => self.open.push((stream, 0)),
                Event::Data { stream, bytes, .. } => {
                    self.open.iter_mut().find(|(key, _)| *key == stream).unwrap().1 += bytes.len();
                }
                Event::Reset { stream, .. } => self.open.retain(|(key, _)| *key != stream),
                _ => {}
            }
        }
        input.to_vec()
    }

    fn command(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = self.choices.below(self.open.len());
        let (key, held) = self.open[at];
        match self.choices.below(6) {
            0 => {
                self.server.reset(key, ErrorCode::CANCEL);
                self.open.swap_remove(at);
            }
            1 => drop(self.server.respond(key, 200).map(|head| head.finish(true))),
            2 | 3 => {
                let released = self.choices.below(held + 1);
                self.server.release(key, released);
                self.open[at].1 -= released;
            }
            _ => {}
        }
    }

    /// The client reads what the server wrote.
    fn read(&mut self) {
        for frame in frames(self.server.output()) {
            if frame.kind == WINDOW_UPDATE && frame.stream == 0 {
                self.window += u64::from(frame.number(0));
            }
        }
        self.server.wrote(self.server.output().len());
    }
}

/// Exchanges whose bodies are cut, padded, reset by either side, refused or malformed at any point: what the peer may
/// send comes back whole, but for less than half a window that is not worth a frame yet.
#[test]
fn the_connections_window_never_leaks() {
    const ALL: u64 = SHARED as u64;
    let limits = Limits {
        resets: u32::MAX,
        ignored_frames: u32::MAX,
        empty_frames: u32::MAX,
        concurrent_streams: 8,
        ..Limits::default()
    };
    let server = server(Config { limits, ..windows(3_000, SHARED) });
    let mut churn = Churn { server, choices: Choices(1), window: ALL, last: 0, open: Vec::new() };
    let mut fields = Fields::new();
    for _ in 0..20_000 {
        let octets = churn.frame();
        // Commands come in the middle of frames too.
        let cut = churn.choices.below(octets.len() + 1);
        let left = churn.receive(&octets[..cut], &mut fields);
        churn.command();
        let left = churn.receive(&[&left, &octets[cut..]].concat(), &mut fields);
        churn.command();
        assert!(left.is_empty());
        churn.read();
    }
    for (key, _) in std::mem::take(&mut churn.open) {
        churn.server.reset(key, ErrorCode::CANCEL);
    }
    churn.read();
    assert_eq!((churn.server.active_streams(), churn.server.streams.is_empty()), (0, true));
    assert!(churn.last > 2_000 && churn.window <= ALL, "{} after {}", churn.window, churn.last);
    assert!(churn.window > ALL / 2, "{} of {ALL} octets leaked", ALL - churn.window);
    // The rest is due with the next octets that are given back: none of it is lost.
    assert_eq!(churn.window + u64::from(churn.server.granted.owed()), ALL);
}

#[test]
fn a_client_that_cancels_at_any_point_gets_its_windows_back() {
    let (mut client, mut server) = pair(windows(3_000, SHARED));
    let mut choices = Choices(2);
    for _ in 0..3_000 {
        let ours = client.open(&get(b"/")).unwrap().finish(true).unwrap();
        pass(&mut client, &mut server);
        let theirs = newest(&server);
        server.respond(theirs, 200).unwrap().finish(false).unwrap();
        let length = choices.below(4_000);
        server.send(theirs, &vec![b'x'; length], true).unwrap();
        let octets = server.output().to_vec();
        let cut = choices.below(octets.len() + 1);
        let mut fields = Fields::new();
        let mut input = &octets[..cut];
        while client.receive(&mut input, &mut fields).unwrap().is_some() {}
        client.release(ours, choices.below(1_000));
        client.reset(ours, ErrorCode::CANCEL);
        let left = [input, &octets[cut..]].concat();
        server.wrote(octets.len());
        assert_eq!(feed(&mut client, &left), NONE);
        pass(&mut client, &mut server);
        client.tick();
        server.tick();
    }
    assert_eq!((client.active_streams(), server.active_streams()), (0, 0));
    let owed = client.granted.owed();
    assert_eq!(server.allowed.octets() + owed, SHARED);
}
