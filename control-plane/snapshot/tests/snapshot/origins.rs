//! Which objects a resource comes from: whoever has it is counted for them, and what it refuses is told on them.

use byrnie_model::{
    Capture, InboundPort, ObjectKind, Origin, Protocol, Update, World,
    policy::{Balancer, HashKey},
    route::RouteKind,
};
use byrnie_proto::Kind;
use byrnie_snapshot::{Builder, Snapshot};

use crate::sample::{NAMESPACE, calling, endpoints, mesh, policy, prefix, put, route, rule, service, workload};

fn built(updates: impl IntoIterator<Item = Update>) -> Snapshot {
    let (world, touched) = World::default().apply(updates);
    Builder::default().advance(world, &touched)
}

/// The kinds and names of all that comes from an object, once each.
fn from(snapshot: &Snapshot, kind: ObjectKind, namespace: &str, name: &str) -> Vec<String> {
    let object = Origin::of(kind, namespace, name).object;
    let mut found: Vec<_> = snapshot.of_object(&object).map(|slot| format!("{} {}", slot.kind, slot.name)).collect();
    found.dedup();
    found
}

fn hashing(of: &str, key: HashKey) -> Update {
    policy(of, |policy| policy.balancer = Some(Balancer::Maglev { key, table_size: None }))
}

#[test]
fn a_policy_that_hashes_the_source_reaches_the_listeners_that_carry_bytes() {
    let db = service("db", &[(80, Protocol::Http1), (5432, Protocol::Tcp), (9000, Protocol::Undeclared)]);
    let listeners = |key| {
        let snapshot = built([put(db.clone()), workload("web", calling("db", 5432)), hashing("db", key)]);
        let all = from(&snapshot, ObjectKind::TrafficPolicy, NAMESPACE, "db");
        all.into_iter().filter(|name| name.starts_with(Kind::Listener.short())).collect::<Vec<_>>()
    };
    assert_eq!(
        listeners(HashKey::Source),
        ["LDS out/10.96.0.5:5432", "LDS out/10.96.0.5:9000", "LDS out/127.0.0.1:15132"]
    );
    assert!(listeners(HashKey::Header("x-user".into())).is_empty());
}

#[test]
fn a_policy_reaches_the_routes_that_lead_to_what_it_hashes() {
    let snapshot = |hashed: bool| {
        let policy = match hashed {
            true => hashing("cart", HashKey::Header("x-user".into())),
            false => policy("cart", |policy| policy.panic_threshold = Some(20)),
        };
        let rules = vec![rule(prefix("/"), &["cart:80", "other:80"])];
        let services = ["web", "cart", "other"].map(|of| put(service(of, &[(80, Protocol::Undeclared)])));
        built(services.into_iter().chain([route(RouteKind::Http, NAMESPACE, "web", rules), policy]))
    };
    let routes = |snapshot: &Snapshot| {
        let all = from(snapshot, ObjectKind::TrafficPolicy, NAMESPACE, "cart");
        all.into_iter().filter(|name| name.starts_with(Kind::Route.short())).collect::<Vec<_>>()
    };
    assert_eq!(routes(&snapshot(true)), ["RDS route/shop/cart:80", "RDS route/shop/web:80"]);
    assert_eq!(routes(&snapshot(false)), ["RDS route/shop/cart:80"], "nothing of it stands in the others");
}

#[test]
fn the_mesh_settings_reach_what_each_proxy_has_one_of() {
    let settings = mesh(|mesh| mesh.origin = Some(Origin::of(ObjectKind::MeshConfig, "", "default")));
    let inbound =
        InboundPort { listen: "127.0.1.10:8080".parse().unwrap(), application: "127.0.0.1:18080".parse().unwrap() };
    let serving = Capture::Explicit { inbound: vec![inbound], upstreams: Vec::new() };
    let snapshot = built([
        settings,
        put(service("cart", &[(80, Protocol::Http1)])),
        endpoints("cart", 80, &["10.0.0.1:8080=cart"]),
        workload("caller", calling("cart", 80)),
        workload("redirected", Capture::Redirected { excluded: Vec::new() }),
        workload("serving", serving),
    ]);
    let reached = from(&snapshot, ObjectKind::MeshConfig, "", "default");
    let wanted = ["CDS out/passthrough", "LDS in", "LDS in/127.0.1.10:8080", "LDS out", "LDS out/127.0.0.1:15180"];
    assert_eq!(reached, wanted);
}
