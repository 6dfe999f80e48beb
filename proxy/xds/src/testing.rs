//! Small resources as the control plane sends them, for tests.

use byrnie_proto::{
    Kind,
    envoy::{
        envoy::{
            config::{
                cluster::v3::{
                    Cluster,
                    cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig},
                },
                core::v3::{
                    Address, AggregatedConfigSource, ApiVersion, ConfigSource, Http1ProtocolOptions,
                    Http2ProtocolOptions, SocketAddress, TrafficDirection, address,
                    config_source::ConfigSourceSpecifier, socket_address::PortSpecifier,
                },
                endpoint::v3::{
                    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
                },
                listener::v3::{Filter, FilterChain, FilterChainMatch, Listener, filter},
                route::v3::{
                    Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route, route_action,
                    route_match::PathSpecifier,
                },
            },
            extensions::filters::{
                http::router::v3::Router,
                network::{
                    http_connection_manager::v3::{
                        HttpConnectionManager, HttpFilter, Rds,
                        http_connection_manager::{RouteSpecifier, ServerHeaderTransformation},
                        http_filter,
                    },
                    tcp_proxy::v3::{TcpProxy, tcp_proxy},
                },
            },
            service::discovery::v3::{DeltaDiscoveryRequest, Resource},
        },
        google::protobuf::{Any, BoolValue, Duration, UInt32Value},
    },
};
use prost::{Message, Name};

/// What a resource refers to.
pub type To<'a> = &'a [(Kind, &'a str)];

/// What no reader can read.
pub const GARBAGE: &[u8] = &[0xff];

/// A message on its way.
pub fn resource(kind: Kind, name: &str, version: &str, value: Vec<u8>) -> Resource {
    let any = Any { type_url: kind.type_url().to_owned(), value };
    Resource { name: name.to_owned(), version: version.to_owned(), resource: Some(any), ..Resource::default() }
}

/// The body of a resource that refers to the names in `to`: of routes and clusters for a listener, of clusters for a
/// route, of endpoints for a cluster (one at most).
pub fn body(kind: Kind, name: &str, to: To<'_>) -> Vec<u8> {
    match kind {
        Kind::Listener => listener(name, to),
        Kind::Route => route(name, to),
        Kind::Cluster => cluster(name, to),
        Kind::Endpoints => endpoints(name),
        Kind::Secret => Vec::new(),
    }
}

fn listener(name: &str, to: To<'_>) -> Vec<u8> {
    let chain = |(at, (kind, to)): (usize, &(Kind, &str))| {
        let port = UInt32Value { value: u32::try_from(at).unwrap() + 1 };
        let filter = if *kind == Kind::Route { http(to) } else { tcp(to) };
        FilterChain {
            name: at.to_string(),
            filter_chain_match: Some(FilterChainMatch { destination_port: Some(port), ..Default::default() }),
            filters: vec![filter],
            ..Default::default()
        }
    };
    Listener {
        name: name.to_owned(),
        address: Some(address(80)),
        bind_to_port: Some(BoolValue { value: false }),
        traffic_direction: TrafficDirection::Outbound.into(),
        filter_chains: to.iter().enumerate().map(chain).collect(),
        default_filter_chain: to.is_empty().then(|| FilterChain {
            filters: vec![network(
                &byrnie_proto::envoy::envoy::extensions::filters::network::direct_response::v3::Config::default(),
            )],
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

fn http(route: &str) -> Filter {
    let router = HttpFilter {
        name: "router".to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any(&Router {
            suppress_envoy_headers: true,
            ..Default::default()
        }))),
        ..Default::default()
    };
    network(&HttpConnectionManager {
        stat_prefix: route.to_owned(),
        http_filters: vec![router],
        http_protocol_options: Some(Http1ProtocolOptions { enable_trailers: true, ..Default::default() }),
        http2_protocol_options: Some(Http2ProtocolOptions { allow_connect: true, ..Default::default() }),
        server_header_transformation: ServerHeaderTransformation::PassThrough.into(),
        use_remote_address: Some(BoolValue { value: false }),
        skip_xff_append: true,
        generate_request_id: Some(BoolValue { value: false }),
        preserve_external_request_id: true,
        proxy_100_continue: true,
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: Some(ads()),
            route_config_name: route.to_owned(),
        })),
        ..Default::default()
    })
}

fn tcp(cluster: &str) -> Filter {
    let cluster_specifier = Some(tcp_proxy::ClusterSpecifier::Cluster(cluster.to_owned()));
    network(&TcpProxy { stat_prefix: cluster.to_owned(), cluster_specifier, ..Default::default() })
}

fn route(name: &str, to: To<'_>) -> Vec<u8> {
    let route = |(_, to): &(Kind, &str)| {
        let specifier = PathSpecifier::Prefix(format!("/{to}"));
        let cluster = route_action::ClusterSpecifier::Cluster((*to).to_owned());
        Route {
            r#match: Some(RouteMatch { path_specifier: Some(specifier), ..Default::default() }),
            action: Some(route::Action::Route(RouteAction { cluster_specifier: Some(cluster), ..Default::default() })),
            ..Default::default()
        }
    };
    let host = VirtualHost {
        name: "all".to_owned(),
        domains: vec!["*".to_owned()],
        routes: to.iter().map(route).collect(),
        ..Default::default()
    };
    RouteConfiguration { name: name.to_owned(), virtual_hosts: vec![host], ..Default::default() }.encode_to_vec()
}

fn cluster(name: &str, to: To<'_>) -> Vec<u8> {
    let (discovery, eds) = match to {
        [] => (DiscoveryType::Static, None),
        [(_, service), ..] => (
            DiscoveryType::Eds,
            Some(EdsClusterConfig { eds_config: Some(ads()), service_name: (*service).to_owned() }),
        ),
    };
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(discovery.into())),
        load_assignment: to
            .is_empty()
            .then(|| ClusterLoadAssignment { cluster_name: name.to_owned(), ..Default::default() }),
        eds_cluster_config: eds,
        connect_timeout: Some(Duration { seconds: 1, nanos: 0 }),
        ..Default::default()
    }
    .encode_to_vec()
}

