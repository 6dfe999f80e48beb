//! The mesh conformance tests of Gateway API v1.6.3 (`conformance/tests/mesh`), their routes written by hand. The
//! suite itself looks only at traffic; the statuses are what the specification says of its manifests.

use super::{forwards, request::Request};
use crate::{
    Protocol, Service, World,
    resolve::{Action, Entry, RouteTable},
    route::{
        Backend, Filters, HeaderEdits, Match, NameMatch, PathChange, PathMatch, Redirect, Route, Rule, ValueMatch,
    },
    sample::*,
};

const NS: &str = "gateway-conformance-mesh";

/// `mesh/manifests.yaml`: the names of the ports declare what `appProtocol` does not.
fn base() -> Vec<Service> {
    let (http, tls, tcp) = (Protocol::Http1, Protocol::Tls, Protocol::Tcp);
    let of = |name: &str, grpc| {
        let ports = [(80, http), (8080, http), (443, tls), (9090, tcp), (7070, grpc)];
        service(&format!("{NS}/{name}"), &ports)
    };
    vec![of("echo", Protocol::Http2), of("echo-v1", Protocol::Grpc), of("echo-v2", Protocol::Grpc)]
}

fn echo(name: &str) -> String {
    format!("{NS}/{name}")
}

fn named(kind: &str, name: &str) -> Route {
    route(&format!("{kind}/{NS}/{name}"))
}

/// An HTTPRoute on port 80 of `echo`.
fn on_echo(name: &str, rules: impl IntoIterator<Item = Rule>) -> Route {
    rules.into_iter().fold(named("HTTPRoute", name).on(&echo("echo"), Some(80)), Route::rule)
}

fn to_port(backends: &[(&str, u16, u32)]) -> Rule {
    let backends: Vec<Backend> =
        backends.iter().map(|(name, port, weight)| backend(&echo(name), *port, *weight)).collect();
    Rule { backends, ..to(&[]) }
}

fn sets_response(value: &str) -> Filters {
    let edits = HeaderEdits { set: vec![("X-Header-Set".into(), value.into())], ..HeaderEdits::default() };
    Filters { response_headers: Some(edits), ..Filters::default() }
}

fn value(name: &str, value: &str) -> ValueMatch {
    ValueMatch { name: name.into(), value: NameMatch::Exact(value.into()) }
}

fn with_header(path: &str, version: &str) -> Match {
    Match { headers: vec![value("version", version)], ..prefix(path) }
}

fn with_query(path: &str, animal: &str) -> Match {
    Match { query: vec![value("animal", animal)], ..prefix(path) }
}

fn redirecting(path: &str, redirect: Redirect) -> Rule {
    let filters = Filters { redirect: Some(redirect), ..Filters::default() };
    Rule { filters, ..to(&[]) }.matching(&[prefix(path)])
}

/// The backend of the only destination, or what is answered.
fn outcome(table: &RouteTable, target: &str, headers: &[(&str, &str)]) -> String {
    match Request::get(target, headers).routed(table) {
        None => "404".to_owned(),
        Some(entry) if matches!(entry.action, Action::Forward(_)) => {
            let [(backend, _)] = &*forwards(entry) else { panic!("{entry:?} has not one backend") };
            backend.clone().unwrap_or("500".to_owned()).replace(&format!("{NS}/"), "")
        }
        Some(Entry { action: Action::Redirect(redirect), .. }) => {
            format!("{} {:?}", redirect.status, redirect.hostname)
        }
        Some(entry) => format!("{:?}", entry.action),
    }
}

fn shared(world: &World, name: &str, port: u16) -> RouteTable {
    tables_of(world, &echo(name), port).shared
}

#[test]
fn every_route_is_accepted_and_resolved_but_for_the_backend_that_is_not_there() {
    let all_ports = "governs ports 80, 8080, 7070 of Service gateway-conformance-mesh/";
    let echo_80 = "governs port 80 of Service gateway-conformance-mesh/echo";
    let any = || to_port(&[("echo-v1", 8080, 1)]);
    let consumer = "HTTPRoute/gateway-conformance-mesh-consumer/mesh-echo-add-header";
    let for_clients = "echo-v1 for clients of namespace gateway-conformance-mesh-consumer";
    let cases = [
        (on_echo("mesh-matching", [any()]), echo_80.to_owned()),
        (on_echo("mesh-303-redirect", [redirecting("/redirect", redirect(303))]), echo_80.to_owned()),
        (named("HTTPRoute", "mesh-split").on(&echo("echo"), None).rule(any()), format!("{all_ports}echo")),
        (named("HTTPRoute", "mesh-split-v1").on(&echo("echo-v2"), None).rule(any()), format!("{all_ports}echo-v2")),
        (route(consumer).on(&echo("echo-v1"), None).rule(any()), format!("{all_ports}{for_clients}")),
    ];
    for (route, message) in cases {
        let name = route.name.to_string();
        let world = world(base(), [route]);
        assert_eq!(accepted(&world, &name), (true, "Accepted", message));
        assert!(resolved(&world, &name).0, "{name}");
        assert_eq!(condition(&world, &name, "PartiallyInvalid"), None);
    }
}

