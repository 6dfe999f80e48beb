//! Reads a `Listener`.

use std::{collections::HashSet, sync::Arc, time::Duration};

use byrnie_proto::envoy::{
    envoy::{
        config::{
            core::v3::{SubstitutionFormatString, TrafficDirection, substitution_format_string::Format},
            listener::v3::{self as wire, FilterChain, FilterChainMatch, ListenerFilter, filter, listener_filter},
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
                http_connection_manager::v3::HttpConnectionManager,
                set_filter_state::v3::Config as SetFilterState,
                tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
            },
        },
    },
    google::protobuf::Any,
};

use super::{Chain, ChainMatch, Direction, Filter, Http, Inspect, Listener, Tcp, Transport};
use crate::{
    DownstreamTls, Refused,
    fields::At,
    format::literal,
    value::{address, data, each, flag, keepalive, number},
};

/// The filter state in which the protocols stand that are offered to the next sidecar.
const OFFERED: &str = "envoy.network.application_protocols";
/// `TcpProxy.idle_timeout` where nothing is said.
const TCP_IDLE_TIMEOUT: Duration = Duration::from_secs(3_600);

impl Listener {
    /// Reads a `Listener`.
    pub(crate) fn read(listener: &wire::Listener, at: &At<'_>) -> Result<Self, Refused> {
        at.check(listener)?;
        let direction = match at.field("traffic_direction").known(listener.traffic_direction)? {
            TrafficDirection::Inbound => Direction::Inbound,
            TrafficDirection::Outbound => Direction::Outbound,
            other @ TrafficDirection::Unspecified => {
                return Err(at.field("traffic_direction").unlike(other.as_str_name(), "INBOUND, OUTBOUND"));
            }
        };
        let mut addresses = vec![address(&listener.address, &at.field("address"))?];
        addresses.extend(each(&listener.additional_addresses, &at.field("additional_addresses"), |more, at| {
            at.check(more)?;
            address(&more.address, &at.field("address"))
        })?);
        let hands_over = flag(listener.use_original_dst);
        let mut inspect = inspect(&listener.listener_filters, &at.field("listener_filters"))?;
        // Envoy adds the filter where it is not there.
        inspect.original_destination |= hands_over;
        let timeout = &at.field("listener_filters_timeout");
        inspect.timeout =
            listener.listener_filters_timeout.as_ref().map(|limit| timeout.duration(limit)).transpose()?;
        inspect.goes_on = listener.continue_on_listener_filters_timeout;
        let chains = each(&listener.filter_chains, &at.field("filter_chains"), Chain::read)?;
        told_apart(&chains, &at.field("filter_chains"))?;
        let default = match &listener.default_filter_chain {
            Some(chain) => Some(Chain::read(chain, &at.field("default_filter_chain"))?),
            None => None,
        };
        if chains.is_empty() && default.is_none() {
            return Err(at.field("filter_chains").refuse("empty; accepted: at least one"));
        }
        Ok(Self {
            name: at.field("name").text(&listener.name)?.into(),
            direction,
            addresses,
            bind: listener.bind_to_port.is_none_or(|bind| bind.value),
            hands_over,
            inspect,
            chains,
            default,
            keepalive: keepalive(&listener.tcp_keepalive, &at.field("tcp_keepalive"))?,
        })
    }
}

fn inspect(filters: &[ListenerFilter], at: &At<'_>) -> Result<Inspect, Refused> {
    let mut inspect = Inspect::default();
    for (index, filter) in filters.iter().enumerate() {
        let at = &at.index(index);
        at.check(filter)?;
        let at = &at.field("typed_config");
        let Some(listener_filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
            return Err(at.refuse("missing"));
        };
        if at.unpack::<OriginalDst>(any)?.is_some() {
            inspect.original_destination = true;
        } else if at.unpack::<TlsInspector>(any)?.is_some() {
            inspect.tls = true;
        } else if at.unpack::<HttpInspector>(any)?.is_some() {
            inspect.http = true;
        } else {
            return Err(at.unknown_type(any, &["OriginalDst", "TlsInspector", "HttpInspector"]));
        }
    }
    Ok(inspect)
}

/// Two chains for one connection leave the choice open; Envoy refuses them as well.
fn told_apart(chains: &[Chain], at: &At<'_>) -> Result<(), Refused> {
    let mut seen = HashSet::new();
    for (index, chain) in chains.iter().enumerate() {
        let ChainMatch { port, server_names, transport, applications } = &chain.matches;
        let any = [Box::from("")];
        let or_any = |list: &'_ Vec<Box<str>>| if list.is_empty() { any.to_vec() } else { list.clone() };
        for name in or_any(server_names) {
            for application in or_any(applications) {
                if !seen.insert((*port, name.clone(), *transport, application)) {
                    return Err(at.index(index).field("filter_chain_match").refuse("matches what an earlier one does"));
                }
            }
        }
    }
    Ok(())
}

impl Chain {
    fn read(chain: &FilterChain, at: &At<'_>) -> Result<Self, Refused> {
        at.check(chain)?;
        let matches = match &chain.filter_chain_match {
            Some(matches) => ChainMatch::read(matches, &at.field("filter_chain_match"))?,
            None => ChainMatch::default(),
        };
        let tls = match &chain.transport_socket {
            Some(socket) => DownstreamTls::read(socket, &at.field("transport_socket"))?.map(Arc::new),
            None => None,
        };
        let at = &at.field("filters");
        let Some((last, first)) = chain.filters.split_last() else {
            return Err(at.refuse("empty; accepted: at least one"));
        };
        let mut offers = None;
        for (index, filter) in first.iter().enumerate() {
            let at = &at.index(index);
            at.check(filter)?;
            let at = &at.field("typed_config");
            let any = typed(filter, at)?;
            let Some(state) = at.unpack::<SetFilterState>(any)? else {
                return Err(at.unknown_type(any, &["envoy.extensions.filters.network.set_filter_state.v3.Config"]));
            };
            offers = Some(offered(&state.on_new_connection, &at.field("on_new_connection"))?);
        }
        let filter = Filter::read(last, &at.index(first.len()))?;
        Ok(Self { name: chain.name.as_str().into(), matches, tls, offers, filter })
    }
}

