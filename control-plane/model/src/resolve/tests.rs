use std::time::Duration;

use super::*;
use crate::{
    Protocol, ServiceKind,
    route::{Backend, BackendTarget, HeaderEdits, NameMatch, PathMatch, ValueMatch},
    sample::*,
};

mod conformance;
mod merge;
mod precedence;
mod request;

fn forwards(entry: &Entry) -> Vec<(Option<String>, u32)> {
    let Action::Forward(destinations) = &entry.action else { panic!("{entry:?} forwards nothing") };
    let target = |destination: &Destination| destination.target.as_ref().map(|(name, port)| format!("{name}:{port}"));
    destinations.iter().map(|destination| (target(destination), destination.weight)).collect()
}

fn only_entry(world: &World, service: &str) -> Entry {
    let [entry] = &*tables_of(world, service, 80).shared.entries else { panic!("{service} has not one entry") };
    entry.clone()
}

#[test]
fn a_service_without_routes_goes_to_itself_whatever_it_speaks() {
    let ports = [(80, Protocol::Undeclared), (81, Protocol::Http1), (82, Protocol::Tcp)];
    let headless = Service { kind: ServiceKind::Headless, ..plain("shop/headless") };
    let world = world([service("shop/cart", &ports), headless], []);
    for port in [80, 81, 82] {
        let found = tables_of(&world, "shop/cart", port);
        assert_eq!(found.shared, RouteTable::to_itself(&service_name("shop/cart"), port));
        assert!(found.consumers.is_empty());
    }
    assert_eq!(
        tables_of(&world, "shop/headless", 80).shared,
        RouteTable::to_itself(&service_name("shop/headless"), 80)
    );
}

#[test]
fn a_route_replaces_the_default_and_leaves_no_fallback() {
    let rule = to(&["shop/cart-v2"]).matching(&[prefix("/v2")]);
    let route = route("HTTPRoute/shop/cart").on("shop/cart", None).rule(rule);
    let world = world([plain("shop/cart"), plain("shop/cart-v2")], [route]);
    let entry = only_entry(&world, "shop/cart");
    assert_eq!(entry.matches, prefix("/v2"));
    assert_eq!(forwards(&entry), [(Some("shop/cart-v2:80".to_owned()), 1)]);
    assert_eq!(entry.name, "HTTPRoute/shop/cart/rule/0");
    assert_eq!(entry.origin, Some(Origin::of(ObjectKind::HTTPRoute, "shop", "cart")));
}

#[test]
fn a_route_without_rules_leaves_an_empty_table() {
    let world = world([plain("shop/cart")], [route("HTTPRoute/shop/cart").on("shop/cart", None)]);
    assert_eq!(tables_of(&world, "shop/cart", 80).shared, RouteTable::default());
}

#[test]
fn consumer_routes_replace_the_producers_for_their_namespace() {
    let routes = [
        route("HTTPRoute/shop/cart").on("shop/cart", None).rule(to(&["shop/cart"]).matching(&[exact("/only-shared")])),
        route("HTTPRoute/web/one").on("shop/cart", None).created(2).rule(to(&["shop/cart"])),
        route("HTTPRoute/web/two").on("shop/cart", None).created(1).rule(to(&["shop/cart"])),
    ];
    let world = world([plain("shop/cart")], routes);
    let found = tables_of(&world, "shop/cart", 80);
    assert_eq!(names(&found.shared), ["HTTPRoute/shop/cart/rule/0"]);
    assert_eq!(found.consumers.len(), 1);
    assert_eq!(names(&found.consumers["web"]), ["HTTPRoute/web/two/rule/0", "HTTPRoute/web/one/rule/0"]);
}

#[test]
fn a_consumer_route_alone_leaves_the_default_to_the_others() {
    let consumer = route("HTTPRoute/web/cart").on("shop/cart", None).rule(to(&["web/cache"]));
    let refused = route("HTTPRoute/ops/cart").on("shop/cart", None).rule(mirror(&["shop/cart"]));
    let world = world([plain("shop/cart"), plain("web/cache")], [consumer, refused]);
    let found = tables_of(&world, "shop/cart", 80);
    assert_eq!(found.shared, RouteTable::to_itself(&service_name("shop/cart"), 80));
    assert_eq!(found.consumers.keys().map(|namespace| &**namespace).collect::<Vec<_>>(), ["web"]);
}

#[test]
fn a_service_whose_routes_are_all_refused_keeps_its_default() {
    let refused = route("HTTPRoute/shop/cart").on("shop/cart", None).rule(mirror(&["shop/cart"]));
    let world = world([plain("shop/cart")], [refused]);
    assert_eq!(tables_of(&world, "shop/cart", 80).shared, RouteTable::to_itself(&service_name("shop/cart"), 80));
}

