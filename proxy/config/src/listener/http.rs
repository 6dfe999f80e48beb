//! Reads an `HttpConnectionManager`.

use std::{sync::Arc, time::Duration};

use byrnie_proto::envoy::{
    envoy::{
        config::{
            accesslog::v3::access_log_filter::FilterSpecifier,
            core::v3::{HeaderValueOption, header_value_option::HeaderAppendAction},
        },
        extensions::filters::{
            http::router::v3::Router,
            network::http_connection_manager::v3::{
                HttpConnectionManager, HttpFilter, LocalReplyConfig, ResponseMapper,
                http_connection_manager::{
                    CodecType, ForwardClientCertDetails, PathWithEscapedSlashesAction, RouteSpecifier,
                    ServerHeaderTransformation, UpgradeConfig,
                },
                http_filter::ConfigType,
            },
        },
    },
    google::protobuf::BoolValue,
};

use super::{ClientCertificate, Http, LocalReply, Routes};
use crate::{
    Refused, RouteTable,
    fields::At,
    http::{self, Version},
    route::edit::Change,
    value::{each, flag, from_stream},
};

/// `stream_idle_timeout` where nothing is said.
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Response flags that Envoy knows (`ResponseFlagFilter.flags`).
const FLAGS: [&str; 28] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX", "SI", "IH",
    "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO",
];

impl Http {
    pub(super) fn read(manager: &HttpConnectionManager, at: &At<'_>) -> Result<Self, Refused> {
        let only = match at.field("codec_type").known(manager.codec_type)? {
            CodecType::Auto => None,
            CodecType::Http1 => Some(Version::Http1),
            CodecType::Http2 => Some(Version::Http2),
            other @ CodecType::Http3 => {
                return Err(at.field("codec_type").unlike(other.as_str_name(), "AUTO, HTTP1, HTTP2"));
            }
        };
        transparent(manager, at)?;
        router(&manager.http_filters, &at.field("http_filters"))?;
        let limit = |field, value, absent| at.field(field).limit(value, absent);
        let common = &at.field("common_http_protocol_options");
        let (idle_timeout, max_requests) = http::common(&manager.common_http_protocol_options, common)?;
        if let Some(most) = max_requests {
            return Err(common.field("max_requests_per_connection").unsupported(&most));
        }
        Ok(Self {
            stat: at.field("stat_prefix").text(&manager.stat_prefix)?.into(),
            routes: routes(manager, at)?,
            only,
            host_for_http10: codecs(manager, only, at)?,
            client_certificate: client_certificate(manager, at)?,
            local_replies: local_replies(&manager.local_reply_config, &at.field("local_reply_config"))?,
            upgrades: upgrades(&manager.upgrade_configs, &at.field("upgrade_configs"))?,
            idle_timeout,
            stream_idle_timeout: limit("stream_idle_timeout", &manager.stream_idle_timeout, Some(STREAM_IDLE_TIMEOUT))?,
        })
    }
}

/// What an edge proxy would change and a sidecar does not.
fn transparent(manager: &HttpConnectionManager, at: &At<'_>) -> Result<(), Refused> {
    let off = |field, value: Option<BoolValue>| at.field(field).only(flag(value), false);
    off("add_user_agent", manager.add_user_agent)?;
    off("use_remote_address", manager.use_remote_address)?;
    off("normalize_path", manager.normalize_path)?;
    // Envoy makes one where nothing is said.
    at.field("generate_request_id").only(manager.generate_request_id.is_none_or(|makes| makes.value), false)?;
    at.field("proxy_100_continue").only(manager.proxy_100_continue, true)?;
    let server = manager.server_header_transformation();
    if server != ServerHeaderTransformation::PassThrough {
        return Err(at.field("server_header_transformation").unlike(server.as_str_name(), "PASS_THROUGH"));
    }
    match at.field("path_with_escaped_slashes_action").known(manager.path_with_escaped_slashes_action)? {
        PathWithEscapedSlashesAction::KeepUnchanged | PathWithEscapedSlashesAction::ImplementationSpecificDefault => {
            Ok(())
        }
        other => Err(at.field("path_with_escaped_slashes_action").unlike(other.as_str_name(), "KEEP_UNCHANGED")),
    }
}

fn router(filters: &[HttpFilter], at: &At<'_>) -> Result<(), Refused> {
    let mut found = false;
    for (index, filter) in filters.iter().enumerate() {
        let at = &at.index(index);
        at.check(filter)?;
        let at = &at.field("typed_config");
        let Some(ConfigType::TypedConfig(any)) = &filter.config_type else { return Err(at.refuse("missing")) };
        let Some(router) = at.unpack::<Router>(any)? else { return Err(at.unknown_type(any, &["Router"])) };
        at.field("suppress_envoy_headers").only(router.suppress_envoy_headers, true)?;
        if found {
            return Err(at.refuse("a second router; accepted: one"));
        }
        found = true;
    }
    if found { Ok(()) } else { Err(at.refuse("empty; accepted: the router")) }
}

