use super::*;
use crate::{
    Protocol, ServiceKind,
    route::{Backend, BackendTarget, Filters, PathChange, Rewrite, RouteKind, Rule},
    sample::*,
};

fn governing(world: &World, service: &str, port: u16) -> Vec<String> {
    let frontend = frontend(world, &service_name(service), port);
    frontend.producer.iter().map(|route| route.name.to_string()).collect()
}

fn consuming(world: &World, service: &str, port: u16, namespace: &str) -> Vec<String> {
    let frontend = frontend(world, &service_name(service), port);
    let routes = frontend.consumers.get(namespace).into_iter().flatten();
    routes.map(|route| route.name.to_string()).collect()
}

fn two_ports() -> Service {
    service("shop/cart", &[(80, Protocol::Http1), (90, Protocol::Undeclared)])
}

fn says(holds: bool, reason: &'static str, message: &str) -> (bool, &'static str, String) {
    (holds, reason, message.to_owned())
}

#[test]
fn a_parent_ref_without_port_claims_all_ports_and_one_with_port_only_that() {
    let all = route("HTTPRoute/shop/all").on("shop/cart", None).rule(to(&["shop/cart"]));
    let one = route("HTTPRoute/shop/one").on("shop/cart", Some(90)).rule(to(&["shop/cart"]));
    let world = world([two_ports()], [all, one]);
    assert_eq!(governing(&world, "shop/cart", 80), ["HTTPRoute/shop/all"]);
    assert_eq!(governing(&world, "shop/cart", 90), ["HTTPRoute/shop/all", "HTTPRoute/shop/one"]);
    assert_eq!(accepted(&world, "HTTPRoute/shop/all").2, "governs ports 80, 90 of Service shop/cart");
    assert_eq!(accepted(&world, "HTTPRoute/shop/one").2, "governs port 90 of Service shop/cart");
}

#[test]
fn a_section_name_is_the_name_of_a_port_and_must_agree_with_a_port_beside_it() {
    let mut by_name = route("HTTPRoute/shop/by-name").on("shop/cart", None).rule(to(&["shop/cart"]));
    by_name.parents[0].section_name = Some("p90".into());
    let mut both = route("HTTPRoute/shop/both").on("shop/cart", Some(80)).rule(to(&["shop/cart"]));
    both.parents[0].section_name = Some("p90".into());
    let mut neither = route("HTTPRoute/shop/neither").on("shop/cart", None).rule(to(&["shop/cart"]));
    neither.parents[0].section_name = Some("p91".into());
    let world = world([two_ports()], [by_name, both, neither]);
    assert_eq!(governing(&world, "shop/cart", 80), Vec::<String>::new());
    assert_eq!(governing(&world, "shop/cart", 90), ["HTTPRoute/shop/by-name"]);
    assert_eq!(
        accepted(&world, "HTTPRoute/shop/both"),
        says(false, "NoMatchingParent", "spec.parentRefs[0].port: 80 named p90; Service shop/cart has ports 80, 90")
    );
    assert_eq!(
        accepted(&world, "HTTPRoute/shop/neither"),
        says(false, "NoMatchingParent", "spec.parentRefs[0].sectionName: p91; Service shop/cart has ports 80, 90")
    );
}

#[test]
fn a_route_may_name_the_service_once_per_port_and_is_told_for_each() {
    let both =
        route("HTTPRoute/shop/cart").on("shop/cart", Some(80)).on("shop/cart", Some(81)).rule(to(&["shop/cart"]));
    let world = world([two_ports()], [both]);
    assert_eq!(governing(&world, "shop/cart", 80), ["HTTPRoute/shop/cart"]);
    let told = conditions(&world, "HTTPRoute/shop/cart");
    assert_eq!(told.len(), 2);
    assert!(told[0][0].holds);
    assert_eq!((told[1][0].holds, told[1][0].reason), (false, "NoMatchingParent"));
    assert_eq!(told[1][0].message, "spec.parentRefs[1].port: 81; Service shop/cart has ports 80, 90");
}

