//! What a client was sent, decoded into rows for `byrnie proxy-config` and `/debug/config`.
//!
//! One JSON object a row, with the fields that an operator looks for; the whole message stays in the proxy's own
//! `/config_dump`.

use byrnie_proto::{
    Kind,
    envoy::envoy::{
        config::{
            cluster::v3::Cluster,
            core::v3::{Address, TransportSocket, address, socket_address, transport_socket},
            endpoint::v3::{ClusterLoadAssignment, LbEndpoint, lb_endpoint},
            listener::v3::{Filter, FilterChain, Listener, filter},
            route::v3::{Route, RouteAction, RouteConfiguration, RouteMatch, route, route_action, route_match},
        },
        extensions::filters::network::{
            http_connection_manager::v3::{HttpConnectionManager, http_connection_manager::RouteSpecifier},
            tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
        },
        extensions::transport_sockets::tls::v3::{UpstreamTlsContext, common_tls_context::ValidationContextType},
        r#type::matcher::v3::string_matcher::MatchPattern,
    },
};
use prost::Message;
use serde_json::{Value, json};

/// The columns of each kind, in the order of the table.
pub fn columns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Listener => &["name", "address", "match", "tls", "target"],
        Kind::Route => &["name", "match", "target", "timeout", "retries", "rule"],
        Kind::Cluster => &["name", "type", "balancer", "accounts", "healthChecks", "ejection"],
        Kind::Endpoints => &["cluster", "address", "health", "account", "zone"],
        Kind::Secret => &["name", "version", "content"],
    }
}

/// The rows of one resource. A message that cannot be read is one row that says so.
pub fn rows(kind: Kind, name: &str, body: &[u8]) -> Vec<Value> {
    let rows = match kind {
        Kind::Listener => Listener::decode(body).map(|message| listener(&message)),
        Kind::Route => RouteConfiguration::decode(body).map(|message| routes(&message)),
        Kind::Cluster => Cluster::decode(body).map(|message| vec![cluster(&message)]),
        Kind::Endpoints => ClusterLoadAssignment::decode(body).map(|message| endpoints(&message)),
        Kind::Secret => Ok(vec![json!({"name": name, "content": "[redacted]"})]),
    };
    rows.unwrap_or_else(|error| vec![json!({"name": name, "error": error.to_string()})])
}

fn listener(listener: &Listener) -> Vec<Value> {
    let at = listener.address.as_ref().map(address).unwrap_or_default();
    let chain = |chain: &FilterChain| {
        json!({
            "name": listener.name,
            "address": at,
            "match": chain_match(chain),
            "tls": chain.transport_socket.is_some(),
            "target": chain.filters.iter().filter_map(target).collect::<Vec<_>>(),
        })
    };
    listener.filter_chains.iter().chain(&listener.default_filter_chain).map(chain).collect()
}

fn chain_match(chain: &FilterChain) -> String {
    let Some(matches) = &chain.filter_chain_match else { return "any".to_owned() };
    let port = matches.destination_port.map(|port| format!("port {}", port.value));
    let transport = Some(&matches.transport_protocol).filter(|text| !text.is_empty()).cloned();
    let offered = Some(&matches.application_protocols).filter(|list| !list.is_empty()).map(|list| list.join("|"));
    let parts: Vec<_> = [port, transport, offered].into_iter().flatten().collect();
    if parts.is_empty() { "any".to_owned() } else { parts.join(" ") }
}

/// Where a network filter sends what it reads; `None` for filters that send nothing.
fn target(filter: &Filter) -> Option<String> {
    let Some(filter::ConfigType::TypedConfig(config)) = &filter.config_type else { return None };
    if config.type_url.ends_with(".HttpConnectionManager") {
        let manager = HttpConnectionManager::decode(&*config.value).ok()?;
        return Some(match manager.route_specifier? {
            RouteSpecifier::Rds(rds) => rds.route_config_name,
            RouteSpecifier::RouteConfig(inline) => routes(&inline)
                .first()
                .and_then(|row| row["target"].as_str().map(str::to_owned))
                .unwrap_or_else(|| "inline routes".to_owned()),
            RouteSpecifier::ScopedRoutes(scoped) => scoped.name,
        });
    }
    if config.type_url.ends_with(".TcpProxy") {
        return match TcpProxy::decode(&*config.value).ok()?.cluster_specifier? {
            ClusterSpecifier::Cluster(name) => Some(name),
            ClusterSpecifier::WeightedClusters(_) => Some("weighted".to_owned()),
        };
    }
    None
}

fn routes(table: &RouteConfiguration) -> Vec<Value> {
    let routes = table.virtual_hosts.iter().flat_map(|host| &host.routes);
    routes.map(|entry| route_row(&table.name, entry)).collect()
}

fn route_row(table: &str, entry: &Route) -> Value {
    let (target, timeout, retries) = match &entry.action {
        Some(route::Action::Route(action)) => (forward(action), timeout(action), retries(action)),
        Some(route::Action::Redirect(redirect)) => {
            (format!("redirect {}", redirect.response_code().as_str_name()), None, None)
        }
        Some(route::Action::DirectResponse(response)) => (format!("respond {}", response.status), None, None),
        _ => ("-".to_owned(), None, None),
    };
    json!({
        "name": table,
        "match": entry.r#match.as_ref().map(route_match_text),
        "target": target,
        "timeout": timeout,
        "retries": retries,
        "rule": entry.name,
    })
}

