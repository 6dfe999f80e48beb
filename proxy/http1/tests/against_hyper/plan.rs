//! What happens on one connection: exchanges one after another, and who closes it.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Turns that all bytes of one direction may take.
const PIECES: u64 = 1_000;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "M-SEARCH"];
const STATUSES: [u16; 9] = [200, 200, 200, 201, 204, 206, 304, 404, 599];
const NAMES: [&str; 9] = ["accept", "cookie", "cookie", "set-cookie", "etag", "vary", "x", "via", "authorization"];
const NAME_OCTETS: &[u8] = b"abcxyz0189!#$%&'*+-.^_`|~";
const PATH_OCTETS: &[u8] = b"abcXYZ019-._~!$&'()*+,;=:@%/?";

#[derive(Debug, Clone)]
pub struct Plan {
    pub exchanges: Vec<Exchange>,
    /// Who ends the connection with the last exchange.
    pub close: Option<Side>,
    /// From the client to the server.
    pub there: Pieces,
    pub back: Pieces,
    pub seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// How bytes travel in one direction.
#[derive(Debug, Clone, Copy)]
pub struct Pieces {
    /// Bytes that arrive in a turn, at most.
    pub largest: u32,
    /// Bytes that were written and not read, at most.
    pub room: u32,
}

#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: &'static str,
    pub path: String,
    pub expects_continue: bool,
    pub request: Message,
    pub status: u16,
    /// The response begins before the request has ended; its last piece waits for that.
    pub early: bool,
    pub response: Message,
}

#[derive(Debug, Clone)]
pub struct Message {
    pub fields: Vec<(String, Vec<u8>)>,
    pub framing: Framing,
    pub chunks: Vec<u32>,
    pub trailers: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Sized,
    Chunked,
}

/// A name in lower case, and its value.
pub type Line = (String, Vec<u8>);

impl Exchange {
    pub fn message(&self, side: Side) -> &Message {
        match side {
            Side::Client => &self.request,
            Side::Server => &self.response,
        }
    }

    /// The fields that the side adds.
    pub fn lines(&self, side: Side) -> Vec<Line> {
        let message = self.message(side);
        let mut fields = message.fields.clone();
        if side == Side::Client {
            fields.push(("host".to_owned(), b"cart.shop".to_vec()));
            if self.expects_continue {
                fields.push(("expect".to_owned(), b"100-continue".to_vec()));
            }
        }
        for (name, _) in &message.trailers {
            fields.push(("trailer".to_owned(), name.clone().into_bytes()));
        }
        grouped(&fields)
    }
}

impl Message {
    pub fn length(&self) -> u64 {
        self.chunks.iter().map(|&length| u64::from(length)).sum()
    }
}

/// In the order that a `HeaderMap` keeps: fields of one name stand together where the first is.
pub fn grouped(fields: &[Line]) -> Vec<Line> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in fields {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.iter().flat_map(|name| fields.iter().filter(move |field| field.0 == *name).cloned()).collect()
}

/// A part of a body that begins at `offset`, so that no body need be kept.
pub fn body(exchange: usize, side: Side, offset: u64, length: usize) -> Vec<u8> {
    let octet = |at: u64| (at ^ (at >> 8)).wrapping_mul(31).wrapping_add(exchange as u64 * 7 + side as u64 * 101) as u8;
    (offset..offset + length as u64).map(octet).collect()
}

pub fn plans() -> impl Strategy<Value = Plan> {
    let exchanges = prop_oneof![3 => vec(exchange(), 1..4), 1 => vec(exchange(), 4..12)];
    let close = option::of(select(&[Side::Client, Side::Server][..]));
    (exchanges, close, pieces(), pieces(), any::<u64>())
        .prop_map(|(exchanges, close, there, back, seed)| bounded(Plan { exchanges, close, there, back, seed }))
}

