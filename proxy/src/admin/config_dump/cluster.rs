//! `Cluster`.

use byrnie_balance::{Ejection, Limits, Policy, Reported, Retries};
use byrnie_config::{Cluster, Discovery, Endpoint, HealthCheck, HttpProbe, Probe, Protocol, UpstreamTls, Version};
use serde_json::{Value, json};

use super::{duration, endpoints, limit, listener::common_tls, socket_address, without_nulls};

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const SOCKET_MATCH: &str = "envoy.transport_socket_match";

/// One cluster. What is Envoy's default is left out where Envoy's own dump does.
pub fn json(cluster: &Cluster) -> Value {
    let (service, assignment) = match &cluster.discovery {
        Discovery::Eds(name) => (Some(name), None),
        Discovery::Static(list) => (None, Some(endpoints(list))),
        Discovery::OriginalDestination => (None, None),
    };
    let (matches, socket) = sockets(cluster);
    without_nulls(json!({
        "name": *cluster.name,
        "alt_stat_name": Some(&*cluster.stat).filter(|stat| *stat != &*cluster.name),
        "type": match cluster.discovery {
            Discovery::Eds(_) => "EDS",
            Discovery::Static(_) => "STATIC",
            Discovery::OriginalDestination => "ORIGINAL_DST",
        },
        "eds_cluster_config": service.map(|name| json!({ "eds_config": { "ads": {} }, "service_name": **name })),
        "load_assignment": assignment,
        "connect_timeout": duration(cluster.connect_timeout),
        "lb_policy": policy(cluster),
        "least_request_lb_config": match cluster.balancer {
            Policy::LeastRequest { choices } => Some(json!({ "choice_count": choices })),
            Policy::RoundRobin | Policy::Random => None,
        },
        "common_lb_config": { "healthy_panic_threshold": { "value": cluster.panic_threshold } },
        "circuit_breakers": { "thresholds": [thresholds(&cluster.limits)] },
        "outlier_detection": cluster.ejection.as_ref().map(ejection),
        "health_checks": cluster.health_check.as_ref().map(|check| json!([health_check(check)])),
        "typed_extension_protocol_options": { OPTIONS: protocol(cluster) },
        "transport_socket_matches": Some(matches).filter(|matches| !matches.is_empty()),
        "transport_socket": socket,
    }))
}

/// `LbEndpoint`.
pub fn endpoint(endpoint: &Endpoint) -> Value {
    let account = endpoint.account.as_ref();
    without_nulls(json!({
        "endpoint": { "address": socket_address(endpoint.address) },
        "health_status": match endpoint.reported {
            Reported::Healthy => "HEALTHY",
            Reported::Degraded => "DEGRADED",
            Reported::Draining => "DRAINING",
            Reported::Unhealthy => "UNHEALTHY",
        },
        "load_balancing_weight": endpoint.weight,
        "metadata": account.map(|account| json!({ "filter_metadata": { SOCKET_MATCH: { "sa": **account } } })),
    }))
}

/// Round robin is Envoy's default, which a dump leaves out.
fn policy(cluster: &Cluster) -> Option<&'static str> {
    if cluster.discovery == Discovery::OriginalDestination {
        return Some("CLUSTER_PROVIDED");
    }
    match cluster.balancer {
        Policy::RoundRobin => None,
        Policy::Random => Some("RANDOM"),
        Policy::LeastRequest { .. } => Some("LEAST_REQUEST"),
    }
}

fn thresholds(limits: &Limits) -> Value {
    let (number, budget) = match limits.retries {
        Retries::Number(number) => (Some(number), None),
        Retries::Budget { percent, minimum } => {
            (None, Some(json!({ "budget_percent": { "value": percent }, "min_retry_concurrency": minimum })))
        }
    };
    without_nulls(json!({
        "max_connections": limits.connections,
        "max_pending_requests": limits.pending,
        "max_requests": limits.requests,
        "max_retries": number,
        "retry_budget": budget,
    }))
}

