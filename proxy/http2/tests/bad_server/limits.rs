//! RFC 9113 section 10.5: what a server can make grow ends at a limit, with ENHANCE_YOUR_CALM. The defaults of
//! [`Limits`](byrnie_http2::Limits) hold.

use byrnie_http2::Limits;

use crate::frames::*;
use crate::script::{Step, cases, check, get};

/// `frame` so many times.
fn many(count: u32, frame: &[u8]) -> Vec<u8> {
    frame.repeat(count as usize)
}

/// As many words as there are in a limit of frames, and then the end.
fn until_the_end(count: u32, word: &str) -> Vec<String> {
    let end = "connection ENHANCE_YOUR_CALM".to_owned();
    (0..count).map(|_| word.to_owned()).chain([end]).collect()
}

#[test]
fn settings_without_end_end_the_connection() {
    // The handshake took one.
    let limit = Limits::default().settings - 1;
    let script = || vec![Step::Receive(many(limit + 1, &settings(&[])))];
    check([script(), script()], &until_the_end(limit, "settings"));
}

#[test]
fn pings_without_end_end_the_connection() {
    let limit = Limits::default().pings;
    let script = || vec![Step::Receive(many(limit + 1, &ping(NONE, b"and more")))];
    check([script(), script()], &until_the_end(limit, "answers ping"));
}

cases! {
    empty_data_without_end_ends_the_connection: [
        get(), ok(1), many(Limits::default().empty_frames + 1, &data(1, b"")),
    ] => ["1 response 200", "connection ENHANCE_YOUR_CALM"];
    empty_data_on_a_cancelled_stream_without_end_ends_the_connection: [
        get(), Step::Cancel(1), many(Limits::default().empty_frames + 1, &data_end(1, b"")),
    ] => ["connection ENHANCE_YOUR_CALM"];
    answers_to_no_ping_without_end_end_the_connection: [
        many(Limits::default().ignored_frames + 1, &ping(ACK, b"and more")),
    ] => ["connection ENHANCE_YOUR_CALM"];
    unknown_frames_without_end_end_the_connection: [
        many(Limits::default().ignored_frames + 1, &frame(UNKNOWN, NONE, 0, b"")),
    ] => ["connection ENHANCE_YOUR_CALM"];
    priority_without_end_ends_the_connection: [
        many(Limits::default().ignored_frames + 1, &priority(1, 0, false, 1)),
    ] => ["connection ENHANCE_YOUR_CALM"];
    window_updates_without_end_end_the_connection: [
        many(Limits::default().window_updates + 1, &window_update(0, 1)),
    ] => ["connection ENHANCE_YOUR_CALM"];
    frames_on_a_closed_stream_without_end_end_the_connection: [
        get(), ok_end(1), many(Limits::default().ignored_frames + 1, &rst_stream(1, NO_ERROR)),
    ] => ["1 response 200 end", "connection ENHANCE_YOUR_CALM"];
    continuations_without_end_end_the_connection: [
        get(), headers(1, NONE, b""), many(u32::from(Limits::default().continuations) + 1, &continuation(1, NONE, b"")),
    ] => ["connection ENHANCE_YOUR_CALM"];
    a_header_block_without_end_ends_the_connection: [
        get(), headers(1, NONE, b""), many(5, &continuation(1, NONE, &[0; 16_384])),
    ] => ["connection ENHANCE_YOUR_CALM"];
    interim_responses_without_end_are_a_stream_error: [
        get(), many(u32::from(Limits::default().interim_responses), &head(1, &[(":status", "103")])), ok_end(1),
        get(), many(u32::from(Limits::default().interim_responses) + 1, &head(3, &[(":status", "103")])),
    ] => [
        "1 interim 103", "1 interim 103", "1 interim 103", "1 interim 103", "1 interim 103", "1 interim 103",
        "1 interim 103", "1 interim 103", "1 interim 103", "1 interim 103", "1 interim 103", "1 interim 103",
        "1 interim 103", "1 interim 103", "1 interim 103", "1 interim 103", "1 response 200 end",
        "3 interim 103", "3 interim 103", "3 interim 103", "3 interim 103", "3 interim 103", "3 interim 103",
        "3 interim 103", "3 interim 103", "3 interim 103", "3 interim 103", "3 interim 103", "3 interim 103",
        "3 interim 103", "3 interim 103", "3 interim 103", "3 interim 103", "3 broken ENHANCE_YOUR_CALM",
    ];
    // 64,000 octets of values, and 54 fields that count for 32 octets more than they take.
    a_head_of_too_many_octets_is_a_stream_error: [
        get(), headers(1, NONE, OK),
        (0..4).flat_map(|_| continuation(1, NONE, &block(&[("a", &"x".repeat(16_000))]))).collect::<Vec<u8>>(),
        continuation(1, END_HEADERS, &block(&[("a", "b"); 50])),
    ] => ["1 broken ENHANCE_YOUR_CALM"];
    a_head_of_too_many_fields_is_a_stream_error: [
        get(), headers(1, LAST, &[OK, &block(&[("a", "b"); 100])].concat()),
    ] => ["1 broken ENHANCE_YOUR_CALM"];
    trailers_of_too_many_fields_are_a_stream_error: [
        get(), ok(1), head_end(1, &[("a", "b"); 101]),
    ] => ["1 response 200", "1 broken ENHANCE_YOUR_CALM"];
}
