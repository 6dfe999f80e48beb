//! Byrnie's own policies: how calls to a Service are balanced, checked, limited and tried again, and who may call.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{Origin, PeerMode, ServiceName};

/// TrafficPolicy: one Service. What is `None` is the default that `docs/` documents. Where several objects name one
/// Service the oldest wins, then the first by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficPolicy {
    /// The object.
    pub origin: Origin,
    /// `metadata.creationTimestamp` in Unix seconds; `i64::MAX` where there is none.
    pub created: i64,
    /// The Service it speaks of, in the policy's own namespace.
    pub service: ServiceName,
    /// `balancer`; least request of two choices where nothing is said.
    pub balancer: Option<Balancer>,
    /// `retry`
    pub retry: Option<Retry>,
    /// `connectTimeout`
    pub connect_timeout: Option<Duration>,
    /// `healthCheck`
    pub health_check: Option<HealthCheck>,
    /// `outlierEjection`
    pub outlier: Option<OutlierEjection>,
    /// `limits`
    pub limits: Limits,
    /// `retryBudget`
    pub retry_budget: Option<RetryBudget>,
    /// `slowStart`: only for round robin and least request.
    pub slow_start: Option<SlowStart>,
    /// `panicThreshold`, percent 0..=100 of endpoints that must be healthy.
    pub panic_threshold: Option<u8>,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balancer {
    /// In turn.
    RoundRobin,
    /// By chance.
    Random,
    /// The least busy of a few chosen by chance.
    LeastRequest {
        /// How many are compared, 2..=100.
        choices: u32,
    },
    /// Consistent hashing (Ketama).
    RingHash {
        /// What is hashed.
        key: HashKey,
        /// Least size of the ring, 1..=8_388_608.
        minimum_ring_size: Option<u64>,
    },
    /// Consistent hashing (Maglev).
    Maglev {
        /// What is hashed.
        key: HashKey,
        /// A prime up to 5_000_011.
        table_size: Option<u64>,
    },
}

/// What consistent hashing hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// A request header.
    Header(Arc<str>),
    /// A cookie, made by the proxy where a time to live is given.
    Cookie {
        /// Its name.
        name: Arc<str>,
        /// How long a cookie that the proxy makes lives.
        ttl: Option<Duration>,
        /// Its path.
        path: Option<Arc<str>>,
    },
    /// The caller's address.
    Source,
}

/// Tries after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many, 0..=100; 0 turns retries off.
    pub attempts: u32,
    /// What is tried again: the words of Envoy's `retry_on` and gRPC's, and status codes as numbers.
    /// Empty = the safe defaults.
    pub on: Vec<RetryOn>,
    /// Limit of each try.
    pub per_try_timeout: Option<Duration>,
    /// Pause between tries.
    pub backoff: Option<Backoff>,
}

/// One thing that is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// A word of Envoy's `retry_on`, such as `5xx`, `connect-failure`, `unavailable`; checked at the edge.
    Condition(Arc<str>),
    /// A status code.
    Status(u16),
}

/// Exponential pause with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause.
    pub base: Duration,
    /// The longest pause; 10 times the base where nothing is said.
    pub max: Option<Duration>,
}

/// Active health checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Between checks; 10 s.
    pub interval: Duration,
    /// Of one check; 1 s, and below the interval.
    pub timeout: Duration,
    /// Successes until healthy; 1.
    pub healthy_threshold: u32,
    /// Failures until unhealthy; 3.
    pub unhealthy_threshold: u32,
}

/// What an active health check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `GET path`, expecting one of the statuses (200 where empty).
    Http {
        /// The path.
        path: Arc<str>,
        /// The Host header; the service's DNS name where nothing is said.
        host: Option<Arc<str>>,
        /// Accepted status codes, as half-open ranges.
        expected: Vec<std::ops::Range<u16>>,
    },
    /// `grpc.health.v1.Health/Check`
    Grpc {
        /// The service that is asked for; empty = the server.
        service: Option<Arc<str>>,
    },
    /// Connect.
    Tcp,
}

/// Passive health: endpoints that fail are left out for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierEjection {
    /// Server errors in a row; 0 = not counted.
    pub consecutive_errors: u32,
    /// Between evaluations; 10 s.
    pub interval: Duration,
    /// First ejection; grows with each. 30 s.
    pub base_ejection_time: Duration,
    /// The most that may be ejected at once, percent; 10.
    pub max_ejection_percent: u8,
    /// An endpoint is ejected when at least this percent of its requests of one interval failed; not counted where
    /// nothing is said.
    pub failure_percent: Option<u8>,
}

/// Most at once, towards one Service, per client sidecar. `None` = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Limits {
    pub connections: Option<u32>,
    pub pending: Option<u32>,
    pub requests: Option<u32>,
    pub retries: Option<u32>,
}

/// Retries as a share of active requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Percent, 0..=100; 20.
    pub percent: u8,
    /// Always allowed; 64.
    pub minimum: u32,
}

/// New endpoints get their share little by little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStart {
    /// How long.
    pub window: Duration,
    /// Least share, percent of the full weight; 10.
    pub minimum_percent: u8,
}

/// PeerPolicy: who may call. The narrowest wins: workloads by selector, then the namespace, then MeshConfig.
/// Between equals the oldest wins, then the first by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerPolicy {
    /// The object.
    pub origin: Origin,
    /// `metadata.creationTimestamp` in Unix seconds; `i64::MAX` where there is none.
    pub created: i64,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Labels that a workload must have; empty = the whole namespace.
    pub selector: BTreeMap<Arc<str>, Arc<str>>,
    /// The mode.
    pub mode: PeerMode,
    /// Modes of single ports of the workload.
    pub ports: BTreeMap<u16, PeerMode>,
}