#[test]
fn grpcroute_weight() {
    let backends = [("echo-v1", 7070, 70), ("echo-v2", 7070, 30), ("echo-v3", 7070, 0)];
    let weights =
        named("GRPCRoute", "mesh-grpc-weighted-backends").on(&echo("echo"), Some(7070)).rule(to_port(&backends));
    let name = weights.name.to_string();
    let world = world(base(), [weights]);
    assert!(accepted(&world, &name).0);
    let missing = format!("spec.rules[0].backendRefs[2].name: Service {NS}/echo-v3 does not exist");
    assert_eq!(resolved(&world, &name), (false, "BackendNotFound", missing));
    let table = shared(&world, "echo", 7070);
    let of = |name| Some(format!("{NS}/{name}:7070"));
    assert_eq!(forwards(&table.entries[0]), [(of("echo-v1"), 70), (of("echo-v2"), 30)]);
    assert_eq!(shared(&world, "echo", 80), RouteTable::to_itself(&service_name(&echo("echo")), 80));
}

#[test]
fn httproute_matching() {
    let rules = [
        to_port(&[("echo-v1", 8080, 1)]).matching(&[prefix("/"), with_header("/", "one")]),
        to_port(&[("echo-v2", 8080, 1)]).matching(&[prefix("/v2"), with_header("/", "two")]),
    ];
    let table = shared(&world(base(), [on_echo("mesh-matching", rules)]), "echo", 80);
    let version = |value| [("version", value)];
    for (target, headers, backend) in [
        ("/", &[] as &[_], "echo-v1:8080"),
        ("/example", &[], "echo-v1:8080"),
        ("/", &version("one"), "echo-v1:8080"),
        ("/v2", &[], "echo-v2:8080"),
        ("/v2/example", &[], "echo-v2:8080"),
        ("/", &version("two"), "echo-v2:8080"),
        ("/v2/", &[], "echo-v2:8080"),
        ("/v2example", &[], "echo-v1:8080"),
        ("/foo/v2/example", &[], "echo-v1:8080"),
    ] {
        assert_eq!(outcome(&table, target, headers), backend, "{target} {headers:?}");
    }
}

#[test]
fn httproute_query_param_matching() {
    let (v1, v2) = (|| to_port(&[("echo-v1", 8080, 1)]), || to_port(&[("echo-v2", 8080, 1)]));
    let kraken = Match { headers: vec![value("version", "three")], ..with_query("/path4", "kraken") };
    let rules = [
        v1().matching(&[with_query("/", "whale")]),
        v2().matching(&[with_query("/", "dolphin")]),
        v1().matching(&[with_query("/path1", "whale")]),
        v2().matching(&[Match { query: vec![value("animal", "whale")], ..with_header("/", "one") }]),
        v1().matching(&[with_query("/path3", "shark"), kraken]),
        v1().matching(&[prefix("/path5")]),
        v2().matching(&[with_query("/", "hydra")]),
    ];
    let table = shared(&world(base(), [on_echo("mesh-query-param-matching", rules)]), "echo", 80);
    let version = |value| [("version", value)];
    for (target, headers, wanted) in [
        ("/?animal=whale", &[] as &[_], "echo-v1:8080"),
        ("/?animal=dolphin", &[], "echo-v2:8080"),
        ("/?animal=whale&otherparam=irrelevant", &[], "echo-v1:8080"),
        ("/?animal=dolphin&color=yellow", &[], "echo-v2:8080"),
        ("/?color=blue", &[], "404"),
        ("/?animal=dog", &[], "404"),
        ("/?animal=whaledolphin", &[], "404"),
        ("/", &[], "404"),
        ("/path1?animal=whale", &[], "echo-v1:8080"),
        ("/?animal=whale", &version("one"), "echo-v2:8080"),
        ("/path3?animal=shark", &[], "echo-v1:8080"),
        ("/path4?animal=kraken", &version("three"), "echo-v1:8080"),
        ("/?animal=shark", &[], "404"),
        ("/path4?animal=kraken", &[], "404"),
        ("/path5?animal=hydra", &[], "echo-v1:8080"),
    ] {
        assert_eq!(outcome(&table, target, headers), wanted, "{target} {headers:?}");
    }
}

