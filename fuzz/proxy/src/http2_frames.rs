//! What a peer of HTTP/2 sends, as a script chooses it: frames whose types, flags, streams and payloads are often right,
//! and sometimes any bytes.

use byrnie_http2::hpack::Encoder;
use byrnie_http2::{Config, FieldLimits, Limits, Role, Windows};

use super::tape::Tape;

/// What a client sends first (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame header.
pub const HEADER: usize = 9;

/// Limits that short inputs reach.
pub const TIGHT: Limits = Limits {
    fields: FieldLimits { list_size: 600, count: 12, name: 64, value: 400 },
    block_bytes: 900,
    continuations: 3,
    concurrent_streams: 6,
    resets: 20,
    pings: 10,
    settings: 8,
    empty_frames: 8,
    window_updates: 20,
    ignored_frames: 20,
    interim_responses: 2,
    buffered_output: 1_000,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY_FLAG: u8 = 0x20;

const INCREMENTS: [u32; 6] = [1, 100, 2_000, 65_535, 0, 0x7fff_ffff];
const VALUES: [u32; 8] = [0, 1, 100, 2_000, 16_384, 65_535, 0x7fff_ffff, u32::MAX];
const STATUSES: [&[u8]; 8] = [b"200", b"204", b"304", b"503", b"100", b"103", b"101", b"20"];
/// Those behind the first four make a message malformed, or the head too large.
const FIELDS: [(&[u8], &[u8]); 8] = [
    (b"x-sum", b"7"),
    (b"content-length", b"5"),
    (b"te", b"trailers"),
    (b"host", b"shop"),
    (b"x-long", &[b'v'; 390]),
    (b"connection", b"close"),
    (b"X-Upper", b"1"),
    (b":late", b"x"),
];

/// As a script says, with limits that are soon reached.
pub fn config(tape: &mut Tape<'_>) -> Config {
    let choices = tape.byte();
    Config {
        windows: Windows { stream: [2_000, 0, 1, 100_000][usize::from(choices) & 3], connection: 65_535 },
        limits: TIGHT,
        header_table_size: [4_096, 0, 300, 65_536][usize::from(choices) >> 2 & 3],
        huffman: choices & 16 > 0,
        extended_connect: choices & 32 > 0,
    }
}

/// One frame.
pub fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// What a peer of an end of this role sends first: the preface if it has one, SETTINGS, and the acknowledgement of ours.
pub fn beginning(role: Role, tape: &mut Tape<'_>) -> Vec<u8> {
    let preface = if role == Role::Server { PREFACE } else { &[] };
    let choices = tape.byte();
    let mut beginning = [preface, &settings(choices & 3, tape)].concat();
    if choices & 4 == 0 {
        beginning.extend(framed(SETTINGS, END_STREAM, 0, &[]));
    }
    beginning
}

/// What comes next from a peer of an end of this role: a frame, a header block in several, or any bytes.
pub fn next(role: Role, tape: &mut Tape<'_>) -> Vec<u8> {
    match tape.below(20) {
        0..=5 => headers(role, tape),
        6..=9 => data(tape),
        10 | 11 => {
            let id = if tape.byte() & 1 > 0 { stream(tape) } else { 0 };
            framed(WINDOW_UPDATE, 0, id, &chosen(&INCREMENTS, tape).to_be_bytes())
        }
        12 | 13 => framed(RST_STREAM, 0, stream(tape), &[0, 0, 0, tape.byte()]),
        14 => {
            let count = tape.byte() & 3;
            settings(count, tape)
        }
        15 => framed(PING, tape.byte() & 1, 0, &[b"12345678", b"goaway-2"][tape.below(2)][..]),
        16 => {
            let last = chosen(&VALUES, tape).min(u32::from(tape.byte()));
            framed(GOAWAY, 0, 0, &[&last.to_be_bytes()[..], &[0, 0, 0, tape.byte()], b"why"].concat())
        }
        17 => {
            let (id, on) = (stream(tape), stream(tape));
            framed([PRIORITY, PUSH_PROMISE][tape.below(8) / 7], 0, id, &[&on.to_be_bytes()[..], &[7]].concat())
        }
        18 => {
            let (kind, flags, id, length) = (tape.byte(), tape.byte(), stream(tape), tape.byte() / 4);
            framed(kind, flags, id, tape.bytes(length.into()))
        }
        _ => {
            let length = tape.byte() / 8;
            tape.bytes(length.into()).to_vec()
        }
    }
}

/// Mostly one that a client may open, and one of few.
fn stream(tape: &mut Tape<'_>) -> u32 {
    match tape.byte() {
        choice @ 0..240 => u32::from(choice % 16) * 2 + 1,
        choice @ 240..248 => u32::from(choice - 240) * 20 + 101,
        248..252 => 2,
        252 | 253 => 0,
        _ => u32::MAX,
    }
}

fn chosen(values: &[u32], tape: &mut Tape<'_>) -> u32 {
    values[tape.below(values.len())]
}

fn settings(count: u8, tape: &mut Tape<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    for _ in 0..count {
        let (id, value) = (tape.byte() % 10, chosen(&VALUES, tape));
        payload.extend([0, id]);
        payload.extend(value.to_be_bytes());
    }
    framed(SETTINGS, 0, 0, &payload)
}

fn data(tape: &mut Tape<'_>) -> Vec<u8> {
    let (id, choices) = (stream(tape), tape.byte());
    let length = match choices & 3 {
        0 => 5,
        1 => 0,
        2 => usize::from(tape.byte()),
        _ => tape.number() % 3_000,
    };
    let mut payload = vec![b'x'; length];
    if choices & 8 == 0 {
        return framed(DATA, choices >> 4 & END_STREAM, id, &payload);
    }
    let padding = tape.byte();
    payload.insert(0, padding);
    // Now and then there is more padding than frame.
    payload.resize(payload.len() + usize::from(padding) / (1 + usize::from(choices & 0xc0 == 0xc0)), 0);
    framed(DATA, PADDED | choices >> 4 & END_STREAM, id, &payload)
}

/// A head or trailers, cut into frames.
fn headers(role: Role, tape: &mut Tape<'_>) -> Vec<u8> {
    let (id, choices) = (stream(tape), tape.byte());
    let mut block = block(role, tape);
    let mut flags = choices & END_STREAM;
    if choices & 6 == 6 {
        let cuts = tape.below(5);
        return cut(id, flags, &block, cuts);
    }
    if choices & 0x18 == 0x18 {
        flags |= PRIORITY_FLAG;
        block.splice(..0, [0, 0, 0, tape.byte() & 7, 0]);
    }
    if choices & 0x60 == 0x60 {
        flags |= PADDED;
        let padding = tape.byte() & 15;
        block.insert(0, padding);
        block.resize(block.len() + usize::from(padding), 0);
    }
    framed(HEADERS, flags | END_HEADERS, id, &block)
}

fn cut(id: u32, flags: u8, block: &[u8], cuts: usize) -> Vec<u8> {
    let mut frames = Vec::new();
    for (at, piece) in block.chunks(block.len() / (cuts + 1) + 1).enumerate() {
        let (kind, flags) = if at == 0 { (HEADERS, flags) } else { (CONTINUATION, 0) };
        frames.extend(framed(kind, flags, id, piece));
    }
    // Without the flag END_HEADERS so far: an empty frame brings it, mostly.
    frames.extend(framed(CONTINUATION, if cuts == 4 { 0 } else { END_HEADERS }, id, &[]));
    frames
}

fn block(role: Role, tape: &mut Tape<'_>) -> Vec<u8> {
    let (choices, fields) = (tape.byte(), tape.byte());
    let mut block = Vec::new();
    if choices & 0xe0 == 0xe0 {
        return tape.bytes(usize::from(choices & 31)).to_vec();
    }
    if choices & 0xc0 == 0xc0 {
        Encoder::PLAIN.size_update(&mut block, chosen(&VALUES[..4], tape));
    }
    let encoder = Encoder { huffman: choices & 32 > 0 };
    match (role, choices & 7) {
        (_, 6) => {}
        (Role::Server, kind) => request(encoder, kind, &mut block),
        (Role::Client, _) => encoder.field(&mut block, b":status", STATUSES[tape.below(STATUSES.len())]),
    }
    // The more a field spoils, the less often it is there.
    let fields = if fields & 0xc0 == 0xc0 { fields } else { fields & 0x0f };
    for (at, (name, value)) in FIELDS.into_iter().enumerate() {
        if fields >> at & 1 > 0 {
            encoder.field(&mut block, name, value);
        }
    }
    if choices & 8 > 0 {
        // Into the dynamic table, and out of it.
        block.extend(b"\x40\x03key\x05value");
    }
    if choices & 16 > 0 {
        block.push(0x80 | (62 + tape.byte() % 4));
    }
    block
}

fn request(encoder: Encoder, kind: u8, block: &mut Vec<u8>) {
    let method: &[u8] = match kind {
        0 | 1 => b"GET",
        2 => b"HEAD",
        3 | 7 => b"CONNECT",
        _ => b"POST",
    };
    encoder.field(block, b":method", method);
    encoder.field(block, b":authority", b"shop");
    if kind != 3 {
        encoder.field(block, b":scheme", b"http");
        encoder.field(block, b":path", if kind == 5 { b"no-slash" } else { b"/cart" });
    }
    if kind == 7 {
        encoder.field(block, b":protocol", b"websocket");
    }
}