#[test]
fn a_refused_rule_is_dropped_and_the_others_keep_their_index() {
    let refused = mirror(&["shop/cart"]).matching(&[exact("/a")]);
    let route = route("HTTPRoute/shop/cart").on("shop/cart", None).rule(refused).rule(to(&["shop/cart"]));
    let world = world([plain("shop/cart")], [route]);
    assert_eq!(only_entry(&world, "shop/cart").name, "HTTPRoute/shop/cart/rule/1");
}

#[test]
fn a_rule_with_a_name_is_called_by_it() {
    let rule = Rule { name: Some("checkout".into()), ..to(&["shop/cart"]) };
    let world = world([plain("shop/cart")], [route("HTTPRoute/shop/cart").on("shop/cart", None).rule(rule)]);
    assert_eq!(only_entry(&world, "shop/cart").name, "HTTPRoute/shop/cart/rule/checkout");
}

#[test]
fn each_match_of_a_rule_has_an_entry_of_its_own() {
    let rule = to(&["shop/cart"]).matching(&[prefix("/a"), exact("/long"), prefix("/abc")]);
    let world = world([plain("shop/cart")], [route("HTTPRoute/shop/cart").on("shop/cart", None).rule(rule)]);
    let found = tables_of(&world, "shop/cart", 80).shared;
    let order: Vec<_> = found.entries.iter().map(|entry| entry.matches.clone()).collect();
    assert_eq!(order, [exact("/long"), prefix("/abc"), prefix("/a")]);
}

#[test]
fn a_broken_backend_keeps_its_share_and_one_of_weight_0_has_none() {
    let backends = vec![backend("shop/cart", 80, 70), backend("shop/gone", 80, 30), backend("shop/v3", 80, 0)];
    let rule = Rule { backends, ..to(&[]) };
    let world = world([plain("shop/cart")], [route("HTTPRoute/shop/cart").on("shop/cart", None).rule(rule)]);
    let entry = only_entry(&world, "shop/cart");
    assert_eq!(forwards(&entry), [(Some("shop/cart:80".to_owned()), 70), (None, 30)]);
    assert_eq!(entry.broken_status(), 500);
}

#[test]
fn a_rule_whose_backends_take_nothing_answers_500_and_to_grpc_unavailable() {
    let missing = BackendTarget::Service(service_name("shop/cart"), None);
    let other = BackendTarget::Other("example.com/Bucket".into());
    let of = |target| Backend { target, ..backend("shop/cart", 80, 1) };
    for backends in [
        vec![],
        vec![backend("shop/cart", 80, 0)],
        vec![backend("shop/gone", 80, 1)],
        vec![backend("shop/cart", 81, 1)],
        vec![of(missing), of(other)],
    ] {
        let rule = Rule { backends, ..to(&[]) };
        for (kind, status) in [("HTTPRoute", 500), ("GRPCRoute", 503)] {
            let route = route(&format!("{kind}/shop/cart")).on("shop/cart", None).rule(rule.clone());
            let entry = only_entry(&world([plain("shop/cart")], [route]), "shop/cart");
            assert_eq!(entry.action, Action::Respond(status), "{rule:?}");
            assert_eq!(entry.broken_status(), status);
        }
    }
}

#[test]
fn a_redirect_is_the_action_and_leaves_the_other_filters() {
    let filters = Filters { redirect: Some(redirect(301)), ..sets_header("1") };
    let rule = Rule { filters, ..to(&[]) };
    let world = world([plain("shop/cart")], [route("HTTPRoute/shop/cart").on("shop/cart", None).rule(rule)]);
    let entry = only_entry(&world, "shop/cart");
    assert_eq!(entry.action, Action::Redirect(redirect(301)));
    assert_eq!(entry.filters, sets_header("1"));
}

#[test]
fn timeouts_retry_and_filters_are_passed_on_for_the_rule_and_for_each_backend() {
    let retry = RouteRetry { codes: vec![503], attempts: Some(3), backoff: None };
    let mut rule = Rule {
        filters: sets_header("rule"),
        request_timeout: Some(Duration::from_secs(2)),
        backend_timeout: Some(Duration::ZERO),
        retry: Some(retry.clone()),
        ..to(&["shop/cart"])
    };
    rule.backends[0].filters = sets_header("backend");
    let world = world([plain("shop/cart")], [route("HTTPRoute/shop/cart").on("shop/cart", None).rule(rule)]);
    let entry = only_entry(&world, "shop/cart");
    assert_eq!(entry.request_timeout, Some(Duration::from_secs(2)));
    assert_eq!(entry.backend_timeout, Some(Duration::ZERO));
    assert_eq!(entry.retry, Some(retry));
    assert_eq!(entry.filters, sets_header("rule"));
    let Action::Forward(destinations) = entry.action else { panic!("forwards") };
    assert_eq!(destinations[0].filters, sets_header("backend"));
}

