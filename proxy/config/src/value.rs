//! Small values that several messages hold: addresses, keep-alive, where resources come from.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use byrnie_proto::envoy::{
    envoy::config::core::v3::{
        Address, ApiVersion, ConfigSource, DataSource, SocketAddress, TcpKeepalive, address::Address as AnyAddress,
        config_source::ConfigSourceSpecifier, data_source::Specifier, socket_address::PortSpecifier,
    },
    google::protobuf::{BoolValue, UInt32Value},
};

use crate::{
    Refused,
    fields::{At, fields},
};

fields! {
    Address {
        ; address: AnyAddress {
            SocketAddress socket_address: honoured,
            Pipe pipe: refused,
            EnvoyInternalAddress envoy_internal_address: refused,
        }
    }
    SocketAddress {
        protocol: refused "TCP",
        address: honoured "an IP address",
        resolver_name: refused,
        ipv4_compat: refused,
        network_namespace_filepath: refused
        ; port_specifier: PortSpecifier {
            PortValue port_value: honoured,
            NamedPort named_port: refused,
        }
    }
    TcpKeepalive {
        keepalive_probes: honoured,
        keepalive_time: honoured "above 0",
        keepalive_interval: honoured "above 0",
    }
    ConfigSource {
        authorities: refused,
        initial_fetch_timeout: refused,
        resource_api_version: honoured "V3"
        ; config_source_specifier: ConfigSourceSpecifier {
            Path path: refused,
            PathConfigSource path_config_source: refused,
            ApiConfigSource api_config_source: refused,
            Ads ads: honoured,
            Self_ self: honoured,
        }
    }
    DataSource {
        watched_directory: refused
        ; specifier: Specifier {
            Filename filename: refused,
            InlineBytes inline_bytes: honoured,
            InlineString inline_string: honoured,
            EnvironmentVariable environment_variable: refused,
        }
    }
}

/// SO_KEEPALIVE and its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Before the first probe.
    pub time: Duration,
    /// Between probes.
    pub interval: Duration,
    /// Unanswered probes that end a connection.
    pub probes: u32,
}

/// A number where it is set.
pub fn number(value: Option<UInt32Value>) -> Option<u32> {
    value.map(|value| value.value)
}

/// A flag, false where it is not set.
pub fn flag(value: Option<BoolValue>) -> bool {
    value.is_some_and(|value| value.value)
}

/// A TCP address.
pub fn address(address: &Option<Address>, at: &At<'_>) -> Result<SocketAddr, Refused> {
    let address = at.required(address)?;
    at.check(address)?;
    match &address.address {
        Some(AnyAddress::SocketAddress(address)) => socket_address(address, &at.field("socket_address")),
        _ => Err(at.field("socket_address").refuse("missing")),
    }
}

/// A TCP address where no other kind is possible.
pub fn socket_address(address: &SocketAddress, at: &At<'_>) -> Result<SocketAddr, Refused> {
    at.check(address)?;
    let text = &address.address;
    let ip: IpAddr = text.parse().map_err(|_| at.field("address").unlike(text, "an IP address"))?;
    let port = match &address.port_specifier {
        Some(PortSpecifier::PortValue(port)) => at.field("port_value").port(*port)?,
        _ => return Err(at.field("port_value").refuse("missing")),
    };
    Ok(SocketAddr::new(ip, port))
}

/// SO_KEEPALIVE; what is left out is the usual of Linux.
pub fn keepalive(keepalive: &Option<TcpKeepalive>, at: &At<'_>) -> Result<Option<Keepalive>, Refused> {
    let Some(keepalive) = keepalive else { return Ok(None) };
    at.check(keepalive)?;
    let seconds = |value: Option<UInt32Value>, name, absent| match number(value) {
        Some(0) => Err(at.field(name).unlike(0, "above 0")),
        value => Ok(Duration::from_secs(value.unwrap_or(absent).into())),
    };
    Ok(Some(Keepalive {
        time: seconds(keepalive.keepalive_time, "keepalive_time", 7_200)?,
        interval: seconds(keepalive.keepalive_interval, "keepalive_interval", 75)?,
        probes: number(keepalive.keepalive_probes).unwrap_or(9),
    }))
}

/// A resource that comes by the same stream.
pub fn from_stream(source: &Option<ConfigSource>, at: &At<'_>) -> Result<(), Refused> {
    let source = at.required(source)?;
    at.check(source)?;
    if source.resource_api_version() != ApiVersion::V3 {
        return Err(at.field("resource_api_version").unlike(source.resource_api_version(), "V3"));
    }
    match source.config_source_specifier {
        Some(ConfigSourceSpecifier::Ads(_) | ConfigSourceSpecifier::Self_(_)) => Ok(()),
        _ => Err(at.field("ads").refuse("missing")),
    }
}

/// Octets that stand in the resource.
pub fn data(source: &DataSource, at: &At<'_>) -> Result<Vec<u8>, Refused> {
    at.check(source)?;
    match &source.specifier {
        Some(Specifier::InlineBytes(bytes)) => Ok(bytes.clone()),
        Some(Specifier::InlineString(text)) => Ok(text.clone().into_bytes()),
        _ => Err(at.field("inline_string").refuse("missing")),
    }
}

/// All elements of a list, each read at its place.
pub fn each<T, U>(
    list: &[T],
    at: &At<'_>,
    read: impl Fn(&T, &At<'_>) -> Result<U, Refused>,
) -> Result<Vec<U>, Refused> {
    list.iter().enumerate().map(|(index, one)| read(one, &at.index(index))).collect()
}

/// Small wire values of tests.
#[cfg(test)]
pub mod testing {
    use byrnie_proto::envoy::{
        envoy::config::core::v3::{TransportSocket, transport_socket::ConfigType},
        google::protobuf::{Any, UInt32Value},
    };
    use prost::{Message, Name};

    /// A message with its type URL.
    pub fn any<T: Message + Name>(message: &T) -> Any {
        Any { type_url: T::type_url(), value: message.encode_to_vec() }
    }

    /// A transport.
    pub fn packed<T: Message + Name>(context: &T) -> TransportSocket {
        TransportSocket { name: String::new(), config_type: Some(ConfigType::TypedConfig(any(context))) }
    }

    /// A number that is set.
    pub fn set(value: u32) -> Option<UInt32Value> {
        Some(UInt32Value { value })
    }
}
