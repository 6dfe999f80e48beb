//! CDS for Envoy: one cluster a service port.

use std::time::Duration;

use byrnie_identity::Account;
use byrnie_model::{Protocol, Service, ServiceEndpoints, ServicePort, World, policy::TrafficPolicy};
use byrnie_proto::{
    Kind,
    envoy::{
        envoy::{
            config::{
                cluster::v3::{
                    CircuitBreakers, Cluster, UpstreamConnectionOptions,
                    circuit_breakers::{Thresholds, thresholds},
                    cluster::{
                        ClusterDiscoveryType, CommonLbConfig, DiscoveryType, EdsClusterConfig, TransportSocketMatch,
                    },
                },
                core::v3::{Http1ProtocolOptions, Http2ProtocolOptions, TransportSocket, transport_socket::ConfigType},
            },
            extensions::{
                transport_sockets::raw_buffer::v3::RawBuffer,
                upstreams::http::v3::{
                    HttpProtocolOptions,
                    http_protocol_options::{
                        AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
                        explicit_http_config::ProtocolConfig,
                    },
                },
            },
        },
        google::protobuf::Struct,
    },
};

use super::{balancer, endpoints::ACCOUNT_KEY, health, pack, tls};
use crate::{Reference, Resource, names};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Envoy's own figure, which it applies only where a budget is written down.
const BUDGET_PERCENT: u8 = 20;
/// Envoy's own is 3. A sidecar has few requests at once, and a retry waits some 12 ms first: four callers of two endpoints,
/// one of which does not listen yet, lost every tenth request to that. What is tried again by default was never
/// delivered.
const BUDGET_MINIMUM: u32 = 64;
/// Envoy's own. Health is ignored where fewer endpoints are available than this share, and than 5 of 7 (the default
/// overprovisioning factor of 140).
const PANIC_PERCENT: u8 = 50;

/// What a cluster depends on of its endpoints: who they prove to be. Another endpoint of a known account changes
/// nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    accounts: Vec<Account>,
    outside: bool,
}

/// How requests reach the endpoints of a port (WIRE: `port is | cluster | offered`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    /// HTTP, the version agreed by ALPN. Only where every endpoint is in the mesh: Envoy refuses it beside plain text.
    Agreed,
    /// HTTP of the declared version.
    Declared,
    /// HTTP of the version that the caller speaks, or bytes.
    AsCalled,
    /// Bytes.
    Opaque,
}

/// The cluster of `port`.
pub fn of_port(world: &World, service: &Service, port: &ServicePort) -> Resource {
    let name = names::cluster(&service.name, port.number);
    let policy = world.traffic_policy(&service.name).map(AsRef::as_ref);
    let peers = Peers::of(world.endpoints(&service.name).map(AsRef::as_ref), port.number);
    let speech = Speech::of(port.protocol, &peers);
    let mut cluster = shared(&name, policy);
    balancer::set(&mut cluster, policy);
    cluster.ignore_health_on_host_removal = true;
    cluster.health_checks = policy
        .and_then(|policy| policy.health_check.as_ref())
        .filter(|check| health::can_answer(check, port))
        .map(|check| health::check(check, world.mesh(), service, port))
        .into_iter()
        .collect();
    cluster.common_lb_config = Some(common_lb(policy, !cluster.health_checks.is_empty()));
    if let Some(options) = speech.options(port.protocol) {
        cluster.typed_extension_protocol_options = pack::single(HTTP_OPTIONS, pack::any(&options));
    }
    let server_name = names::server_name(&service.name, port.number, world.mesh());
    let secured = |account: &Account| tls::upstream(world.mesh(), account, &server_name, speech.offers(port.protocol));
    set_sockets(&mut cluster, &peers, secured);
    let endpoints = Reference { kind: Kind::Endpoints, name: name.as_str().into() };
    Resource::new(Kind::Cluster, name, &cluster).referring([endpoints]).from_origins(origins(service, policy))
}

/// The objects behind a cluster.
pub fn origins(
    service: &Service,
    policy: Option<&TrafficPolicy>,
) -> impl Iterator<Item = byrnie_model::Origin> + use<> {
    let policy = policy.map(|policy| policy.origin.clone());
    std::iter::once(service.origin.clone()).chain(policy)
}