#[test]
fn a_route_on_two_services_claims_of_each_only_the_port_it_names_there() {
    let both = route("HTTPRoute/shop/r").on("shop/cart", Some(80)).on("shop/api", Some(90)).rule(to(&["shop/cart"]));
    let api = Service { name: service_name("shop/api"), ..two_ports() };
    let world = world([two_ports(), api], [both]);
    assert_eq!(governing(&world, "shop/cart", 90), Vec::<String>::new());
    assert_eq!(governing(&world, "shop/api", 80), Vec::<String>::new());
    assert_eq!(governing(&world, "shop/api", 90), ["HTTPRoute/shop/r"]);
}

#[test]
fn parents_that_are_no_service_are_another_controllers() {
    let mut mixed = route("HTTPRoute/shop/cart").on("shop/cart", None).rule(to(&["shop/cart"]));
    let gateway =
        ParentRef { group: "gateway.networking.k8s.io".into(), kind: "Gateway".into(), ..mixed.parents[0].clone() };
    let import = ParentRef { group: "multicluster.x-k8s.io".into(), ..mixed.parents[0].clone() };
    mixed.parents.extend([gateway, import]);
    let world = world([two_ports()], [mixed]);
    assert_eq!(conditions(&world, "HTTPRoute/shop/cart").len(), 1);
}

#[test]
fn a_route_of_another_namespace_governs_the_clients_there_and_nobody_else() {
    let producer = route("HTTPRoute/shop/cart").on("shop/cart", None).rule(to(&["shop/cart"]));
    let consumer = route("HTTPRoute/web/cart").on("shop/cart", Some(80)).rule(to(&["shop/cart"]));
    let world = world([two_ports()], [producer, consumer]);
    assert_eq!(governing(&world, "shop/cart", 80), ["HTTPRoute/shop/cart"]);
    assert_eq!(consuming(&world, "shop/cart", 80, "web"), ["HTTPRoute/web/cart"]);
    assert_eq!(consuming(&world, "shop/cart", 80, "shop"), Vec::<String>::new());
    assert_eq!(consuming(&world, "shop/cart", 90, "web"), Vec::<String>::new());
    assert_eq!(
        accepted(&world, "HTTPRoute/web/cart"),
        says(true, "Accepted", "governs port 80 of Service shop/cart for clients of namespace web")
    );
}

#[test]
fn routes_stand_oldest_first_then_by_name() {
    let routes = [("b", 5), ("a", 5), ("c", 1), ("d", i64::MAX)].map(|(name, created)| {
        route(&format!("HTTPRoute/shop/{name}")).on("shop/cart", None).created(created).rule(to(&["shop/cart"]))
    });
    let world = world([two_ports()], routes);
    let order = ["c", "a", "b", "d"].map(|name| format!("HTTPRoute/shop/{name}"));
    assert_eq!(governing(&world, "shop/cart", 80), order);
}

#[test]
fn a_grpc_route_drives_http_routes_from_its_port_of_its_set_only() {
    let grpc = route("GRPCRoute/shop/rpc").on("shop/cart", Some(90)).created(9).rule(to(&["shop/cart"]));
    let older = route("HTTPRoute/shop/old").on("shop/cart", None).created(1).rule(to(&["shop/cart"]));
    let same_port = route("HTTPRoute/shop/lost").on("shop/cart", Some(90)).created(1).rule(to(&["shop/cart"]));
    let consumer = route("HTTPRoute/web/cart").on("shop/cart", Some(90)).rule(to(&["shop/cart"]));
    let world = world([two_ports()], [grpc, older, same_port, consumer]);
    assert_eq!(governing(&world, "shop/cart", 80), ["HTTPRoute/shop/old"]);
    assert_eq!(governing(&world, "shop/cart", 90), ["GRPCRoute/shop/rpc"]);
    assert_eq!(consuming(&world, "shop/cart", 90, "web"), ["HTTPRoute/web/cart"]);
    assert_eq!(
        accepted(&world, "HTTPRoute/shop/lost"),
        says(false, "Conflicted", "port 90 is governed by GRPCRoute/shop/rpc, whose kind comes before HTTPRoute")
    );
    assert_eq!(
        accepted(&world, "HTTPRoute/shop/old"),
        says(true, "Accepted", "governs port 80 of Service shop/cart; port 90 is governed by GRPCRoute/shop/rpc")
    );
    assert!(accepted(&world, "HTTPRoute/web/cart").0);
}

