//! TrafficPolicy: how calls to one Service are balanced, checked, limited and tried again.

use std::sync::Arc;

use byrnie_model::{
    ObjectKind, ServiceName,
    policy::{Balancer, HashKey, Limits, RetryBudget, SlowStart, TrafficPolicy},
};
use schemars::JsonSchema;
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

/// How callers in the mesh balance, check, limit and retry calls to one Service. It holds for every port of the Service,
/// in the sidecars of all its callers; numbers are for each sidecar. Of several policies for one Service the oldest wins,
/// whole, then the first by name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Spec {
    /// The Service, of the policy's own namespace.
    target_ref: TargetRef,
    /// How an endpoint is chosen. Default: LeastRequest of 2
    balancer: Option<BalancerSpec>,
    /// What is tried again. Default: 2 more tries of what the application has not seen
    retry: Option<RetrySpec>,
    /// How long an attempt to connect may take. Default: 5s
    connect_timeout: Option<Span>,
    /// Asks endpoints of every port whether they are well; one that is not gets no calls. Default: nobody asks
    health_check: Option<HealthCheckSpec>,
    /// Leaves endpoints out that fail, by the answers to calls. {} is enough. Default: none is left out
    outlier_ejection: Option<OutlierSpec>,
    /// Bounds of what a sidecar has under way; what exceeds them is answered with 503 at once. Default: no bounds
    #[serde(default)]
    limits: LimitsSpec,
    /// How many retries there may be beside other requests. Default: 20 percent, and 3 in any case
    retry_budget: Option<RetryBudgetSpec>,
    /// Gives new endpoints their share little by little; with balancer RoundRobin or LeastRequest. Default: at once
    slow_start: Option<SlowStartSpec>,
    /// Share of healthy endpoints, in percent, below which health is ignored; 0: never. Default: 50 with healthCheck or
    /// outlierEjection, else 0
    panic_threshold: Option<Percent>,
}

/// The Service that is spoken of.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TargetRef {
    /// The group of Services, which is the core group: empty.
    #[serde(default)]
    #[schemars(extend("enum" = [""]))]
    group: String,
    /// Service
    #[serde(default = "service")]
    #[schemars(extend("enum" = ["Service"]))]
    kind: String,
    /// The Service's name.
    #[schemars(length(max = 63), regex(pattern = check::LABEL))]
    name: Arc<str>,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BalancerSpec {
    /// The way.
    #[serde(rename = "type")]
    kind: BalancerKind,
    /// How many endpoints are compared; with LeastRequest. Default: 2
    choices: Option<Bounded<2, 100>>,
    /// What is hashed; needed with RingHash and Maglev, and with no other type.
    hash_key: Option<HashKeySpec>,
    /// The least size of the ring; with RingHash. Default: 1024
    minimum_ring_size: Option<Bounded<1, LARGEST_RING>>,
    /// The size of the table, a prime; with Maglev. Default: 65537
    table_size: Option<Bounded<2, LARGEST_TABLE>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum BalancerKind {
    /// In turn.
    RoundRobin,
    /// By chance.
    Random,
    /// The least busy of a few that are chosen by chance.
    LeastRequest,
    /// By hash, on a ring (Ketama).
    RingHash,
    /// By hash, in a table (Maglev).
    Maglev,
}

/// What is hashed: exactly one of header, cookie and source. Requests with the same value go to the same endpoint.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HashKeySpec {
    /// A request header, by its name.
    #[schemars(length(max = 256), regex(pattern = check::HEADER))]
    header: Option<Arc<str>>,
    /// A cookie.
    cookie: Option<CookieSpec>,
    /// true: the caller's address as its sidecar sees it, so that each caller keeps to one endpoint.
    source: Option<bool>,
}

/// A cookie.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CookieSpec {
    /// Its name.
    #[schemars(length(max = 256), regex(pattern = check::HEADER))]
    name: Arc<str>,
    /// The sidecar makes the cookie where a request has none, to live so long; 0s: for the session. Default: none is made
    ttl: Option<Span>,
    /// The path of a cookie that is made.
    path: Option<Arc<str>>,
}

/// Bounds of what a sidecar has under way.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct LimitsSpec {
    /// Connections to the Service.
    connections: Option<Count>,
    /// Requests that wait for a connection.
    pending: Option<Count>,
    /// Requests that are under way.
    requests: Option<Count>,
    /// Retries that are under way; without effect beside retryBudget.
    retries: Option<Count>,
}

/// How many retries there may be beside other requests.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RetryBudgetSpec {
    /// Retries in percent of the requests that are under way. Default: 20
    #[schemars(extend("default" = 20))]
    percent: Option<Percent>,
    /// Retries at once that are allowed in any case. Default: 64
    #[schemars(extend("default" = 64))]
    minimum: Option<Count>,
}

/// New endpoints get their share little by little.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SlowStartSpec {
    /// How long it takes until the share is whole.
    window: Span,
    /// The share at the start, in percent. Default: 10
    #[schemars(extend("default" = 10))]
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
            minimum: budget.minimum.map_or(64, u32::from),
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
