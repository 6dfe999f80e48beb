//! Whole connections in memory: a client and a server that are given each other's output.

use super::*;
use crate::event::{Cause, Event};
use crate::hpack::Fields;

mod exchanges;

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
