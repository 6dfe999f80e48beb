//! One object a line: what Envoy's line has and what the mesh knows besides, by the names that Istio's JSON log has
//! for it. What is not known is null.

use super::{Line, escape, known};
use crate::telemetry::facts::{Client, Closed, Connection, Failure, Request, Upstream};

pub fn request(line: &mut Line<'_>, request: &Request<'_>) {
    let head = request.head;
    begin(line);
    text(line, ",\"method\":", known(head.method()));
    text(line, ",\"path\":", known(head.path()));
    text(line, ",\"authority\":", known(head.authority()));
    text(line, ",\"protocol\":", Some(request.version.as_bytes()));
    line.put(",\"response_code\":");
    line.number(request.status.into());
    line.put(",\"grpc_status\":");
    match request.grpc_status {
        Some(status) => line.number(status.into()),
        None => line.put("null"),
    }
    counts(line, request.failure, request.received, request.sent);
    line.put(",\"upstream_service_time\":");
    match request.answered {
        Some(at) => line.milliseconds(at),
        None => line.put("null"),
    }
    for (key, name) in [
        (",\"x_forwarded_for\":", &b"x-forwarded-for"[..]),
        (",\"user_agent\":", b"user-agent"),
        (",\"request_id\":", b"x-request-id"),
    ] {
        text(line, key, head.fields().get(name));
    }
    text(line, ",\"route_name\":", request.route.map(str::as_bytes));
    ends(line, &request.client, request.cluster, request.upstream.as_ref());
    end(line, request.generation);
}

pub fn connection(line: &mut Line<'_>, connection: &Connection<'_>, closed: &Closed) {
    begin(line);
    text(line, ",\"protocol\":", Some(b"TCP"));
    counts(line, closed.failure, closed.received, closed.sent);
    ends(line, &connection.client, connection.cluster, connection.upstream.as_ref());
    end(line, closed.generation);
}

fn begin(line: &mut Line<'_>) {
    line.put("{\"start_time\":\"");
    line.start_time();
    line.put("\"");
}

fn counts(line: &mut Line<'_>, failure: Option<Failure>, received: u64, sent: u64) {
    text(line, ",\"response_flags\":", Some(Failure::flag_of(failure).as_bytes()));
    text(line, ",\"reason\":", failure.map(|failure| failure.text.as_bytes()));
    line.put(",\"bytes_received\":");
    line.number(received);
    line.put(",\"bytes_sent\":");
    line.number(sent);
    line.put(",\"duration\":");
    line.milliseconds(line.ended);
}

/// Who called, and who was called.
fn ends(line: &mut Line<'_>, client: &Client<'_>, cluster: Option<&str>, upstream: Option<&Upstream<'_>>) {
    let cluster = upstream.map(|upstream| &*upstream.cluster.name).or(cluster);
    text(line, ",\"listener\":", Some(client.listener.as_bytes()));
    line.put(",\"downstream_remote_address\":\"");
    line.plain(client.peer);
    line.put("\",\"downstream_local_address\":\"");
    line.plain(client.called);
    line.put("\"");
    text(line, ",\"source_principal\":", client.principal.map(str::as_bytes));
    text(line, ",\"upstream_cluster\":", cluster.map(str::as_bytes));
    match upstream {
        Some(upstream) => {
            line.put(",\"upstream_host\":\"");
            line.plain(upstream.address);
            line.put("\"");
        }
        None => line.put(",\"upstream_host\":null"),
    }
    text(line, ",\"destination_principal\":", upstream.and_then(Upstream::principal).map(str::as_bytes));
}

fn end(line: &mut Line<'_>, generation: u64) {
    line.put(",\"config_generation\":");
    line.number(generation);
    line.put("}\n");
}

fn text(line: &mut Line<'_>, key: &str, value: Option<&[u8]>) {
    line.put(key);
    match value {
        Some(value) => escape::json(line.out, value),
        None => line.put("null"),
    }
}