/// What Envoy and gRPC read alike: endpoints by EDS on the same stream, limits, ejection.
pub fn shared(name: &str, policy: Option<&TrafficPolicy>) -> Cluster {
    let connect_timeout = policy.and_then(|policy| policy.connect_timeout).unwrap_or(CONNECT_TIMEOUT);
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig { eds_config: Some(pack::ads()), service_name: name.to_owned() }),
        connect_timeout: Some(pack::duration(connect_timeout)),
        circuit_breakers: Some(CircuitBreakers { thresholds: vec![thresholds(policy)], ..Default::default() }),
        outlier_detection: policy.and_then(|policy| policy.outlier.as_ref()).map(health::outlier),
        upstream_connection_options: Some(UpstreamConnectionOptions {
            tcp_keepalive: pack::keepalive(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// No limit where none is set (Envoy's default is 1,024 of each). Retries are limited by a share of what is active,
/// or by a number where only that is set.
fn thresholds(policy: Option<&TrafficPolicy>) -> Thresholds {
    let limits = policy.map(|policy| policy.limits).unwrap_or_default();
    let budget = policy.and_then(|policy| policy.retry_budget);
    let limit = |limit: Option<u32>| pack::number(limit.unwrap_or(u32::MAX));
    let retry_budget = (limits.retries.is_none() || budget.is_some()).then(|| thresholds::RetryBudget {
        budget_percent: pack::percent(budget.map_or(BUDGET_PERCENT, |budget| budget.percent)),
        min_retry_concurrency: pack::number(budget.map_or(BUDGET_MINIMUM, |budget| budget.minimum)),
        ..Default::default()
    });
    Thresholds {
        max_connections: limit(limits.connections),
        max_pending_requests: limit(limits.pending),
        max_requests: limit(limits.requests),
        // Read only where there is no budget.
        max_retries: limits.retries.filter(|_| retry_budget.is_none()).and_then(pack::number),
        retry_budget,
        ..Default::default()
    }
}

/// Draining endpoints, and those that no check has seen yet, count neither way: a service that scales from five to one
/// does not panic (Envoy 1.40). But a panic calls them all. Where nothing judges health it could add none but the
/// draining ones, and is switched off; where the policy judges, Envoy's half holds.
fn common_lb(policy: Option<&TrafficPolicy>, checked: bool) -> CommonLbConfig {
    let judged = checked || policy.is_some_and(|policy| policy.outlier.is_some());
    let panic = policy.and_then(|policy| policy.panic_threshold).unwrap_or(if judged { PANIC_PERCENT } else { 0 });
    CommonLbConfig {
        healthy_panic_threshold: pack::percent(panic),
        ignore_new_hosts_until_first_hc: checked,
        ..Default::default()
    }
}

/// One socket an account, then plain text for endpoints outside. Where there is none outside, an endpoint that matches
/// no account is not called in plain text either: it fails the check of its name. A single account needs no match, and
/// so most clusters carry one TLS context instead of two.
fn set_sockets(cluster: &mut Cluster, peers: &Peers, secured: impl Fn(&Account) -> TransportSocket) {
    let matching = |account: &Account| TransportSocketMatch {
        name: account.to_string(),
        r#match: Some(pack::text_struct(ACCOUNT_KEY, account.to_string())),
        transport_socket: Some(secured(account)),
    };
    match (&*peers.accounts, peers.outside) {
        ([], _) => {}
        ([only], false) => cluster.transport_socket = Some(secured(only)),
        ([first, ..], false) => {
            cluster.transport_socket_matches = peers.accounts.iter().map(matching).collect();
            cluster.transport_socket = Some(secured(first));
        }
        (accounts, true) => {
            let plain = TransportSocketMatch {
                name: "plain-text".to_owned(),
                r#match: Some(Struct::default()),
                transport_socket: Some(plain_text()),
            };
            cluster.transport_socket_matches = accounts.iter().map(matching).chain([plain]).collect();
        }
    }
}

fn plain_text() -> TransportSocket {
    let config = pack::any(&RawBuffer {});
    TransportSocket {
        name: "envoy.transport_sockets.raw_buffer".to_owned(),
        config_type: Some(ConfigType::TypedConfig(config)),
    }
}

impl Peers {
    /// Those behind a port.
    pub fn of(endpoints: Option<&ServiceEndpoints>, port: u16) -> Self {
        let accounts = endpoints.map(|known| known.accounts(port).into_iter().cloned().collect()).unwrap_or_default();
        Self { accounts, outside: endpoints.is_some_and(|known| known.any_outside(port)) }
    }

    fn all_in_mesh(&self) -> bool {
        !self.outside && !self.accounts.is_empty()
    }
}

impl Speech {
    fn of(protocol: Protocol, peers: &Peers) -> Self {
        match protocol {
            Protocol::Http1 | Protocol::Http2 | Protocol::Grpc if peers.all_in_mesh() => Self::Agreed,
            Protocol::Http1 | Protocol::Http2 | Protocol::Grpc => Self::Declared,
            Protocol::Undeclared => Self::AsCalled,
            Protocol::Tcp | Protocol::Tls => Self::Opaque,
        }
    }

    /// What is offered by ALPN. An undeclared port's chains say by filter state what they have detected; what stands here
    /// is for requests that a route brings from a declared port: the peer's sidecar then looks at the bytes itself.
    fn offers(self, protocol: Protocol) -> &'static [&'static str] {
        match self {
            Self::Agreed => &[names::ALPN_HTTP, "h2", "http/1.1"],
            Self::Declared if protocol.is_http2() => &[names::ALPN_HTTP, "h2"],
            Self::Declared => &[names::ALPN_HTTP, "http/1.1"],
            Self::AsCalled => &[names::ALPN_HTTP],
            Self::Opaque => &[names::ALPN_TCP],
        }
    }

    fn options(self, protocol: Protocol) -> Option<HttpProtocolOptions> {
        let specific = match self {
            Self::Agreed => UpstreamProtocolOptions::AutoConfig(AutoHttpConfig {
                http_protocol_options: Some(http1()),
                http2_protocol_options: Some(http2()),
                ..Default::default()
            }),
            Self::Declared => UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
                protocol_config: Some(if protocol.is_http2() {
                    ProtocolConfig::Http2ProtocolOptions(http2())
                } else {
                    ProtocolConfig::HttpProtocolOptions(http1())
                }),
            }),
            Self::AsCalled => UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
                http_protocol_options: Some(http1()),
                http2_protocol_options: Some(http2()),
                ..Default::default()
            }),
            Self::Opaque => return None,
        };
        Some(HttpProtocolOptions { upstream_protocol_options: Some(specific), ..Default::default() })
    }
}

/// Trailers pass, as they would without a proxy.
fn http1() -> Http1ProtocolOptions {
    Http1ProtocolOptions { enable_trailers: true, ..Default::default() }
}

/// Extended CONNECT carries WebSocket over HTTP/2 (RFC 8441).
fn http2() -> Http2ProtocolOptions {
    Http2ProtocolOptions { allow_connect: true, ..Default::default() }
}
