//! TrafficPolicy: how calls to one Service are balanced, checked, limited and tried again.

use std::sync::Arc;

use byrnie_model::{
    ObjectKind, ServiceName,
    policy::{Balancer, HashKey, Limits, RetryBudget, SlowStart, TrafficPolicy},
};
use serde::Deserialize;

use super::{
    health::{HealthCheckSpec, OutlierSpec},
    retry::{RetrySpec, positive},
};
use crate::{
    field::Cursor,
    objects::{
        check,
        meta::Strict,
        scalar::{Bounded, Count, Percent, Span},
    },
};

/// Envoy's bounds of `MaglevLbConfig.table_size` and `RingHashLbConfig.minimum_ring_size`.
const LARGEST_TABLE: i64 = 5_000_011;
const LARGEST_RING: i64 = 8_388_608;

/// `spec`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Spec {
    target_ref: TargetRef,
    balancer: Option<BalancerSpec>,
    retry: Option<RetrySpec>,
    connect_timeout: Option<Span>,
    health_check: Option<HealthCheckSpec>,
    outlier_ejection: Option<OutlierSpec>,
    #[serde(default)]
    limits: LimitsSpec,
    retry_budget: Option<RetryBudgetSpec>,
    slow_start: Option<SlowStartSpec>,
    panic_threshold: Option<Percent>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetRef {
    #[serde(default)]
    group: String,
    #[serde(default = "service")]
    kind: String,
    name: Arc<str>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BalancerSpec {
    #[serde(rename = "type")]
    kind: BalancerKind,
    choices: Option<Bounded<2, 100>>,
    hash_key: Option<HashKeySpec>,
    minimum_ring_size: Option<Bounded<1, LARGEST_RING>>,
    table_size: Option<Bounded<2, LARGEST_TABLE>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum BalancerKind {
    RoundRobin,
    Random,
    LeastRequest,
    RingHash,
    Maglev,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HashKeySpec {
    header: Option<Arc<str>>,
    cookie: Option<CookieSpec>,
    source: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CookieSpec {
    name: Arc<str>,
    ttl: Option<Span>,
    path: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsSpec {
    connections: Option<Count>,
    pending: Option<Count>,
    requests: Option<Count>,
    retries: Option<Count>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryBudgetSpec {
    percent: Option<Percent>,
    minimum: Option<Count>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SlowStartSpec {
    window: Span,
    minimum_percent: Option<Percent>,
}

/// Reads a TrafficPolicy.
pub(crate) fn read(object: Strict<Spec>, at: Cursor<'_>) -> TrafficPolicy {
    let Strict { metadata, spec, .. } = object;
    let at = at.key("spec");
    spec.target_ref.check(at.key("targetRef"));
    let balancer = spec.balancer.map(|balancer| balancer.read(at.key("balancer")));
    if spec.slow_start.is_some()
        && !matches!(balancer, None | Some(Balancer::RoundRobin | Balancer::LeastRequest { .. }))
    {
        at.key("slowStart").refuse("works with balancer.type RoundRobin or LeastRequest only");
    }
    TrafficPolicy {
        origin: metadata.origin(ObjectKind::TrafficPolicy),
        created: metadata.created(),
        service: ServiceName::new(metadata.namespace(), spec.target_ref.name),
        balancer,
        retry: spec.retry.map(|retry| retry.read(at.key("retry"))),
        connect_timeout: spec.connect_timeout.map(|span| positive(span, at.key("connectTimeout"))),
        health_check: spec.health_check.map(|check| check.read(at.key("healthCheck"))),
        outlier: spec.outlier_ejection.map(|outlier| outlier.read(at.key("outlierEjection"))),
        limits: Limits {
            connections: spec.limits.connections.map(u32::from),
            pending: spec.limits.pending.map(u32::from),
            requests: spec.limits.requests.map(u32::from),
            retries: spec.limits.retries.map(u32::from),
        },
        retry_budget: spec.retry_budget.map(|budget| RetryBudget {
            percent: budget.percent.map_or(20, u8::from),
            minimum: budget.minimum.map_or(3, u32::from),
        }),
        slow_start: spec.slow_start.map(|start| SlowStart {
            window: positive(start.window, at.key("slowStart").key("window")),
            minimum_percent: start.minimum_percent.map_or(10, u8::from),
        }),
        panic_threshold: spec.panic_threshold.map(u8::from),
    }
}

fn service() -> String {
    "Service".to_owned()
}

impl TargetRef {
    fn check(&self, at: Cursor<'_>) {
        if !self.group.is_empty() {
            at.key("group").refuse(format!("found {:?}: \"\" (core) is accepted, the group of Services", self.group));
        }
        if self.kind != "Service" {
            at.key("kind").refuse(format!("found {:?}: Service is accepted", self.kind));
        }
        if !check::is_dns_label(&self.name) {
            at.key("name").refuse(check::not_a_label(&self.name));
        }
    }
}

impl BalancerSpec {
    fn read(&self, at: Cursor<'_>) -> Balancer {
        let kind = self.kind;
        let hashes = matches!(kind, BalancerKind::RingHash | BalancerKind::Maglev);
        let fields = [
            ("choices", self.choices.is_some(), kind == BalancerKind::LeastRequest),
            ("hashKey", self.hash_key.is_some(), hashes),
            ("minimumRingSize", self.minimum_ring_size.is_some(), kind == BalancerKind::RingHash),
            ("tableSize", self.table_size.is_some(), kind == BalancerKind::Maglev),
        ];
        for (field, is_there, is_used) in fields {
            if is_there && !is_used {
                at.key(field).refuse(format!("has no meaning for type {kind:?}"));
            }
        }
        let key = match &self.hash_key {
            Some(key) => key.read(at.key("hashKey")),
            None => {
                if hashes {
                    at.key("hashKey").refuse(format!("is missing: type {kind:?} needs header, cookie or source"));
                }
                HashKey::Source
            }
        };
        match kind {
            BalancerKind::RoundRobin => Balancer::RoundRobin,
            BalancerKind::Random => Balancer::Random,
            BalancerKind::LeastRequest => Balancer::LeastRequest { choices: self.choices.map_or(2, u32::from) },
            BalancerKind::RingHash => Balancer::RingHash {
                key,
                minimum_ring_size: self.minimum_ring_size.map(|size| size.get().unsigned_abs()),
            },
            BalancerKind::Maglev => {
                let table_size = self.table_size.map(|size| size.get().unsigned_abs());
                if let Some(size) = table_size.filter(|size| !is_prime(*size)) {
                    at.key("tableSize")
                        .refuse(format!("{size} is no prime: a prime up to {LARGEST_TABLE} is accepted"));
                }
                Balancer::Maglev { key, table_size }
            }
        }
    }
}

impl HashKeySpec {
    fn read(&self, at: Cursor<'_>) -> HashKey {
        let given = [self.header.is_some(), self.cookie.is_some(), self.source == Some(true)];
        if given.iter().filter(|given| **given).count() != 1 {
            at.refuse("exactly one of header, cookie and source: true is accepted");
        }
        match (&self.header, &self.cookie) {
            (Some(header), _) => {
                if !check::is_header_name(header) {
                    at.key("header").refuse(check::not_a_header(header));
                }
                HashKey::Header(header.to_ascii_lowercase().into())
            }
            (None, Some(cookie)) => {
                // A cookie's name is a token like a header's (RFC 6265, section 4.1.1).
                if !check::is_header_name(&cookie.name) {
                    at.key("cookie").key("name").refuse(format!("{:?} is no cookie name", cookie.name));
                }
                HashKey::Cookie {
                    name: cookie.name.clone(),
                    ttl: cookie.ttl.map(|ttl| ttl.0),
                    path: cookie.path.clone(),
                }
            }
            (None, None) => HashKey::Source,
        }
    }
}

fn is_prime(number: u64) -> bool {
    number >= 2 && (2..).take_while(|factor| factor * factor <= number).all(|factor| !number.is_multiple_of(factor))
}