fn typed<'m>(filter: &'m wire::Filter, at: &At<'_>) -> Result<&'m Any, Refused> {
    match &filter.config_type {
        Some(filter::ConfigType::TypedConfig(any)) => Ok(any),
        _ => Err(at.refuse("missing")),
    }
}

fn offered(values: &[FilterStateValue], at: &At<'_>) -> Result<Arc<[Box<[u8]>]>, Refused> {
    let [value] = values else { return Err(at.refuse(format!("{} values; accepted: one", values.len()))) };
    let at = &at.index(0);
    at.check(value)?;
    match &value.key {
        Some(Key::ObjectKey(key)) if key == OFFERED => {}
        other => return Err(at.field("object_key").unlike(other, OFFERED)),
    }
    if value.shared_with_upstream() != SharedWithUpstream::Once {
        return Err(at.field("shared_with_upstream").unlike(value.shared_with_upstream().as_str_name(), "ONCE"));
    }
    let at = &at.field("format_string");
    let Some(Value::FormatString(format)) = &value.value else { return Err(at.refuse("missing")) };
    let text = text(format, at)?;
    let protocols = text.split(|octet| *octet == b',').map(<[u8]>::trim_ascii).filter(|protocol| !protocol.is_empty());
    let protocols: Arc<[Box<[u8]>]> = protocols.map(Into::into).collect();
    if protocols.is_empty() { Err(at.refuse("empty; accepted: at least one protocol")) } else { Ok(protocols) }
}

fn text(format: &SubstitutionFormatString, at: &At<'_>) -> Result<Vec<u8>, Refused> {
    at.check(format)?;
    match &format.format {
        #[allow(deprecated)]
        Some(Format::TextFormat(text)) => literal(text.as_bytes(), &at.field("text_format")),
        Some(Format::TextFormatSource(source)) => {
            let at = &at.field("text_format_source");
            literal(&data(source, at)?, at)
        }
        _ => Err(at.field("text_format_source").refuse("missing")),
    }
}

impl ChainMatch {
    fn read(matches: &FilterChainMatch, at: &At<'_>) -> Result<Self, Refused> {
        at.check(matches)?;
        let name = |name: &String, at: &At<'_>| {
            let rest = name.strip_prefix("*.").unwrap_or(name);
            let fine = !rest.is_empty() && !rest.contains('*') && !rest.bytes().any(|b| b.is_ascii_uppercase());
            if fine { Ok(name.as_str().into()) } else { Err(at.unlike(name, "a name in lower case, maybe after `*.`")) }
        };
        let port = match number(matches.destination_port) {
            Some(port) => Some(at.field("destination_port").port(port)?),
            None => None,
        };
        let transport = match &*matches.transport_protocol {
            "" => None,
            "raw_buffer" => Some(Transport::Plain),
            "tls" => Some(Transport::Tls),
            other => return Err(at.field("transport_protocol").unlike(other, "raw_buffer, tls")),
        };
        Ok(Self {
            port,
            server_names: each(&matches.server_names, &at.field("server_names"), name)?,
            transport,
            applications: matches.application_protocols.iter().map(|protocol| protocol.as_str().into()).collect(),
        })
    }
}

impl Filter {
    fn read(filter: &wire::Filter, at: &At<'_>) -> Result<Self, Refused> {
        at.check(filter)?;
        let at = &at.field("typed_config");
        let any = typed(filter, at)?;
        if let Some(manager) = at.unpack::<HttpConnectionManager>(any)? {
            Ok(Self::Http(Arc::new(Http::read(&manager, at)?)))
        } else if let Some(proxy) = at.unpack::<TcpProxy>(any)? {
            Ok(Self::Tcp(Arc::new(Tcp::read(&proxy, at)?)))
        } else if at.unpack::<DirectResponse>(any)?.is_some() {
            Ok(Self::Close)
        } else {
            let direct = "envoy.extensions.filters.network.direct_response.v3.Config";
            Err(at.unknown_type(any, &["HttpConnectionManager", "TcpProxy", direct]))
        }
    }
}

impl Tcp {
    fn read(proxy: &TcpProxy, at: &At<'_>) -> Result<Self, Refused> {
        let clusters = match &proxy.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => vec![(at.field("cluster").text(name)?.into(), 1)],
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                let at = &at.field("weighted_clusters");
                let at = &at.field("clusters");
                if weighted.clusters.is_empty() {
                    return Err(at.refuse("empty; accepted: at least one"));
                }
                each(&weighted.clusters, at, |one, at| {
                    at.check(one)?;
                    match one.weight {
                        0 => Err(at.field("weight").unlike(0, "1 or more")),
                        weight => Ok((at.field("name").text(&one.name)?.into(), weight)),
                    }
                })?
            }
            None => return Err(at.field("cluster").refuse("missing")),
        };
        let connect_attempts = number(proxy.max_connect_attempts).unwrap_or(1);
        if connect_attempts == 0 {
            return Err(at.field("max_connect_attempts").unlike(0, "1 or more"));
        }
        Ok(Self {
            stat: at.field("stat_prefix").text(&proxy.stat_prefix)?.into(),
            clusters,
            idle_timeout: at.field("idle_timeout").limit(&proxy.idle_timeout, Some(TCP_IDLE_TIMEOUT))?,
            connect_attempts,
        })
    }
}
