//! Reads health checks and ejection.

use std::time::Duration;

use byrnie_balance::{Checks, Ejection, FailureShare};
use byrnie_proto::envoy::envoy::{
    config::{
        cluster::v3::OutlierDetection,
        core::v3::{
            self as core, RequestMethod,
            health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck},
        },
    },
    r#type::v3::{CodecClientType, Int64Range},
};

use super::{HealthCheck, HttpProbe, Probe};
use crate::{
    Refused,
    fields::At,
    http::Version,
    value::{each, number},
};

/// `no_traffic_interval` where nothing is said.
const NO_TRAFFIC: Duration = Duration::from_secs(60);

impl HealthCheck {
    /// Reads the check of the cluster `name`.
    pub(super) fn read(check: &core::HealthCheck, name: &str, at: &At<'_>) -> Result<Self, Refused> {
        at.check(check)?;
        let interval = |field, value| at.field(field).above_zero(value);
        let missing = |field| move || at.field(field).refuse("missing");
        let threshold = |field, value| number(value).ok_or_else(missing(field));
        let no_traffic = interval("no_traffic_interval", &check.no_traffic_interval)?.unwrap_or(NO_TRAFFIC);
        let no_traffic_healthy = interval("no_traffic_healthy_interval", &check.no_traffic_healthy_interval)?;
        let tls = at.field("tls_options");
        if let Some(options) = &check.tls_options {
            tls.check(options)?;
        }
        let alpn = check.tls_options.iter().flat_map(|options| &options.alpn_protocols);
        Ok(Self {
            probe: Probe::read(&check.health_checker, name, at)?,
            timeout: interval("timeout", &check.timeout)?.ok_or_else(missing("timeout"))?,
            reuses_connection: check.reuse_connection.is_none_or(|reuses| reuses.value),
            alpn: alpn.map(|protocol| protocol.as_bytes().into()).collect(),
            pace: Checks {
                healthy_threshold: threshold("healthy_threshold", check.healthy_threshold)?,
                unhealthy_threshold: threshold("unhealthy_threshold", check.unhealthy_threshold)?,
                interval: interval("interval", &check.interval)?.ok_or_else(missing("interval"))?,
                interval_jitter_percent: check.interval_jitter_percent,
                no_traffic_interval: no_traffic,
                no_traffic_healthy_interval: no_traffic_healthy.unwrap_or(no_traffic),
            },
        })
    }
}

impl Probe {
    fn read(checker: &Option<HealthChecker>, name: &str, at: &At<'_>) -> Result<Self, Refused> {
        match checker {
            Some(HealthChecker::HttpHealthCheck(check)) => {
                Ok(Self::Http(HttpProbe::read(check, name, &at.field("http_health_check"))?))
            }
            Some(HealthChecker::GrpcHealthCheck(check)) => {
                at.field("grpc_health_check").check(check)?;
                let GrpcHealthCheck { service_name, authority, .. } = check;
                let authority = if authority.is_empty() { name } else { authority };
                Ok(Self::Grpc { service: service_name.as_str().into(), authority: authority.into() })
            }
            Some(HealthChecker::TcpHealthCheck(check)) => {
                at.field("tcp_health_check").check(check)?;
                Ok(Self::Tcp)
            }
            Some(HealthChecker::CustomHealthCheck(_)) | None => {
                Err(at.refuse("no checker; accepted: http_health_check, grpc_health_check, tcp_health_check"))
            }
        }
    }
}

impl HttpProbe {
    fn read(check: &HttpHealthCheck, name: &str, at: &At<'_>) -> Result<Self, Refused> {
        at.check(check)?;
        if !matches!(check.method(), RequestMethod::Get | RequestMethod::MethodUnspecified) {
            return Err(at.field("method").unlike(check.method(), "GET"));
        }
        let version = match at.field("codec_client_type").known(check.codec_client_type)? {
            CodecClientType::Http1 => Version::Http1,
            CodecClientType::Http2 => Version::Http2,
            other @ CodecClientType::Http3 => return Err(at.field("codec_client_type").unlike(other, "HTTP1, HTTP2")),
        };
        let mut expected = each(&check.expected_statuses, &at.field("expected_statuses"), statuses)?;
        if expected.is_empty() {
            expected.push((200, 201));
        }
        Ok(Self {
            host: if check.host.is_empty() { name } else { &check.host }.into(),
            path: at.field("path").text(&check.path)?.into(),
            expected,
            retriable: each(&check.retriable_statuses, &at.field("retriable_statuses"), statuses)?,
            version,
        })
    }
}

fn statuses(range: &Int64Range, at: &At<'_>) -> Result<(u16, u16), Refused> {
    let within = |status: i64| u16::try_from(status).ok().filter(|status| (100..=600).contains(status));
    let ends = within(range.start).zip(within(range.end)).filter(|(start, end)| start < end);
    ends.ok_or_else(|| at.unlike(range, "100 to 600, the end beyond the start"))
}

/// Reads `outlier_detection`; none where nothing would ever eject.
pub fn ejection(outlier: &OutlierDetection, at: &At<'_>) -> Result<Option<Ejection>, Refused> {
    at.check(outlier)?;
    let percent = |field, value, absent| match number(value).unwrap_or(absent) {
        percent @ 0..=100 => Ok(percent),
        percent => Err(at.field(field).unlike(percent, "0 to 100")),
    };
    let enforced = |field, value, absent| match number(value).unwrap_or(absent) {
        0 => Ok(false),
        100 => Ok(true),
        share => Err(at.field(field).unlike(share, "0, 100")),
    };
    let never = |field, value, absent| match enforced(field, value, absent)? {
        false => Ok(()),
        true => Err(at.field(field).unlike(100, "0")),
    };
    never("enforcing_success_rate", outlier.enforcing_success_rate, 100)?;
    never("enforcing_consecutive_gateway_failure", outlier.enforcing_consecutive_gateway_failure, 0)?;
    if let Some(unejects) = outlier.successful_active_health_check_uneject_host {
        at.field("successful_active_health_check_uneject_host").only(unejects.value, true)?;
    }
    let counts = enforced("enforcing_consecutive_5xx", outlier.enforcing_consecutive_5xx, 100)?;
    let shares = enforced("enforcing_failure_percentage", outlier.enforcing_failure_percentage, 0)?;
    let threshold = percent("failure_percentage_threshold", outlier.failure_percentage_threshold, 85)?;
    let share = FailureShare {
        percent: threshold,
        minimum_hosts: number(outlier.failure_percentage_minimum_hosts).unwrap_or(5),
        request_volume: number(outlier.failure_percentage_request_volume).unwrap_or(50),
    };
    let time = |field, value, absent| Ok(at.field(field).above_zero(value)?.unwrap_or(absent));
    let base_time = time("base_ejection_time", &outlier.base_ejection_time, Duration::from_secs(30))?;
    let max_time = Ejection::DEFAULT_MAX_TIME.max(base_time);
    let ejection = Ejection {
        consecutive_errors: counts.then(|| number(outlier.consecutive_5xx).unwrap_or(5)),
        interval: time("interval", &outlier.interval, Duration::from_secs(10))?,
        base_time,
        max_time: time("max_ejection_time", &outlier.max_ejection_time, max_time)?,
        max_percent: percent("max_ejection_percent", outlier.max_ejection_percent, 10)?,
        always_one: outlier.always_eject_one_host.is_some_and(|always| always.value),
        failure_share: shares.then_some(share),
    };
    Ok((counts || shares).then_some(ejection))
}
