//! Reads a `Cluster`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use byrnie_balance::{FirstCheck, Limits, Policy, Retries};
use byrnie_proto::envoy::{
    envoy::{
        config::{
            cluster::v3::{
                self as wire, CircuitBreakers, UpstreamConnectionOptions,
                circuit_breakers::Thresholds,
                cluster::{
                    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, LbConfig, LbPolicy, TransportSocketMatch,
                },
            },
            core::v3::{BindConfig, RoutingPriority, SocketAddress, TransportSocket},
        },
        extensions::upstreams::http::v3::{
            HttpProtocolOptions,
            http_protocol_options::{UpstreamProtocolOptions, explicit_http_config::ProtocolConfig},
        },
        r#type::v3::Percent,
    },
    google::protobuf::UInt32Value,
};

use super::{Cluster, Discovery, HealthCheck, Protocol, Sockets, health};
use crate::{
    Endpoints, Refused, UpstreamTls,
    endpoints::account,
    fields::At,
    http::{self, Version},
    value::{each, from_stream, keepalive, number, socket_address},
};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Envoy's default limit of connections, pending requests and requests.
const LIMIT: u32 = 1_024;
const RETRIES: u32 = 3;
const BUDGET_PERCENT: f64 = 20.0;
const BUDGET_MINIMUM: u32 = 3;
const PANIC_PERCENT: f64 = 50.0;

/// What `HttpProtocolOptions` say.
struct Http {
    protocol: Protocol,
    idle_timeout: Option<Duration>,
    max_requests: Option<u32>,
}

impl Cluster {
    /// Reads a `Cluster`.
    pub(crate) fn read(cluster: &wire::Cluster, at: &At<'_>) -> Result<Self, Refused> {
        at.check(cluster)?;
        let name = at.field("name").text(&cluster.name)?;
        let stat = if cluster.alt_stat_name.is_empty() { name } else { &cluster.alt_stat_name };
        let discovery = discovery(cluster, at)?;
        let connect_timeout = at.field("connect_timeout").above_zero(&cluster.connect_timeout)?;
        let Http { protocol, idle_timeout, max_requests } = http_options(cluster, at)?;
        let at_checks = at.field("health_checks");
        let checks = each(&cluster.health_checks, &at_checks, |check, at| HealthCheck::read(check, name, at))?;
        if checks.len() > 1 {
            return Err(at_checks.refuse(format!("{} checks; accepted: at most one", checks.len())));
        }
        if !checks.is_empty() {
            // Else an endpoint would have to stay that was removed, for as long as it is healthy.
            at.field("ignore_health_on_host_removal").only(cluster.ignore_health_on_host_removal, true)?;
        }
        let (panic_threshold, apart) = common_lb(&cluster.common_lb_config, &at.field("common_lb_config"))?;
        let first_check = match (checks.is_empty(), apart) {
            (true, _) => FirstCheck::NotNeeded,
            (false, false) => FirstCheck::Awaited,
            (false, true) => FirstCheck::AwaitedApart,
        };
        let ejection = match &cluster.outlier_detection {
            Some(outlier) => health::ejection(outlier, &at.field("outlier_detection"))?,
            None => None,
        };
        let connection_options = &at.field("upstream_connection_options");
        let keepalive = match &cluster.upstream_connection_options {
            Some(options) => {
                connection_options.check(options)?;
                let UpstreamConnectionOptions { tcp_keepalive, .. } = options;
                keepalive(tcp_keepalive, &connection_options.field("tcp_keepalive"))?
            }
            None => None,
        };
        Ok(Self {
            name: name.into(),
            stat: stat.into(),
            balancer: balancer(cluster, &discovery, at)?,
            discovery,
            connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            protocol,
            idle_timeout,
            max_requests,
            sockets: sockets(cluster, at)?,
            keepalive,
            bind: bind(&cluster.upstream_bind_config, &at.field("upstream_bind_config"))?,
            panic_threshold,
            limits: limits(&cluster.circuit_breakers, &at.field("circuit_breakers"))?,
            ejection,
            health_check: checks.into_iter().next(),
            first_check,
            close_on_failure: cluster.close_connections_on_host_health_failure,
        })
    }
}

fn discovery(cluster: &wire::Cluster, at: &At<'_>) -> Result<Discovery, Refused> {
    let at_type = &at.field("type");
    let kind = match &cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => at_type.known(*kind)?,
        _ => DiscoveryType::Static,
    };
    let elsewhere = |field: &'static str, there: bool| match there {
        true => Err(at.field(field).refuse(format!("not with type {}", kind.as_str_name()))),
        false => Ok(()),
    };
    elsewhere("load_assignment", kind != DiscoveryType::Static && cluster.load_assignment.is_some())?;
    elsewhere("eds_cluster_config", kind != DiscoveryType::Eds && cluster.eds_cluster_config.is_some())?;
    match kind {
        DiscoveryType::Static => {
            let at = &at.field("load_assignment");
            let endpoints = Endpoints::read(at.required(&cluster.load_assignment)?, at)?;
            Ok(Discovery::Static(Arc::new(endpoints)))
        }
        DiscoveryType::Eds => {
            let at = &at.field("eds_cluster_config");
            let config = at.required(&cluster.eds_cluster_config)?;
            at.check(config)?;
            from_stream(&config.eds_config, &at.field("eds_config"))?;
            let name = if config.service_name.is_empty() { &cluster.name } else { &config.service_name };
            Ok(Discovery::Eds(name.as_str().into()))
        }
        DiscoveryType::OriginalDst => Ok(Discovery::OriginalDestination),
        DiscoveryType::StrictDns | DiscoveryType::LogicalDns => {
            Err(at_type.unlike(kind.as_str_name(), "STATIC, EDS, ORIGINAL_DST"))
        }
    }
}