#[test]
fn httproute_redirect_host_and_status() {
    let to_host = |status| Redirect { hostname: Some("example.org".into()), ..redirect(status) };
    let rules = [redirecting("/hostname-redirect", to_host(302)), redirecting("/host-and-status", to_host(301))];
    let table = shared(&world(base(), [on_echo("mesh-redirect-host-and-status", rules)]), "echo", 80);
    assert_eq!(outcome(&table, "/hostname-redirect", &[]), "302 Some(\"example.org\")");
    assert_eq!(outcome(&table, "/host-and-status", &[]), "301 Some(\"example.org\")");
    assert_eq!(outcome(&table, "/", &[]), "404");
}

#[test]
fn httproute_redirect_path_and_rewrite_path_are_accepted() {
    let path = Some(PathChange::Prefix("/replacement-prefix".into()));
    let redirect = redirecting("/original-prefix", Redirect { path: path.clone(), ..redirect(302) });
    let rewrite = crate::route::Rewrite { hostname: None, path };
    let filters = Filters { rewrite: Some(rewrite), ..sets_header("set-overwrites-values") };
    let rewriting =
        Rule { filters: filters.clone(), ..to_port(&[("echo-v1", 80, 1)]) }.matching(&[prefix("/prefix/one")]);
    let routes = [on_echo("mesh-redirect-path", [redirect]), on_echo("mesh-rewrite-path", [rewriting])];
    let world = world(base(), routes);
    for name in ["mesh-redirect-path", "mesh-rewrite-path"] {
        assert!(accepted(&world, &format!("HTTPRoute/{NS}/{name}")).0);
    }
    let table = shared(&world, "echo", 80);
    let entry = Request::get("/prefix/one/two", &[]).routed(&table).unwrap();
    assert_eq!(entry.filters, filters);
}

#[test]
fn httproute_named_rule() {
    let named = Rule { name: Some("named-rule".into()), ..to_port(&[("echo-v1", 8080, 1)]) };
    let rules = [named.matching(&[prefix("/named")]), to_port(&[("echo-v2", 8080, 1)]).matching(&[prefix("/unnamed")])];
    let table = shared(&world(base(), [on_echo("mesh-http-named-rules", rules)]), "echo", 80);
    assert_eq!(outcome(&table, "/named", &[]), "echo-v1:8080");
    assert_eq!(outcome(&table, "/unnamed", &[]), "echo-v2:8080");
    let of = |rule| format!("HTTPRoute/{NS}/mesh-http-named-rules/rule/{rule}");
    assert_eq!(names(&table), [of("1"), of("named-rule")]);
}

#[test]
fn mesh_ports_and_mesh_frontend() {
    let of = |name: &str, on: &str, port| {
        let rule = Rule { filters: sets_response(name), ..to_port(&[(on, 80, 1)]) };
        named("HTTPRoute", name).on(&echo(on), port).rule(rule)
    };
    let routes = [of("mesh-split-v1", "echo-v1", Some(80)), of("mesh-split-v2", "echo-v2", None)];
    let world = world(base(), routes);
    for (service, port, sets) in [
        ("echo-v1", 80, Some("mesh-split-v1")),
        ("echo-v1", 8080, None),
        ("echo-v2", 80, Some("mesh-split-v2")),
        ("echo-v2", 8080, Some("mesh-split-v2")),
        ("echo", 80, None),
    ] {
        let table = shared(&world, service, port);
        assert_eq!(table.entries[0].filters, sets.map(sets_response).unwrap_or_default(), "{service}:{port}");
    }
}

#[test]
fn mesh_split() {
    let rules = [
        to_port(&[("echo-v1", 80, 1)]).matching(&[exact("/v1")]),
        to_port(&[("echo-v2", 80, 1)]).matching(&[exact("/v2")]),
    ];
    let split = rules.into_iter().fold(named("HTTPRoute", "mesh-split").on(&echo("echo"), None), Route::rule);
    let world = world(base(), [split]);
    for port in [80, 8080, 7070] {
        let table = shared(&world, "echo", port);
        assert_eq!(outcome(&table, "/v1", &[]), "echo-v1:80");
        assert_eq!(outcome(&table, "/v2", &[]), "echo-v2:80");
        assert!(matches!(table.entries[0].matches.path, PathMatch::Exact(_)));
    }
    assert_eq!(shared(&world, "echo", 9090), RouteTable::to_itself(&service_name(&echo("echo")), 9090));
}

#[test]
fn mesh_consumer_route() {
    let rule = Rule { filters: sets_response("set"), ..to_port(&[("echo-v1", 80, 1)]) };
    let name = "HTTPRoute/gateway-conformance-mesh-consumer/mesh-echo-add-header";
    let world = world(base(), [route(name).on(&echo("echo-v1"), None).rule(rule)]);
    let found = tables_of(&world, &echo("echo-v1"), 80);
    assert_eq!(found.shared, RouteTable::to_itself(&service_name(&echo("echo-v1")), 80));
    assert_eq!(found.consumers["gateway-conformance-mesh-consumer"].entries[0].filters, sets_response("set"));
}
