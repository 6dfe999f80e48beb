use std::{collections::BTreeMap, sync::Arc};

use byrnie_identity::Account;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::{
    Capture, Endpoint, EndpointState, ObjectKind, Origin, Protocol, ServiceKind, attach, policy::Limits, resolve,
    route::Rule, sample::*,
};

fn policy(service: &str, name: &str, created: i64) -> (PolicyName, Arc<TrafficPolicy>) {
    let service = service_name(service);
    let policy = TrafficPolicy {
        origin: Origin::of(ObjectKind::TrafficPolicy, service.namespace(), name),
        created,
        balancer: None,
        retry: None,
        connect_timeout: None,
        health_check: None,
        outlier: None,
        limits: Limits::default(),
        retry_budget: None,
        slow_start: None,
        panic_threshold: None,
        service: service.clone(),
    };
    (PolicyName::new(service.namespace(), name), Arc::new(policy))
}

fn put_policy((name, policy): (PolicyName, Arc<TrafficPolicy>)) -> Update {
    Update::TrafficPolicy(name, Some(policy))
}

fn peers(namespace: &str, name: &str, created: i64, selector: &[(&str, &str)], mode: PeerMode) -> Update {
    let policy = PeerPolicy {
        origin: Origin::of(ObjectKind::PeerPolicy, namespace, name),
        created,
        namespace: namespace.into(),
        selector: labels(selector),
        mode,
        ports: BTreeMap::new(),
    };
    Update::PeerPolicy(PolicyName::new(namespace, name), Some(Arc::new(policy)))
}

