//! Plans at random, within what both ends must take.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::plan::{Exchange, Field, Going, Message, Pieces, Plan, Reset, Settings, Side, Value};

/// Octets of a body, at most.
const BODY: u32 = 300_000;
/// Turns that all bytes of one direction may take.
const PIECES: u64 = 1_000;
/// Octets of the long values of one message: below the 64 KiB of a head that we take.
const LONG_VALUES: u32 = 48_000;

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "M-SEARCH"];
const AUTHORITIES: [&str; 5] = ["a", "cart.shop:8080", "Cart.Shop", "[2001:db8::1]:443", "10.0.0.1"];
const STATUSES: [u16; 10] = [200, 200, 200, 201, 204, 206, 304, 404, 500, 599];
const CODES: [u32; 6] = [0, 1, 2, 7, 8, 0xdead_beef];
/// Names of the static table, and others that mean something here or there.
const NAMES: [&str; 14] = [
    "accept",
    "accept-encoding",
    "authorization",
    "cookie",
    "cookie",
    "set-cookie",
    "set-cookie",
    "etag",
    "vary",
    "age",
    "te",
    "priority",
    "via",
    "x",
];
const NAME_OCTETS: &[u8] = b"abcxyz0189!#$%&'*+-.^_`|~";

pub fn plans() -> impl Strategy<Value = Plan> {
    let going = option::weighted(0.25, going());
    let exchanges = prop_oneof![3 => vec(exchange(), 1..5), 1 => vec(exchange(), 5..31)];
    (settings(), settings(), exchanges, going, pieces(), pieces(), any::<u64>()).prop_map(
        |(client, server, exchanges, going, there, back, seed)| {
            bounded(Plan { client, server, exchanges, going, there, back, seed })
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    let stream_window =
        prop_oneof![3 => Just(65_535_u32), 1 => 1..100_u32, 1 => 100..20_000_u32, 1 => 65_536..2_000_000_u32];
    let connection_window = prop_oneof![Just(65_535_u32), 65_536..2_000_000_u32];
    let max_frame_size = prop_oneof![Just(16_384_u32), 16_384..(1_u32 << 24)];
    let streams = prop_oneof![2 => Just(100_u32), 1 => 1..4_u32, 1 => 4..30_u32];
    let table = prop_oneof![2 => Just(4_096_u32), 1 => Just(0_u32), 1 => 1..65_537_u32];
    let hold = prop_oneof![2 => Just(0_u32), 1 => 1..20_u32];
    (stream_window, connection_window, max_frame_size, streams, table, any::<bool>(), hold).prop_map(
        |(stream_window, connection_window, max_frame_size, streams, table, huffman, hold)| Settings {
            stream_window,
            connection_window,
            max_frame_size,
            streams,
            table,
            huffman,
            hold,
        },
    )
}

fn pieces() -> impl Strategy<Value = Pieces> {
    let largest = prop_oneof![2 => Just(1_u32 << 20), 1 => 1..20_u32, 2 => 20..20_000_u32];
    let room = prop_oneof![2 => Just(1_u32 << 20), 1 => 1..100_u32, 2 => 100..50_000_u32];
    (largest, room).prop_map(|(largest, room)| Pieces { largest, room })
}

fn going() -> impl Strategy<Value = Going> {
    (0..200_u32, side(), option::weighted(0.3, select(&CODES[..]))).prop_map(|(turn, by, abrupt)| Going {
        turn,
        by,
        abrupt,
    })
}

fn side() -> impl Strategy<Value = Side> {
    select(&[Side::Client, Side::Server][..])
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let pause = prop_oneof![3 => Just(0_u32), 1 => 1..30_u32];
    let target = (select(&METHODS[..]), select(&["http", "https"][..]), select(&AUTHORITIES[..]), path());
    let informs = vec((select(&[100_u16, 102, 103, 199][..]), vec(field(), 0..3)), 0..3);
    let interim = prop_oneof![4 => Just(Vec::new()), 1 => informs];
    let respond_at = prop_oneof![Just(0_u64), Just(u64::MAX), 0..u64::from(BODY)];
    let reset = option::weighted(
        0.15,
        (side(), 0..60_u32, select(&CODES[..])).prop_map(|(by, after, code)| Reset { by, after, code }),
    );
    let answer = (interim, select(&STATUSES[..]), respond_at, message());
    (pause, any::<bool>(), target, message(), answer, reset).prop_map(
        |(pause, slow, (method, scheme, authority, path), request, (interim, status, respond_at, response), reset)| {
            Exchange {
                pause,
                slow,
                method,
                scheme,
                authority,
                path,
                request,
                interim,
                status,
                respond_at,
                response,
                reset,
            }
        },
    )
}

fn path() -> impl Strategy<Value = String> {
    let octets = b"abcXYZ019-._~!$&'()*+,;=:@%/?[]{}|^";
    let times = prop_oneof![20 => Just(1_usize), 1 => 100..300_usize];
    (vec(select(&octets[..]), 0..30), times).prop_map(|(octets, times)| {
        std::iter::once('/').chain(octets.repeat(times).into_iter().map(char::from)).collect()
    })
}

fn message() -> impl Strategy<Value = Message> {
    let length = prop_oneof![1 => Just(0_u32), 4 => 1..300_u32, 2 => 300..40_000_u32, 1 => 40_000..BODY];
    let chunks = prop_oneof![1 => Just(Vec::new()), 2 => vec(length, 0..6)];
    let fields = prop_oneof![20 => vec(field(), 0..12), 1 => vec(field(), 60..90)];
    (fields, any::<bool>(), chunks, option::weighted(0.3, vec(field(), 0..5)), any::<bool>()).prop_map(
        |(fields, declares_length, chunks, trailers, late_end)| Message {
            fields,
            declares_length,
            chunks,
            trailers,
            late_end,
        },
    )
}

fn field() -> impl Strategy<Value = Field> {
    let random = vec(select(NAME_OCTETS), 1..20).prop_map(|octets| octets.into_iter().map(char::from).collect());
    let name = prop_oneof![2 => select(&NAMES[..]).prop_map(str::to_owned), 2 => random];
    (name, value(), proptest::bool::weighted(0.1)).prop_map(|(name, value, sensitive)| {
        // What its tables have as a whole `h2` sends by its index, sensitive or not: a secret is sent as such only.
        let sensitive = sensitive && name != "te";
        let value = match value {
            _ if name == "te" => Value::Short(b"trailers".to_vec()),
            Value::Short(octets) if sensitive => Value::Short([b"secret".as_slice(), &octets].concat()),
            other => other,
        };
        Field { sensitive: sensitive && matches!(value, Value::Short(_)), name, value }
    })
}

fn value() -> impl Strategy<Value = Value> {
    let ascii = vec(b' '..=b'~', 0..40);
    let any = vec(prop_oneof![Just(b'\t'), b' '..=b'~', 0x80..=0xff_u8], 0..40);
    let known = select(&["", "gzip, deflate", "a=b; c=d", "0"][..]).prop_map(|value| value.as_bytes().to_vec());
    prop_oneof![
        30 => prop_oneof![ascii, any, known].prop_map(|octets| Value::Short(octets.trim_ascii().to_vec())),
        1 => prop_oneof![100..5_000_u32, Just(32_768_u32), 5_000..32_769_u32].prop_map(Value::Long),
    ]
}

/// Leaves out what the protocol forbids, and what would take a test minutes.
fn bounded(mut plan: Plan) -> Plan {
    for exchange in &mut plan.exchanges {
        let connect = exchange.method == "CONNECT";
        if exchange.method == "HEAD" || matches!(exchange.status, 204 | 304) {
            exchange.response.chunks.clear();
            exchange.response.trailers = None;
            exchange.response.declares_length = false;
        }
        for message in [&mut exchange.request, &mut exchange.response] {
            if connect {
                message.trailers = None;
                message.declares_length = false;
            }
            shorten(&mut message.fields);
            shorten(message.trailers.as_mut().unwrap_or(&mut Vec::new()));
        }
        exchange.interim.iter_mut().for_each(|(_, fields)| shorten(fields));
    }
    for side in [Side::Client, Side::Server] {
        let (pieces, window) = match side {
            Side::Client => (&mut plan.there, plan.server.stream_window),
            Side::Server => (&mut plan.back, plan.client.stream_window),
        };
        let messages = plan.exchanges.iter_mut().map(|exchange| match side {
            Side::Client => &mut exchange.request,
            Side::Server => &mut exchange.response,
        });
        let mut total = 0;
        for message in messages {
            for chunk in &mut message.chunks {
                *chunk = (*chunk).min(window.saturating_mul(40));
            }
            total += message.length() + 500;
        }
        let least = u32::try_from(total / PIECES).expect("a few megabytes");
        pieces.largest = pieces.largest.max(least);
        pieces.room = pieces.room.max(least);
    }
    plan
}

/// Long values only as far as a head may have them.
fn shorten(fields: &mut [Field]) {
    let mut left = LONG_VALUES;
    for field in fields {
        if let Value::Long(length) = &mut field.value {
            *length = (*length).min(left).max(1);
            left -= (*length).min(left);
        }
    }
}