fn http_options(cluster: &wire::Cluster, at: &At<'_>) -> Result<Http, Refused> {
    let mut options = None;
    let at = &at.field("typed_extension_protocol_options");
    for (key, any) in &cluster.typed_extension_protocol_options {
        let at = &at.key(key);
        if key != HTTP_OPTIONS {
            return Err(at.refuse(format!("not supported; accepted: {HTTP_OPTIONS}")));
        }
        let found = at.unpack::<HttpProtocolOptions>(any)?;
        options = Some(found.ok_or_else(|| at.unknown_type(any, &["HttpProtocolOptions"]))?);
    }
    let at = &at.key(HTTP_OPTIONS);
    let Some(options) = options else {
        let protocol = Protocol::Explicit(Version::Http1);
        return Ok(Http { protocol, idle_timeout: Some(http::IDLE_TIMEOUT), max_requests: None });
    };
    let common = &at.field("common_http_protocol_options");
    let (idle_timeout, max_requests) = http::common(&options.common_http_protocol_options, common)?;
    let protocol = match &options.upstream_protocol_options {
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(config)) => {
            let at = &at.field("explicit_http_config");
            at.check(config)?;
            match &config.protocol_config {
                Some(ProtocolConfig::HttpProtocolOptions(options)) => {
                    http::http1_upstream(options, &at.field("http_protocol_options"))?;
                    Protocol::Explicit(Version::Http1)
                }
                Some(ProtocolConfig::Http2ProtocolOptions(options)) => {
                    http::http2(options, &at.field("http2_protocol_options"))?;
                    Protocol::Explicit(Version::Http2)
                }
                _ => return Err(at.refuse("neither http_protocol_options nor http2_protocol_options")),
            }
        }
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(config)) => {
            let at = &at.field("use_downstream_protocol_config");
            at.check(config)?;
            both(&config.http_protocol_options, &config.http2_protocol_options, at)?;
            Protocol::AsReceived
        }
        Some(UpstreamProtocolOptions::AutoConfig(config)) => {
            let at = &at.field("auto_config");
            at.check(config)?;
            both(&config.http_protocol_options, &config.http2_protocol_options, at)?;
            Protocol::ByAlpn
        }
        None => return Err(at.refuse("no protocol is given")),
    };
    Ok(Http { protocol, idle_timeout, max_requests })
}

/// Of a cluster that may speak both. Without a word Envoy speaks HTTP/2 only where options are there.
fn both(
    http1: &Option<byrnie_proto::envoy::envoy::config::core::v3::Http1ProtocolOptions>,
    http2: &Option<byrnie_proto::envoy::envoy::config::core::v3::Http2ProtocolOptions>,
    at: &At<'_>,
) -> Result<(), Refused> {
    let (at_http1, at_http2) = (at.field("http_protocol_options"), at.field("http2_protocol_options"));
    http::http1_upstream(at_http1.required(http1)?, &at_http1)?;
    http::http2(at_http2.required(http2)?, &at_http2)
}

fn balancer(cluster: &wire::Cluster, discovery: &Discovery, at: &At<'_>) -> Result<Policy, Refused> {
    let policy: LbPolicy = at.field("lb_policy").known(cluster.lb_policy)?;
    let original = *discovery == Discovery::OriginalDestination;
    if original != (policy == LbPolicy::ClusterProvided) {
        let accepted = if original { "CLUSTER_PROVIDED" } else { "ROUND_ROBIN, LEAST_REQUEST, RANDOM" };
        return Err(at.field("lb_policy").unlike(policy.as_str_name(), accepted));
    }
    let mut choices = 2;
    match &cluster.lb_config {
        Some(LbConfig::LeastRequestLbConfig(config)) => {
            let at = &at.field("least_request_lb_config");
            at.check(config)?;
            choices = number(config.choice_count).unwrap_or(choices);
            if choices < 2 {
                return Err(at.field("choice_count").unlike(choices, "2 or more"));
            }
        }
        Some(LbConfig::RoundRobinLbConfig(config)) => at.field("round_robin_lb_config").check(config)?,
        Some(LbConfig::OriginalDstLbConfig(config)) => at.field("original_dst_lb_config").check(config)?,
        Some(LbConfig::RingHashLbConfig(_) | LbConfig::MaglevLbConfig(_)) | None => {}
    }
    match policy {
        LbPolicy::RoundRobin => Ok(Policy::RoundRobin),
        LbPolicy::LeastRequest => Ok(Policy::LeastRequest { choices }),
        LbPolicy::Random | LbPolicy::ClusterProvided => Ok(Policy::Random),
        LbPolicy::RingHash | LbPolicy::Maglev | LbPolicy::LoadBalancingPolicyConfig => {
            Err(at.field("lb_policy").unlike(policy.as_str_name(), "ROUND_ROBIN, LEAST_REQUEST, RANDOM"))
        }
    }
}

