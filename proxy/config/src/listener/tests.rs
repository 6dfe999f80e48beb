use std::collections::HashSet;

use byrnie_proto::envoy::envoy::{
    config::{
        core::v3::{
            Address, Http1ProtocolOptions, Http2ProtocolOptions, SocketAddress, TrafficDirection,
            address::Address as AnyAddress, socket_address::PortSpecifier,
        },
        listener::v3::{self as wire, FilterChain, FilterChainMatch, filter, listener_filter},
    },
    extensions::filters::{
        http::{cors::v3::Cors, router::v3::Router},
        listener::{original_dst::v3::OriginalDst, tls_inspector::v3::TlsInspector},
        network::{
            direct_response::v3::Config as DirectResponse,
            http_connection_manager::v3::{
                HttpConnectionManager, HttpFilter, Rds,
                http_connection_manager::{RouteSpecifier, ServerHeaderTransformation},
                http_filter,
            },
            tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
        },
    },
};
use byrnie_proto::envoy::{
    envoy::config::core::v3::{AggregatedConfigSource, ApiVersion, ConfigSource, config_source::ConfigSourceSpecifier},
    google::protobuf::BoolValue,
};
use proptest::prelude::*;
use prost::{Message, Name};

use super::*;
use crate::{
    Refused,
    fields::At,
    value::testing::{any, set},
};

fn filter<T: Message + Name>(config: &T) -> wire::Filter {
    wire::Filter { name: String::new(), config_type: Some(filter::ConfigType::TypedConfig(any(config))) }
}

fn chain(name: &str, matches: FilterChainMatch) -> FilterChain {
    FilterChain {
        name: name.to_owned(),
        filter_chain_match: Some(matches),
        filters: vec![filter(&DirectResponse { response: None })],
        ..Default::default()
    }
}

fn with(chains: Vec<FilterChain>) -> wire::Listener {
    let address = SocketAddress {
        address: "0.0.0.0".to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(15006)),
        ..Default::default()
    };
    wire::Listener {
        name: "in".to_owned(),
        address: Some(Address { address: Some(AnyAddress::SocketAddress(address)) }),
        traffic_direction: TrafficDirection::Inbound.into(),
        filter_chains: chains,
        ..Default::default()
    }
}

fn read(listener: &wire::Listener) -> Result<Listener, Refused> {
    Listener::read(listener, &At::ROOT)
}

fn matches(port: Option<u32>, transport: &str, applications: &[&str]) -> FilterChainMatch {
    FilterChainMatch {
        destination_port: port.and_then(set),
        transport_protocol: transport.to_owned(),
        application_protocols: applications.iter().map(|&name| name.to_owned()).collect(),
        ..Default::default()
    }
}

/// As our inbound listener: two ports and the rest.
fn inbound() -> Listener {
    let mut chains = Vec::new();
    for (name, port) in [("80", Some(80)), ("81", Some(81)), ("any", None)] {
        let named = |kind: &str, transport, applications: &[&str]| {
            chain(&format!("{name}/{kind}"), matches(port, transport, applications))
        };
        chains.push(named("http", "tls", &["byrnie-http"]));
        chains.push(named("tcp", "tls", &["byrnie-tcp"]));
        if name != "81" {
            chains.push(named("tls", "tls", &[]));
            chains.push(named("found", "raw_buffer", &["http/1.1", "h2c"]));
            chains.push(named("plain", "raw_buffer", &[]));
        }
    }
    read(&with(chains)).unwrap()
}

fn chosen<'l>(listener: &'l Listener, port: u16, transport: Transport, offered: &[&str]) -> Option<&'l str> {
    let offered: Vec<_> = offered.iter().map(|name| name.as_bytes()).collect();
    let seen = Seen { port, server_name: None, transport, applications: &offered };
    listener.choose(&seen).map(|chain| &*chain.name)
}

#[test]
fn a_chain_is_chosen_by_port_transport_and_what_is_offered() {
    let listener = inbound();
    let of = |port, transport, offered: &[&str]| chosen(&listener, port, transport, offered);
    assert_eq!(of(80, Transport::Tls, &["byrnie-http", "h2"]), Some("80/http"));
    assert_eq!(of(80, Transport::Tls, &["h2", "byrnie-tcp"]), Some("80/tcp"));
    assert_eq!(of(80, Transport::Tls, &["h2"]), Some("80/tls"));
    assert_eq!(of(80, Transport::Plain, &["http/1.1"]), Some("80/found"));
    assert_eq!(of(80, Transport::Plain, &[]), Some("80/plain"));
    assert_eq!(of(82, Transport::Tls, &["byrnie-http"]), Some("any/http"));
    // A strict port is not served by the chains for any port.
    assert_eq!((of(81, Transport::Plain, &[]), of(81, Transport::Tls, &["h2"])), (None, None));
}