fn forward(action: &RouteAction) -> String {
    match &action.cluster_specifier {
        Some(route_action::ClusterSpecifier::Cluster(name)) => name.clone(),
        Some(route_action::ClusterSpecifier::WeightedClusters(split)) => {
            let share = |c: &byrnie_proto::envoy::envoy::config::route::v3::weighted_cluster::ClusterWeight| {
                format!("{} x{}", c.name, c.weight.map_or(0, |weight| weight.value))
            };
            split.clusters.iter().map(share).collect::<Vec<_>>().join(" | ")
        }
        _ => "-".to_owned(),
    }
}

fn timeout(action: &RouteAction) -> Option<String> {
    let timeout = action.timeout?;
    (timeout.seconds != 0 || timeout.nanos != 0)
        .then(|| format!("{}s", timeout.seconds as f64 + f64::from(timeout.nanos) / 1e9))
}

fn retries(action: &RouteAction) -> Option<String> {
    let policy = action.retry_policy.as_ref()?;
    Some(format!("{} on {}", policy.num_retries.map_or(1, |n| n.value), policy.retry_on))
}

fn route_match_text(matches: &RouteMatch) -> String {
    use route_match::PathSpecifier;
    let path = match &matches.path_specifier {
        Some(PathSpecifier::Path(path)) => format!("= {path}"),
        Some(PathSpecifier::Prefix(path) | PathSpecifier::PathSeparatedPrefix(path)) => format!("{path}*"),
        Some(PathSpecifier::SafeRegex(regex)) => format!("~ {}", regex.regex),
        _ => "*".to_owned(),
    };
    let headers = matches.headers.iter().map(|header| format!("header {}", header.name));
    let query = matches.query_parameters.iter().map(|parameter| format!("query {}", parameter.name));
    std::iter::once(path).chain(headers).chain(query).collect::<Vec<_>>().join(", ")
}

fn cluster(cluster: &Cluster) -> Value {
    use byrnie_proto::envoy::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
    let discovery = match &cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => {
            DiscoveryType::try_from(*kind).map_or("unknown", |kind| kind.as_str_name()).to_owned()
        }
        Some(ClusterDiscoveryType::ClusterType(custom)) => custom.name.clone(),
        None => "STATIC".to_owned(),
    };
    let matched = cluster.transport_socket_matches.iter().map(|one| one.name.clone());
    let accounts: Vec<_> = matched.chain(cluster.transport_socket.iter().filter_map(demanded)).collect();
    json!({
        "name": cluster.name,
        "type": discovery,
        "balancer": cluster.lb_policy().as_str_name(),
        "accounts": accounts,
        "healthChecks": cluster.health_checks.len(),
        "ejection": cluster.outlier_detection.is_some(),
    })
}

/// The identity that a TLS context demands of the peer, where all endpoints share one.
fn demanded(socket: &TransportSocket) -> Option<String> {
    let Some(transport_socket::ConfigType::TypedConfig(config)) = &socket.config_type else { return None };
    let context = UpstreamTlsContext::decode(&*config.value).ok()?.common_tls_context?;
    let Some(ValidationContextType::CombinedValidationContext(combined)) = context.validation_context_type else {
        return None;
    };
    let names = combined.default_validation_context?.match_typed_subject_alt_names;
    match names.first()?.matcher.as_ref()?.match_pattern.as_ref()? {
        MatchPattern::Exact(uri) => Some(uri.clone()),
        _ => None,
    }
}

fn endpoints(assignment: &ClusterLoadAssignment) -> Vec<Value> {
    let mut rows = Vec::new();
    for group in &assignment.endpoints {
        let zone = group.locality.as_ref().map(|locality| locality.zone.as_str()).unwrap_or_default();
        rows.extend(group.lb_endpoints.iter().map(|endpoint| endpoint_row(&assignment.cluster_name, zone, endpoint)));
    }
    rows
}

fn endpoint_row(cluster: &str, zone: &str, endpoint: &LbEndpoint) -> Value {
    let at = match &endpoint.host_identifier {
        Some(lb_endpoint::HostIdentifier::Endpoint(host)) => host.address.as_ref().map(address).unwrap_or_default(),
        _ => String::new(),
    };
    json!({
        "cluster": cluster,
        "address": at,
        "health": endpoint.health_status().as_str_name(),
        "account": account(endpoint),
        "zone": zone,
    })
}

/// The account that the endpoint's sidecar must prove; none where it is called in plain text.
fn account(endpoint: &LbEndpoint) -> Option<String> {
    use byrnie_proto::envoy::google::protobuf::value::Kind as Field;
    let matched = endpoint.metadata.as_ref()?.filter_metadata.get("envoy.transport_socket_match")?;
    match matched.fields.get("sa")?.kind.as_ref()? {
        Field::StringValue(account) => Some(account.clone()),
        _ => None,
    }
}

fn address(address: &Address) -> String {
    match &address.address {
        Some(address::Address::SocketAddress(socket)) => match &socket.port_specifier {
            Some(socket_address::PortSpecifier::PortValue(port)) if socket.address.contains(':') => {
                format!("[{}]:{port}", socket.address)
            }
            Some(socket_address::PortSpecifier::PortValue(port)) => format!("{}:{port}", socket.address),
            _ => socket.address.clone(),
        },
        Some(address::Address::Pipe(pipe)) => pipe.path.clone(),
        _ => String::new(),
    }
}