fn common_lb(common: &Option<CommonLbConfig>, at: &At<'_>) -> Result<(u8, bool), Refused> {
    let Some(common) = common else { return Ok((PANIC_PERCENT as u8, false)) };
    at.check(common)?;
    let panic = percent(&common.healthy_panic_threshold, PANIC_PERCENT, &at.field("healthy_panic_threshold"))?;
    // 0 to 100, as checked. Envoy rounds as well.
    Ok((panic.round() as u8, common.ignore_new_hosts_until_first_hc))
}

fn percent(percent: &Option<Percent>, absent: f64, at: &At<'_>) -> Result<f64, Refused> {
    match percent.map_or(absent, |percent| percent.value) {
        value if (0.0..=100.0).contains(&value) => Ok(value),
        value => Err(at.unlike(value, "0 to 100")),
    }
}

fn limits(breakers: &Option<CircuitBreakers>, at: &At<'_>) -> Result<Limits, Refused> {
    let mut found = None;
    if let Some(breakers) = breakers {
        at.check(breakers)?;
        let at = &at.field("thresholds");
        for (index, thresholds) in breakers.thresholds.iter().enumerate() {
            let at = &at.index(index);
            at.check(thresholds)?;
            let priority = at.field("priority").known::<RoutingPriority>(thresholds.priority)?;
            if priority == RoutingPriority::Default && found.is_none() {
                found = Some(retries(thresholds, at).map(|retries| (thresholds, retries))?);
            }
        }
    }
    let or = |value: Option<UInt32Value>| number(value).unwrap_or(LIMIT);
    Ok(match found {
        Some((thresholds, retries)) => Limits {
            connections: or(thresholds.max_connections),
            pending: or(thresholds.max_pending_requests),
            requests: or(thresholds.max_requests),
            retries,
        },
        None => Limits { connections: LIMIT, pending: LIMIT, requests: LIMIT, retries: Retries::Number(RETRIES) },
    })
}

fn retries(thresholds: &Thresholds, at: &At<'_>) -> Result<Retries, Refused> {
    let Some(budget) = &thresholds.retry_budget else {
        return Ok(Retries::Number(number(thresholds.max_retries).unwrap_or(RETRIES)));
    };
    let at = &at.field("retry_budget");
    at.check(budget)?;
    Ok(Retries::Budget {
        percent: percent(&budget.budget_percent, BUDGET_PERCENT, &at.field("budget_percent"))?,
        minimum: number(budget.min_retry_concurrency).unwrap_or(BUDGET_MINIMUM),
    })
}

fn sockets(cluster: &wire::Cluster, at: &At<'_>) -> Result<Sockets, Refused> {
    let transport = |socket: &TransportSocket, at: &At<'_>| Ok(UpstreamTls::read(socket, at)?.map(Arc::new));
    let one = |one: &TransportSocketMatch, at: &At<'_>| {
        at.check(one)?;
        let wanted = match &one.r#match {
            Some(wanted) => account(wanted, &at.field("match"))?.map(Into::into),
            None => None,
        };
        let at = &at.field("transport_socket");
        Ok((wanted, transport(at.required(&one.transport_socket)?, at)?))
    };
    let otherwise = match &cluster.transport_socket {
        Some(socket) => transport(socket, &at.field("transport_socket"))?,
        None => None,
    };
    let matches = each(&cluster.transport_socket_matches, &at.field("transport_socket_matches"), one)?;
    Ok(Sockets { matches, otherwise })
}

fn bind(bind: &Option<BindConfig>, at: &At<'_>) -> Result<Vec<IpAddr>, Refused> {
    let Some(bind) = bind else { return Ok(Vec::new()) };
    at.check(bind)?;
    let ip = |address: &SocketAddress, at: &At<'_>| match socket_address(address, at)? {
        address if address.port() == 0 => Ok(address.ip()),
        address => Err(at.field("port_value").unlike(address.port(), "0")),
    };
    let at_source = at.field("source_address");
    let first = ip(at_source.required(&bind.source_address)?, &at_source)?;
    let at = &at.field("extra_source_addresses");
    let more = each(&bind.extra_source_addresses, at, |extra, at| {
        at.check(extra)?;
        let at = &at.field("address");
        ip(at.required(&extra.address)?, at)
    })?;
    Ok(std::iter::once(first).chain(more).collect())
}