fn ejection(ejection: &Ejection) -> Value {
    let share = ejection.failure_share.as_ref();
    without_nulls(json!({
        "consecutive_5xx": ejection.consecutive_errors,
        "enforcing_consecutive_5xx": ejection.consecutive_errors.is_none().then_some(0),
        "interval": duration(ejection.interval),
        "base_ejection_time": duration(ejection.base_time),
        "max_ejection_time": duration(ejection.max_time),
        "max_ejection_percent": ejection.max_percent,
        "always_eject_one_host": ejection.always_one.then_some(true),
        "enforcing_failure_percentage": share.map(|_| 100),
        "failure_percentage_threshold": share.map(|share| share.percent),
        "failure_percentage_minimum_hosts": share.map(|share| share.minimum_hosts),
        "failure_percentage_request_volume": share.map(|share| share.request_volume),
    }))
}

fn health_check(check: &HealthCheck) -> Value {
    let (field, probe) = match &check.probe {
        Probe::Http(probe) => ("http_health_check", http_probe(probe)),
        Probe::Grpc { service, authority } => {
            ("grpc_health_check", json!({ "service_name": service, "authority": authority }))
        }
        Probe::Tcp => ("tcp_health_check", json!({})),
    };
    json!({
        "timeout": duration(check.timeout),
        "interval": duration(check.pace.interval),
        "healthy_threshold": check.pace.healthy_threshold,
        "unhealthy_threshold": check.pace.unhealthy_threshold,
        "no_traffic_interval": duration(check.pace.no_traffic_interval),
        "reuse_connection": check.reuses_connection,
        field: probe,
    })
}

fn http_probe(probe: &HttpProbe) -> Value {
    let ranges = |ranges: &[(u16, u16)]| -> Vec<Value> {
        // A 64-bit number is text in the JSON of protobuf.
        let range = |(from, to): &(u16, u16)| json!({ "start": from.to_string(), "end": to.to_string() });
        ranges.iter().map(range).collect()
    };
    without_nulls(json!({
        "host": probe.host,
        "path": probe.path,
        "expected_statuses": ranges(&probe.expected),
        "retriable_statuses": Some(ranges(&probe.retriable)).filter(|ranges| !ranges.is_empty()),
        "codec_client_type": (probe.version == Version::Http2).then_some("HTTP2"),
    }))
}

fn protocol(cluster: &Cluster) -> Value {
    let (field, config) = match cluster.protocol {
        Protocol::Explicit(Version::Http1) => ("explicit_http_config", json!({ "http_protocol_options": {} })),
        Protocol::Explicit(Version::Http2) => ("explicit_http_config", json!({ "http2_protocol_options": {} })),
        Protocol::AsReceived => ("use_downstream_protocol_config", json!({ "http2_protocol_options": {} })),
        Protocol::ByAlpn => ("auto_config", json!({ "http2_protocol_options": {} })),
    };
    let common = json!({
        "idle_timeout": limit(cluster.idle_timeout),
        "max_requests_per_connection": cluster.max_requests,
    });
    json!({
        "@type": format!("type.googleapis.com/{OPTIONS}"),
        "common_http_protocol_options": without_nulls(common),
        field: config,
    })
}

/// `transport_socket_matches` and `transport_socket`.
fn sockets(cluster: &Cluster) -> (Vec<Value>, Option<Value>) {
    let each = cluster.sockets.matches.iter().map(|(account, tls)| {
        json!({
            "name": account,
            "match": account.as_ref().map_or_else(|| json!({}), |account| json!({ "sa": account })),
            "transport_socket": tls.as_deref().map_or_else(plain, upstream_tls),
        })
    });
    (each.collect(), cluster.sockets.otherwise.as_deref().map(upstream_tls))
}

fn plain() -> Value {
    json!({ "name": "envoy.transport_sockets.raw_buffer" })
}

fn upstream_tls(tls: &UpstreamTls) -> Value {
    let config = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": tls.server_name,
        "common_tls_context": common_tls(&tls.alpn, &tls.peers),
    });
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": without_nulls(config) })
}
