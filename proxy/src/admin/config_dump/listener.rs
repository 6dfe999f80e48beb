//! `Listener`.

use byrnie_config::{
    Chain, ChainMatch, ClientCertificate, Direction, DownstreamTls, Filter, Http, Listener, PeerName, Routes, Tcp,
    Transport, Version,
};
use serde_json::{Value, json};

use super::{duration, limit, route, socket_address, texts, without_nulls};

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.network.";
const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.";

/// One listener.
pub fn json(listener: &Listener) -> Value {
    let mut addresses = listener.addresses.iter().copied().map(socket_address);
    let first = addresses.next();
    let more: Vec<_> = addresses.map(|address| json!({ "address": address })).collect();
    without_nulls(json!({
        "name": *listener.name,
        "traffic_direction": match listener.direction {
            Direction::Inbound => "INBOUND",
            Direction::Outbound => "OUTBOUND",
        },
        "address": first,
        "additional_addresses": Some(more).filter(|more| !more.is_empty()),
        "bind_to_port": listener.bind,
        "use_original_dst": listener.hands_over.then_some(true),
        "listener_filters": filters(listener),
        "listener_filters_timeout": listener.inspect.timeout.map(duration),
        "continue_on_listener_filters_timeout": listener.inspect.goes_on.then_some(true),
        "filter_chains": listener.chains.iter().map(chain).collect::<Vec<_>>(),
        "default_filter_chain": listener.default.as_ref().map(chain),
    }))
}

fn filters(listener: &Listener) -> Vec<Value> {
    let inspect = listener.inspect;
    let all = [
        (inspect.original_destination, "original_dst"),
        (inspect.tls, "tls_inspector"),
        (inspect.http, "http_inspector"),
    ];
    let used = all.into_iter().filter(|(used, _)| *used);
    used.map(|(_, name)| json!({ "name": format!("envoy.filters.listener.{name}") })).collect()
}

fn chain(chain: &Chain) -> Value {
    without_nulls(json!({
        "name": *chain.name,
        "filter_chain_match": matches(&chain.matches),
        "transport_socket": chain.tls.as_deref().map(tls),
        "filters": [filter(&chain.filter)],
    }))
}

fn matches(matches: &ChainMatch) -> Value {
    let list = |list: &[Box<str>]| Some(json!(list)).filter(|_| !list.is_empty());
    without_nulls(json!({
        "destination_port": matches.port,
        "server_names": list(&matches.server_names),
        "transport_protocol": matches.transport.map(|transport| match transport {
            Transport::Plain => "raw_buffer",
            Transport::Tls => "tls",
        }),
        "application_protocols": list(&matches.applications),
    }))
}

fn tls(context: &DownstreamTls) -> Value {
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": format!("{TLS}DownstreamTlsContext"),
        "require_client_certificate": true,
        "common_tls_context": common_tls(&context.alpn, &context.peers),
    } })
}

/// `CommonTlsContext`, with the secrets by name.
pub fn common_tls(alpn: &[Box<[u8]>], peers: &[PeerName]) -> Value {
    let peer = |peer: &PeerName| {
        let matcher = match peer {
            PeerName::Exact(uri) => json!({ "exact": uri }),
            PeerName::Prefix(uri) => json!({ "prefix": uri }),
        };
        json!({ "san_type": "URI", "matcher": matcher })
    };
    json!({
        "alpn_protocols": texts(alpn),
        "tls_certificate_sds_secret_configs": [{ "name": "workload" }],
        "combined_validation_context": {
            "default_validation_context": {
                "match_typed_subject_alt_names": peers.iter().map(peer).collect::<Vec<_>>(),
            },
            "validation_context_sds_secret_config": { "name": "trust" },
        },
    })
}

fn filter(filter: &Filter) -> Value {
    let (name, config) = match filter {
        Filter::Http(http) => ("envoy.filters.network.http_connection_manager", manager(http)),
        Filter::Tcp(tcp) => ("envoy.filters.network.tcp_proxy", proxy(tcp)),
        Filter::Close => {
            ("envoy.filters.network.direct_response", json!({ "@type": format!("{FILTERS}direct_response.v3.Config") }))
        }
    };
    json!({ "name": name, "typed_config": config })
}

fn manager(http: &Http) -> Value {
    let (field, routes) = match &http.routes {
        Routes::Named(name) => ("rds", json!({ "config_source": { "ads": {} }, "route_config_name": **name })),
        Routes::Inline(table) => ("route_config", route::json(table)),
    };
    without_nulls(json!({
        "@type": format!("{FILTERS}http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": *http.stat,
        field: routes,
        "codec_type": http.only.map(|version| match version {
            Version::Http1 => "HTTP1",
            Version::Http2 => "HTTP2",
        }),
        "forward_client_cert_details": match http.client_certificate {
            ClientCertificate::Remove => "SANITIZE",
            ClientCertificate::Replace => "SANITIZE_SET",
        },
        "upgrade_configs": http.upgrades.iter().map(|kind| json!({ "upgrade_type": kind })).collect::<Vec<_>>(),
        "common_http_protocol_options": { "idle_timeout": limit(http.idle_timeout) },
        "stream_idle_timeout": limit(http.stream_idle_timeout),
        "http_filters": [{ "name": "envoy.filters.http.router" }],
    }))
}

fn proxy(tcp: &Tcp) -> Value {
    let mut config = json!({
        "@type": format!("{FILTERS}tcp_proxy.v3.TcpProxy"),
        "stat_prefix": *tcp.stat,
        "idle_timeout": limit(tcp.idle_timeout),
        "max_connect_attempts": tcp.connect_attempts,
    });
    match &*tcp.clusters {
        [(only, _)] => config["cluster"] = (**only).into(),
        several => {
            let weighted = several.iter().map(|(name, weight)| json!({ "name": **name, "weight": weight }));
            config["weighted_clusters"] = json!({ "clusters": weighted.collect::<Vec<_>>() });
        }
    }
    config
}
