//! Fields of the messages of a listener.

use byrnie_proto::envoy::envoy::{
    config::{
        accesslog::v3::{AccessLogFilter, ResponseFlagFilter, access_log_filter::FilterSpecifier},
        core::v3::{SubstitutionFormatString, substitution_format_string::Format},
        listener::v3::{
            AdditionalAddress, Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, filter,
            listener::ListenerSpecifier, listener_filter,
        },
    },
    extensions::filters::{
        common::set_filter_state::v3::{
            FilterStateValue,
            filter_state_value::{Key, Value},
        },
        http::router::v3::Router,
        listener::{http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst, tls_inspector::v3::TlsInspector},
        network::{
            direct_response::v3::Config as DirectResponse,
            http_connection_manager::v3::{
                HttpConnectionManager, HttpFilter, LocalReplyConfig, Rds, ResponseMapper,
                http_connection_manager::{RouteSpecifier, SetCurrentClientCertDetails, StripPortMode, UpgradeConfig},
                http_filter,
            },
            set_filter_state::v3::Config as SetFilterState,
            tcp_proxy::v3::{
                TcpProxy,
                tcp_proxy::{ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight},
            },
        },
    },
};

use crate::fields::fields;

fields! {
    Listener {
        name: honoured,
        address: honoured,
        additional_addresses: honoured,
        stat_prefix: idle "connections are counted by listener name",
        stats_matcher: refused,
        filter_chains: honoured,
        fcds_config: refused,
        filter_chain_matcher: refused,
        use_original_dst: honoured,
        default_filter_chain: honoured,
        per_connection_buffer_limit_bytes: refused,
        per_connection_buffer_high_watermark_timeout: refused,
        metadata: idle "nothing reads it",
        deprecated_v1: refused,
        drain_type: refused,
        listener_filters: honoured,
        listener_filters_timeout: honoured,
        continue_on_listener_filters_timeout: honoured,
        transparent: refused,
        freebind: refused,
        socket_options: refused,
        tcp_fast_open_queue_length: refused,
        traffic_direction: honoured "INBOUND, OUTBOUND",
        udp_listener_config: refused,
        api_listener: refused,
        connection_balance_config: refused,
        reuse_port: idle "workers share an address or do not, as suits the host",
        enable_reuse_port: idle "workers share an address or do not, as suits the host",
        access_log: refused,
        tcp_backlog_size: refused,
        max_connections_to_accept_per_socket_event: idle "connections are accepted as they come",
        bind_to_port: honoured,
        enable_mptcp: refused,
        ignore_global_conn_limit: refused,
        bypass_overload_manager: refused,
        tcp_keepalive: honoured
        ; listener_specifier: ListenerSpecifier { InternalListener internal_listener: refused }
    }
    AdditionalAddress {
        address: honoured,
        socket_options: refused,
        tcp_keepalive: refused,
    }
    ListenerFilter {
        name: idle "the type of the configuration says what it is",
        filter_disabled: refused
        ; config_type: listener_filter::ConfigType {
            TypedConfig typed_config: honoured "OriginalDst, TlsInspector, HttpInspector",
            ConfigDiscovery config_discovery: refused,
        }
    }
    OriginalDst {}
    HttpInspector {}
    TlsInspector {
        enable_ja3_fingerprinting: refused,
        enable_ja4_fingerprinting: refused,
        initial_read_buffer_size: idle "what is read is the same",
        close_connection_on_client_hello_parsing_errors: refused,
        max_client_hello_size: refused,
    }
    FilterChain {
        filter_chain_match: honoured,
        filters: honoured,
        use_proxy_proto: refused,
        metadata: idle "nothing reads it",
        transport_socket: honoured,
        transport_socket_connect_timeout: refused,
        name: honoured,
    }
    FilterChainMatch {
        destination_port: honoured,
        prefix_ranges: refused,
        address_suffix: refused,
        suffix_len: refused,
        direct_source_prefix_ranges: refused,
        source_type: refused,
        source_prefix_ranges: refused,
        source_ports: refused,
        server_names: honoured "lower case; `*.` in front only",
        transport_protocol: honoured "`raw_buffer`, `tls`",
        application_protocols: honoured,
    }
    Filter {
        name: idle "the type of the configuration says what it is"
        ; config_type: filter::ConfigType {
            TypedConfig typed_config: honoured "HttpConnectionManager, TcpProxy or direct_response's Config at the end; before it set_filter_state's Config",
            ConfigDiscovery config_discovery: refused,
        }
    }
    DirectResponse { response: refused }
    SetFilterState {
        on_new_connection: honoured "one value",
        on_downstream_tls_handshake: refused,
        on_downstream_data: refused,
    }
    FilterStateValue {
        factory_key: refused,
        read_only: idle "nothing else writes it",
        shared_with_upstream: honoured "ONCE",
        skip_if_empty: idle "an empty value is refused"
        ; key: Key { ObjectKey object_key: honoured "`envoy.network.application_protocols`" }
        ; value: Value { FormatString format_string: honoured }
    }
    SubstitutionFormatString {
        omit_empty_values: idle "there are no commands in the text",
        content_type: idle "it is not a body",
        formatters: refused,
        json_format_options: refused
        ; format: Format {
            TextFormat text_format: honoured "without commands",
            JsonFormat json_format: refused,
            TextFormatSource text_format_source: honoured "inline, without commands",
        }
    }
    TcpProxy {
        stat_prefix: honoured "not empty",
        on_demand: refused,
        metadata_match: refused,
        idle_timeout: honoured,
        downstream_idle_timeout: refused,
        upstream_idle_timeout: refused,
        access_log: refused,
        max_connect_attempts: honoured "1 or more",
        backoff_options: refused,
        hash_policy: idle "no balancer here hashes",
        tunneling_config: refused,
        max_downstream_connection_duration: refused,
        max_downstream_connection_duration_jitter_percentage: idle "there is no longest duration",
        access_log_flush_interval: refused,
        flush_access_log_on_connected: refused,
        access_log_options: refused,
        proxy_protocol_tlvs: refused,
        proxy_protocol_tlv_merge_policy: idle "there are no TLVs",
        upstream_connect_mode: refused,
        max_early_data_bytes: refused,
        check_drain_close: refused
        ; cluster_specifier: ClusterSpecifier {
            Cluster cluster: honoured,
            WeightedClusters weighted_clusters: honoured,
        }
    }
    WeightedCluster { clusters: honoured "at least one" }
    ClusterWeight {
        name: honoured "not empty",
        weight: honoured "1 or more",
        metadata_match: refused,
    }
    HttpConnectionManager {
        codec_type: honoured "AUTO, HTTP1, HTTP2",
        stat_prefix: honoured "not empty",
        http_filters: honoured "the router alone",
        add_user_agent: honoured "false",
        tracing: refused,
        common_http_protocol_options: honoured,
        http1_safe_max_connection_duration: idle "there is no longest duration",
        http_protocol_options: honoured "there, unless `codec_type` is HTTP2",
        http2_protocol_options: honoured "there, unless `codec_type` is HTTP1",
        http3_protocol_options: refused,
        server_name: idle "the server header passes",
        server_header_transformation: honoured "PASS_THROUGH",
        scheme_header_transformation: refused,
        max_request_headers_kb: refused,
        stream_idle_timeout: honoured,
        stream_flush_timeout: refused,
        request_timeout: refused,
        request_headers_timeout: refused,
        drain_timeout: refused,
        drain_timeout_jitter: refused,
        delayed_close_timeout: refused,
        access_log: refused,
        access_log_flush_interval: refused,
        flush_access_log_on_new_request: refused,
        access_log_options: refused,
        use_remote_address: honoured "false",
        xff_num_trusted_hops: refused,
        original_ip_detection_extensions: refused,
        early_header_mutation_extensions: refused,
        internal_address_config: refused,
        skip_xff_append: idle "Envoy appends with `use_remote_address` only",
        via: refused,
        generate_request_id: honoured "false",
        preserve_external_request_id: idle "Envoy replaces with `use_remote_address` only",
        always_set_request_id_in_response: refused,
        forward_client_cert_details: honoured "SANITIZE, SANITIZE_SET",
        set_current_client_cert_details: honoured,
        forward_client_cert_matcher: refused,
        proxy_100_continue: honoured "true",
        represent_ipv4_remote_address_as_ipv4_mapped_ipv6: refused,
        upgrade_configs: honoured,
        normalize_path: honoured "false",
        merge_slashes: refused,
        path_with_escaped_slashes_action: honoured "KEEP_UNCHANGED, IMPLEMENTATION_SPECIFIC_DEFAULT",
        request_id_extension: refused,
        local_reply_config: honoured,
        strip_matching_host_port: refused,
        stream_error_on_invalid_http_message: refused,
        path_normalization_options: refused,
        strip_trailing_host_dot: refused,
        proxy_status_config: refused,
        typed_header_validation_config: refused,
        append_x_forwarded_port: refused,
        append_local_overload: refused,
        add_proxy_protocol_connection_state: idle "there is no PROXY protocol",
        forward_proto_config: refused
        ; route_specifier: RouteSpecifier {
            Rds rds: honoured,
            RouteConfig route_config: honoured,
            ScopedRoutes scoped_routes: refused,
        }
        ; strip_port_mode: StripPortMode { StripAnyHostPort strip_any_host_port: refused }
    }
    Rds {
        config_source: honoured,
        route_config_name: honoured "not empty",
    }
    HttpFilter {
        name: idle "the type of the configuration says what it is",
        is_optional: idle "only the router is known, and it is needed",
        disabled: refused
        ; config_type: http_filter::ConfigType {
            TypedConfig typed_config: honoured "Router",
            ConfigDiscovery config_discovery: refused,
        }
    }
    Router {
        dynamic_stats: idle "metrics are the proxy's own",
        start_child_span: idle "there is no tracing",
        upstream_log: refused,
        upstream_log_options: refused,
        suppress_envoy_headers: honoured "true",
        strict_check_headers: refused,
        respect_expected_rq_timeout: refused,
        suppress_grpc_request_failure_code_stats: idle "metrics are the proxy's own",
        upstream_http_filters: refused,
        reject_connect_request_early_data: idle "CONNECT is refused",
    }
    SetCurrentClientCertDetails {
        subject: refused,
        cert: refused,
        chain: refused,
        dns: refused,
        uri: honoured "true, with SANITIZE_SET",
        issuer: refused,
        format: refused,
    }
    UpgradeConfig {
        upgrade_type: honoured "not CONNECT",
        filters: refused,
        enabled: honoured,
    }
    LocalReplyConfig {
        mappers: honoured,
        body_format: refused,
    }
    ResponseMapper {
        filter: honoured,
        status_code: refused,
        body: refused,
        body_format_override: refused,
        headers_to_add: honoured "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    AccessLogFilter {
        ; filter_specifier: FilterSpecifier {
            StatusCodeFilter status_code_filter: refused,
            DurationFilter duration_filter: refused,
            NotHealthCheckFilter not_health_check_filter: refused,
            TraceableFilter traceable_filter: refused,
            RuntimeFilter runtime_filter: refused,
            AndFilter and_filter: refused,
            OrFilter or_filter: refused,
            HeaderFilter header_filter: refused,
            ResponseFlagFilter response_flag_filter: honoured,
            GrpcStatusFilter grpc_status_filter: refused,
            ExtensionFilter extension_filter: refused,
            MetadataFilter metadata_filter: refused,
            LogTypeFilter log_type_filter: refused,
        }
    }
    ResponseFlagFilter { flags: honoured "at least one" }
}
