//! Health of endpoints: asked for (active checks) and observed (ejection).

use std::time::Duration;

use byrnie_model::{
    MeshConfig, Protocol, Service, ServicePort,
    policy::{HealthCheck, OutlierEjection, Probe},
};
use byrnie_proto::envoy::{
    envoy::{
        config::{
            cluster::v3::OutlierDetection,
            core::v3::{
                self as core,
                health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck, TcpHealthCheck, TlsOptions},
            },
        },
        r#type::v3::{CodecClientType, Int64Range},
    },
    google::protobuf::BoolValue,
};

use super::pack;
use crate::names;

/// Between checks of a healthy endpoint of a service that this client has not called yet. An unhealthy one is checked
/// at the policy's own pace: a first failure before the first call would keep it out for all that time.
const IDLE_INTERVAL: Duration = Duration::from_secs(60);
/// Spreads the checks of a fleet that started at once, percent of the interval.
const JITTER_PERCENT: u32 = 20;

/// Whether a port can answer. A policy is for all ports of its Service, and Envoy refuses a cluster with a gRPC check
/// that does not speak HTTP/2.
pub fn can_answer(check: &HealthCheck, port: &ServicePort) -> bool {
    match check.probe {
        Probe::Http { .. } => port.protocol.is_http() || port.protocol == Protocol::Undeclared,
        Probe::Grpc { .. } => port.protocol.is_http2() || port.protocol == Protocol::Undeclared,
        Probe::Tcp => true,
    }
}

/// The active check of a service port.
pub fn check(check: &HealthCheck, mesh: &MeshConfig, service: &Service, port: &ServicePort) -> core::HealthCheck {
    let fqdn = || names::fqdn(&service.name, mesh);
    let http2 = port.protocol.is_http2();
    let checker = match &check.probe {
        Probe::Http { path, host, expected } => HealthChecker::HttpHealthCheck(HttpHealthCheck {
            host: host.as_deref().map_or_else(fqdn, str::to_owned),
            path: path.to_string(),
            expected_statuses: expected.iter().map(range).collect(),
            codec_client_type: if http2 { CodecClientType::Http2 } else { CodecClientType::Http1 }.into(),
            ..Default::default()
        }),
        Probe::Grpc { service } => HealthChecker::GrpcHealthCheck(GrpcHealthCheck {
            service_name: service.as_deref().unwrap_or_default().to_owned(),
            authority: fqdn(),
            ..Default::default()
        }),
        Probe::Tcp => HealthChecker::TcpHealthCheck(TcpHealthCheck::default()),
    };
    core::HealthCheck {
        timeout: Some(pack::duration(check.timeout)),
        interval: Some(pack::duration(check.interval)),
        interval_jitter_percent: JITTER_PERCENT,
        unhealthy_threshold: pack::number(check.unhealthy_threshold),
        healthy_threshold: pack::number(check.healthy_threshold),
        no_traffic_interval: Some(pack::duration(check.interval)),
        no_traffic_healthy_interval: Some(pack::duration(IDLE_INTERVAL.max(check.interval))),
        tls_options: Some(TlsOptions { alpn_protocols: offered(&check.probe, port) }),
        health_checker: Some(checker),
        ..Default::default()
    }
}

/// The checker speaks its own protocol whatever the cluster offers, so it has to offer that: without this every
/// check over mesh TLS fails.
fn offered(probe: &Probe, port: &ServicePort) -> Vec<String> {
    let alpn: &[&str] = match probe {
        Probe::Tcp => &[names::ALPN_TCP],
        Probe::Http { .. } if !port.protocol.is_http2() => &[names::ALPN_HTTP, "http/1.1"],
        Probe::Http { .. } | Probe::Grpc { .. } => &[names::ALPN_HTTP, "h2"],
    };
    alpn.iter().map(|&protocol| protocol.to_owned()).collect()
}

