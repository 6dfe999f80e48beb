//! Listeners: where connections arrive, how their protocol is found out, and what each chain does with them.

mod choose;
mod fields;
mod http;
mod read;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{DownstreamTls, RouteTable, http::Version, value::Keepalive};

pub use choose::Seen;
pub use fields::tables;

/// `envoy.config.listener.v3.Listener`.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// `in`, `out/10.96.0.5:80`.
    pub name: Arc<str>,
    /// Whose connections these are.
    pub direction: Direction,
    /// `address` and `additional_addresses`.
    pub addresses: Vec<SocketAddr>,
    /// `bind_to_port`: whether a socket listens there; else connections are handed over by another listener.
    pub bind: bool,
    /// `use_original_dst`: a connection goes on to the listener of the address that was called, if there is one.
    pub hands_over: bool,
    /// `listener_filters`, and how long they may take.
    pub inspect: Inspect,
    /// No two for the same connection; which one takes it is for [`Listener::choose`] to say.
    pub chains: Vec<Chain>,
    /// `default_filter_chain`: where none of them does.
    pub default: Option<Chain>,
    /// `tcp_keepalive`: idle time, interval, probes.
    pub keepalive: Option<Keepalive>,
}

/// `traffic_direction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Of peers, to the application.
    Inbound,
    /// Of the application.
    Outbound,
}

/// What is looked at before a chain is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspect {
    /// `original_dst`: the address that was called before the redirection.
    pub original_destination: bool,
    /// `tls_inspector`: transport, offered ALPN and SNI of a ClientHello.
    pub tls: bool,
    /// `http_inspector`: the first request line or the preface of HTTP/2.
    pub http: bool,
    /// `listener_filters_timeout`; none where nothing was set (Envoy: 15 s).
    pub timeout: Option<Duration>,
    /// `continue_on_listener_filters_timeout`: silence is taken for plain text; else the connection is closed.
    pub goes_on: bool,
}

/// `envoy.config.listener.v3.FilterChain`.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// `8080/byrnie-http`.
    pub name: Arc<str>,
    /// Which connections it takes.
    pub matches: ChainMatch,
    /// `transport_socket`; none is plain text.
    pub tls: Option<Arc<DownstreamTls>>,
    /// What is offered by ALPN to the next sidecar in place of what the cluster says (`set_filter_state` of
    /// `envoy.network.application_protocols`).
    pub offers: Option<Arc<[Box<[u8]>]>>,
    /// What is done.
    pub filter: Filter,
}

/// `envoy.config.listener.v3.FilterChainMatch`. What is absent or empty takes anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainMatch {
    /// `destination_port`.
    pub port: Option<u16>,
    /// `server_names`, lower case; `*.example.com` is a suffix.
    pub server_names: Vec<Box<str>>,
    /// `transport_protocol`.
    pub transport: Option<Transport>,
    /// `application_protocols`: offered ALPN values, or `http/1.0`, `http/1.1`, `h2c` as they were detected.
    pub applications: Vec<Box<str>>,
}

/// What stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `raw_buffer`.
    Plain,
    /// `tls`.
    Tls,
}

/// The last network filter of a chain.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// `http_connection_manager`.
    Http(Arc<Http>),
    /// `tcp_proxy`.
    Tcp(Arc<Tcp>),
    /// `direct_response` without a body: closed without a word.
    Close,
}

/// `HttpConnectionManager` with the router as its only filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// `stat_prefix`.
    pub stat: Arc<str>,
    /// Where requests go.
    pub routes: Routes,
    /// `codec_type`: none is AUTO.
    pub only: Option<Version>,
    /// `default_host_for_http_10`; none where HTTP/1.0 is refused with 426 (`accept_http_10`).
    pub host_for_http10: Option<Box<str>>,
    /// `forward_client_cert_details`.
    pub client_certificate: ClientCertificate,
    /// `local_reply_config`: fields that replies of the proxy itself get, by flag.
    pub local_replies: Vec<LocalReply>,
    /// `upgrade_configs`, lower case: `websocket`.
    pub upgrades: Vec<Box<str>>,
    /// `common_http_protocol_options.idle_timeout` (of a connection without requests); none is never.
    pub idle_timeout: Option<Duration>,
    /// `stream_idle_timeout`; none is never.
    pub stream_idle_timeout: Option<Duration>,
}

/// `RouteSpecifier`.
#[derive(Clone, Debug, PartialEq)]
pub enum Routes {
    /// RDS, by name.
    Named(Arc<str>),
    /// `route_config`.
    Inline(Arc<RouteTable>),
}

/// What becomes of `x-forwarded-client-cert`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// SANITIZE: removed.
    Remove,
    /// SANITIZE_SET with `uri`: replaced by `By=OWN-URI;Hash=SHA256;URI=PEER-URI` where there is a certificate.
    Replace,
}

/// A `ResponseMapper` that adds fields to replies with one of the flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// `UF`, `UH`.
    pub flags: Vec<Box<str>>,
    /// Set, in place of what may be there.
    pub fields: Vec<(Box<str>, Box<str>)>,
}

/// `TcpProxy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tcp {
    /// `stat_prefix`.
    pub stat: Arc<str>,
    /// One, or several by weight.
    pub clusters: Vec<(Arc<str>, u32)>,
    /// `idle_timeout`; none is never.
    pub idle_timeout: Option<Duration>,
    /// `max_connect_attempts`, at least 1.
    pub connect_attempts: u32,
}

#[cfg(test)]
mod tests;
