//! Clusters: how endpoints are found, chosen, judged, and spoken to.

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::{Endpoints, UpstreamTls, listener::Keepalive};

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
    /// `transport_socket` and `transport_socket_matches`.
    pub sockets: Sockets,
    /// `upstream_connection_options.tcp_keepalive`.
    pub keepalive: Option<Keepalive>,
    /// `upstream_bind_config`: where connections come from, by family.
    pub bind: Vec<IpAddr>,
    // To be added by the reading code: balancer, limits, retry budget, ejection, health checks, panic threshold
    // (types of byrnie_balance), max requests a connection, idle timeout of the connections, TCP keep-alive.
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

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Which transport an endpoint is called by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sockets {
    /// By the value of `sa` in the endpoint's `envoy.transport_socket_match`; the first that fits. `None` as the
    /// condition fits every endpoint. `None` as the transport is plain text.
    pub matches: Vec<(Option<Box<str>>, Option<Arc<UpstreamTls>>)>,
    /// Where none fits.
    pub otherwise: Option<Arc<UpstreamTls>>,
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