fn endpoints(name: &str) -> Vec<u8> {
    let endpoint = Endpoint { address: Some(address(8080)), ..Default::default() };
    let endpoint = LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..Default::default() };
    let locality = LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() };
    ClusterLoadAssignment { cluster_name: name.to_owned(), endpoints: vec![locality], ..Default::default() }
        .encode_to_vec()
}

fn address(port: u32) -> Address {
    let port_specifier = Some(PortSpecifier::PortValue(port));
    let socket = SocketAddress { address: "127.0.0.1".to_owned(), port_specifier, ..Default::default() };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    }
}

fn network<M: Message + Name>(message: &M) -> Filter {
    Filter { name: M::NAME.to_owned(), config_type: Some(filter::ConfigType::TypedConfig(any(message))) }
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// A request in short: `CDS +a -b a@1`, `LDS ack 1`.
pub fn text(request: &DeltaDiscoveryRequest) -> String {
    let kind: Kind = request.type_url.parse().unwrap();
    let mut words = vec![kind.short().to_owned()];
    words.extend(request.node.is_some().then(|| "node".to_owned()));
    words.extend(request.resource_names_subscribe.iter().map(|name| format!("+{name}")));
    words.extend(request.resource_names_unsubscribe.iter().map(|name| format!("-{name}")));
    let mut held: Vec<_> = request.initial_resource_versions.iter().map(|(name, v)| format!("{name}@{v}")).collect();
    held.sort_unstable();
    words.extend(held);
    match (&*request.response_nonce, &request.error_detail) {
        ("", None) => {}
        (nonce, None) => words.push(format!("ack {nonce}")),
        (nonce, Some(status)) => words.push(format!("nack {nonce}: {}", status.message)),
    }
    words.join(" ")
}
