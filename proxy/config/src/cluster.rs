//! Clusters: how endpoints are found, chosen, judged, and spoken to.

mod fields;
mod health;
mod read;

use std::{net::IpAddr, sync::Arc, time::Duration};

use byrnie_balance::{Checks, Ejection, FirstCheck, Limits, Policy};

use crate::{Endpoints, UpstreamTls, http::Version, value::Keepalive};

pub use fields::tables;

/// `envoy.config.cluster.v3.Cluster`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// `shop/cart:80`.
    pub name: Arc<str>,
    /// `alt_stat_name`, or the name.
    pub stat: Arc<str>,
    /// Where endpoints come from.
    pub discovery: Discovery,
    /// `connect_timeout`: TCP and TLS together.
    pub connect_timeout: Duration,
    /// `typed_extension_protocol_options`, HttpProtocolOptions.
    pub protocol: Protocol,
    /// `common_http_protocol_options.idle_timeout` (of a connection without requests); none is never.
    pub idle_timeout: Option<Duration>,
    /// `common_http_protocol_options.max_requests_per_connection`, at least 1; none is no limit.
    pub max_requests: Option<u32>,
    /// `transport_socket` and `transport_socket_matches`.
    pub sockets: Sockets,
    /// `upstream_connection_options.tcp_keepalive`.
    pub keepalive: Option<Keepalive>,
    /// `upstream_bind_config`: where connections come from, by family.
    pub bind: Vec<IpAddr>,
    /// `lb_policy`. Where the address is the one that was called there is nothing to choose.
    pub balancer: Policy,
    /// `common_lb_config.healthy_panic_threshold`, percent; 0 is never.
    pub panic_threshold: u8,
    /// `circuit_breakers`.
    pub limits: Limits,
    /// `outlier_detection`.
    pub ejection: Option<Ejection>,
    /// `health_checks`; Envoy takes one as well.
    pub health_check: Option<HealthCheck>,
    /// Whether new endpoints are called before they were checked
    /// (`common_lb_config.ignore_new_hosts_until_first_hc`).
    pub first_check: FirstCheck,
    /// `close_connections_on_host_health_failure`.
    pub close_on_failure: bool,
}

/// `ClusterDiscoveryType`.
#[derive(Clone, Debug, PartialEq)]
pub enum Discovery {
    /// EDS, by `service_name`.
    Eds(Arc<str>),
    /// STATIC: `load_assignment`.
    Static(Arc<Endpoints>),
    /// ORIGINAL_DST: the address that was called.
    OriginalDestination,
}

/// How requests are written to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `explicit_http_config`, and HTTP/1.1 where nothing is said.
    Explicit(Version),
    /// `use_downstream_protocol_config`: as they came.
    AsReceived,
    /// `auto_config`: what the peer selects by ALPN, HTTP/1.1 where it selects nothing.
    ByAlpn,
}

/// Which transport an endpoint is called by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sockets {
    /// By the value of `sa` in the endpoint's `envoy.transport_socket_match`; the first that fits. `None` as the
    /// condition fits every endpoint. `None` as the transport is plain text.
    pub matches: Vec<SocketMatch>,
    /// Where none fits.
    pub otherwise: Option<Arc<UpstreamTls>>,
}

/// A condition and a transport.
pub type SocketMatch = (Option<Box<str>>, Option<Arc<UpstreamTls>>);

/// `envoy.config.core.v3.HealthCheck`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// `timeout`, connecting included.
    pub timeout: Duration,
    /// `reuse_connection`.
    pub reuses_connection: bool,
    /// `tls_options.alpn_protocols`, in place of what the cluster offers; empty offers what the cluster does.
    pub alpn: Arc<[Box<[u8]>]>,
    /// Thresholds and intervals.
    pub pace: Checks,
}

/// `HealthChecker`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `http_health_check`.
    Http(HttpProbe),
    /// `grpc_health_check`.
    Grpc {
        /// `service_name`, may be empty.
        service: Box<str>,
        /// `authority`, or the cluster's name.
        authority: Box<str>,
    },
    /// `tcp_health_check`: a connection (with its handshake) is enough.
    Tcp,
}

/// `HttpHealthCheck`: a GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// `host`, or the cluster's name.
    pub host: Box<str>,
    /// `path`.
    pub path: Box<str>,
    /// `expected_statuses`, from and up to but without; never empty.
    pub expected: Vec<(u16, u16)>,
    /// `retriable_statuses`: these count as no answer.
    pub retriable: Vec<(u16, u16)>,
    /// `codec_client_type`.
    pub version: Version,
}

impl Sockets {
    /// The transport of an endpoint with this account; `None` is plain text.
    pub fn of(&self, account: Option<&str>) -> Option<&Arc<UpstreamTls>> {
        let fits = |wanted: &Option<Box<str>>| wanted.as_deref().is_none_or(|wanted| account == Some(wanted));
        match self.matches.iter().find(|(wanted, _)| fits(wanted)) {
            Some((_, transport)) => transport.as_ref(),
            None => self.otherwise.as_ref(),
        }
    }
}

impl HttpProbe {
    /// What a status means: whether it is expected, and whether it counts as no answer.
    pub fn judge(&self, status: u16) -> byrnie_balance::Answer {
        let within = |ranges: &[(u16, u16)]| ranges.iter().any(|(from, to)| (*from..*to).contains(&status));
        match (within(&self.expected), within(&self.retriable)) {
            (true, _) => byrnie_balance::Answer::Passed,
            (false, true) => byrnie_balance::Answer::Unreachable,
            (false, false) => byrnie_balance::Answer::Refused,
        }
    }
}

#[cfg(test)]
mod tests;
