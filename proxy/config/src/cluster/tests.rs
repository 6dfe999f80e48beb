use byrnie_balance::{Answer, Policy, Retries};
use byrnie_proto::envoy::{
    envoy::{
        config::{
            cluster::v3::{
                self as wire, CircuitBreakers, OutlierDetection,
                circuit_breakers::{Thresholds, thresholds::RetryBudget},
                cluster::{
                    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, EdsClusterConfig, LbConfig, LbPolicy,
                    LeastRequestLbConfig, RingHashLbConfig, TransportSocketMatch,
                },
            },
            core::v3::{
                self as core, AggregatedConfigSource, ApiVersion, ConfigSource, Http1ProtocolOptions,
                Http2ProtocolOptions,
                config_source::ConfigSourceSpecifier,
                health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck, TlsOptions},
            },
        },
        extensions::{
            transport_sockets::raw_buffer::v3::RawBuffer,
            upstreams::http::v3::{
                HttpProtocolOptions,
                http_protocol_options::{AutoHttpConfig, UpstreamProtocolOptions},
            },
        },
        r#type::v3::{Int64Range, Percent},
    },
    google::protobuf::{self, BoolValue, Struct, Value, value},
};

use super::*;
use crate::{
    Refused,
    fields::At,
    value::testing::{any, packed, set},
};

fn eds() -> wire::Cluster {
    let source = ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    };
    wire::Cluster {
        name: "shop/cart:80".to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig { eds_config: Some(source), service_name: "eds".to_owned() }),
        lb_policy: LbPolicy::LeastRequest.into(),
        ..Default::default()
    }
}

fn read(change: impl FnOnce(&mut wire::Cluster)) -> Result<Cluster, Refused> {
    let mut cluster = eds();
    change(&mut cluster);
    Cluster::read(&cluster, &At::ROOT)
}

fn refused(change: impl FnOnce(&mut wire::Cluster)) -> String {
    read(change).unwrap_err().to_string()
}

fn seconds(seconds: i64) -> Option<protobuf::Duration> {
    Some(protobuf::Duration { seconds, nanos: 0 })
}

#[test]
fn what_is_not_said_is_as_in_envoy() {
    let cluster = read(|_| {}).unwrap();
    assert_eq!(cluster.discovery, Discovery::Eds("eds".into()));
    assert_eq!(cluster.balancer, Policy::LeastRequest { choices: 2 });
    assert_eq!(
        (cluster.connect_timeout, cluster.idle_timeout),
        (Duration::from_secs(5), Some(crate::http::IDLE_TIMEOUT))
    );
    assert_eq!(
        (cluster.panic_threshold, cluster.limits.requests, cluster.limits.retries),
        (50, 1_024, Retries::Number(3))
    );
    assert_eq!((cluster.protocol, &*cluster.stat), (Protocol::Explicit(Version::Http1), "shop/cart:80"));
    assert!(cluster.ejection.is_none() && cluster.health_check.is_none() && cluster.max_requests.is_none());
}

#[test]
fn balancers_that_are_not_there_are_refused_by_name() {
    let hashed = refused(|cluster| cluster.set_lb_policy(LbPolicy::Maglev));
    assert_eq!(hashed, "lb_policy: found \"MAGLEV\"; accepted: ROUND_ROBIN, LEAST_REQUEST, RANDOM");
    let ring = LbConfig::RingHashLbConfig(RingHashLbConfig::default());
    assert!(refused(|cluster| cluster.lb_config = Some(ring)).starts_with("ring_hash_lb_config: not supported"));
    let slow = LeastRequestLbConfig { slow_start_config: Some(Default::default()), ..Default::default() };
    let slow = refused(|cluster| cluster.lb_config = Some(LbConfig::LeastRequestLbConfig(slow)));
    assert!(slow.starts_with("least_request_lb_config.slow_start_config: not supported"), "{slow}");
    assert!(refused(|cluster| cluster.set_lb_policy(LbPolicy::ClusterProvided)).starts_with("lb_policy"));
    let weights = CommonLbConfig {
        locality_config_specifier: Some(
            byrnie_proto::envoy::envoy::config::cluster::v3::cluster::common_lb_config::LocalityConfigSpecifier::LocalityWeightedLbConfig(
                Default::default(),
            ),
        ),
        ..Default::default()
    };
    assert!(refused(|cluster| cluster.common_lb_config = Some(weights)).contains("locality_weighted_lb_config"));
}

