//! Fields of the messages of a route table.

use byrnie_proto::envoy::envoy::{
    config::{
        core::v3::{HeaderValue, HeaderValueOption, RuntimeFractionalPercent},
        route::v3::{
            DirectResponseAction, HeaderMatcher, QueryParameterMatcher, RedirectAction, RetryPolicy, Route,
            RouteAction, RouteConfiguration, RouteMatch, VirtualHost, WeightedCluster,
            header_matcher::HeaderMatchSpecifier,
            query_parameter_matcher::QueryParameterMatchSpecifier,
            redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier},
            retry_policy::{RetryBackOff, RetryHostPredicate, retry_host_predicate},
            route::Action,
            route_action::{ClusterSpecifier, HostRewriteSpecifier, MaxStreamDuration},
            route_match::PathSpecifier,
            weighted_cluster::{ClusterWeight, RandomValueSpecifier, cluster_weight},
        },
    },
    extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate,
    r#type::{matcher::v3::RegexMatchAndSubstitute, v3::FractionalPercent},
};

use crate::fields::fields;

fields! {
    RouteConfiguration {
        name: honoured,
        virtual_hosts: honoured,
        vhds: refused,
        internal_only_headers: honoured,
        response_headers_to_add: honoured,
        response_headers_to_remove: honoured,
        request_headers_to_add: honoured,
        request_headers_to_remove: honoured,
        most_specific_header_mutations_wins: honoured,
        validate_clusters: honoured "false",
        max_direct_response_body_size_bytes: honoured,
        cluster_specifier_plugins: refused,
        request_mirror_policies: refused,
        ignore_port_in_host_matching: honoured,
        vhost_header: refused,
        ignore_path_parameters_in_path_matching: honoured,
        typed_per_filter_config: refused,
        metadata: idle "nothing reads it",
        route_specifiers: refused,
    }
    VirtualHost {
        name: honoured "not empty",
        domains: honoured "at least one; `*` at one end only, and each domain once in a table",
        routes: honoured,
        matcher: refused,
        require_tls: refused,
        virtual_clusters: refused,
        rate_limits: refused,
        request_headers_to_add: honoured,
        request_headers_to_remove: honoured,
        response_headers_to_add: honoured,
        response_headers_to_remove: honoured,
        cors: refused,
        typed_per_filter_config: refused,
        include_request_attempt_count: refused,
        include_attempt_count_in_response: refused,
        retry_policy: honoured,
        retry_policy_typed_config: refused,
        hedge_policy: refused,
        include_is_timeout_retry_header: refused,
        per_request_buffer_limit_bytes: refused,
        request_body_buffer_limit: refused,
        request_mirror_policies: refused,
        metadata: idle "nothing reads it",
        route_specifiers: refused,
    }
    Route {
        name: honoured,
        r#match: honoured,
        metadata: idle "nothing reads it",
        decorator: refused,
        typed_per_filter_config: refused,
        request_headers_to_add: honoured,
        request_headers_to_remove: honoured,
        response_headers_to_add: honoured,
        response_headers_to_remove: honoured,
        tracing: refused,
        per_request_buffer_limit_bytes: refused,
        stat_prefix: refused,
        request_body_buffer_limit: refused,
        route_specifiers: refused
        ; action: Action {
            Route route: honoured,
            Redirect redirect: honoured,
            DirectResponse direct_response: honoured,
            FilterAction filter_action: refused,
            NonForwardingAction non_forwarding_action: refused,
        }
    }
    RouteMatch {
        case_sensitive: honoured,
        runtime_fraction: honoured,
        headers: honoured,
        query_parameters: honoured,
        cookies: refused,
        grpc: honoured,
        tls_context: refused,
        dynamic_metadata: refused,
        filter_state: refused
        ; path_specifier: PathSpecifier {
            Prefix prefix: honoured,
            Path path: honoured,
            SafeRegex safe_regex: honoured,
            ConnectMatcher connect_matcher: refused,
            PathSeparatedPrefix path_separated_prefix: honoured "without `?` and `#`, not ending with `/`",
            PathMatchPolicy path_match_policy: refused,
        }
    }
    RuntimeFractionalPercent {
        default_value: honoured,
        runtime_key: refused,
    }
    FractionalPercent {
        numerator: honoured,
        denominator: honoured,
    }
    HeaderMatcher {
        name: honoured,
        invert_match: honoured,
        treat_missing_header_as_empty: honoured
        ; header_match_specifier: HeaderMatchSpecifier {
            ExactMatch exact_match: refused "`string_match` says the same",
            SafeRegexMatch safe_regex_match: refused "`string_match` says the same",
            RangeMatch range_match: honoured,
            PresentMatch present_match: honoured,
            PrefixMatch prefix_match: refused "`string_match` says the same",
            SuffixMatch suffix_match: refused "`string_match` says the same",
            ContainsMatch contains_match: refused "`string_match` says the same",
            StringMatch string_match: honoured,
        }
    }
    QueryParameterMatcher {
        name: honoured "not empty"
        ; query_parameter_match_specifier: QueryParameterMatchSpecifier {
            StringMatch string_match: honoured,
            PresentMatch present_match: honoured,
        }
    }
    RouteAction {
        cluster_not_found_response_code: refused,
        metadata_match: refused,
        prefix_rewrite: honoured,
        regex_rewrite: honoured,
        path_rewrite_policy: refused,
        path_rewrite: refused,
        append_x_forwarded_host: refused,
        timeout: honoured "without `max_stream_duration`",
        idle_timeout: honoured,
        flush_timeout: refused,
        early_data_policy: idle "there is no early data",
        retry_policy: honoured,
        retry_policy_typed_config: refused,
        request_mirror_policies: refused,
        priority: refused,
        rate_limits: refused,
        include_vh_rate_limits: refused,
        hash_policy: idle "no balancer here hashes",
        cors: refused,
        max_grpc_timeout: refused,
        grpc_timeout_offset: refused,
        upgrade_configs: refused,
        internal_redirect_policy: refused,
        internal_redirect_action: refused,
        max_internal_redirects: refused,
        hedge_policy: refused,
        max_stream_duration: honoured
        ; cluster_specifier: ClusterSpecifier {
            Cluster cluster: honoured,
            ClusterHeader cluster_header: refused,
            WeightedClusters weighted_clusters: honoured,
            ClusterSpecifierPlugin cluster_specifier_plugin: refused,
            InlineClusterSpecifierPlugin inline_cluster_specifier_plugin: refused,
        }
        ; host_rewrite_specifier: HostRewriteSpecifier {
            HostRewriteLiteral host_rewrite_literal: honoured,
            AutoHostRewrite auto_host_rewrite: refused,
            HostRewriteHeader host_rewrite_header: refused,
            HostRewritePathRegex host_rewrite_path_regex: refused,
            HostRewrite host_rewrite: refused,
        }
    }
    MaxStreamDuration {
        max_stream_duration: honoured,
        grpc_timeout_header_max: honoured,
        grpc_timeout_header_offset: honoured "with `grpc_timeout_header_max`",
    }
    WeightedCluster {
        clusters: honoured "weights above 0 together, and at most 4294967295",
        total_weight: idle "Envoy adds the weights up as well",
        runtime_key_prefix: refused
        ; random_value_specifier: RandomValueSpecifier {
            HeaderName header_name: refused,
            UseHashPolicy use_hash_policy: refused,
        }
    }
    ClusterWeight {
        name: honoured "not empty",
        cluster_header: refused,
        weight: honoured,
        metadata_match: refused,
        request_headers_to_add: honoured,
        request_headers_to_remove: honoured,
        response_headers_to_add: honoured,
        response_headers_to_remove: honoured,
        typed_per_filter_config: refused
        ; host_rewrite_specifier: cluster_weight::HostRewriteSpecifier {
            HostRewriteLiteral host_rewrite_literal: honoured,
        }
    }
    RegexMatchAndSubstitute {
        pattern: honoured,
        substitution: honoured "`\\N` up to the groups that there are, `\\\\`",
    }
    HeaderValueOption {
        header: honoured,
        append: honoured "not with `append_action`",
        append_action: honoured,
        keep_empty_value: honoured,
    }
    HeaderValue {
        key: honoured "a token; neither `host` nor one that begins with `:`",
        value: honoured "without commands, `%` written as `%%`",
        raw_value: refused,
    }
    RedirectAction {
        host_redirect: honoured,
        port_redirect: honoured,
        response_code: honoured,
        strip_query: honoured
        ; scheme_rewrite_specifier: SchemeRewriteSpecifier {
            HttpsRedirect https_redirect: honoured,
            SchemeRedirect scheme_redirect: honoured,
        }
        ; path_rewrite_specifier: PathRewriteSpecifier {
            PathRedirect path_redirect: honoured,
            PrefixRewrite prefix_rewrite: honoured,
            RegexRewrite regex_rewrite: honoured,
            PathRewrite path_rewrite: refused,
        }
    }
    DirectResponseAction {
        status: honoured "200 to 599",
        body: honoured "inline, at most `max_direct_response_body_size_bytes` (4096)",
        body_format: refused,
    }
    RetryPolicy {
        retry_on: honoured,
        num_retries: honoured,
        per_try_timeout: honoured,
        per_try_idle_timeout: refused,
        retry_priority: refused,
        retry_host_predicate: honoured,
        retry_options_predicates: refused,
        host_selection_retry_max_attempts: honoured,
        retriable_status_codes: honoured,
        retry_back_off: honoured,
        rate_limited_retry_back_off: refused,
        retriable_headers: honoured,
        retriable_request_headers: honoured,
        refresh_cluster_on_retry: refused,
    }
    RetryHostPredicate {
        name: idle "the type of the configuration says what it is"
        ; config_type: retry_host_predicate::ConfigType {
            TypedConfig typed_config: honoured "PreviousHostsPredicate",
        }
    }
    PreviousHostsPredicate {}
    RetryBackOff {
        base_interval: honoured "above 0",
        max_interval: honoured "not below `base_interval`",
    }
}
