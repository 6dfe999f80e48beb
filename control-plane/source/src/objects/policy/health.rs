//! `spec.healthCheck` and `spec.outlierEjection` of a TrafficPolicy.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc, time::Duration};

use byrnie_model::policy::{HealthCheck, OutlierEjection, Probe};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::retry::positive;
use crate::{
    field::Cursor,
    objects::scalar::{Bounded, Count, Percent, Span},
};

/// The rule that compares the ends of a range counts against the API server's limit with the length of its list.
const MOST_STATUSES: usize = 8;

/// Checks of endpoints: exactly one of http, grpc and tcp, and how it is done.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HealthCheckSpec {
    /// Asks by GET.
    http: Option<HttpProbe>,
    /// Asks by grpc.health.v1.Health/Check.
    grpc: Option<GrpcProbe>,
    /// Connects: write tcp: {}
    tcp: Option<TcpProbe>,
    /// Time between two checks of an endpoint, with 20 % jitter; 60s while nothing was called. Default: 10s
    #[schemars(extend("default" = "10s"))]
    interval: Option<Span>,
    /// How long a check may take, up to interval. Default: 1s, or interval where that is shorter
    timeout: Option<Span>,
    /// Successes in a row until an endpoint is healthy; the first check after the start decides alone. Default: 1
    #[schemars(extend("default" = 1))]
    healthy_threshold: Option<Bounded<1, 1000>>,
    /// Failures in a row until an endpoint is unhealthy. Default: 3
    #[schemars(extend("default" = 3))]
    unhealthy_threshold: Option<Bounded<1, 1000>>,
}

/// A check by GET.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HttpProbe {
    /// The path that is asked for, which starts with a slash.
    #[schemars(regex(pattern = "^/"))]
    path: Arc<str>,
    /// The Host header. Default: the Service's name, NAME.NAMESPACE.svc.CLUSTER-DOMAIN
    host: Option<Arc<str>>,
    /// Which answers are healthy: statuses from 100 to 599, and ranges of them such as "200-299". Default: 200
    #[serde(default)]
    #[schemars(length(max = MOST_STATUSES), extend("x-kubernetes-list-type" = "atomic"))]
    expected_statuses: Vec<Statuses>,
}

/// A check by grpc.health.v1.Health/Check.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GrpcProbe {
    /// The gRPC service that is asked for. Default: the server as a whole
    service: Option<Arc<str>>,
}

/// A check by connecting. It has no fields.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TcpProbe {}

/// `204` or `"200-299"`, both ends included.
#[derive(Clone, Debug)]
struct Statuses(Range<u16>);

/// Endpoints that fail are left out for a while. {} is enough to have that.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OutlierSpec {
    /// How many answers of 5xx and failed connections in a row make an endpoint be left out; 0: they are not counted.
    /// Default: 5
    #[schemars(extend("default" = 5))]
    consecutive_errors: Option<Count>,
    /// Time between evaluations, in which endpoints also return. Default: 10s
    #[schemars(extend("default" = "10s"))]
    interval: Option<Span>,
    /// How long an endpoint is left out the first time; longer each time after. Default: 30s
    #[schemars(extend("default" = "30s"))]
    base_ejection_time: Option<Span>,
    /// The most that are left out at once, in percent of all endpoints; one may always go. Default: 10
    #[schemars(extend("default" = 10))]
    max_ejection_percent: Option<Percent>,
    /// From how many failed requests of an interval on, in percent, an endpoint is left out; counted from 2 endpoints
    /// and 50 requests to each. Not counted where it is left out.
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
                at.key("http").key("expectedStatuses").at_most(http.expected_statuses.len(), MOST_STATUSES);
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

impl JsonSchema for Statuses {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A status, or a range of them with both ends included.",
            "x-kubernetes-int-or-string": true,
            "minimum": 100,
            "maximum": 599,
            "maxLength": 7,
            "pattern": "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$",
        })
    }
}
