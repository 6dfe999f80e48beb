//! The HTTP connection manager of both sides. Envoy's defaults are those of an edge proxy; here everything that the
//! user did not ask for is switched off, so that an application sees what it would see without a sidecar.

use byrnie_proto::{
    Kind,
    envoy::envoy::{
        config::{
            accesslog::v3::{AccessLogFilter, ResponseFlagFilter, access_log_filter::FilterSpecifier},
            core::v3::{
                HeaderValue, HeaderValueOption, Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions,
                header_value_option::HeaderAppendAction,
            },
            listener::v3::Filter,
            route::v3::{
                Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route, route_action::ClusterSpecifier,
                route_match::PathSpecifier,
            },
        },
        extensions::filters::{
            http::router::v3::Router,
            network::http_connection_manager::v3::{
                HttpConnectionManager, HttpFilter, LocalReplyConfig, Rds, ResponseMapper,
                http_connection_manager::{
                    CodecType, ForwardClientCertDetails, PathWithEscapedSlashesAction, RouteSpecifier,
                    ServerHeaderTransformation, SetCurrentClientCertDetails, UpgradeConfig,
                },
                http_filter::ConfigType,
            },
        },
    },
};

use super::part::{boolean, network_filter, never};
use crate::{
    Reference,
    build::{
        pack::{ads, any},
        route::deadline_of_calls,
    },
    names::UNDELIVERED,
};

/// Where requests of a connection go.
#[derive(Clone, Debug)]
pub enum Routes {
    /// As the route configuration of this name says.
    Named(String),
    /// All to one cluster.
    To(String),
}

impl Routes {
    /// What has to be there first.
    pub fn reference(&self) -> Reference {
        match self {
            Self::Named(route) => Reference { kind: Kind::Route, name: route.as_str().into() },
            Self::To(cluster) => Reference { kind: Kind::Cluster, name: cluster.as_str().into() },
        }
    }

    fn specifier(&self) -> RouteSpecifier {
        match self {
            Self::Named(route) => {
                RouteSpecifier::Rds(Rds { config_source: Some(ads()), route_config_name: route.clone() })
            }
            Self::To(cluster) => RouteSpecifier::RouteConfig(all_to(cluster)),
        }
    }
}

/// Requests of the application, on their way out. `host` stands in for the Host that HTTP/1.0 need not send.
pub fn outbound(stat: &str, host: &str, routes: &Routes) -> Filter {
    filter(HttpConnectionManager {
        forward_client_cert_details: ForwardClientCertDetails::Sanitize.into(),
        ..transparent(stat, host, routes)
    })
}

/// Requests of peers, on their way to the application.
pub fn inbound(stat: &str, host: &str, cluster: &str) -> Filter {
    filter(HttpConnectionManager {
        // Where there is no certificate the header is taken away, so nobody can make it up.
        forward_client_cert_details: ForwardClientCertDetails::SanitizeSet.into(),
        set_current_client_cert_details: Some(SetCurrentClientCertDetails { uri: true, ..Default::default() }),
        local_reply_config: Some(LocalReplyConfig { mappers: vec![undelivered()], body_format: None }),
        ..transparent(stat, host, &Routes::To(cluster.to_owned()))
    })
}

fn filter(manager: HttpConnectionManager) -> Filter {
    network_filter("envoy.filters.network.http_connection_manager", &manager)
}

fn transparent(stat: &str, host: &str, routes: &Routes) -> HttpConnectionManager {
    HttpConnectionManager {
        codec_type: CodecType::Auto.into(),
        stat_prefix: stat.to_owned(),
        http_filters: vec![router()],
        common_http_protocol_options: Some(HttpProtocolOptions { idle_timeout: never(), ..Default::default() }),
        http_protocol_options: Some(Http1ProtocolOptions {
            accept_http_10: true,
            default_host_for_http_10: host.to_owned(),
            enable_trailers: true,
            ..Default::default()
        }),
        http2_protocol_options: Some(Http2ProtocolOptions { allow_connect: true, ..Default::default() }),
        server_header_transformation: ServerHeaderTransformation::PassThrough.into(),
        stream_idle_timeout: never(),
        // No address counts as internal while `internal_address_config` says nothing, and from what is not internal the
        // router takes no orders: it strips `x-envoy-retry-on`, `x-envoy-upstream-rq-timeout-ms` and their like.
        use_remote_address: boolean(false),
        skip_xff_append: true,
        generate_request_id: boolean(false),
        preserve_external_request_id: true,
        proxy_100_continue: true,
        upgrade_configs: vec![UpgradeConfig { upgrade_type: "websocket".to_owned(), ..Default::default() }],
        normalize_path: boolean(false),
        merge_slashes: false,
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::KeepUnchanged.into(),
        route_specifier: Some(routes.specifier()),
        ..Default::default()
    }
}

fn router() -> HttpFilter {
    let router = Router { suppress_envoy_headers: true, ..Default::default() };
    HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(ConfigType::TypedConfig(any(&router))),
        ..Default::default()
    }
}

/// Connection refused or no endpoint, said by this proxy itself. It is added after the route took the header out of
/// the application's replies.
fn undelivered() -> ResponseMapper {
    let flags = ResponseFlagFilter { flags: vec!["UF".to_owned(), "UH".to_owned()] };
    let header = HeaderValueOption {
        header: Some(HeaderValue { key: UNDELIVERED.to_owned(), value: "true".to_owned(), ..Default::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    };
    ResponseMapper {
        filter: Some(AccessLogFilter { filter_specifier: Some(FilterSpecifier::ResponseFlagFilter(flags)) }),
        headers_to_add: vec![header],
        ..Default::default()
    }
}

fn all_to(cluster: &str) -> RouteConfiguration {
    let action = RouteAction {
        timeout: never(),
        max_stream_duration: deadline_of_calls(),
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        ..Default::default()
    };
    let route = Route {
        r#match: Some(RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..Default::default() }),
        action: Some(route::Action::Route(action)),
        ..Default::default()
    };
    let host = VirtualHost {
        name: cluster.to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        ..Default::default()
    };
    RouteConfiguration {
        name: cluster.to_owned(),
        virtual_hosts: vec![host],
        response_headers_to_remove: vec![UNDELIVERED.to_owned()],
        ..Default::default()
    }
}