#[test]
fn the_first_that_is_offered_counts_not_the_first_that_is_listed() {
    let chains = vec![chain("a", matches(None, "", &["a"])), chain("b", matches(None, "", &["b"]))];
    let listener = read(&with(chains)).unwrap();
    assert_eq!(chosen(&listener, 1, Transport::Tls, &["b", "a"]), Some("b"));
}

#[test]
fn server_names_go_from_exact_to_the_longest_wildcard() {
    let named = |name: &str, names: &[&str]| {
        let server_names = names.iter().map(|&name| name.to_owned()).collect();
        chain(name, FilterChainMatch { server_names, ..Default::default() })
    };
    let mut listener =
        with(vec![named("short", &["*.com"]), named("long", &["*.a.com"]), named("exact", &["b.a.com"])]);
    listener.default_filter_chain = Some(chain("default", FilterChainMatch::default()));
    let listener = read(&listener).unwrap();
    let of = |server_name| {
        let seen = Seen { port: 1, server_name, transport: Transport::Tls, applications: &[] };
        &*listener.choose(&seen).unwrap().name
    };
    assert_eq!([of(Some("b.a.com")), of(Some("c.a.com")), of(Some("c.b.com"))], ["exact", "long", "short"]);
    assert_eq!([of(Some("a.net")), of(None), of(Some("com"))], ["default", "default", "default"]);
}

#[test]
fn two_chains_for_one_connection_are_refused() {
    let chains = vec![chain("a", matches(Some(1), "tls", &["a", "b"])), chain("b", matches(Some(1), "tls", &["b"]))];
    let error = read(&with(chains)).unwrap_err().to_string();
    assert_eq!(error, "filter_chains[1].filter_chain_match: matches what an earlier one does");
    let upper = FilterChainMatch { server_names: vec!["A.com".to_owned()], ..Default::default() };
    assert!(read(&with(vec![chain("a", upper)])).unwrap_err().path.ends_with("server_names[0]"));
}

#[test]
fn what_inspects_is_read_and_a_handing_listener_knows_the_address() {
    let listener_filter = |config| wire::ListenerFilter {
        config_type: Some(listener_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    };
    let mut listener = with(vec![chain("a", FilterChainMatch::default())]);
    listener.listener_filters =
        vec![listener_filter(any(&OriginalDst {})), listener_filter(any(&TlsInspector::default()))];
    let inspect = read(&listener).unwrap().inspect;
    assert_eq!((inspect.original_destination, inspect.tls, inspect.http), (true, true, false));
    listener.listener_filters = vec![listener_filter(any(&Router::default()))];
    let error = read(&listener).unwrap_err().to_string();
    assert!(error.starts_with("listener_filters[0].typed_config: type.googleapis.com/envoy.ext"), "{error}");
    listener.listener_filters.clear();
    listener.use_original_dst = Some(BoolValue { value: true });
    let read = read(&listener).unwrap();
    assert!(read.hands_over && read.inspect.original_destination);
}

/// As the control plane writes it.
fn manager() -> HttpConnectionManager {
    let source = ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    };
    let router = Router { suppress_envoy_headers: true, ..Default::default() };
    HttpConnectionManager {
        stat_prefix: "in/cart_80".to_owned(),
        http_filters: vec![HttpFilter {
            config_type: Some(http_filter::ConfigType::TypedConfig(any(&router))),
            ..Default::default()
        }],
        http_protocol_options: Some(Http1ProtocolOptions {
            accept_http_10: true,
            default_host_for_http_10: "cart".to_owned(),
            enable_trailers: true,
            ..Default::default()
        }),
        http2_protocol_options: Some(Http2ProtocolOptions { allow_connect: true, ..Default::default() }),
        server_header_transformation: ServerHeaderTransformation::PassThrough.into(),
        generate_request_id: Some(BoolValue { value: false }),
        proxy_100_continue: true,
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: Some(source),
            route_config_name: "route/x".to_owned(),
        })),
        ..Default::default()
    }
}

