use std::{sync::Arc, time::Duration};

use byrnie_model::{
    Injection, MeshConfig, ObjectKind, PeerMode, ProxyKind, ProxyResources, ServiceName, UnknownOutbound,
    policy::{
        Backoff, Balancer, HashKey, HealthCheck, Limits, OutlierEjection, PeerPolicy, Probe, Retry, RetryBudget,
        RetryOn, SlowStart, TrafficPolicy,
    },
};
use serde_json::{Value, json};

use crate::objects::{Object, mesh_config, read};

fn object(kind: ObjectKind, name: &str, spec: Value) -> Object {
    let object = json!({
        "apiVersion": "mesh.byrnie.io/v1alpha1", "kind": kind.as_str(),
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    });
    let read = read(kind, &object);
    read.content.unwrap_or_else(|| panic!("{:?}", read.told))
}

fn traffic(mut spec: Value) -> TrafficPolicy {
    spec["targetRef"] = json!({"group": "", "kind": "Service", "name": "cart"});
    match object(ObjectKind::TrafficPolicy, "p", spec) {
        Object::TrafficPolicy(policy) => Arc::unwrap_or_clone(policy),
        other => panic!("{other:?}"),
    }
}

fn peer(spec: Value) -> PeerPolicy {
    match object(ObjectKind::PeerPolicy, "p", spec) {
        Object::PeerPolicy(policy) => Arc::unwrap_or_clone(policy),
        other => panic!("{other:?}"),
    }
}

