//! Versions and options of HTTP that listeners and clusters share.

use std::time::Duration;

use byrnie_proto::envoy::envoy::config::core::v3::{Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions};

use crate::{
    Refused,
    fields::{At, fields},
    value::number,
};

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Of a connection without requests, where nothing is said.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(3_600);

fields! {
    HttpProtocolOptions {
        idle_timeout: honoured,
        max_connection_duration: refused,
        max_connection_duration_jitter: idle "there is no longest duration",
        max_headers_count: refused,
        max_response_headers_kb: refused,
        max_stream_duration: refused,
        headers_with_underscores_action: refused,
        max_requests_per_connection: honoured "of clusters only",
    }
    Http1ProtocolOptions {
        allow_absolute_url: honoured "true",
        accept_http_10: honoured "of listeners",
        default_host_for_http_10: honoured "of listeners",
        header_key_format: refused,
        enable_trailers: honoured "true",
        allow_chunked_length: refused,
        override_stream_error_on_invalid_http_message: refused,
        send_fully_qualified_url: refused,
        use_balsa_parser: idle "there is one parser",
        allow_custom_methods: refused,
        ignore_http_11_upgrade: refused,
    }
    Http2ProtocolOptions {
        hpack_table_size: refused,
        max_concurrent_streams: refused,
        initial_stream_window_size: refused,
        initial_connection_window_size: refused,
        allow_connect: honoured "true",
        allow_metadata: refused,
        max_outbound_frames: refused,
        max_outbound_control_frames: refused,
        max_consecutive_inbound_frames_with_empty_payload: refused,
        max_inbound_priority_frames_per_stream: refused,
        max_inbound_window_update_frames_per_data_frame_sent: refused,
        stream_error_on_invalid_http_messaging: refused,
        override_stream_error_on_invalid_http_message: refused,
        custom_settings_parameters: refused,
        connection_keepalive: refused,
        use_oghttp2_codec: idle "there is one codec",
        max_metadata_size: idle "metadata frames are refused",
        enable_huffman_encoding: idle "how texts are packed changes nothing in them",
        max_header_field_size_kb: refused,
        disallow_obs_text: refused,
        stream_reset_burst: refused,
        stream_reset_rate: refused,
    }
}

/// The idle timeout of connections and the most requests on one.
pub fn common(options: &Option<HttpProtocolOptions>, at: &At<'_>) -> Result<(Option<Duration>, Option<u32>), Refused> {
    let Some(options) = options else { return Ok((Some(IDLE_TIMEOUT), None)) };
    at.check(options)?;
    let idle_timeout = at.field("idle_timeout").limit(&options.idle_timeout, Some(IDLE_TIMEOUT))?;
    Ok((idle_timeout, number(options.max_requests_per_connection).filter(|most| *most > 0)))
}

/// HTTP/1 towards an endpoint.
pub fn http1_upstream(options: &Http1ProtocolOptions, at: &At<'_>) -> Result<(), Refused> {
    at.field("accept_http_10").only(options.accept_http_10, false)?;
    if !options.default_host_for_http_10.is_empty() {
        return Err(at.field("default_host_for_http_10").unsupported(&options.default_host_for_http_10));
    }
    http1(options, at)
}

/// HTTP/1, but for what HTTP/1.0 gets.
pub fn http1(options: &Http1ProtocolOptions, at: &At<'_>) -> Result<(), Refused> {
    at.check(options)?;
    if let Some(allowed) = options.allow_absolute_url {
        at.field("allow_absolute_url").only(allowed.value, true)?;
    }
    at.field("enable_trailers").only(options.enable_trailers, true)
}

/// HTTP/2.
pub fn http2(options: &Http2ProtocolOptions, at: &At<'_>) -> Result<(), Refused> {
    at.check(options)?;
    at.field("allow_connect").only(options.allow_connect, true)
}
