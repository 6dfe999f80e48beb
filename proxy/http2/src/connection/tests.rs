//! Whole connections in memory: a client and a server that are given each other's output.

use super::*;
use crate::event::{Cause, Event};
use crate::head::RequestHead;
use crate::hpack::Fields;

mod exchanges;
mod flow;
mod frames;
mod goaway;
mod limits;
mod memory;
mod states;

/// Moves all output of `from` into `to`, and returns what `to` made of it, in words.
fn pass(from: &mut Connection, to: &mut Connection) -> Vec<String> {
    let octets = from.output().to_vec();
    from.wrote(octets.len());
    feed(to, &octets)
}

/// What `to` makes of `octets`, in words; panics if something is left.
fn feed(to: &mut Connection, octets: &[u8]) -> Vec<String> {
    let mut input = octets;
    let mut fields = Fields::new();
    let mut words = Vec::new();
    loop {
        match to.receive(&mut input, &mut fields) {
            Ok(Some(event)) => words.push(describe(&event)),
            Ok(None) => break,
            Err(error) => {
                words.push(format!("failed: {error}"));
                return words;
            }
        }
    }
    assert!(input.is_empty(), "left: {input:?}");
    words
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn describe(event: &Event<'_, '_>) -> String {
    let end = |end: &bool| if *end { " end" } else { "" };
    match event {
        Event::Request { head, end: last, .. } => {
            let path = text(head.path().unwrap_or(b"-"));
            let fields: String =
                head.fields().map(|field| format!(" {}={}", text(field.name), text(field.value))).collect();
            format!("request {} {path}{fields}{}", text(head.method()), end(last))
        }
        Event::Response { head, end: last, .. } => format!("response {}{}", head.status(), end(last)),
        Event::Interim { head, .. } => format!("interim {}", head.status()),
        Event::Data { bytes, end: last, .. } => format!("data {}{}", bytes.len(), end(last)),
        Event::Trailers { fields, .. } => {
            let fields: String =
                fields.iter().map(|field| format!(" {}={}", text(field.name), text(field.value))).collect();
            format!("trailers{fields}")
        }
        Event::Reset { code, cause: Cause::Violation(violation), .. } => format!("reset {code}: {violation}"),
        Event::Reset { code, cause, .. } => format!("reset {code} by {cause:?}"),
        Event::GoAway { last, code, .. } => format!("goaway {last} {code}"),
        Event::Pong(_) => "pong".to_owned(),
        Event::Settings => "settings".to_owned(),
    }
}

/// A client and a server that know each other's SETTINGS.
fn pair(config: Config) -> (Connection, Connection) {
    let (mut client, mut server) = (Connection::client(config), Connection::server(config));
    assert_eq!(pass(&mut client, &mut server), ["settings"]);
    assert_eq!(pass(&mut server, &mut client), ["settings"]);
    assert_eq!(pass(&mut client, &mut server), [""; 0]);
    assert!(!client.awaits_settings_ack() && !server.awaits_settings_ack());
    (client, server)
}

fn get(path: &[u8]) -> RequestHead<'_> {
    RequestHead {
        method: b"GET",
        scheme: Some(b"http"),
        authority: Some(b"cart.shop"),
        path: Some(path),
        protocol: None,
    }
}

/// The key of the newest stream.
fn newest(connection: &Connection) -> Key {
    connection.streams.last().expect("a stream is open").1
}

/// One frame, written by hand so that it may be wrong.
fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut octets = vec![length[1], length[2], length[3], kind, flags];
    octets.extend_from_slice(&stream.to_be_bytes());
    octets.extend_from_slice(payload);
    octets
}

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

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const WITH_PRIORITY: u8 = 0x20;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

type Pairs<'a> = [(&'a [u8], &'a [u8])];

/// A header block of literals.
fn block(fields: &Pairs<'_>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        hpack::Encoder::PLAIN.field(&mut block, name, value);
    }
    block
}

const GET: &Pairs<'static> = &[(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"shop")];

/// HEADERS with a request, and END_STREAM if `end`.
fn request(id: u32, end: bool) -> Vec<u8> {
    request_with(id, end, &[])
}