fn mesh(spec: Value) -> MeshConfig {
    match object(ObjectKind::MeshConfig, "default", spec) {
        Object::MeshConfig(mesh) => Arc::unwrap_or_clone(mesh),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_policy_does_not_say_is_left_to_the_defaults() {
    let policy = traffic(json!({}));
    assert_eq!(policy.service, ServiceName::new("shop", "cart"));
    assert_eq!(policy.created, i64::MAX);
    assert_eq!((policy.balancer, policy.retry, policy.health_check), (None, None, None));
    assert_eq!(policy.limits, Limits::default());
}

#[test]
fn every_field_of_a_traffic_policy_is_read() {
    let policy = traffic(json!({
        "balancer": {"type": "LeastRequest", "choices": 3},
        "retry": {"attempts": 0, "when": ["5xx", "unavailable", 503, "429"], "perTryTimeout": "250ms",
                  "backoff": {"base": "10ms", "max": "1s"}},
        "connectTimeout": "2s",
        "healthCheck": {"http": {"path": "/ok", "host": "h", "expectedStatuses": [204, "200-299"]},
                        "interval": "5s", "timeout": "500ms", "healthyThreshold": 2, "unhealthyThreshold": 4},
        "outlierEjection": {"consecutiveErrors": 3, "interval": "1s", "baseEjectionTime": "2s",
                            "maxEjectionPercent": 50, "failurePercent": 85},
        "limits": {"connections": 1, "pending": 2, "requests": 3, "retries": 0},
        "retryBudget": {"percent": 10},
        "slowStart": {"window": "30s"},
        "panicThreshold": 0,
    }));
    let millis = Duration::from_millis;
    assert_eq!(policy.balancer, Some(Balancer::LeastRequest { choices: 3 }));
    let condition = |word: &str| RetryOn::Condition(word.into());
    assert_eq!(
        policy.retry,
        Some(Retry {
            attempts: 0,
            on: vec![condition("5xx"), condition("unavailable"), RetryOn::Status(503), RetryOn::Status(429)],
            per_try_timeout: Some(millis(250)),
            backoff: Some(Backoff { base: millis(10), max: Some(millis(1000)) }),
        })
    );
    assert_eq!(policy.connect_timeout, Some(millis(2000)));
    assert_eq!(
        policy.health_check,
        Some(HealthCheck {
            probe: Probe::Http { path: "/ok".into(), host: Some("h".into()), expected: vec![204..205, 200..300] },
            interval: millis(5000),
            timeout: millis(500),
            healthy_threshold: 2,
            unhealthy_threshold: 4,
        })
    );
    assert_eq!(
        policy.outlier,
        Some(OutlierEjection {
            consecutive_errors: 3,
            interval: millis(1000),
            base_ejection_time: millis(2000),
            max_ejection_percent: 50,
            failure_percent: Some(85),
        })
    );
    let limits = Limits { connections: Some(1), pending: Some(2), requests: Some(3), retries: Some(0) };
    assert_eq!(policy.limits, limits);
    assert_eq!(policy.retry_budget, Some(RetryBudget { percent: 10, minimum: 64 }));
    assert_eq!(policy.slow_start, Some(SlowStart { window: millis(30_000), minimum_percent: 10 }));
    assert_eq!(policy.panic_threshold, Some(0));
}

#[test]
fn hashing_balancers_have_a_key() {
    let balancer = |spec: Value| traffic(json!({"balancer": spec})).balancer.unwrap();
    let ring = json!({"type": "RingHash", "hashKey": {"header": "X-User"}, "minimumRingSize": 1024});
    let key = HashKey::Header("x-user".into());
    assert_eq!(balancer(ring), Balancer::RingHash { key, minimum_ring_size: Some(1024) });
    let maglev =
        json!({"type": "Maglev", "hashKey": {"cookie": {"name": "c", "ttl": "0s", "path": "/"}}, "tableSize": 65537});
    let key = HashKey::Cookie { name: "c".into(), ttl: Some(Duration::ZERO), path: Some("/".into()) };
    assert_eq!(balancer(maglev), Balancer::Maglev { key, table_size: Some(65_537) });
    let source = json!({"type": "Maglev", "hashKey": {"source": true}});
    assert_eq!(balancer(source), Balancer::Maglev { key: HashKey::Source, table_size: None });
}

#[test]
fn short_checks_have_a_short_timeout() {
    let check = |spec: Value| traffic(json!({"healthCheck": spec})).health_check.unwrap();
    assert_eq!(check(json!({"tcp": {}, "interval": "300ms"})).timeout, Duration::from_millis(300));
    assert_eq!(check(json!({"tcp": {}})).timeout, Duration::from_secs(1));
    assert_eq!(check(json!({"grpc": {"service": "s"}})).probe, Probe::Grpc { service: Some("s".into()) });
}

#[test]
fn ports_have_modes_of_their_own() {
    let policy = peer(json!({"mode": "Permissive", "selector": {"matchLabels": {"app": "cart"}},
                             "ports": [{"port": 8080, "mode": "Strict"}]}));
    assert_eq!(policy.ports.get(&8080), Some(&PeerMode::Strict));
    assert_eq!((policy.mode, policy.selector.len()), (PeerMode::Permissive, 1));
}

#[test]
fn the_mesh_config_changes_what_it_says() {
    let mesh =
        mesh(json!({"trustDomain": "example.org", "outbound": {"unknown": "Refuse"}, "peer": {"mode": "Strict"}}));
    assert_eq!(mesh.trust_domain.as_str(), "example.org");
    assert_eq!(mesh.cluster_domain, "cluster.local");
    assert_eq!((mesh.unknown_outbound, mesh.peer_mode), (UnknownOutbound::Refuse, PeerMode::Strict));
}

#[test]
fn what_the_mesh_config_says_of_injection_is_read_and_the_rest_is_left_to_the_injector() {
    let injection = |spec: Value| mesh(json!({"injection": spec})).injection;
    assert_eq!(injection(json!({})), Injection::default());
    let quantity = |name: &str, text: &str| (name.into(), text.into());
    let expected = Injection {
        allowed_annotations: Some(["log-level".into(), "proxy".into()].into()),
        proxy: Some(ProxyKind::Envoy),
        resources: Some(ProxyResources {
            requests: [quantity("cpu", "1")].into(),
            limits: [quantity("cpu", "1000m"), quantity("memory", "64Mi")].into(),
        }),
        log_level: Some("info,byrnie_xds=debug".into()),
        pre_stop_delay: Some(Duration::from_secs(3600)),
        rewrite_probes: Some(false),
    };
    let found = injection(json!({
        "allowedAnnotations": ["proxy", "log-level"],
        "proxy": "envoy",
        "proxyResources": {"requests": {"cpu": 1}, "limits": {"cpu": "1000m", "memory": "64Mi"}},
        "logLevel": "info,byrnie_xds=debug",
        "preStopDelay": "1h",
        "rewriteProbes": false,
    }));
    assert_eq!(found, expected);
    assert_eq!(injection(json!({"allowedAnnotations": []})).allowed_annotations, Some([].into()), "none of them");
}

#[test]
fn what_cannot_be_meant_of_injection_is_told_with_its_field() {
    for (spec, expected) in [
        (
            json!({"allowedAnnotations": ["inject"]}),
            "allowedAnnotations[0]: \"inject\" is no annotation of the injection: proxy, exclude-inbound-ports, ",
        ),
        (json!({"allowedAnnotations": ["proxy", "proxy"]}), "allowedAnnotations[1]: is there twice"),
        (json!({"proxy": "Envoy"}), "proxy: unknown variant `Envoy`, expected `micro` or `envoy`"),
        (
            json!({"proxyResources": {"requests": {"gpu": 1}}}),
            "proxyResources.requests.gpu: unknown field `gpu`, expected `cpu` or `memory`",
        ),
        (
            json!({"proxyResources": {"requests": {"cpu": "much"}}}),
            "proxyResources.requests.cpu: invalid value: string \"much\", expected a quantity such as 100m, 1 or 64Mi",
        ),
        (
            json!({"proxyResources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "64Mi"}}}),
            "proxyResources.limits.memory: 64Mi is below requests.memory, 1Gi",
        ),
        (
            json!({"logLevel": "loud"}),
            "logLevel: \"loud\" is no filter: off, error, warn, info, debug and trace are accepted",
        ),
        (
            json!({"preStopDelay": "1500ms"}),
            "preStopDelay: 1.5s is too long or not whole: whole seconds from 0s to 1h are accepted",
        ),
        (json!({"preStopDelay": "61m"}), "preStopDelay: 3660s is too long or not whole: "),
    ] {
        let object = json!({
            "apiVersion": "mesh.byrnie.io/v1alpha1", "kind": "MeshConfig", "metadata": {"name": "default"},
            "spec": {"injection": spec},
        });
        let told = mesh_config(&object).unwrap_err();
        assert!(told.starts_with(&format!("spec.injection.{expected}")), "{spec}: {told}");
    }
}
