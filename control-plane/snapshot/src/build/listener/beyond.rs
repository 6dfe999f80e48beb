//! The clusters that listeners bring with them: the application behind an inbound listener, and whatever was called
//! by its own address.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use byrnie_model::Protocol;
use byrnie_proto::envoy::envoy::{
    config::{
        cluster::v3::{
            CircuitBreakers, Cluster, UpstreamConnectionOptions,
            circuit_breakers::Thresholds,
            cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy},
        },
        core::v3::{BindConfig, ExtraSourceAddress, Http1ProtocolOptions, Http2ProtocolOptions, TransportSocket},
        endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier},
    },
    extensions::upstreams::http::v3::{
        HttpProtocolOptions,
        http_protocol_options::{
            AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
            explicit_http_config::ProtocolConfig,
        },
    },
};

use super::part::{address, socket_address};
use crate::build::pack::{any, duration, keepalive, number, single};

/// The redirect rules leave connections from here alone, so that they reach the application.
const INBOUND_SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6));
const INBOUND_SOURCE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6));

/// As long as Linux takes for four SYNs: a full backlog of the application is waited for as it is without a sidecar.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// How requests are written to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// As they came.
    AsRead,
    /// By the ALPN protocol that the server selects.
    ByAlpn,
}

impl Speech {
    /// What an application expects that declared `protocol`.
    pub fn to_application(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1,
            Protocol::Http2 | Protocol::Grpc => Self::Http2,
            Protocol::Tcp | Protocol::Tls | Protocol::Undeclared => Self::AsRead,
        }
    }

    fn options(self) -> HttpProtocolOptions {
        let http1 = Http1ProtocolOptions { enable_trailers: true, ..Default::default() };
        let http2 = Http2ProtocolOptions { allow_connect: true, ..Default::default() };
        let explicit = |protocol| {
            UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(protocol) })
        };
        let options = match self {
            Self::Http1 => explicit(ProtocolConfig::HttpProtocolOptions(http1)),
            Self::Http2 => explicit(ProtocolConfig::Http2ProtocolOptions(http2)),
            Self::AsRead => UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
                http_protocol_options: Some(http1),
                http2_protocol_options: Some(http2),
                ..Default::default()
            }),
            Self::ByAlpn => UpstreamProtocolOptions::AutoConfig(AutoHttpConfig {
                http_protocol_options: Some(http1),
                http2_protocol_options: Some(http2),
                ..Default::default()
            }),
        };
        HttpProtocolOptions { upstream_protocol_options: Some(options), ..Default::default() }
    }
}

/// The application at one address.
pub fn application(name: &str, stat: &str, at: SocketAddr, speech: Speech) -> Cluster {
    let endpoint = LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint { address: address(at), ..Default::default() })),
        ..Default::default()
    };
    let assignment = ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: vec![LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() }],
        ..Default::default()
    };
    Cluster {
        alt_stat_name: stat.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        load_assignment: Some(assignment),
        ..unlimited(name, speech)
    }
}

/// Whatever address the connection was for.
pub fn original_destination(name: &str, speech: Speech) -> Cluster {
    Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())),
        lb_policy: LbPolicy::ClusterProvided.into(),
        upstream_connection_options: watched(),
        ..unlimited(name, speech)
    }
}

/// One pod's sidecar, which is on another host as a rule.
pub fn pod(name: &str, stat: &str, at: SocketAddr, speech: Speech) -> Cluster {
    Cluster { upstream_connection_options: watched(), ..application(name, stat, at, speech) }
}

/// The same, called from where redirected pods tell the sidecar's own connections by.
pub fn from_sidecar(cluster: Cluster) -> Cluster {
    let extra = ExtraSourceAddress {
        address: Some(socket_address(SocketAddr::new(INBOUND_SOURCE_V6, 0))),
        ..Default::default()
    };
    let bind = BindConfig {
        source_address: Some(socket_address(SocketAddr::new(INBOUND_SOURCE, 0))),
        extra_source_addresses: vec![extra],
        ..Default::default()
    };
    Cluster { upstream_bind_config: Some(bind), ..cluster }
}

/// The same over mesh TLS.
pub fn secured(cluster: Cluster, socket: Option<TransportSocket>) -> Cluster {
    Cluster { transport_socket: socket, ..cluster }
}

fn watched() -> Option<UpstreamConnectionOptions> {
    Some(UpstreamConnectionOptions { tcp_keepalive: keepalive(), ..Default::default() })
}

fn unlimited(name: &str, speech: Speech) -> Cluster {
    let most = number(u32::MAX);
    let thresholds = Thresholds {
        max_connections: most,
        max_pending_requests: most,
        max_requests: most,
        max_retries: most,
        ..Default::default()
    };
    Cluster {
        name: name.to_owned(),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        circuit_breakers: Some(CircuitBreakers { thresholds: vec![thresholds], ..Default::default() }),
        typed_extension_protocol_options: single(HTTP_OPTIONS, any(&speech.options())),
        ..Default::default()
    }
}