#[test]
fn a_grpc_route_that_is_not_accepted_drives_nobody_away() {
    let grpc = route("GRPCRoute/shop/rpc").on("shop/cart", None).rule(mirror(&["shop/cart"]));
    let http = route("HTTPRoute/shop/web").on("shop/cart", None).rule(to(&["shop/cart"]));
    let world = world([two_ports()], [grpc, http]);
    assert_eq!(governing(&world, "shop/cart", 80), ["HTTPRoute/shop/web"]);
    assert!(accepted(&world, "HTTPRoute/shop/web").0);
    assert_eq!(accepted(&world, "GRPCRoute/shop/rpc").1, "UnsupportedValue");
}

#[test]
fn only_a_service_with_virtual_ips_is_a_parent() {
    let headless = Service { kind: ServiceKind::Headless, ..plain("shop/headless") };
    let alias = Service { kind: ServiceKind::External("example.com".into()), ..plain("shop/alias") };
    let of = |name: &str| {
        route(&format!("HTTPRoute/shop/{name}")).on(&format!("shop/{name}"), None).rule(to(&["shop/cart"]))
    };
    let world = world([plain("shop/cart"), headless, alias], [of("headless"), of("alias"), of("missing")]);
    for (name, why) in [
        ("headless", "Service shop/headless is headless; a Service with a virtual IP is accepted"),
        ("alias", "Service shop/alias is an ExternalName; a Service with a virtual IP is accepted"),
        ("missing", "Service shop/missing does not exist"),
    ] {
        let message = format!("spec.parentRefs[0].name: {why}");
        assert_eq!(accepted(&world, &format!("HTTPRoute/shop/{name}")), (false, "NoMatchingParent", message));
        assert!(governing(&world, &format!("shop/{name}"), 80).is_empty());
    }
}

#[test]
fn a_port_that_carries_bytes_is_left_alone_and_no_parent_when_named() {
    let ports = [(80, Protocol::Http1), (443, Protocol::Tls), (3306, Protocol::Tcp)];
    let all = route("HTTPRoute/shop/all").on("shop/cart", None).rule(to(&["shop/cart"]));
    let named = route("HTTPRoute/shop/named").on("shop/cart", Some(3306)).rule(to(&["shop/cart"]));
    let nothing = route("HTTPRoute/shop/nothing").on("shop/db", None).rule(to(&["shop/cart"]));
    let services = [service("shop/cart", &ports), service("shop/db", &ports[1..])];
    let world = world(services, [all, named, nothing]);
    assert_eq!(governing(&world, "shop/cart", 3306), Vec::<String>::new());
    assert_eq!(governing(&world, "shop/cart", 443), Vec::<String>::new());
    assert_eq!(accepted(&world, "HTTPRoute/shop/all").2, "governs port 80 of Service shop/cart");
    let wanted = "a port declared http, http2 or grpc, or undeclared, is accepted";
    let named = format!("spec.parentRefs[0].port: of Service shop/cart port 3306 is tcp; {wanted}");
    assert_eq!(accepted(&world, "HTTPRoute/shop/named"), (false, "NoMatchingParent", named));
    let nothing = format!("spec.parentRefs[0].name: of Service shop/db port 443 is tls, port 3306 is tcp; {wanted}");
    assert_eq!(accepted(&world, "HTTPRoute/shop/nothing"), (false, "NoMatchingParent", nothing));
}

#[test]
fn a_route_with_nothing_to_honour_is_not_accepted_and_governs_nothing() {
    let rules = route("HTTPRoute/shop/cart").on("shop/cart", None).rule(mirror(&["shop/cart"])).rule(mirror(&[]));
    let world = world([plain("shop/cart")], [rules]);
    assert!(governing(&world, "shop/cart", 80).is_empty());
    let message =
        "not supported: spec.rules[0].filters[0].type: RequestMirror; spec.rules[1].filters[0].type: RequestMirror";
    assert_eq!(accepted(&world, "HTTPRoute/shop/cart"), says(false, "UnsupportedValue", message));
    assert_eq!(condition(&world, "HTTPRoute/shop/cart", "PartiallyInvalid"), None);
}

