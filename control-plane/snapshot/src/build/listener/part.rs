//! The parts of a listener that hold no decision: addresses, listener filters, network filters, chains.

use std::net::SocketAddr;

use byrnie_proto::envoy::{
    envoy::{
        config::{
            core::v3::{
                Address, DataSource, SocketAddress, SubstitutionFormatString, address, data_source::Specifier,
                socket_address::PortSpecifier, substitution_format_string::Format,
            },
            listener::v3::{Filter, FilterChain, FilterChainMatch, ListenerFilter, filter, listener_filter},
        },
        extensions::filters::{
            common::set_filter_state::v3::{
                FilterStateValue,
                filter_state_value::{Key, SharedWithUpstream, Value},
            },
            listener::{
                http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst, tls_inspector::v3::TlsInspector,
            },
            network::{
                direct_response::v3::Config as DirectResponse,
                set_filter_state::v3::Config as SetFilterState,
                tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
            },
        },
        r#type::v3::{
            HashPolicy,
            hash_policy::{PolicySpecifier, SourceIp},
        },
    },
    google::protobuf::{self, BoolValue},
};
use prost::{Message, Name};

use crate::build::pack::{any, number};

/// A truth value that is present.
pub fn boolean(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

/// A limit that is switched off.
pub fn never() -> Option<protobuf::Duration> {
    Some(protobuf::Duration::default())
}

/// A TCP address.
pub fn address(address: SocketAddr) -> Option<Address> {
    Some(Address { address: Some(address::Address::SocketAddress(socket_address(address))) })
}

/// A TCP address where no other kind is possible.
pub fn socket_address(address: SocketAddr) -> SocketAddress {
    SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(PortSpecifier::PortValue(address.port().into())),
        ..Default::default()
    }
}

/// Reads the ClientHello for the chain match.
pub fn tls_inspector() -> ListenerFilter {
    listener_filter("envoy.filters.listener.tls_inspector", &TlsInspector::default())
}

/// Reads the first request line, or the HTTP/2 preface, for the chain match.
pub fn http_inspector() -> ListenerFilter {
    listener_filter("envoy.filters.listener.http_inspector", &HttpInspector {})
}

/// Restores the address that was called before the redirection.
pub fn original_dst() -> ListenerFilter {
    listener_filter("envoy.filters.listener.original_dst", &OriginalDst {})
}

/// Carries bytes to `cluster`, for as long as both ends like: Envoy's default closes a quiet connection after an hour.
/// With `by_source` a balancer that hashes does so by the caller's address.
pub fn tcp_proxy(stat: &str, cluster: &str, by_source: bool) -> Filter {
    let source = HashPolicy { policy_specifier: Some(PolicySpecifier::SourceIp(SourceIp::default())) };
    let proxy = TcpProxy {
        hash_policy: by_source.then_some(source).into_iter().collect(),
        stat_prefix: stat.to_owned(),
        idle_timeout: never(),
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        ..Default::default()
    };
    network_filter("envoy.filters.network.tcp_proxy", &proxy)
}

/// Closes the connection without a word.
pub fn close() -> Filter {
    network_filter("envoy.filters.network.direct_response", &DirectResponse { response: None })
}

/// Has the connection to the next sidecar offer `alpn` in place of what its cluster says: the protocol is known only
/// now, by looking at the first bytes.
pub fn offer(alpn: &[&str]) -> Filter {
    let text = DataSource { specifier: Some(Specifier::InlineString(alpn.join(","))), ..Default::default() };
    let value = SubstitutionFormatString { format: Some(Format::TextFormatSource(text)), ..Default::default() };
    let state = FilterStateValue {
        shared_with_upstream: SharedWithUpstream::Once.into(),
        key: Some(Key::ObjectKey("envoy.network.application_protocols".to_owned())),
        value: Some(Value::FormatString(value)),
        ..Default::default()
    };
    let config = SetFilterState { on_new_connection: vec![state], ..Default::default() };
    network_filter("envoy.filters.network.set_filter_state", &config)
}

/// A network filter.
pub fn network_filter<T: Message + Name>(name: &str, config: &T) -> Filter {
    Filter { name: name.to_owned(), config_type: Some(filter::ConfigType::TypedConfig(any(config))) }
}

/// A chain of `filters` that takes what no other chain matches better.
pub fn chain(name: impl Into<String>, filters: Vec<Filter>) -> FilterChain {
    FilterChain { name: name.into(), filters, ..Default::default() }
}

/// The match of connections to `port`, of any where there is none.
pub fn to_port(port: Option<u16>) -> FilterChainMatch {
    FilterChainMatch { destination_port: port.and_then(|port| number(port.into())), ..Default::default() }
}

fn listener_filter<T: Message + Name>(name: &str, config: &T) -> ListenerFilter {
    ListenerFilter {
        name: name.to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(any(config))),
        ..Default::default()
    }
}
