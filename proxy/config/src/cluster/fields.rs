//! Fields of the messages of a cluster.

use byrnie_proto::envoy::envoy::{
    config::{
        cluster::v3::{
            CircuitBreakers, Cluster, OutlierDetection, UpstreamConnectionOptions,
            circuit_breakers::{Thresholds, thresholds::RetryBudget},
            cluster::{
                ClusterDiscoveryType, CommonLbConfig, EdsClusterConfig, LbConfig, LeastRequestLbConfig,
                OriginalDstLbConfig, RoundRobinLbConfig, TransportSocketMatch,
                common_lb_config::LocalityConfigSpecifier,
            },
        },
        core::v3::{
            BindConfig, ExtraSourceAddress, HealthCheck,
            health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck, TcpHealthCheck, TlsOptions},
        },
    },
    extensions::upstreams::http::v3::{
        HttpProtocolOptions,
        http_protocol_options::{
            AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
            explicit_http_config::ProtocolConfig,
        },
    },
};

use crate::fields::fields;

fields! {
    Cluster {
        transport_socket_matches: honoured "`match` is empty or `{sa: ACCOUNT}`",
        transport_socket_matcher: refused,
        name: honoured,
        alt_stat_name: honoured,
        stats_matcher: refused,
        eds_cluster_config: honoured,
        connect_timeout: honoured "above 0",
        per_connection_buffer_limit_bytes: refused,
        per_connection_buffer_high_watermark_timeout: refused,
        lb_policy: honoured "ROUND_ROBIN, LEAST_REQUEST, RANDOM; CLUSTER_PROVIDED with ORIGINAL_DST",
        load_assignment: honoured "with STATIC",
        health_checks: honoured "at most one",
        max_requests_per_connection: refused "it stands in `HttpProtocolOptions`",
        circuit_breakers: honoured,
        upstream_http_protocol_options: refused,
        common_http_protocol_options: refused "it stands in `HttpProtocolOptions`",
        http_protocol_options: refused "it stands in `HttpProtocolOptions`",
        http2_protocol_options: refused "it stands in `HttpProtocolOptions`",
        typed_extension_protocol_options: honoured "`envoy.extensions.upstreams.http.v3.HttpProtocolOptions`",
        dns_refresh_rate: refused,
        dns_jitter: refused,
        dns_failure_refresh_rate: refused,
        respect_dns_ttl: refused,
        dns_lookup_family: refused,
        dns_resolvers: refused,
        use_tcp_for_dns_lookups: refused,
        dns_resolution_config: refused,
        typed_dns_resolver_config: refused,
        wait_for_warm_on_init: refused,
        outlier_detection: honoured,
        cleanup_interval: idle "an address that was called is forgotten with its last connection",
        upstream_bind_config: honoured,
        lb_subset_config: refused,
        common_lb_config: honoured,
        transport_socket: honoured,
        metadata: idle "nothing reads it",
        protocol_selection: refused,
        upstream_connection_options: honoured,
        close_connections_on_host_health_failure: honoured,
        ignore_health_on_host_removal: honoured "true where there are `health_checks`",
        filters: refused,
        load_balancing_policy: refused,
        lrs_server: refused,
        lrs_report_endpoint_metrics: refused,
        track_timeout_budgets: refused,
        upstream_config: refused,
        track_cluster_stats: refused,
        preconnect_policy: refused,
        connection_pool_per_downstream_connection: refused,
        queuing_policies: refused
        ; cluster_discovery_type: ClusterDiscoveryType {
            Type type: honoured "STATIC, EDS, ORIGINAL_DST",
            ClusterType cluster_type: refused,
        }
        ; lb_config: LbConfig {
            RingHashLbConfig ring_hash_lb_config: refused,
            MaglevLbConfig maglev_lb_config: refused,
            OriginalDstLbConfig original_dst_lb_config: honoured,
            LeastRequestLbConfig least_request_lb_config: honoured,
            RoundRobinLbConfig round_robin_lb_config: honoured,
        }
    }
    EdsClusterConfig {
        eds_config: honoured,
        service_name: honoured,
    }
    TransportSocketMatch {
        name: idle "shown by Envoy's admin only",
        r#match: honoured "empty, or `sa` with a text",
        transport_socket: honoured,
    }
    RoundRobinLbConfig { slow_start_config: refused }
    LeastRequestLbConfig {
        choice_count: honoured "2 or more",
        active_request_bias: refused,
        slow_start_config: refused,
    }
    OriginalDstLbConfig {
        use_http_header: refused,
        http_header_name: refused,
        upstream_port_override: refused,
        metadata_key: refused,
    }
    CommonLbConfig {
        healthy_panic_threshold: honoured,
        update_merge_window: idle "updates are applied as they come",
        ignore_new_hosts_until_first_hc: honoured,
        close_connections_on_host_set_change: refused,
        consistent_hashing_lb_config: refused,
        override_host_status: refused
        ; locality_config_specifier: LocalityConfigSpecifier {
            ZoneAwareLbConfig zone_aware_lb_config: refused,
            LocalityWeightedLbConfig locality_weighted_lb_config: refused,
        }
    }
    UpstreamConnectionOptions {
        tcp_keepalive: honoured,
        set_local_interface_name_on_upstream_connections: refused,
        happy_eyeballs_config: refused,
    }
    BindConfig {
        source_address: honoured "port 0",
        freebind: refused,
        socket_options: refused,
        extra_source_addresses: honoured,
        additional_source_addresses: refused,
        local_address_selector: refused,
        validate_network_namespaces: refused,
    }
    ExtraSourceAddress {
        address: honoured "port 0",
        socket_options: refused,
    }
    CircuitBreakers {
        thresholds: honoured "the first of DEFAULT priority; others are without effect, since no route asks for HIGH",
        per_host_thresholds: refused,
    }
    Thresholds {
        priority: honoured "DEFAULT",
        max_connections: honoured,
        max_pending_requests: honoured,
        max_requests: honoured,
        max_retries: honoured,
        retry_budget: honoured,
        track_remaining: idle "what is in use is always shown",
        max_connection_pools: refused,
    }
    RetryBudget {
        budget_percent: honoured,
        budget_interval: refused,
        min_retry_concurrency: honoured,
    }
    OutlierDetection {
        consecutive_5xx: honoured,
        interval: honoured "above 0",
        base_ejection_time: honoured "above 0",
        max_ejection_percent: honoured "0 to 100",
        enforcing_consecutive_5xx: honoured "0 or 100",
        enforcing_success_rate: honoured "0",
        success_rate_minimum_hosts: idle "there is no ejection by success rate",
        success_rate_request_volume: idle "there is no ejection by success rate",
        success_rate_stdev_factor: idle "there is no ejection by success rate",
        consecutive_gateway_failure: idle "it is not enforced",
        enforcing_consecutive_gateway_failure: honoured "0",
        split_external_local_origin_errors: refused,
        consecutive_local_origin_failure: idle "read by Envoy where errors are split, which is refused",
        enforcing_consecutive_local_origin_failure: idle "read by Envoy where errors are split, which is refused",
        enforcing_local_origin_success_rate: idle "read by Envoy where errors are split, which is refused",
        failure_percentage_threshold: honoured "0 to 100",
        enforcing_failure_percentage: honoured "0 or 100",
        enforcing_failure_percentage_local_origin: idle "read by Envoy where errors are split, which is refused",
        failure_percentage_minimum_hosts: honoured,
        failure_percentage_request_volume: honoured,
        max_ejection_time: honoured "above 0",
        max_ejection_time_jitter: refused,
        successful_active_health_check_uneject_host: honoured "true",
        monitors: refused,
        always_eject_one_host: honoured,
        detect_degraded_hosts: refused,
    }
    HttpProtocolOptions {
        common_http_protocol_options: honoured,
        upstream_http_protocol_options: refused,
        http_filters: refused,
        header_validation_config: refused,
        outlier_detection: refused,
        request_mirror_policies: refused,
        hash_policy: idle "no balancer here hashes",
        retry_policy: refused
        ; upstream_protocol_options: UpstreamProtocolOptions {
            ExplicitHttpConfig explicit_http_config: honoured,
            UseDownstreamProtocolConfig use_downstream_protocol_config: honoured,
            AutoConfig auto_config: honoured,
        }
    }
    ExplicitHttpConfig {
        ; protocol_config: ProtocolConfig {
            HttpProtocolOptions http_protocol_options: honoured,
            Http2ProtocolOptions http2_protocol_options: honoured,
            Http3ProtocolOptions http3_protocol_options: refused,
        }
    }
    UseDownstreamHttpConfig {
        http_protocol_options: honoured,
        http2_protocol_options: honoured,
        http3_protocol_options: refused,
    }
    AutoHttpConfig {
        http_protocol_options: honoured,
        http2_protocol_options: honoured,
        http3_protocol_options: refused,
        alternate_protocols_cache_options: refused,
    }
    HealthCheck {
        timeout: honoured "above 0",
        interval: honoured "above 0",
        initial_jitter: refused,
        interval_jitter: refused,
        interval_jitter_percent: honoured,
        unhealthy_threshold: honoured,
        healthy_threshold: honoured,
        alt_port: refused,
        reuse_connection: honoured,
        no_traffic_interval: honoured "above 0",
        no_traffic_healthy_interval: honoured "above 0",
        unhealthy_interval: refused,
        unhealthy_edge_interval: refused,
        healthy_edge_interval: refused,
        event_log_path: refused,
        event_logger: refused,
        event_service: refused,
        always_log_health_check_failures: refused,
        always_log_health_check_success: refused,
        tls_options: honoured,
        transport_socket_match_criteria: refused
        ; health_checker: HealthChecker {
            HttpHealthCheck http_health_check: honoured,
            TcpHealthCheck tcp_health_check: honoured,
            GrpcHealthCheck grpc_health_check: honoured,
            CustomHealthCheck custom_health_check: refused,
        }
    }
    TlsOptions { alpn_protocols: honoured }
    HttpHealthCheck {
        host: honoured,
        path: honoured "not empty",
        send: refused,
        receive: refused,
        response_buffer_size: idle "bodies are not looked at",
        request_headers_to_add: refused,
        request_headers_to_remove: refused,
        expected_statuses: honoured "within 100 to 600",
        retriable_statuses: honoured "within 100 to 600",
        codec_client_type: honoured "HTTP1, HTTP2",
        service_name_matcher: refused,
        method: honoured "GET, or unspecified",
    }
    GrpcHealthCheck {
        service_name: honoured,
        authority: honoured,
        initial_metadata: refused,
    }
    TcpHealthCheck {
        send: refused,
        receive: refused,
        proxy_protocol_config: refused,
    }
}
