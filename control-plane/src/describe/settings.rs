//! The settings of a TrafficPolicy in the words of its object; what it leaves to the defaults is not there.

use std::time::Duration;

use byrnie_model::policy::{Balancer, HashKey, HealthCheck, OutlierEjection, Probe, Retry, RetryOn, TrafficPolicy};
use serde_json::{Map, Value, json};

/// `spec` without its target.
pub(super) fn of(policy: &TrafficPolicy) -> Value {
    let limits = &policy.limits;
    said([
        ("balancer", policy.balancer.as_ref().map(balancer)),
        ("retry", policy.retry.as_ref().map(retry)),
        ("connectTimeout", policy.connect_timeout.map(time)),
        ("healthCheck", policy.health_check.as_ref().map(health_check)),
        ("outlierEjection", policy.outlier.as_ref().map(outlier)),
        (
            "limits",
            non_empty([
                ("connections", limits.connections.map(Value::from)),
                ("pending", limits.pending.map(Value::from)),
                ("requests", limits.requests.map(Value::from)),
                ("retries", limits.retries.map(Value::from)),
            ]),
        ),
        (
            "retryBudget",
            policy.retry_budget.map(|budget| json!({"percent": budget.percent, "minimum": budget.minimum})),
        ),
        (
            "slowStart",
            policy.slow_start.map(|slow| json!({"window": time(slow.window), "minimumPercent": slow.minimum_percent})),
        ),
        ("panicThreshold", policy.panic_threshold.map(Value::from)),
    ])
}

fn balancer(balancer: &Balancer) -> Value {
    match balancer {
        Balancer::RoundRobin => json!({"type": "RoundRobin"}),
        Balancer::Random => json!({"type": "Random"}),
        Balancer::LeastRequest { choices } => json!({"type": "LeastRequest", "choices": choices}),
        Balancer::RingHash { key, minimum_ring_size } => said([
            ("type", Some(json!("RingHash"))),
            ("hashKey", Some(hash_key(key))),
            ("minimumRingSize", minimum_ring_size.map(Value::from)),
        ]),
        Balancer::Maglev { key, table_size } => said([
            ("type", Some(json!("Maglev"))),
            ("hashKey", Some(hash_key(key))),
            ("tableSize", table_size.map(Value::from)),
        ]),
    }
}

fn hash_key(key: &HashKey) -> Value {
    match key {
        HashKey::Header(name) => json!({"header": name}),
        HashKey::Source => json!({"source": true}),
        HashKey::Cookie { name, ttl, path } => {
            let cookie =
                [("name", Some(json!(name))), ("ttl", ttl.map(time)), ("path", path.as_ref().map(|path| json!(path)))];
            json!({"cookie": said(cookie)})
        }
    }
}

fn retry(retry: &Retry) -> Value {
    let on = retry.on.iter().map(|on| match on {
        RetryOn::Condition(word) => json!(word),
        RetryOn::Status(code) => json!(code),
    });
    let backoff =
        retry.backoff.map(|backoff| said([("base", Some(time(backoff.base))), ("max", backoff.max.map(time))]));
    said([
        ("attempts", Some(json!(retry.attempts))),
        ("when", Some(on.collect()).filter(|_| !retry.on.is_empty())),
        ("perTryTimeout", retry.per_try_timeout.map(time)),
        ("backoff", backoff),
    ])
}

fn health_check(check: &HealthCheck) -> Value {
    let probe = match &check.probe {
        Probe::Http { path, host, expected } => {
            let statuses = expected.iter().map(|range| json!(format!("{}-{}", range.start, range.end - 1)));
            let http = [
                ("path", Some(json!(path))),
                ("host", host.as_ref().map(|host| json!(host))),
                ("expectedStatuses", Some(statuses.collect()).filter(|_| !expected.is_empty())),
            ];
            ("http", said(http))
        }
        Probe::Grpc { service } => ("grpc", said([("service", service.as_ref().map(|service| json!(service)))])),
        Probe::Tcp => ("tcp", json!({})),
    };
    said([
        (probe.0, Some(probe.1)),
        ("interval", Some(time(check.interval))),
        ("timeout", Some(time(check.timeout))),
        ("healthyThreshold", Some(json!(check.healthy_threshold))),
        ("unhealthyThreshold", Some(json!(check.unhealthy_threshold))),
    ])
}

fn outlier(outlier: &OutlierEjection) -> Value {
    said([
        ("consecutiveErrors", Some(json!(outlier.consecutive_errors))),
        ("interval", Some(time(outlier.interval))),
        ("baseEjectionTime", Some(time(outlier.base_ejection_time))),
        ("maxEjectionPercent", Some(json!(outlier.max_ejection_percent))),
        ("failurePercent", outlier.failure_percent.map(Value::from)),
    ])
}

/// `1s`, `250ms`: as Gateway API writes them, but for fractions.
fn time(duration: Duration) -> Value {
    json!(format!("{duration:?}"))
}

fn said<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let said = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(said.collect::<Map<_, _>>())
}

fn non_empty<const N: usize>(fields: [(&str, Option<Value>); N]) -> Option<Value> {
    Some(said(fields)).filter(|value| value.as_object().is_some_and(|fields| !fields.is_empty()))
}

#[cfg(test)]
mod tests {
    use byrnie_model::{ObjectKind, Origin, ServiceName, policy::Limits};

    use super::*;

    #[test]
    fn only_what_the_object_says_is_told_in_its_own_words() {
        let policy = TrafficPolicy {
            origin: Origin::of(ObjectKind::TrafficPolicy, "shop", "cart"),
            created: 0,
            service: ServiceName::new("shop", "cart"),
            balancer: Some(Balancer::Maglev { key: HashKey::Header("x-user".into()), table_size: None }),
            retry: Some(Retry {
                attempts: 3,
                on: vec![RetryOn::Condition("connect-failure".into()), RetryOn::Status(503)],
                per_try_timeout: Some(Duration::from_millis(250)),
                backoff: None,
            }),
            connect_timeout: None,
            health_check: None,
            outlier: None,
            limits: Limits { requests: Some(7), ..Limits::default() },
            retry_budget: None,
            slow_start: None,
            panic_threshold: None,
        };
        let told = json!({
            "balancer": {"type": "Maglev", "hashKey": {"header": "x-user"}},
            "retry": {"attempts": 3, "when": ["connect-failure", 503], "perTryTimeout": "250ms"},
            "limits": {"requests": 7},
        });
        assert_eq!(of(&policy), told);
    }
}