#[test]
fn limits_are_those_of_the_first_default_priority() {
    let budget = RetryBudget { budget_percent: Some(Percent { value: 12.5 }), ..Default::default() };
    let high = Thresholds { priority: 1, max_requests: set(1), ..Default::default() };
    let first =
        Thresholds { max_requests: set(2), max_retries: set(9), retry_budget: Some(budget), ..Default::default() };
    let second = Thresholds { max_requests: set(3), ..Default::default() };
    let breakers = CircuitBreakers { thresholds: vec![high, first, second], ..Default::default() };
    let limits = read(|cluster| cluster.circuit_breakers = Some(breakers)).unwrap().limits;
    assert_eq!((limits.requests, limits.connections), (2, 1_024));
    assert_eq!(limits.retries, Retries::Budget { percent: 12.5, minimum: 3 });
}

#[test]
fn only_what_is_enforced_ejects() {
    let outlier = OutlierDetection {
        consecutive_5xx: set(7),
        enforcing_success_rate: set(0),
        base_ejection_time: seconds(400),
        max_ejection_percent: set(50),
        always_eject_one_host: Some(BoolValue { value: true }),
        ..Default::default()
    };
    let with = |outlier: OutlierDetection| read(|cluster| cluster.outlier_detection = Some(outlier));
    let ejection = with(outlier.clone()).unwrap().ejection.unwrap();
    assert_eq!((ejection.consecutive_errors, ejection.max_percent, ejection.always_one), (Some(7), 50, true));
    assert_eq!((ejection.base_time, ejection.max_time), (Duration::from_secs(400), Duration::from_secs(400)));
    assert!(ejection.failure_share.is_none());
    let none = OutlierDetection { enforcing_consecutive_5xx: set(0), ..outlier.clone() };
    assert_eq!(with(none).unwrap().ejection, None);
    let error = with(OutlierDetection { enforcing_success_rate: None, ..outlier.clone() }).unwrap_err().to_string();
    assert_eq!(error, "outlier_detection.enforcing_success_rate: found 100; accepted: 0");
    let error = with(OutlierDetection { enforcing_consecutive_5xx: set(30), ..outlier }).unwrap_err().to_string();
    assert_eq!(error, "outlier_detection.enforcing_consecutive_5xx: found 30; accepted: 0, 100");
}

fn check(checker: HealthChecker) -> core::HealthCheck {
    core::HealthCheck {
        timeout: seconds(1),
        interval: seconds(5),
        interval_jitter_percent: 20,
        unhealthy_threshold: set(3),
        healthy_threshold: set(2),
        tls_options: Some(TlsOptions { alpn_protocols: vec!["byrnie-http".to_owned(), "h2".to_owned()] }),
        health_checker: Some(checker),
        ..Default::default()
    }
}