fn routes(manager: &HttpConnectionManager, at: &At<'_>) -> Result<Routes, Refused> {
    match &manager.route_specifier {
        Some(RouteSpecifier::Rds(rds)) => {
            let at = &at.field("rds");
            at.check(rds)?;
            from_stream(&rds.config_source, &at.field("config_source"))?;
            Ok(Routes::Named(at.field("route_config_name").text(&rds.route_config_name)?.into()))
        }
        Some(RouteSpecifier::RouteConfig(table)) => {
            Ok(Routes::Inline(Arc::new(RouteTable::read(table, &at.field("route_config"))?)))
        }
        Some(RouteSpecifier::ScopedRoutes(_)) | None => Err(at.field("rds").refuse("missing")),
    }
}

/// Checks both codecs, and reads the host of requests of HTTP/1.0 if they are taken.
fn codecs(manager: &HttpConnectionManager, only: Option<Version>, at: &At<'_>) -> Result<Option<Box<str>>, Refused> {
    let at_http2 = &at.field("http2_protocol_options");
    match &manager.http2_protocol_options {
        Some(options) => http::http2(options, at_http2)?,
        None if only == Some(Version::Http1) => {}
        None => return Err(at_http2.refuse("missing; accepted: `allow_connect: true`")),
    }
    let at_http1 = &at.field("http_protocol_options");
    match &manager.http_protocol_options {
        Some(options) => {
            http::http1(options, at_http1)?;
            Ok(options.accept_http_10.then(|| options.default_host_for_http_10.as_str().into()))
        }
        None if only == Some(Version::Http2) => Ok(None),
        None => Err(at_http1.refuse("missing; accepted: `enable_trailers: true`")),
    }
}

fn client_certificate(manager: &HttpConnectionManager, at: &At<'_>) -> Result<ClientCertificate, Refused> {
    let details = &at.field("set_current_client_cert_details");
    let uri = match &manager.set_current_client_cert_details {
        Some(set) => {
            details.check(set)?;
            set.uri
        }
        None => false,
    };
    match at.field("forward_client_cert_details").known(manager.forward_client_cert_details)? {
        ForwardClientCertDetails::Sanitize => Ok(ClientCertificate::Remove),
        ForwardClientCertDetails::SanitizeSet => {
            details.field("uri").only(uri, true)?;
            Ok(ClientCertificate::Replace)
        }
        other => Err(at.field("forward_client_cert_details").unlike(other.as_str_name(), "SANITIZE, SANITIZE_SET")),
    }
}

fn upgrades(configs: &[UpgradeConfig], at: &At<'_>) -> Result<Vec<Box<str>>, Refused> {
    let read = |config: &UpgradeConfig, at: &At<'_>| {
        at.check(config)?;
        let at = &at.field("upgrade_type");
        let protocol = at.text(&config.upgrade_type)?.to_ascii_lowercase();
        if protocol == "connect" || protocol == "connect-udp" {
            return Err(at.unlike(protocol, "websocket and other upgrades of HTTP/1.1"));
        }
        let enabled = config.enabled.is_none_or(|enabled| enabled.value);
        Ok(enabled.then(|| protocol.into_boxed_str()))
    };
    Ok(each(configs, at, read)?.into_iter().flatten().collect())
}

fn local_replies(config: &Option<LocalReplyConfig>, at: &At<'_>) -> Result<Vec<LocalReply>, Refused> {
    let Some(config) = config else { return Ok(Vec::new()) };
    at.check(config)?;
    each(&config.mappers, &at.field("mappers"), local_reply)
}

fn local_reply(mapper: &ResponseMapper, at: &At<'_>) -> Result<LocalReply, Refused> {
    at.check(mapper)?;
    let at_filter = at.field("filter");
    let filter = at_filter.required(&mapper.filter)?;
    at_filter.check(filter)?;
    let at_filter = &at_filter.field("response_flag_filter");
    let at_flags = &at_filter.field("flags");
    let Some(FilterSpecifier::ResponseFlagFilter(filter)) = &filter.filter_specifier else {
        return Err(at_flags.refuse("missing"));
    };
    if filter.flags.is_empty() {
        return Err(at_flags.refuse("empty; accepted: at least one"));
    }
    let flags = each(&filter.flags, at_flags, |flag, at| match FLAGS.contains(&&**flag) {
        true => Ok(flag.as_str().into()),
        false => Err(at.unlike(flag, &FLAGS.join(", "))),
    })?;
    let field = |option: &HeaderValueOption, at: &At<'_>| {
        let (name, value, action) = Change::parts(option, at)?;
        if action != HeaderAppendAction::OverwriteIfExistsOrAdd {
            return Err(at.field("append_action").unlike(action.as_str_name(), "OVERWRITE_IF_EXISTS_OR_ADD"));
        }
        let value = String::from_utf8(value).map_err(|_| at.field("header").refuse("not UTF-8"))?;
        Ok((name.into(), value.into_boxed_str()))
    };
    Ok(LocalReply { flags, fields: each(&mapper.headers_to_add, &at.field("headers_to_add"), field)? })
}