fn range(range: &std::ops::Range<u16>) -> Int64Range {
    Int64Range { start: range.start.into(), end: range.end.into() }
}

/// Ejection of endpoints that fail. Only what the policy names counts: Envoy's success-rate ejection, on by default,
/// is off. A service of a few endpoints loses one even where that is more than the percentage.
pub fn outlier(ejection: &OutlierEjection) -> OutlierDetection {
    let counts = ejection.consecutive_errors > 0;
    OutlierDetection {
        consecutive_5xx: counts.then_some(ejection.consecutive_errors).and_then(pack::number),
        enforcing_consecutive_5xx: pack::number(if counts { 100 } else { 0 }),
        enforcing_success_rate: pack::number(0),
        interval: Some(pack::duration(ejection.interval)),
        base_ejection_time: Some(pack::duration(ejection.base_ejection_time)),
        max_ejection_percent: pack::number(ejection.max_ejection_percent.into()),
        failure_percentage_threshold: ejection.failure_percent.and_then(|percent| pack::number(percent.into())),
        enforcing_failure_percentage: ejection.failure_percent.and_then(|_| pack::number(100)),
        failure_percentage_minimum_hosts: ejection.failure_percent.and_then(|_| pack::number(2)),
        always_eject_one_host: Some(BoolValue { value: true }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http() -> Probe {
        Probe::Http { path: "/".into(), host: None, expected: Vec::new() }
    }

    fn port(protocol: Protocol) -> ServicePort {
        ServicePort { number: 80, name: None, protocol }
    }

    #[test]
    fn a_check_offers_the_mark_and_the_protocol_that_it_speaks() {
        let of = |probe: Probe, protocol| offered(&probe, &port(protocol)).join(" ");
        assert_eq!(of(http(), Protocol::Http1), "byrnie-http http/1.1");
        assert_eq!(of(http(), Protocol::Undeclared), "byrnie-http http/1.1");
        assert_eq!(of(http(), Protocol::Grpc), "byrnie-http h2");
        assert_eq!(of(Probe::Grpc { service: None }, Protocol::Undeclared), "byrnie-http h2");
        assert_eq!(of(Probe::Tcp, Protocol::Http1), "byrnie-tcp");
    }

    #[test]
    fn only_ports_that_can_answer_are_asked() {
        let asked = |probe: Probe| {
            let interval = Duration::from_secs(1);
            let check =
                HealthCheck { probe, interval, timeout: interval, healthy_threshold: 1, unhealthy_threshold: 1 };
            let all = [Protocol::Http1, Protocol::Http2, Protocol::Grpc, Protocol::Undeclared, Protocol::Tcp];
            all.into_iter().filter(|protocol| can_answer(&check, &port(*protocol))).collect::<Vec<_>>()
        };
        use Protocol::{Grpc, Http1, Http2, Tcp, Undeclared};
        assert_eq!(asked(http()), [Http1, Http2, Grpc, Undeclared]);
        assert_eq!(asked(Probe::Grpc { service: None }), [Http2, Grpc, Undeclared]);
        assert_eq!(asked(Probe::Tcp), [Http1, Http2, Grpc, Undeclared, Tcp]);
    }

    #[test]
    fn only_what_the_policy_counts_ejects() {
        let policy = OutlierEjection {
            consecutive_errors: 0,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_percent: 10,
            failure_percent: Some(50),
        };
        let wire = outlier(&policy);
        assert_eq!(wire.enforcing_consecutive_5xx, pack::number(0));
        assert_eq!(wire.enforcing_success_rate, pack::number(0));
        assert_eq!(wire.failure_percentage_threshold, pack::number(50));
        let wire = outlier(&OutlierEjection { consecutive_errors: 3, failure_percent: None, ..policy });
        assert_eq!((wire.consecutive_5xx, wire.enforcing_consecutive_5xx), (pack::number(3), pack::number(100)));
        assert_eq!(wire.enforcing_failure_percentage, None);
    }
}