#[test]
fn a_check_says_what_is_asked_how_often_and_what_is_expected() {
    let http = HttpHealthCheck {
        path: "/healthz".to_owned(),
        retriable_statuses: vec![Int64Range { start: 500, end: 600 }],
        ..Default::default()
    };
    let with = |check: core::HealthCheck| {
        read(|cluster| {
            cluster.health_checks = vec![check];
            cluster.ignore_health_on_host_removal = true;
        })
    };
    let wire = check(HealthChecker::HttpHealthCheck(http));
    let cluster = with(wire.clone()).unwrap();
    assert_eq!(cluster.first_check, FirstCheck::Awaited);
    let read = cluster.health_check.unwrap();
    assert_eq!(
        (read.timeout, read.pace.no_traffic_healthy_interval),
        (Duration::from_secs(1), Duration::from_secs(60))
    );
    assert_eq!((read.alpn.len(), read.reuses_connection), (2, true));
    let Probe::Http(probe) = read.probe else { panic!() };
    assert_eq!((&*probe.host, &*probe.path), ("shop/cart:80", "/healthz"));
    let judged = [200, 201, 404, 503].map(|status| probe.judge(status));
    assert_eq!(judged, [Answer::Passed, Answer::Refused, Answer::Refused, Answer::Unreachable]);
    let grpc =
        check(HealthChecker::GrpcHealthCheck(GrpcHealthCheck { service_name: "a.B".to_owned(), ..Default::default() }));
    let Some(HealthCheck { probe: Probe::Grpc { service, authority }, .. }) = with(grpc).unwrap().health_check else {
        panic!()
    };
    assert_eq!((&*service, &*authority), ("a.B", "shop/cart:80"));
    let error = with(core::HealthCheck { interval: None, ..wire.clone() }).unwrap_err().to_string();
    assert_eq!(error, "health_checks[0].interval: missing");
    let error = with(core::HealthCheck { unhealthy_interval: seconds(1), ..wire.clone() }).unwrap_err().to_string();
    assert!(error.starts_with("health_checks[0].unhealthy_interval: not supported"), "{error}");
    let error = self::read(|cluster| cluster.health_checks = vec![wire]).unwrap_err().to_string();
    assert!(error.starts_with("ignore_health_on_host_removal: "), "{error}");
}

#[test]
fn endpoints_are_called_by_their_account_then_in_plain_text() {
    let account = |name: &str| {
        let value = Value { kind: Some(value::Kind::StringValue(name.to_owned())) };
        Struct { fields: [("sa".to_owned(), value)].into() }
    };
    let one = |r#match, socket| TransportSocketMatch { r#match, transport_socket: Some(socket), ..Default::default() };
    let plain = || packed(&RawBuffer {});
    let matches = vec![one(Some(account("shop/cart")), plain()), one(Some(Struct::default()), plain())];
    let sockets = read(|cluster| cluster.transport_socket_matches = matches).unwrap().sockets;
    assert_eq!(sockets.matches, [(Some("shop/cart".into()), None), (None, None)]);
    let mut other = account("x");
    other.fields.insert("region".to_owned(), Value::default());
    let error = refused(|cluster| cluster.transport_socket_matches = vec![one(Some(other), plain())]);
    assert!(error.starts_with("transport_socket_matches[0].match[\"region\"]"), "{error}");
}

#[test]
fn both_versions_of_http_need_their_options() {
    let with = |config: AutoHttpConfig| {
        let protocol = Some(UpstreamProtocolOptions::AutoConfig(config));
        let options = HttpProtocolOptions { upstream_protocol_options: protocol, ..Default::default() };
        let key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions".to_owned();
        read(|cluster| cluster.typed_extension_protocol_options = [(key, any(&options))].into())
    };
    let both = AutoHttpConfig {
        http_protocol_options: Some(Http1ProtocolOptions { enable_trailers: true, ..Default::default() }),
        http2_protocol_options: Some(Http2ProtocolOptions { allow_connect: true, ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(with(both.clone()).unwrap().protocol, Protocol::ByAlpn);
    let error = with(AutoHttpConfig { http_protocol_options: Some(Default::default()), ..both }).unwrap_err();
    assert!(error.path.ends_with("auto_config.http_protocol_options.enable_trailers"), "{error}");
    let error = refused(|cluster| {
        cluster.typed_extension_protocol_options = [("x".to_owned(), any(&RawBuffer {}))].into();
    });
    assert!(error.starts_with("typed_extension_protocol_options[\"x\"]: not supported"), "{error}");
}