#[test]
fn http_matches_stand_in_the_order_of_the_spec() {
    let with = |path: Match, method: bool, headers: usize, query: usize| {
        let values = |count| {
            let value = |n| ValueMatch { name: format!("n{n}").into(), value: NameMatch::Exact("v".into()) };
            (0..count).map(value).collect::<Vec<_>>()
        };
        Match { method: method.then(|| "GET".into()), headers: values(headers), query: values(query), ..path }
    };
    let order = [
        with(exact("/a"), true, 0, 0),
        with(exact("/a"), false, 1, 0),
        exact("/a"),
        with(prefix("/längs"), false, 0, 0),
        with(prefix("/long"), true, 0, 0),
        with(prefix("/long"), false, 2, 0),
        with(prefix("/long"), false, 1, 3),
        with(prefix("/long"), false, 1, 2),
        with(prefix("/long"), false, 0, 3),
        prefix("/long"),
        with(prefix("/"), true, 0, 0),
        with(prefix("/"), false, 0, 1),
        with(regex("/[a-z]+"), false, 0, 1),
        regex("/[a-z]+"),
        with(regex("/.*"), true, 9, 9),
        prefix("/"),
    ];
    assert_eq!(sorted("HTTPRoute", &order), order);
}

#[test]
fn grpc_matches_stand_in_the_order_of_the_spec() {
    let name = |text: &str| match text {
        "" => None,
        text if text.contains('*') => Some(NameMatch::Regex(text.into())),
        text => Some(NameMatch::Exact(text.into())),
    };
    let grpc = |service: &str, method: &str, headers: usize| {
        let value = |n| ValueMatch { name: format!("n{n}").into(), value: NameMatch::Exact("v".into()) };
        let path = PathMatch::Grpc { service: name(service), method: name(method) };
        Match { path, headers: (0..headers).map(value).collect(), ..Match::default() }
    };
    let order = [
        grpc("shop.Cart", "AddItem", 0),
        grpc("shop.Cart", "Add", 2),
        grpc("shop.Cart", "Add", 0),
        grpc("shop.Cart", "Ad.*", 0),
        grpc("shop.Cart", "", 5),
        grpc("shop.Cart", "", 0),
        grpc("a.B", "AddItemsAndMore", 0),
        grpc("shop\\..*", "Add", 0),
        grpc("", "Add", 0),
        grpc("", "", 1),
        Match::default(),
        grpc("", "", 0),
    ];
    assert_eq!(sorted("GRPCRoute", &order), order);
}

/// The matches as one route's table has them; they come in reverse, but for the last two, which are equals.
fn sorted(kind: &str, order: &[Match]) -> Vec<Match> {
    let (most, equals) = order.split_at(order.len() - 2);
    let given: Vec<_> = most.iter().rev().chain(equals).cloned().collect();
    let route = route(&format!("{kind}/shop/cart")).on("shop/cart", None).rule(to(&["shop/cart"]).matching(&given));
    let world = world([plain("shop/cart")], [route]);
    tables_of(&world, "shop/cart", 80).shared.entries.into_iter().map(|entry| entry.matches).collect()
}

#[test]
fn equals_stand_by_age_then_name_then_rule_then_match() {
    let header = |value: &str| {
        let header = ValueMatch { name: "x".into(), value: NameMatch::Exact(value.into()) };
        Match { headers: vec![header], ..Match::default() }
    };
    let rules = |name: &str, created| {
        route(&format!("HTTPRoute/shop/{name}"))
            .on("shop/cart", None)
            .created(created)
            .rule(to(&["shop/cart"]).matching(&[header("b"), header("a")]))
            .rule(to(&["shop/cart"]).matching(&[header("0")]))
    };
    let world = world([plain("shop/cart")], [rules("a", 2), rules("c", 1), rules("b", 1)]);
    let found = tables_of(&world, "shop/cart", 80).shared;
    let order: Vec<_> = found
        .entries
        .iter()
        .map(|entry| {
            let NameMatch::Exact(value) = &entry.matches.headers[0].value else { panic!("exact") };
            format!("{} {value}", entry.name.trim_start_matches("HTTPRoute/shop/"))
        })
        .collect();
    let of = |name: &str| [format!("{name}/rule/0 b"), format!("{name}/rule/0 a"), format!("{name}/rule/1 0")];
    assert_eq!(order, [of("b"), of("c"), of("a")].concat());
}

#[test]
fn the_default_entry_has_no_object_and_adds_nothing() {
    let table = RouteTable::to_itself(&service_name("shop/cart"), 80);
    assert_eq!(table.entries.len(), 1);
    let entry = &table.entries[0];
    assert_eq!((entry.name.as_str(), &entry.origin, &entry.matches), ("default", &None, &Match::default()));
    assert_eq!(entry.filters, Filters { request_headers: None::<HeaderEdits>, ..Filters::default() });
    assert_eq!(forwards(entry), [(Some("shop/cart:80".to_owned()), 1)]);
}
