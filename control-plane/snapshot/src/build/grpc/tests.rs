use std::sync::Arc;

use byrnie_model::{
    ObjectKind, Origin, PolicyName, RouteName, ServiceKind, ServiceName, Update,
    policy::{HashKey, Limits},
    route::{Backend, BackendTarget, Filters, Match, ParentRef, Redirect, Route, RouteKind, Rule},
};
use byrnie_proto::envoy::envoy::config::route::v3::{
    RouteConfiguration,
    route::Action,
    route_action::{ClusterSpecifier, hash_policy::PolicySpecifier},
};
use prost::Message;

use super::*;
use crate::build::route::Frontend;

fn service(name: &str, protocol: Protocol) -> Service {
    Service {
        name: ServiceName::new("shop", name),
        origin: Origin::of(ObjectKind::Service, "shop", name),
        kind: ServiceKind::Virtual(Vec::new()),
        ports: vec![ServicePort { number: 50, name: None, protocol }],
    }
}

/// A route on the Service `api` with these rules, beside Services that speak gRPC (`api`) and bytes (`db`).
fn routed(rules: Vec<Rule>, more: Vec<Update>) -> Vec<byrnie_proto::envoy::envoy::config::route::v3::Route> {
    let services = [service("api", Protocol::Grpc), service("db", Protocol::Tcp)];
    let parent = ParentRef {
        group: "".into(),
        kind: "Service".into(),
        namespace: "shop".into(),
        name: "api".into(),
        port: None,
        section_name: None,
    };
    let route = Route {
        name: RouteName::new(RouteKind::Http, "shop", "r"),
        origin: Origin::of(ObjectKind::HTTPRoute, "shop", "r"),
        created: 0,
        parents: vec![parent],
        rules,
    };
    let puts = services.clone().map(|service| Update::Service(service.name.clone(), Some(Arc::new(service))));
    let route = Update::Route(route.name.clone(), Some(Arc::new(route)));
    let (world, _) = World::default().apply(puts.into_iter().chain([route]).chain(more));
    let shown = routes(&Frontend::new(&world, &services[0], &services[0].ports[0]));
    let config = RouteConfiguration::decode(shown[0].1.body().clone()).unwrap();
    config.virtual_hosts[0].routes.clone()
}

fn rule(backends: &[(&str, u32)]) -> Rule {
    let backend = |&(name, weight): &(&str, u32)| Backend {
        target: BackendTarget::Service(ServiceName::new("shop", name), Some(50)),
        weight,
        filters: Filters::default(),
    };
    Rule { matches: vec![Match::default()], backends: backends.iter().map(backend).collect(), ..Rule::default() }
}

#[test]
fn a_redirect_fails_the_call() {
    let redirect = Redirect { scheme: None, hostname: Some("h".into()), path: None, port: None, status: 302 };
    let filters = Filters { redirect: Some(redirect), ..Filters::default() };
    let routes = routed(vec![Rule { filters, ..rule(&[]) }], Vec::new());
    assert!(matches!(routes[0].action, Some(Action::DirectResponse(_))));
}

#[test]
fn a_backend_without_a_cluster_in_this_dialect_is_not_named_and_its_share_fails_first() {
    let routes = routed(vec![rule(&[("api", 1), ("db", 3)])], Vec::new());
    let [failing, rest] = &*routes else { panic!("{routes:?}") };
    assert!(matches!(failing.action, Some(Action::DirectResponse(_))));
    let fraction = failing.r#match.as_ref().and_then(|matched| matched.runtime_fraction.clone()).unwrap();
    assert_eq!(fraction.default_value.unwrap().numerator, 750_000);
    let Some(Action::Route(action)) = &rest.action else { panic!("{rest:?}") };
    assert_eq!(action.cluster_specifier, Some(ClusterSpecifier::Cluster("shop/api:50".to_owned())));
    assert_eq!(rest.r#match.as_ref().unwrap().runtime_fraction, None);
    let none_left = routed(vec![rule(&[("db", 1)])], Vec::new());
    assert!(matches!(&*none_left, [only] if matches!(only.action, Some(Action::DirectResponse(_)))));
}

#[test]
fn the_channel_stands_for_keys_that_grpc_does_not_know() {
    let hashed = |key| {
        let policy = TrafficPolicy {
            origin: Origin::of(ObjectKind::TrafficPolicy, "shop", "api"),
            created: 0,
            service: ServiceName::new("shop", "api"),
            balancer: Some(Balancer::RingHash { key, minimum_ring_size: None }),
            retry: None,
            connect_timeout: None,
            health_check: None,
            outlier: None,
            limits: Limits::default(),
            retry_budget: None,
            slow_start: None,
            panic_threshold: None,
        };
        let policy = Update::TrafficPolicy(PolicyName::new("shop", "api"), Some(Arc::new(policy)));
        let routes = routed(vec![rule(&[("api", 1)])], vec![policy]);
        let Some(Action::Route(action)) = routes[0].action.clone() else { panic!("{routes:?}") };
        action.hash_policy.into_iter().next().unwrap().policy_specifier.unwrap()
    };
    assert!(
        matches!(hashed(HashKey::Header("x".into())), PolicySpecifier::Header(header) if header.header_name == "x")
    );
    assert!(
        matches!(hashed(HashKey::Source), PolicySpecifier::FilterState(state) if state.key == "io.grpc.channel_id")
    );
}