#[test]
fn a_route_with_some_rules_dropped_is_accepted_and_says_which() {
    let some = route("HTTPRoute/shop/cart").on("shop/cart", None).rule(to(&["shop/cart"])).rule(mirror(&["shop/cart"]));
    let nowhere = Route { name: "HTTPRoute/shop/nowhere".parse().unwrap(), ..some.clone() };
    let nowhere = Route { parents: vec![parent("shop/missing", None)], ..nowhere };
    let world = world([plain("shop/cart")], [some, nowhere]);
    assert!(accepted(&world, "HTTPRoute/shop/cart").0);
    assert_eq!(
        condition(&world, "HTTPRoute/shop/cart", "PartiallyInvalid").unwrap(),
        says(true, "UnsupportedValue", "Dropped Rule 1: not supported: spec.rules[1].filters[0].type: RequestMirror")
    );
    assert_eq!(condition(&world, "HTTPRoute/shop/nowhere", "PartiallyInvalid"), None);
}

#[test]
fn a_route_without_rules_is_accepted() {
    let world = world([plain("shop/cart")], [route("HTTPRoute/shop/cart").on("shop/cart", None)]);
    assert!(accepted(&world, "HTTPRoute/shop/cart").0);
    assert_eq!(governing(&world, "shop/cart", 80), ["HTTPRoute/shop/cart"]);
}

#[test]
fn filters_that_exclude_each_other_are_incompatible() {
    let rewrite = Rewrite { hostname: Some("b.example".into()), path: None };
    let filters = Filters { redirect: Some(redirect(302)), rewrite: Some(rewrite), ..Filters::default() };
    let rule = Rule { filters, ..to(&[]) };
    let only = route("HTTPRoute/shop/only").on("shop/cart", None).rule(rule.clone());
    let also = route("HTTPRoute/shop/also").on("shop/cart", None).rule(rule).rule(to(&["shop/cart"]));
    let world = world([plain("shop/cart")], [only, also]);
    let fault = "not supported: spec.rules[0].filters: RequestRedirect beside URLRewrite; one of the two is accepted";
    assert_eq!(accepted(&world, "HTTPRoute/shop/only"), says(false, "IncompatibleFilters", fault));
    assert_eq!(
        condition(&world, "HTTPRoute/shop/also", "PartiallyInvalid").unwrap(),
        (true, "IncompatibleFilters", format!("Dropped Rule 0: {fault}"))
    );
}

#[test]
fn a_redirect_beside_backends_is_not_supported() {
    let filters = Filters { redirect: Some(redirect(302)), ..Filters::default() };
    let both = Rule { filters: filters.clone(), ..to(&["shop/cart"]) };
    assert!(is_honoured(&Rule { filters, ..to(&[]) }));
    let world = world([plain("shop/cart")], [route("HTTPRoute/shop/cart").on("shop/cart", None).rule(both)]);
    let fault = "not supported: spec.rules[0].backendRefs: given beside RequestRedirect; one of the two is accepted";
    assert_eq!(accepted(&world, "HTTPRoute/shop/cart"), says(false, "UnsupportedValue", fault));
}

#[test]
fn filters_of_backends_exclude_each_other_too() {
    let rewrite = Rewrite { hostname: None, path: Some(PathChange::Full("/x".into())) };
    let rewriting = Filters { rewrite: Some(rewrite), ..Filters::default() };
    let both = Filters { redirect: Some(redirect(302)), ..rewriting.clone() };
    let with = |filters: Filters| {
        let mut rule = to(&["shop/cart", "shop/api"]);
        rule.backends[1].filters = filters;
        refusal::refusal(&rule)
    };
    assert_eq!(with(rewriting), None);
    let fault = "backendRefs[1].filters: RequestRedirect beside URLRewrite; one of the two is accepted";
    assert_eq!(
        with(both).map(|refusal| (refusal.reason, refusal.faults)),
        Some(("IncompatibleFilters", vec![fault.to_owned()]))
    );
}