fn labels(of: &[(&str, &str)]) -> BTreeMap<Arc<str>, Arc<str>> {
    of.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

fn workload(name: &str, of: &[(&str, &str)]) -> Workload {
    let name: WorkloadName = name.parse().unwrap();
    Workload {
        origin: Origin::of(ObjectKind::Pod, name.namespace(), name.name()),
        uid: None,
        account: Account::new(name.namespace(), "default"),
        labels: labels(of),
        ips: Vec::new(),
        zone: None,
        capture: Capture::Redirected { excluded: Vec::new() },
        served: Vec::new(),
        name,
    }
}

fn endpoints(hosts: &[u8]) -> Arc<ServiceEndpoints> {
    let of = |host: &u8| Endpoint {
        address: ([10, 0, 0, *host], 8080).into(),
        state: EndpointState::Ready,
        account: None,
        workload: None,
        zone: None,
    };
    Arc::new(ServiceEndpoints { ports: BTreeMap::from([(80, hosts.iter().map(of).collect())]) })
}

fn touched(world: &World, update: Update) -> Vec<Touched> {
    world.apply([update]).1.into_iter().collect()
}

#[test]
fn an_update_that_changes_nothing_touches_nothing_and_shares_all() {
    let cart = route("HTTPRoute/shop/cart").on("shop/cart", None).rule(to(&["shop/cart"]));
    let before = world([plain("shop/cart")], [cart.clone()]);
    let gone = ServiceName::new("shop", "gone");
    let again = [
        put_service(plain("shop/cart")),
        put_route(cart),
        Update::Service(gone.clone(), None),
        Update::Endpoints(gone, None),
        Update::Mesh(Arc::default()),
    ];
    let (after, touched) = before.apply(again);
    assert!(touched.is_empty(), "{touched:?}");
    assert!(Arc::ptr_eq(before.services().next().unwrap(), after.services().next().unwrap()));
}

#[test]
fn the_last_word_in_a_batch_counts() {
    let name = service_name("shop/cart");
    let twice = [put_service(plain("shop/cart")), put_service(service("shop/cart", &[(90, Protocol::Tcp)]))];
    let (world, _) = World::default().apply(twice);
    assert_eq!(world.service(&name).unwrap().ports[0].number, 90);
    let (world, touched) = world.apply([put_service(plain("shop/cart")), Update::Service(name.clone(), None)]);
    assert!(world.service(&name).is_none());
    assert_eq!(touched.into_iter().collect::<Vec<_>>(), [Touched::Service(name)]);
}

#[test]
fn an_endpoint_change_touches_the_endpoints_of_one_service_only() {
    let routes = [route("HTTPRoute/shop/cart").on("shop/cart", None).rule(to(&["shop/cart"]))];
    let before = world([plain("shop/cart")], routes);
    let update = Update::Endpoints(service_name("shop/cart"), Some(endpoints(&[1])));
    assert_eq!(touched(&before, update), [Touched::Endpoints(service_name("shop/cart"))]);
}

#[test]
fn a_backend_that_comes_or_goes_touches_the_routing_of_the_parents() {
    let routes = [route("HTTPRoute/shop/cart").on("shop/cart", None).on("shop/api", None).rule(to(&["shop/v2"]))];
    let before = world([plain("shop/cart")], routes);
    let routing = |name: &str| Touched::Routing(service_name(name));
    let comes = touched(&before, put_service(plain("shop/v2")));
    assert_eq!(comes, [Touched::Service(service_name("shop/v2")), routing("shop/api"), routing("shop/cart")]);
    let after = before.apply([put_service(plain("shop/v2"))]).0;
    assert_eq!(touched(&after, Update::Service(service_name("shop/v2"), None)), comes);
}

#[test]
fn a_route_that_moves_touches_its_old_parent_and_its_new_one() {
    let on = |service: &str| route("HTTPRoute/shop/cart").on(service, None).rule(to(&["shop/cart"]));
    let before = world([plain("shop/cart")], [on("shop/a")]);
    let (after, touched) = before.apply([put_route(on("shop/b"))]);
    let routing = |name: &str| Touched::Routing(service_name(name));
    assert_eq!(touched.into_iter().collect::<Vec<_>>(), [routing("shop/a"), routing("shop/b")]);
    assert_eq!(after.attached_to(&service_name("shop/a")).count(), 0);
    assert_eq!(after.attached_to(&service_name("shop/b")).count(), 1);
}

#[test]
fn the_oldest_traffic_policy_governs_then_the_first_by_name() {
    let name = service_name("shop/cart");
    let governing = |world: &World| world.traffic_policy(&name).map(|policy| policy.origin.object.name.to_string());
    let all = [("d", i64::MAX), ("c", 5), ("b", 5), ("z", 1)];
    let (mut world, _) = World::default().apply(all.map(|(name, age)| put_policy(policy("shop/cart", name, age))));
    for wanted in ["z", "b", "c", "d"] {
        assert_eq!(governing(&world).as_deref(), Some(wanted));
        world = world.apply([Update::TrafficPolicy(PolicyName::new("shop", wanted), None)]).0;
    }
    assert_eq!(governing(&world), None);
}

#[test]
fn a_traffic_policy_that_turns_to_another_service_touches_both() {
    let before = World::default().apply([put_policy(policy("shop/cart", "p", 1))]).0;
    let (_, moved) = policy("shop/api", "p", 1);
    let names = ["shop/api", "shop/cart"].map(|name| Touched::Policy(service_name(name)));
    assert_eq!(touched(&before, put_policy((PolicyName::new("shop", "p"), moved))), names);
}

#[test]
fn the_narrowest_peer_policy_decides_then_the_oldest_then_the_first_by_name() {
    use PeerMode::{Permissive, Strict};
    let cart = workload("shop/cart-1", &[("app", "cart"), ("tier", "web")]);
    let governing = |updates: Vec<Update>| {
        let (world, _) = World::default().apply(updates);
        let policy = world.peer_policy(&cart).map(|policy| policy.origin.object.name.to_string());
        (policy, world.peer_mode(&cart, 80))
    };
    let of = |name: &str| Some(name.to_owned());
    let strict_mesh = Update::Mesh(Arc::new(MeshConfig { peer_mode: Strict, ..MeshConfig::default() }));
    let namespace = || peers("shop", "all", 1, &[], Permissive);
    let elsewhere = || peers("web", "all", 0, &[], Strict);
    let young = || peers("shop", "young", 9, &[("app", "cart")], Strict);
    let old = || peers("shop", "old", 8, &[("tier", "web"), ("app", "cart")], Permissive);
    let older_name = || peers("shop", "ol", 8, &[("tier", "web")], Strict);
    let other = || peers("shop", "other", 0, &[("app", "cart"), ("tier", "db")], Permissive);
    assert_eq!(governing(vec![]), (None, Permissive));
    assert_eq!(governing(vec![strict_mesh.clone(), elsewhere(), other()]), (None, Strict));
    assert_eq!(governing(vec![strict_mesh, namespace()]), (of("all"), Permissive));
    assert_eq!(governing(vec![namespace(), young()]), (of("young"), Strict));
    assert_eq!(governing(vec![namespace(), young(), old()]), (of("old"), Permissive));
    assert_eq!(governing(vec![old(), older_name(), other()]), (of("ol"), Strict));
}

#[test]
fn a_port_may_have_a_peer_mode_of_its_own() {
    let Update::PeerPolicy(name, Some(policy)) = peers("shop", "all", 1, &[], PeerMode::Strict) else { panic!() };
    let ports = BTreeMap::from([(9090, PeerMode::Permissive)]);
    let policy = PeerPolicy { ports, ..(*policy).clone() };
    let (world, touched) = World::default().apply([Update::PeerPolicy(name, Some(Arc::new(policy)))]);
    assert_eq!(touched.into_iter().collect::<Vec<_>>(), [Touched::Peers("shop".into())]);
    let cart = workload("shop/cart-1", &[]);
    assert_eq!(world.peer_mode(&cart, 80), PeerMode::Strict);
    assert_eq!(world.peer_mode(&cart, 9090), PeerMode::Permissive);
}

#[test]
fn the_workloads_of_a_namespace_are_those_and_no_others() {
    let names = ["a/z", "shop/a", "shop/b", "shop-2/a", "shoq/a"];
    let put = |name: &str| Update::Workload(name.parse().unwrap(), Some(Arc::new(workload(name, &[]))));
    let (world, _) = World::default().apply(names.map(put));
    let of: Vec<_> = world.workloads_of("shop").map(|workload| workload.name.to_string()).collect();
    assert_eq!(of, ["shop/a", "shop/b"]);
}

const SERVICES: [&str; 4] = ["shop/a", "shop/b", "shop/c", "web/a"];

fn any_service() -> impl Strategy<Value = Update> {
    let protocol = select(vec![Protocol::Undeclared, Protocol::Http1, Protocol::Grpc, Protocol::Tcp]);
    let ports = prop::collection::btree_map(select(vec![80_u16, 90]), protocol, 0..3);
    let kind = select(vec![
        ServiceKind::Virtual(vec![]),
        ServiceKind::Virtual(vec![]),
        ServiceKind::Headless,
        ServiceKind::External("example.com".into()),
    ]);
    (select(SERVICES.as_slice()), option::weighted(0.8, (kind, ports))).prop_map(|(name, body)| {
        let body = body.map(|(kind, ports)| {
            let ports: Vec<_> = ports.into_iter().collect();
            Arc::new(Service { kind, ..service(name, &ports) })
        });
        Update::Service(service_name(name), body)
    })
}

fn any_route() -> impl Strategy<Value = Update> {
    let name = select(vec!["HTTPRoute/shop/r", "HTTPRoute/shop/s", "GRPCRoute/shop/r", "HTTPRoute/web/r"]);
    let parents = vec((select(SERVICES.as_slice()), option::of(select(vec![80_u16, 90]))), 0..3);
    let backends = || vec((select(SERVICES.as_slice()), select(vec![80_u16, 90]), 0..2_u32), 0..3);
    let rules = vec((backends(), prop::bool::weighted(0.2)), 0..3);
    (name, option::weighted(0.8, (0..3_i64, parents, rules))).prop_map(|(name, body)| {
        let body = body.map(|(created, parents, rules)| {
            let named = parents.into_iter().fold(route(name).created(created), |route, (to, port)| route.on(to, port));
            let rule = |(backends, refused): (Vec<(&str, u16, u32)>, bool)| {
                let rule = if refused { mirror(&[]) } else { to(&[]) };
                let backends = backends.into_iter().map(|(name, port, weight)| backend(name, port, weight));
                Rule { backends: backends.collect(), ..rule }
            };
            Arc::new(rules.into_iter().map(rule).fold(named, crate::route::Route::rule))
        });
        Update::Route(name.parse().unwrap(), body)
    })
}

fn any_policy() -> impl Strategy<Value = Update> {
    let mode = select(vec![PeerMode::Permissive, PeerMode::Strict]);
    let selector = select(vec![&[] as &[(&str, &str)], &[("app", "x")]]);
    let peer = (select(vec!["shop", "web"]), select(vec!["p", "q"]), 0..3_i64, selector, mode, any::<bool>()).prop_map(
        |(namespace, name, created, selector, mode, there)| match peers(namespace, name, created, selector, mode) {
            Update::PeerPolicy(name, body) => Update::PeerPolicy(name, body.filter(|_| there)),
            other => other,
        },
    );
    let traffic = (select(SERVICES.as_slice()), select(vec!["p", "q"]), 0..3_i64, any::<bool>()).prop_map(
        |(service, name, created, there)| {
            let (name, body) = policy(service, name, created);
            Update::TrafficPolicy(name, there.then_some(body))
        },
    );
    prop_oneof![peer, traffic]
}

fn any_update() -> impl Strategy<Value = Update> {
    let hosts = option::weighted(0.8, vec(1..4_u8, 0..2));
    let some_endpoints = (select(SERVICES.as_slice()), hosts)
        .prop_map(|(name, hosts)| Update::Endpoints(service_name(name), hosts.map(|hosts| endpoints(&hosts))));
    let of = select(vec![&[] as &[(&str, &str)], &[("app", "x")]]);
    let some_workload = (select(vec!["shop/w", "web/w"]), option::weighted(0.8, of))
        .prop_map(|(name, of)| Update::Workload(name.parse().unwrap(), of.map(|of| Arc::new(workload(name, of)))));
    let mesh = select(vec![PeerMode::Permissive, PeerMode::Strict])
        .prop_map(|peer_mode| Update::Mesh(Arc::new(MeshConfig { peer_mode, ..MeshConfig::default() })));
    prop_oneof![4 => any_service(), 4 => any_route(), 2 => any_policy(), 1 => some_endpoints, 1 => some_workload, 1 => mesh]
}

/// All that can be read of two Worlds, the indexes included.
fn assert_same(a: &World, b: &World) -> Result<(), TestCaseError> {
    prop_assert_eq!(&a.mesh, &b.mesh);
    prop_assert_eq!(&a.services, &b.services);
    prop_assert_eq!(&a.endpoints, &b.endpoints);
    prop_assert_eq!(&a.workloads, &b.workloads);
    prop_assert_eq!(&a.routes, &b.routes);
    prop_assert_eq!(&a.traffic_policies, &b.traffic_policies);
    prop_assert_eq!(&a.peer_policies, &b.peer_policies);
    prop_assert_eq!(&a.attached, &b.attached);
    prop_assert_eq!(&a.backed, &b.backed);
    prop_assert_eq!(&a.governed, &b.governed);
    Ok(())
}

/// The objects that stand, as a World that never saw anything else.
fn from_scratch(world: &World) -> World {
    let mesh = [Update::Mesh(world.mesh.clone())].into_iter();
    let services = world.services.iter().map(|(name, body)| Update::Service(name.clone(), Some(body.clone())));
    let endpoints = world.endpoints.iter().map(|(name, body)| Update::Endpoints(name.clone(), Some(body.clone())));
    let workloads = world.workloads.iter().map(|(name, body)| Update::Workload(name.clone(), Some(body.clone())));
    let routes = world.routes.iter().map(|(name, body)| Update::Route(name.clone(), Some(body.clone())));
    let traffic =
        world.traffic_policies.iter().map(|(name, body)| Update::TrafficPolicy(name.clone(), Some(body.clone())));
    let peers = world.peer_policies.iter().map(|(name, body)| Update::PeerPolicy(name.clone(), Some(body.clone())));
    let all = mesh.chain(routes).chain(services).chain(endpoints).chain(workloads).chain(traffic).chain(peers);
    World::default().apply(all).0
}

/// Every difference of what is built from the two Worlds is named.
fn assert_named(before: &World, after: &World, touched: &BTreeSet<Touched>) -> Result<(), TestCaseError> {
    prop_assert!(before.mesh == after.mesh || touched.contains(&Touched::Mesh));
    for name in SERVICES.map(service_name) {
        let is = |found: fn(ServiceName) -> Touched| touched.contains(&found(name.clone()));
        prop_assert!(before.service(&name) == after.service(&name) || is(Touched::Service));
        prop_assert!(before.endpoints(&name) == after.endpoints(&name) || is(Touched::Endpoints));
        prop_assert!(before.traffic_policy(&name) == after.traffic_policy(&name) || is(Touched::Policy));
        let routing = is(Touched::Service) || is(Touched::Routing);
        prop_assert!(routing || routing_of(before, &name) == routing_of(after, &name), "{name} {touched:?}");
    }
    for name in ["shop/w", "web/w"].map(|name| name.parse::<WorkloadName>().unwrap()) {
        let (old, new) = (before.workload(&name), after.workload(&name));
        let itself = touched.contains(&Touched::Workload(name.clone()));
        prop_assert!(old == new || itself);
        if let (Some(old), Some(new)) = (old, new) {
            let peers = itself || touched.contains(&Touched::Peers(name.namespace().into()));
            prop_assert!(before.peer_policy(old) == after.peer_policy(new) || peers);
        }
    }
    Ok(())
}

fn routing_of(world: &World, name: &ServiceName) -> Vec<(attach::Frontend, resolve::Tables)> {
    let ports =
        world.service(name).into_iter().flat_map(|service| service.ports.iter().map(move |port| (service, port)));
    ports
        .map(|(service, port)| (attach::frontend(world, name, port.number), resolve::tables(world, service, port)))
        .collect()
}

proptest! {
    #[test]
    fn a_world_in_steps_equals_one_from_scratch_and_every_step_names_what_changed(
        steps in vec(vec(any_update(), 1..4), 1..25),
    ) {
        let mut world = World::default();
        for step in steps {
            let (next, touched) = world.apply(step);
            assert_same(&next, &from_scratch(&next))?;
            assert_named(&world, &next, &touched)?;
            world = next;
        }
    }

    #[test]
    fn the_last_update_of_each_object_is_what_stands(updates in vec(any_update(), 1..40)) {
        let (at_once, _) = World::default().apply(updates.clone());
        let last = updates.iter().enumerate().filter(|(index, update)| {
            !updates[index + 1..].iter().any(|later| same_object(later, update))
        });
        let (only_last, _) = World::default().apply(last.map(|(_, update)| update.clone()));
        assert_same(&at_once, &only_last)?;
    }
}

fn same_object(a: &Update, b: &Update) -> bool {
    match (a, b) {
        (Update::Mesh(_), Update::Mesh(_)) => true,
        (Update::Service(a, _), Update::Service(b, _)) | (Update::Endpoints(a, _), Update::Endpoints(b, _)) => a == b,
        (Update::Workload(a, _), Update::Workload(b, _)) => a == b,
        (Update::Route(a, _), Update::Route(b, _)) => a == b,
        (Update::TrafficPolicy(a, _), Update::TrafficPolicy(b, _))
        | (Update::PeerPolicy(a, _), Update::PeerPolicy(b, _)) => a == b,
        _ => false,
    }
}