pub fn pieces() -> impl Strategy<Value = Pieces> {
    let largest = prop_oneof![2 => Just(1_u32 << 20), 1 => 1..20_u32, 2 => 20..20_000_u32];
    let room = prop_oneof![2 => Just(1_u32 << 20), 1 => 1..100_u32, 2 => 100..50_000_u32];
    (largest, room).prop_map(|(largest, room)| Pieces { largest, room })
}

pub fn exchange() -> impl Strategy<Value = Exchange> {
    let times = prop_oneof![20 => Just(1_usize), 1 => 100..300_usize];
    let path = (vec(select(PATH_OCTETS), 0..30), times).prop_map(|(octets, times)| {
        std::iter::once('/').chain(octets.repeat(times).into_iter().map(char::from)).collect()
    });
    let request = (select(&METHODS[..]), path, proptest::bool::weighted(0.1), message());
    (request, select(&STATUSES[..]), any::<bool>(), message()).prop_map(
        |((method, path, expects_continue, request), status, early, response)| Exchange {
            method,
            path,
            expects_continue: expects_continue && !request.chunks.is_empty(),
            request,
            status,
            early,
            response,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let length = prop_oneof![6 => 1..300_u32, 2 => 300..40_000_u32, 1 => 40_000..200_000_u32];
    let framing = select(&[Framing::None, Framing::Sized, Framing::Chunked][..]);
    let fields = prop_oneof![20 => vec(field(), 0..12), 1 => vec(field(), 60..80)];
    let trailers = prop_oneof![2 => Just(Vec::new()), 1 => vec((name(), value()), 1..4)];
    (fields, framing, vec(length, 0..6), trailers).prop_map(|(fields, framing, mut chunks, mut trailers)| {
        if framing == Framing::None {
            chunks.clear();
        }
        if framing != Framing::Chunked {
            trailers.clear();
        }
        Message { fields, framing, chunks, trailers: grouped(&trailers) }
    })
}

fn field() -> impl Strategy<Value = Line> {
    let times = prop_oneof![30 => Just(1_usize), 1 => 100..1_000_usize];
    let value = (value(), times).prop_map(|(value, times)| value.repeat(times).trim_ascii().to_vec());
    (prop_oneof![select(&NAMES[..]).prop_map(str::to_owned), name()], value)
}

/// A name that means nothing.
fn name() -> impl Strategy<Value = String> {
    vec(select(NAME_OCTETS), 1..20).prop_map(|octets| octets.into_iter().map(char::from).collect())
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![1 => Just(b'\t'), 20 => b' '..=b'~', 5 => 0x80..=0xff_u8];
    vec(octet, 0..30).prop_map(|octets| octets.trim_ascii().to_vec())
}

/// Leaves out what the protocol forbids.
pub fn feasible(mut exchange: Exchange) -> Exchange {
    if exchange.method == "HEAD" || matches!(exchange.status, 204 | 304) {
        exchange.response.framing = Framing::None;
        exchange.response.chunks.clear();
        exchange.response.trailers.clear();
    }
    // A response that is complete before its request ends the connection.
    exchange.early &= !exchange.response.chunks.is_empty();
    for message in [&mut exchange.request, &mut exchange.response] {
        let mut left = 40_000;
        message.fields.retain(|(name, value)| {
            let cost = name.len() + value.len() + 4;
            let fits = cost <= left;
            left -= if fits { cost } else { 0 };
            fits
        });
    }
    exchange
}

/// Travels in pieces that do not take a test minutes.
fn bounded(mut plan: Plan) -> Plan {
    plan.exchanges = plan.exchanges.into_iter().map(feasible).collect();
    for (pieces, side) in [(&mut plan.there, Side::Client), (&mut plan.back, Side::Server)] {
        let total: u64 = plan.exchanges.iter().map(|exchange| exchange.message(side).length() + 2_000).sum();
        let least = u32::try_from(total / PIECES).expect("a few megabytes");
        pieces.largest = pieces.largest.max(least);
        pieces.room = pieces.room.max(least);
    }
    plan
}
