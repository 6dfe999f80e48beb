//! `spec.healthCheck` and `spec.outlierEjection` of a TrafficPolicy.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use byrnie_model::policy::{HealthCheck, OutlierEjection, Probe};
use serde::{Deserialize, Deserializer, de};

use super::retry::positive;
use crate::{
    field::Cursor,
    objects::scalar::{Bounded, Count, Percent, Span},
};

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HealthCheckSpec {
    http: Option<HttpProbe>,
    grpc: Option<GrpcProbe>,
    tcp: Option<TcpProbe>,
    interval: Option<Span>,
    timeout: Option<Span>,
    healthy_threshold: Option<Bounded<1, 1000>>,
    unhealthy_threshold: Option<Bounded<1, 1000>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HttpProbe {
    path: Arc<str>,
    host: Option<Arc<str>>,
    #[serde(default)]
    expected_statuses: Vec<Statuses>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrpcProbe {
    service: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TcpProbe {}

/// `204` or `"200-299"`, both ends included.
#[derive(Clone, Debug)]
struct Statuses(Range<u16>);

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OutlierSpec {
    consecutive_errors: Option<Count>,
    interval: Option<Span>,
    base_ejection_time: Option<Span>,
    max_ejection_percent: Option<Percent>,
    failure_percent: Option<Percent>,
}

impl HealthCheckSpec {
    pub(super) fn read(self, at: Cursor<'_>) -> HealthCheck {
        let interval = self.interval.map_or(Duration::from_secs(10), |span| positive(span, at.key("interval")));
        let timeout = match self.timeout {
            Some(span) => positive(span, at.key("timeout")),
            None => Duration::from_secs(1).min(interval),
        };
        if timeout > interval {
            at.key("timeout").refuse(format!("{timeout:?} is longer than the interval, {interval:?}"));
        }
        HealthCheck {
            probe: self.probe(at),
            interval,
            timeout,
            healthy_threshold: self.healthy_threshold.map_or(1, u32::from),
            unhealthy_threshold: self.unhealthy_threshold.map_or(3, u32::from),
        }
    }

    fn probe(&self, at: Cursor<'_>) -> Probe {
        let given = [self.http.is_some(), self.grpc.is_some(), self.tcp.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            at.refuse("exactly one of http, grpc and tcp is accepted (tcp: {} connects)");
        }
        match (&self.http, &self.grpc) {
            (Some(http), _) => {
                if !http.path.starts_with('/') {
                    at.key("http").key("path").refuse(format!("{:?} does not start with '/'", http.path));
                }
                Probe::Http {
                    path: http.path.clone(),
                    host: http.host.clone(),
                    expected: http.expected_statuses.iter().map(|statuses| statuses.0.clone()).collect(),
                }
            }
            (None, Some(grpc)) => Probe::Grpc { service: grpc.service.clone() },
            (None, None) => Probe::Tcp,
        }
    }
}

impl OutlierSpec {
    pub(super) fn read(self, at: Cursor<'_>) -> OutlierEjection {
        let seconds = Duration::from_secs;
        let base = self.base_ejection_time.map(|span| positive(span, at.key("baseEjectionTime")));
        OutlierEjection {
            consecutive_errors: self.consecutive_errors.map_or(5, u32::from),
            interval: self.interval.map_or(seconds(10), |span| positive(span, at.key("interval"))),
            base_ejection_time: base.unwrap_or(seconds(30)),
            max_ejection_percent: self.max_ejection_percent.map_or(10, u8::from),
            failure_percent: self.failure_percent.map(u8::from),
        }
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Statuses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status from 100 to 599, or a range of them such as \"200-299\"")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Statuses, E> {
                match u16::try_from(number) {
                    Ok(code @ 100..=599) => Ok(Statuses(code..code + 1)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Statuses, E> {
                match u64::try_from(number) {
                    Ok(number) => self.visit_u64(number),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Statuses, E> {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
                    (Ok(first @ 100..=599), Ok(last @ 100..=599)) if first <= last => Ok(Statuses(first..last + 1)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