fn request_with(id: u32, end: bool, fields: &Pairs<'_>) -> Vec<u8> {
    framed(HEADERS, END_HEADERS | u8::from(end), id, &block(&[GET, fields].concat()))
}

/// HEADERS with a response, and END_STREAM if `end`.
fn response(id: u32, status: &[u8], end: bool) -> Vec<u8> {
    framed(HEADERS, END_HEADERS | u8::from(end), id, &block(&[(b":status", status)]))
}

fn data(id: u32, content: &[u8], end: bool) -> Vec<u8> {
    framed(DATA, u8::from(end), id, content)
}

fn rst_stream(id: u32, code: ErrorCode) -> Vec<u8> {
    framed(RST_STREAM, 0, id, &code.0.to_be_bytes())
}

fn window_update(id: u32, increment: u32) -> Vec<u8> {
    framed(WINDOW_UPDATE, 0, id, &increment.to_be_bytes())
}

fn goaway(last: u32, code: ErrorCode) -> Vec<u8> {
    framed(GOAWAY, 0, 0, &[last.to_be_bytes(), code.0.to_be_bytes()].concat())
}

fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        settings.iter().flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes())).collect();
    framed(SETTINGS, 0, 0, &payload)
}

/// A server whose client is written by hand; the exchange of SETTINGS is over and written.
fn server(config: Config) -> Connection {
    let mut server = Connection::server(config);
    let octets = [PREFACE, &settings(&[]), &framed(SETTINGS, ACK, 0, &[])].concat();
    assert_eq!(feed(&mut server, &octets), ["settings"]);
    sent(&mut server);
    server
}

/// A client whose server is written by hand; the exchange of SETTINGS is over and written.
fn client(config: Config) -> Connection {
    let mut client = Connection::client(config);
    let octets = [settings(&[]), framed(SETTINGS, ACK, 0, &[])].concat();
    assert_eq!(feed(&mut client, &octets), ["settings"]);
    sent(&mut client);
    client
}

/// Takes the output as the frames in it, in words.
fn sent(connection: &mut Connection) -> Vec<String> {
    let octets = connection.output().to_vec();
    connection.wrote(octets.len());
    frames(&octets).iter().map(Frame::words).collect()
}

/// A frame as it was written.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// Cuts what an end wrote into frames; the preface is left out.
fn frames(octets: &[u8]) -> Vec<Frame> {
    let mut octets = octets.strip_prefix(PREFACE).unwrap_or(octets);
    let mut frames = Vec::new();
    while let Some((header, rest)) = octets.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
        let (payload, rest) = rest.split_at(length);
        frames.push(Frame { kind: header[3], flags: header[4], stream, payload: payload.to_vec() });
        octets = rest;
    }
    assert!(octets.is_empty(), "a frame that is not whole: {octets:?}");
    frames
}

impl Frame {
    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    fn words(&self) -> String {
        let Self { kind, flags, stream, payload } = self;
        let end = if flags & END_STREAM > 0 { " end" } else { "" };
        match *kind {
            DATA => format!("DATA {stream} {}{end}", payload.len()),
            HEADERS => format!("HEADERS {stream}{end}"),
            RST_STREAM => format!("RST_STREAM {stream} {}", ErrorCode(self.number(0))),
            SETTINGS if flags & ACK > 0 => "SETTINGS ack".to_owned(),
            SETTINGS => "SETTINGS".to_owned(),
            PING if flags & ACK > 0 => "PING ack".to_owned(),
            PING => "PING".to_owned(),
            GOAWAY => format!("GOAWAY {} {}", self.number(0), ErrorCode(self.number(4))),
            WINDOW_UPDATE => format!("WINDOW_UPDATE {stream} {}", self.number(0)),
            CONTINUATION => format!("CONTINUATION {stream}"),
            other => format!("frame {other:#x} on {stream}"),
        }
    }
}

/// Whether the last of `words` is that the connection failed with this code.
fn failed_with(words: &[String], code: ErrorCode) -> bool {
    words.last().is_some_and(|last| last.starts_with("failed: ") && last.contains(&format!("({code}, ")))
}
