//! What stands in `tests/golden`, one file a World. `BYRNIE_BLESS=1` writes them anew: read the difference.

use std::{fs, path::Path};

use byrnie_model::{
    EndpointState, Protocol, Update, World,
    policy::{
        Backoff, Balancer, HashKey, HealthCheck, Limits, OutlierEjection, Probe, Retry, RetryBudget, RetryOn, SlowStart,
    },
    route::{
        Filters, HeaderEdits, Match, NameMatch, PathChange, PathMatch, Redirect, Rewrite, RouteKind, RouteRetry, Rule,
        ValueMatch,
    },
};
use byrnie_proto::Kind;
use byrnie_snapshot::{Builder, Dialect, View};

use crate::{
    sample::{
        NAMESPACE, backend, endpoint, endpoints, millis, policy, prefix, put, put_endpoints, route, rule, service,
    },
    text,
};

/// Envoy's listeners have tests of their own.
fn is_shown(view: &View, kind: Kind) -> bool {
    kind != Kind::Listener || matches!(view, View::Dialect(Dialect::Grpc) | View::Namespace(Dialect::Grpc, _))
}

fn check(name: &str, updates: impl IntoIterator<Item = Update>) {
    let (world, touched) = World::default().apply(updates);
    let snapshot = Builder::default().advance(world, &touched);
    let mut found = String::new();
    for (view, resource) in snapshot.all().filter(|(view, resource)| is_shown(view, resource.kind())) {
        if resource.name().starts_with("out/") {
            continue;
        }
        let origins: Vec<_> = resource.origins().iter().map(ToString::to_string).collect();
        let refers: Vec<_> = resource.refers().iter().map(|to| format!("{} {}", to.kind, to.name)).collect();
        let head = format!("{view:?} {} {}", resource.kind(), resource.name());
        found += &format!("=== {head}\nfrom {}\n", origins.join(", "));
        if !refers.is_empty() {
            found += &format!("refers to {}\n", refers.join(", "));
        }
        found += &text::of(resource);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.golden.txt"));
    if std::env::var_os("BYRNIE_BLESS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    let differing = wanted.lines().zip(found.lines()).position(|(wanted, found)| wanted != found);
    let line = differing.unwrap_or(wanted.lines().count().min(found.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("nothing").to_owned();
    assert!(wanted == found, "{path:?}, line {}: {:?} stands there, found {:?}", line + 1, at(&wanted), at(&found));
}

#[test]
fn a_service_with_no_object_beside_it() {
    check("plain", [put(service("cart", &[(80, Protocol::Http1)])), endpoints("cart", 80, &["10.0.0.1:8080=cart"])]);
}

#[test]
fn every_protocol_with_an_endpoint_outside_the_mesh() {
    use Protocol::{Http1, Http2, Tcp, Undeclared};
    let ports = [(80, Http1), (81, Http2), (82, Undeclared), (83, Tcp)];
    let both = || {
        let mut outside = endpoint("[fd00::1]:8080");
        outside.zone = Some("z2".into());
        let mut draining = endpoint("10.0.0.2:8080=other");
        draining.state = EndpointState::Draining;
        vec![endpoint("10.0.0.1:8080=cart"), draining, outside]
    };
    let known = put_endpoints("cart", ports.map(|(port, _)| (port, both())));
    check("outside", [put(service("cart", &ports)), known]);
}

#[test]
fn a_policy_with_all_that_it_can_say() {
    let health = |probe| HealthCheck {
        probe,
        interval: millis(5000),
        timeout: millis(500),
        healthy_threshold: 1,
        unhealthy_threshold: 3,
    };
    let web = policy("web", |policy| {
        policy.balancer = Some(Balancer::RingHash {
            key: HashKey::Cookie { name: "c".into(), ttl: Some(millis(0)), path: Some("/".into()) },
            minimum_ring_size: Some(64),
        });
        policy.retry = Some(Retry {
            attempts: 3,
            on: vec![RetryOn::Condition("5xx".into()), RetryOn::Condition("unavailable".into()), RetryOn::Status(409)],
            per_try_timeout: Some(millis(200)),
            backoff: Some(Backoff { base: millis(5), max: Some(millis(50)) }),
        });
        policy.connect_timeout = Some(millis(750));
        policy.health_check = Some(health(Probe::Http {
            path: "/healthz".into(),
            host: None,
            expected: std::iter::once(200..300).collect(),
        }));
        policy.outlier = Some(OutlierEjection {
            consecutive_errors: 5,
            interval: millis(1000),
            base_ejection_time: millis(30_000),
            max_ejection_percent: 50,
            failure_percent: Some(40),
        });
        policy.limits = Limits { connections: Some(1), pending: Some(2), requests: Some(3), retries: Some(4) };
        policy.panic_threshold = Some(30);
    });
    let api = policy("api", |policy| {
        policy.balancer = Some(Balancer::LeastRequest { choices: 5 });
        policy.slow_start = Some(SlowStart { window: millis(30_000), minimum_percent: 10 });
        policy.retry_budget = Some(RetryBudget { percent: 50, minimum: 1 });
        policy.health_check = Some(health(Probe::Grpc { service: Some("a.B".into()) }));
    });
    let services = [put(service("web", &[(80, Protocol::Http1)])), put(service("api", &[(50, Protocol::Grpc)]))];
    let known = [endpoints("web", 80, &["10.0.0.1:80=web"]), endpoints("api", 50, &["10.0.0.2:50=api"])];
    check("policy", services.into_iter().chain(known).chain([web, api]));
}

fn edits() -> HeaderEdits {
    HeaderEdits {
        set: vec![("x-set".into(), "50%".into()), ("Host".into(), "set.example".into())],
        add: vec![("x-add".into(), "".into())],
        remove: vec!["x-remove".into()],
    }
}

#[test]
fn an_http_route_with_all_that_it_can_say() {
    let rewrite = |hostname: Option<&str>, path| Filters {
        rewrite: Some(Rewrite { hostname: hostname.map(Into::into), path }),
        ..Filters::default()
    };
    let redirect = Redirect {
        scheme: Some("https".into()),
        hostname: Some("example.com".into()),
        path: Some(PathChange::Prefix("/new".into())),
        port: Some(8443),
        status: 301,
    };
    let mut canary = backend("cart:80*10");
    canary.filters = Filters { request_headers: Some(edits()), ..Filters::default() };
    let pair = |name: &str| (name.into(), "rule".into());
    let of_rule = HeaderEdits {
        set: vec![pair("X-Set"), pair("x-remove"), pair("x-rule")],
        add: vec![pair("x-add")],
        remove: vec!["X-SET".into()],
    };
    let condition = |name: &str, value| ValueMatch { name: name.into(), value };
    let rules = vec![
        Rule {
            matches: vec![Match {
                path: PathMatch::Regex("/v[0-9]+".into()),
                method: Some("POST".into()),
                headers: vec![condition("x-user", NameMatch::Exact("me".into()))],
                query: vec![condition("q", NameMatch::Regex("a+".into()))],
            }],
            filters: Filters {
                request_headers: Some(edits()),
                response_headers: Some(edits()),
                ..rewrite(Some("rewritten.example"), Some(PathChange::Full("/full".into())))
            },
            request_timeout: Some(millis(3000)),
            backend_timeout: Some(millis(1000)),
            retry: Some(RouteRetry { codes: vec![500, 503], attempts: Some(3), backoff: Some(millis(10)) }),
            ..rule(prefix("/"), &["cart:80"])
        },
        Rule { filters: rewrite(None, Some(PathChange::Prefix("/".into()))), ..rule(prefix("/strip"), &["cart:80"]) },
        Rule { filters: Filters { redirect: Some(redirect), ..Filters::default() }, ..rule(prefix("/old"), &[]) },
        Rule {
            filters: Filters { request_headers: Some(of_rule), ..rewrite(Some("rule.example"), None) },
            backends: vec![backend("web:80*90"), canary],
            ..rule(prefix("/split"), &[])
        },
        rule(prefix("/broken"), &["cart:80*1", "gone:80*2"]),
        rule(PathMatch::Exact("/nowhere".into()), &["gone:80"]),
    ];
    let services = ["web", "cart"].map(|of| put(service(of, &[(80, Protocol::Http1)])));
    let consumer = route(RouteKind::Http, "bank", "web", vec![rule(prefix("/"), &["cart:80"])]);
    check("http-route", services.into_iter().chain([route(RouteKind::Http, NAMESPACE, "web", rules), consumer]));
}

#[test]
fn a_grpc_route_for_envoy_and_for_grpc() {
    let exact = |name: &str| Some(NameMatch::Exact(name.into()));
    let method = |service, method| PathMatch::Grpc { service, method };
    let rules = vec![
        rule(method(exact("a.B"), exact("Get")), &["api:50*3", "old:50*1"]),
        rule(method(exact("a.B"), None), &["api:50*3", "gone:50*1"]),
        Rule { request_timeout: Some(millis(2000)), ..rule(method(None, None), &["gone:50"]) },
    ];
    let services = ["api", "old"].map(|of| put(service(of, &[(50, Protocol::Grpc)])));
    check("grpc-route", services.into_iter().chain([route(RouteKind::Grpc, NAMESPACE, "api", rules)]));
}
