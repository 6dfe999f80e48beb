//! Frames as a server sends them, good and bad: nothing here holds anyone to a rule.

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const PRIORITY: u8 = 0x2;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PUSH_PROMISE: u8 = 0x5;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;
/// A type that nobody has defined.
pub const UNKNOWN: u8 = 0x16;

pub const NONE: u8 = 0x0;
pub const ACK: u8 = 0x1;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const PRIORITY_FLAG: u8 = 0x20;
/// The flags of a head or of trailers that end the stream.
pub const LAST: u8 = END_STREAM | END_HEADERS;

pub const HEADER_TABLE_SIZE: u16 = 0x1;
pub const ENABLE_PUSH: u16 = 0x2;
pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
pub const MAX_FRAME_SIZE: u16 = 0x5;
pub const MAX_HEADER_LIST_SIZE: u16 = 0x6;
pub const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;

pub const NO_ERROR: u32 = 0x0;
pub const REFUSED_STREAM: u32 = 0x7;
pub const CANCEL: u32 = 0x8;

/// `:status: 200` of the static table (RFC 7541 appendix A).
pub const OK: &[u8] = b"\x88";

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., a, b, c] = payload.len().to_be_bytes();
    let mut octets = vec![a, b, c, kind, flags];
    octets.extend(stream.to_be_bytes());
    octets.extend(payload);
    octets
}

/// A literal without indexing and with a new name (RFC 7541 section 6.2.2), once for each field.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (name, value) in fields {
        octets.push(0x00);
        for text in [name, value] {
            string_length(text.len(), &mut octets);
            octets.extend(text.as_bytes());
        }
    }
    octets
}

/// RFC 7541 section 5.1 with a prefix of 7 bits.
fn string_length(length: usize, octets: &mut Vec<u8>) {
    let low = |number: usize| number.to_le_bytes()[0];
    if length < 127 {
        return octets.push(low(length));
    }
    octets.push(127);
    let mut left = length - 127;
    while left >= 128 {
        octets.push(low(left) | 0x80);
        left /= 128;
    }
    octets.push(low(left));
}

pub fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags, stream, block)
}

pub fn continuation(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(CONTINUATION, flags, stream, block)
}

/// The head `:status: 200`, after which a body follows.
pub fn ok(stream: u32) -> Vec<u8> {
    headers(stream, END_HEADERS, OK)
}

/// A whole response: `:status: 200` without a body.
pub fn ok_end(stream: u32) -> Vec<u8> {
    headers(stream, LAST, OK)
}

/// A head of these fields, after which a body follows.
pub fn head(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    headers(stream, END_HEADERS, &block(fields))
}

/// A head, or trailers, of these fields, after which nothing follows.
pub fn head_end(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    headers(stream, LAST, &block(fields))
}

pub fn data(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, NONE, stream, bytes)
}

pub fn data_end(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, bytes)
}

pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        settings.iter().flat_map(|&(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes())).collect();
    frame(SETTINGS, NONE, 0, &payload)
}

pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, NONE, stream, &increment.to_be_bytes())
}

pub fn rst_stream(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, NONE, stream, &code.to_be_bytes())
}

pub fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, NONE, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

pub fn ping(flags: u8, payload: &[u8; 8]) -> Vec<u8> {
    frame(PING, flags, 0, payload)
}

/// PRIORITY, or the priority of a HEADERS frame: `dependency` with the exclusive bit, and a weight.
pub fn dependency(on: u32, exclusive: bool, weight: u8) -> Vec<u8> {
    let mut octets = (on | u32::from(exclusive) << 31).to_be_bytes().to_vec();
    octets.push(weight);
    octets
}

pub fn priority(stream: u32, on: u32, exclusive: bool, weight: u8) -> Vec<u8> {
    frame(PRIORITY, NONE, stream, &dependency(on, exclusive, weight))
}

/// `content` between its pad length and its padding (RFC 9113 section 6.1).
pub fn padded(content: &[u8], padding: u8) -> Vec<u8> {
    let mut octets = vec![padding];
    octets.extend(content);
    octets.resize(octets.len() + usize::from(padding), 0);
    octets
}