#[test]
fn each_broken_backend_is_told_with_its_field_and_what_is_there() {
    let alias = Service { kind: ServiceKind::External("example.com".into()), ..plain("shop/alias") };
    let ports = [(80, Protocol::Http1), (90, Protocol::Tcp), (443, Protocol::Tls), (7070, Protocol::Grpc)];
    let services = [service("shop/cart", &ports), alias];
    let backend_of = |target| Backend { target, ..backend("shop/cart", 80, 1) };
    let cases = [
        (RouteKind::Http, backend("shop/cart", 80, 1), None),
        (RouteKind::Http, backend("shop/cart", 7070, 1), None),
        (RouteKind::Grpc, backend("shop/cart", 7070, 1), None),
        (
            RouteKind::Http,
            backend("shop/gone", 80, 0),
            Some(("BackendNotFound", "name: Service shop/gone does not exist")),
        ),
        (
            RouteKind::Http,
            backend("shop/cart", 81, 1),
            Some(("BackendNotFound", "port: 81; Service shop/cart has ports 80, 90, 443, 7070")),
        ),
        (
            RouteKind::Http,
            backend_of(BackendTarget::Service(service_name("shop/cart"), None)),
            Some((
                "BackendNotFound",
                "port: not given, but a Service needs one; Service shop/cart has ports 80, 90, 443, 7070",
            )),
        ),
        (
            RouteKind::Http,
            backend_of(BackendTarget::Other("example.com/Bucket".into())),
            Some(("InvalidKind", "kind: example.com/Bucket; Service of the core group is accepted")),
        ),
        (
            RouteKind::Http,
            backend("shop/alias", 80, 1),
            Some((
                "InvalidKind",
                "name: Service shop/alias is an ExternalName; a Service with endpoints of its own is accepted",
            )),
        ),
        (
            RouteKind::Http,
            backend("shop/cart", 90, 1),
            Some((
                "UnsupportedProtocol",
                "port: 90; Service shop/cart declares it tcp, which HTTPRoute cannot call; http, http2, grpc or undeclared is accepted",
            )),
        ),
        (
            RouteKind::Grpc,
            backend("shop/cart", 80, 1),
            Some((
                "UnsupportedProtocol",
                "port: 80; Service shop/cart declares it http, which GRPCRoute cannot call; grpc, http2 or undeclared is accepted",
            )),
        ),
    ];
    for (kind, backend, broken) in cases {
        let name = format!("{kind}/shop/cart");
        let rule = Rule { backends: vec![self::backend("shop/cart", 7070, 1), backend], ..to(&[]) };
        let route = route(&name).on("shop/cart", None).rule(to(&[])).rule(rule);
        let world = world(services.clone(), [route]);
        let wanted = match broken {
            None => (true, "ResolvedRefs", "all backendRefs lead to a Service port".to_owned()),
            Some((reason, message)) => (false, reason, format!("spec.rules[1].backendRefs[1].{message}")),
        };
        assert_eq!(resolved(&world, &name), wanted);
        assert!(accepted(&world, &name).0);
    }
}

#[test]
fn several_broken_backends_are_all_told_and_the_first_gives_the_reason() {
    let bucket = Backend { target: BackendTarget::Other("example.com/Bucket".into()), ..backend("a/b", 1, 1) };
    let rule = Rule { backends: vec![bucket], ..to(&[]) };
    let route = route("HTTPRoute/shop/cart").on("shop/cart", None).rule(to(&["shop/gone"])).rule(rule);
    let world = world([plain("shop/cart")], [route]);
    let (holds, reason, message) = resolved(&world, "HTTPRoute/shop/cart");
    assert_eq!((holds, reason), (false, "BackendNotFound"));
    assert!(
        message.contains("spec.rules[0].backendRefs[0].name: ")
            && message.contains("spec.rules[1].backendRefs[0].kind: ")
    );
}

#[test]
fn a_backend_in_another_namespace_needs_no_grant() {
    let route = route("HTTPRoute/shop/cart").on("shop/cart", None).rule(to(&["stock/items"]));
    let world = world([plain("shop/cart"), plain("stock/items")], [route]);
    assert!(resolved(&world, "HTTPRoute/shop/cart").0);
}