fn managed(change: impl FnOnce(&mut HttpConnectionManager)) -> Result<Arc<Http>, Refused> {
    let mut manager = manager();
    change(&mut manager);
    let chain = FilterChain { filters: vec![filter(&manager)], ..Default::default() };
    match &read(&with(vec![chain]))?.chains[0].filter {
        Filter::Http(http) => Ok(http.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_are_managed_as_a_sidecar_does() {
    let http = managed(|_| {}).unwrap();
    assert_eq!((http.host_for_http10.as_deref(), http.only), (Some("cart"), None));
    assert_eq!(
        (http.idle_timeout, http.stream_idle_timeout),
        (Some(Duration::from_secs(3_600)), Some(Duration::from_secs(300)))
    );
    assert_eq!(http.client_certificate, ClientCertificate::Remove);
    assert_eq!(http.routes, Routes::Named("route/x".into()));
    let never = Some(Default::default());
    assert_eq!(managed(|manager| manager.stream_idle_timeout = never).unwrap().stream_idle_timeout, None);
}

#[test]
fn what_an_edge_proxy_would_do_is_refused_with_its_path() {
    let refused = |change: fn(&mut HttpConnectionManager)| {
        let error = managed(change).unwrap_err();
        let at = "filter_chains[0].filters[0].typed_config.";
        assert!(error.path.starts_with(at), "{error}");
        error.to_string().split_off(at.len())
    };
    assert_eq!(refused(|m| m.generate_request_id = None), "generate_request_id: found true; accepted: false");
    assert_eq!(refused(|m| m.merge_slashes = true), "merge_slashes: not supported, found true; accepted: nothing");
    assert!(refused(|m| m.tracing = Some(Default::default())).starts_with("tracing: not supported"));
    assert!(refused(|m| m.server_header_transformation = 0).contains("found \"OVERWRITE\"; accepted: PASS_THROUGH"));
    assert!(refused(|m| m.http2_protocol_options = None).starts_with("http2_protocol_options: missing"));
    assert!(refused(|m| m.codec_type = 3).contains("accepted: AUTO, HTTP1, HTTP2"));
    assert!(refused(|m| m.codec_type = 9).starts_with("codec_type: found 9"));
    let cors = refused(|m| {
        m.http_filters[0].config_type = Some(http_filter::ConfigType::TypedConfig(any(&Cors {})));
    });
    let url = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors";
    assert_eq!(cors, format!("http_filters[0].typed_config: {url} is not supported; accepted: Router"));
}

#[test]
fn bytes_go_to_a_cluster() {
    let proxy = TcpProxy {
        stat_prefix: "x".to_owned(),
        cluster_specifier: Some(ClusterSpecifier::Cluster("shop/db:5432".to_owned())),
        ..Default::default()
    };
    let chain = |proxy: &TcpProxy| FilterChain { filters: vec![filter(proxy)], ..Default::default() };
    let listener = read(&with(vec![chain(&proxy)])).unwrap();
    let Filter::Tcp(tcp) = &listener.chains[0].filter else { panic!() };
    assert_eq!(
        (&*tcp.clusters, tcp.idle_timeout),
        (&[("shop/db:5432".into(), 1)][..], Some(Duration::from_secs(3_600)))
    );
    let refused = TcpProxy { tunneling_config: Some(Default::default()), ..proxy };
    assert!(read(&with(vec![chain(&refused)])).unwrap_err().path.ends_with("tunneling_config"));
}

/// Envoy's tree, level by level: the first level that has an entry decides, without a way back.
fn model<'l>(chains: &'l [Chain], port: u16, transport: Transport, offered: &[&str]) -> Option<&'l Chain> {
    let mut left: Vec<&Chain> = chains.iter().filter(|chain| chain.matches.port == Some(port)).collect();
    if left.is_empty() {
        left = chains.iter().filter(|chain| chain.matches.port.is_none()).collect();
    }
    let exact: Vec<_> = left.iter().copied().filter(|chain| chain.matches.transport == Some(transport)).collect();
    left = if exact.is_empty() { left.into_iter().filter(|c| c.matches.transport.is_none()).collect() } else { exact };
    let has = |chain: &Chain, name: &str| chain.matches.applications.iter().any(|known| &**known == name);
    let by_offer = offered.iter().find_map(|name| left.iter().copied().find(|chain| has(chain, name)));
    by_offer.or_else(|| left.iter().copied().find(|chain| chain.matches.applications.is_empty()))
}

proptest! {
    #[test]
    fn the_choice_is_that_of_envoys_tree(
        chains in proptest::collection::vec((0u32..3, 0usize..3, proptest::collection::vec(0usize..3, 0..3)), 1..12),
        port in 1u16..4, tls: bool, offered in proptest::collection::vec(0usize..4, 0..4),
    ) {
        let names = ["a", "b", "c", "d"];
        let mut seen = HashSet::new();
        let chains: Vec<_> = chains.into_iter().enumerate().filter_map(|(index, (port, transport, applications))| {
            let applications: Vec<_> = applications.into_iter().map(|name| names[name]).collect::<HashSet<_>>().into_iter().collect();
            let leaves = if applications.is_empty() { vec![""] } else { applications.clone() };
            if leaves.iter().any(|name| seen.contains(&(port, transport, *name))) { return None; }
            seen.extend(leaves.iter().map(|name| (port, transport, *name)));
            let transport = ["", "tls", "raw_buffer"][transport];
            Some(chain(&index.to_string(), matches(Some(port).filter(|port| *port > 0), transport, &applications)))
        }).collect();
        let listener = read(&with(chains)).unwrap();
        let transport = if tls { Transport::Tls } else { Transport::Plain };
        let offered: Vec<_> = offered.into_iter().map(|name| names[name]).collect();
        let wanted = model(&listener.chains, port, transport, &offered).map(|chain| &*chain.name);
        prop_assert_eq!(chosen(&listener, port, transport, &offered), wanted);
    }
}
