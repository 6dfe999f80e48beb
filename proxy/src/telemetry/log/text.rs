//! Envoy's default line. What a peer wrote is escaped, which Envoy leaves to its parsers.

use super::{Line, escape, known};
use crate::telemetry::facts::{Closed, Connection, Failure, Request};

/// `[START] "METHOD PATH PROTOCOL" CODE FLAGS RECEIVED SENT DURATION UPSTREAM-TIME "FORWARDED-FOR" "AGENT" "ID"
/// "AUTHORITY" "UPSTREAM"`
pub fn request(line: &mut Line<'_>, request: &Request<'_>) {
    let head = request.head;
    begin(line);
    // Neither is known of what was no request.
    escape::text(line.out, known(head.method()).unwrap_or(b"-"));
    line.put(" ");
    escape::text(line.out, known(head.path()).unwrap_or(b"-"));
    line.put(" ");
    line.put(request.version);
    line.put("\" ");
    line.number(request.status.into());
    counts(line, request.failure, request.received, request.sent);
    match request.answered {
        Some(at) => line.milliseconds(at),
        None => line.put("-"),
    }
    for name in [&b"x-forwarded-for"[..], b"user-agent", b"x-request-id"] {
        quoted(line, head.fields().get(name));
    }
    quoted(line, known(head.authority()));
    upstream(line, request.upstream.map(|upstream| upstream.address));
}

/// The same with a `-` for everything that only requests have, as Envoy writes it.
pub fn connection(line: &mut Line<'_>, connection: &Connection<'_>, closed: &Closed) {
    begin(line);
    line.put("- - -\" 0");
    counts(line, closed.failure, closed.received, closed.sent);
    line.put("- \"-\" \"-\" \"-\" \"-\"");
    upstream(line, connection.upstream.map(|upstream| upstream.address));
}

fn begin(line: &mut Line<'_>) {
    line.put("[");
    line.start_time();
    line.put("] \"");
}

fn counts(line: &mut Line<'_>, failure: Option<Failure>, received: u64, sent: u64) {
    line.put(" ");
    line.put(Failure::flag_of(failure));
    for number in [received, sent] {
        line.put(" ");
        line.number(number);
    }
    line.put(" ");
    line.milliseconds(line.ended);
    line.put(" ");
}

fn quoted(line: &mut Line<'_>, value: Option<&[u8]>) {
    line.put(" \"");
    escape::text(line.out, value.unwrap_or(b"-"));
    line.put("\"");
}

fn upstream(line: &mut Line<'_>, address: Option<std::net::SocketAddr>) {
    line.put(" \"");
    match address {
        Some(address) => line.plain(address),
        None => line.put("-"),
    }
    line.put("\"\n");
}
