//! What one of Byrnie's own proxies is shown: by its wildcards what is its workload's, and the rest by name.

use std::collections::BTreeSet;

use byrnie_model::{Capture, InboundPort, Protocol, ServiceKind, UnknownOutbound, Update, WorkloadName, World};
use byrnie_proto::{
    Kind,
    envoy::envoy::config::{cluster::v3::Cluster, core::v3::transport_socket::ConfigType, listener::v3::Listener},
};
use byrnie_snapshot::{Builder, Client, Dialect, Resource, Sight, Snapshot, View, of_pod};
use prost::Message;

use crate::sample::{calling, endpoints, mesh, put, service, workload};

/// A mesh that moves on.
#[derive(Default)]
struct Moving {
    world: World,
    builder: Builder,
    snapshot: Snapshot,
}

impl Moving {
    fn from(updates: impl IntoIterator<Item = Update>) -> Self {
        let mut moving = Self::default();
        moving.apply(updates);
        moving
    }

    fn apply(&mut self, updates: impl IntoIterator<Item = Update>) {
        let (world, touched) = self.world.apply(updates);
        self.snapshot = self.builder.advance(world.clone(), &touched);
        self.world = world;
    }

    fn sight(&self, dialect: Dialect, pod: &str, kind: Kind) -> Sight {
        self.snapshot.sight(&client(dialect, pod), kind)
    }

    /// The names that the wildcard of a micro-proxy covers.
    fn covered(&self, pod: &str, kind: Kind) -> Vec<String> {
        let wildcard = self.sight(Dialect::Micro, pod, kind).wildcard();
        wildcard.iter().map(|resource| resource.name().to_string()).collect()
    }

    fn asked(&self, kind: Kind, name: &str) -> Option<Resource> {
        of_pod(self.sight(Dialect::Micro, "web", kind).pods()?, kind, name)
    }
}

fn client(dialect: Dialect, pod: &str) -> Client {
    Client { workload: WorkloadName::new("shop", pod), dialect }
}

fn cart() -> [Update; 2] {
    [put(service("cart", &[(80, Protocol::Http1)])), endpoints("cart", 80, &["10.1.0.1:8080=cart"])]
}

fn redirected(pod: &str) -> Update {
    workload(pod, Capture::Redirected { excluded: Vec::new() })
}

fn bound(listen: &str) -> Capture {
    let application = "127.0.0.1:18080".parse().unwrap();
    Capture::Explicit {
        inbound: vec![InboundPort { listen: listen.parse().unwrap(), application }],
        upstreams: Vec::new(),
    }
}

#[test]
fn a_wildcard_covers_what_is_of_the_workload_and_the_rest_is_there_by_name() {
    let mesh = Moving::from(cart().into_iter().chain([redirected("cart"), redirected("web")]));
    assert_eq!(mesh.covered("web", Kind::Listener), ["in", "out"]);
    assert_eq!(mesh.covered("web", Kind::Cluster), ["in/passthrough", "in/shop/web:8080"]);
    for (kind, name) in
        [(Kind::Listener, "out/10.96.0.5:80"), (Kind::Cluster, "shop/cart:80"), (Kind::Cluster, "out/passthrough")]
    {
        let [micro, envoy] = [Dialect::Micro, Dialect::Envoy]
            .map(|dialect| mesh.sight(dialect, "web", kind).get(name).map(|resource| resource.version()));
        assert!(micro.is_some() && micro == envoy, "{kind} {name}");
    }
    assert!(mesh.sight(Dialect::Micro, "web", Kind::Listener).get("out/10.96.0.9:80").is_none());
    let other = |name| mesh.sight(Dialect::Micro, "web", Kind::Cluster).get(name).is_some();
    assert!(!other("in/shop/cart:8080"), "the application of another workload");
}

#[test]
fn in_explicit_mode_a_wildcard_covers_the_bound_listeners_alone() {
    let mesh = Moving::from(cart().into_iter().chain([workload("web", calling("cart", 80))]));
    assert_eq!(mesh.covered("web", Kind::Listener), ["out/127.0.0.1:15180"]);
    assert!(mesh.sight(Dialect::Micro, "web", Kind::Listener).get("out/10.96.0.5:80").is_some(), "by name");
    let mut mesh = mesh;
    let old = mesh.snapshot.clone();
    mesh.apply([redirected("web")]);
    let change =
        |change: &byrnie_snapshot::Change| client(Dialect::Micro, "web").sees(&change.view) && &*change.name == "*";
    assert!(mesh.snapshot.changes(&old).iter().any(change));
    assert_eq!(mesh.covered("web", Kind::Listener), ["in", "out"]);
}

#[test]
fn what_services_change_concerns_no_wildcard_of_a_micro_proxy() {
    let mut mesh = Moving::from([redirected("web")]);
    let old = mesh.snapshot.clone();
    mesh.apply(cart().into_iter().chain([redirected("cart")]));
    let (micro, envoy) = (client(Dialect::Micro, "web"), client(Dialect::Envoy, "web"));
    let changes = mesh.snapshot.changes(&old);
    assert!(changes.iter().any(|change| envoy.covers(&change.view)));
    assert!(!changes.iter().any(|change| micro.covers(&change.view)));
    let concerns = |name: &str| changes.iter().any(|change| micro.sees(&change.view) && &*change.name == name);
    assert!(concerns("out/10.96.0.5:80") && concerns("shop/cart:80"));
}

#[test]
fn what_becomes_of_unknown_addresses_is_told_to_its_wildcard() {
    let mut moving = Moving::from([redirected("web")]);
    let old = moving.snapshot.clone();
    moving.apply([mesh(|mesh| mesh.unknown_outbound = UnknownOutbound::Refuse)]);
    let micro = client(Dialect::Micro, "web");
    let told = |change: &byrnie_snapshot::Change| micro.covers(&change.view) && &*change.name == "out";
    assert!(moving.snapshot.changes(&old).iter().any(told));
    let sight = |snapshot: &Snapshot| snapshot.sight(&micro, Kind::Listener).wildcard();
    let changed = sight(&moving.snapshot).changes(&sight(&old));
    assert_eq!(changed.iter().map(|name| &**name).collect::<Vec<_>>(), ["out"]);
}

#[test]
fn a_pod_that_is_called_by_its_address_gets_mesh_tls_and_no_routes() {
    let mesh = Moving::from(cart().into_iter().chain([redirected("cart")]));
    let name = "out/10.1.0.1:8080";
    let listener = mesh.asked(Kind::Listener, name).unwrap();
    assert_eq!(listener.refers().iter().map(|to| (to.kind, &*to.name)).collect::<Vec<_>>(), [(Kind::Cluster, name)]);
    let listener = Listener::decode(listener.body().clone()).unwrap();
    assert_eq!(listener.bind_to_port.map(|bind| bind.value), Some(false));
    assert_eq!(listener.filter_chains.len(), 1, "the Service declares HTTP");
    let cluster = mesh.asked(Kind::Cluster, name).unwrap();
    assert_eq!(cluster.origins()[0].object.to_string(), "Pod/shop/cart");
    let cluster = Cluster::decode(cluster.body().clone()).unwrap();
    let Some(ConfigType::TypedConfig(socket)) = cluster.transport_socket.unwrap().config_type else { panic!() };
    let text = String::from_utf8_lossy(&socket.value).into_owned();
    assert!(text.contains("spiffe://cluster.local/ns/shop/sa/cart") && text.contains("p8080.cart.shop.svc"), "{text}");
    // Its sidecar answers at every port.
    let listener = mesh.asked(Kind::Listener, "out/10.1.0.1:9090").unwrap();
    assert_eq!(Listener::decode(listener.body().clone()).unwrap().filter_chains.len(), 3, "undeclared");
}

#[test]
fn addresses_without_a_sidecar_and_names_spelt_otherwise_are_nobodys() {
    let mesh = Moving::from([workload("cart", bound("127.0.1.10:8080")), workload("db", Capture::Outside)]);
    assert!(mesh.asked(Kind::Listener, "out/127.0.1.10:8080").is_some());
    for name in ["out/127.0.1.10:8081", "out/10.1.0.1:8080", "out/127.0.1.10:08080", "out", "out/", "shop/cart:80"] {
        assert!(mesh.asked(Kind::Listener, name).is_none(), "{name}");
    }
    assert!(mesh.asked(Kind::Route, "out/127.0.1.10:8080").is_none());
    assert!(mesh.sight(Dialect::Envoy, "web", Kind::Listener).pods().is_none(), "Envoy never asks");
}

#[test]
fn a_pod_of_a_headless_service_is_called_as_envoy_calls_it() {
    let headless = byrnie_model::Service { kind: ServiceKind::Headless, ..service("cart", &[(8080, Protocol::Tcp)]) };
    let mesh = Moving::from([put(headless), endpoints("cart", 8080, &["10.1.0.1:8080=cart"]), redirected("cart")]);
    let name = "out/10.1.0.1:8080";
    let [micro, envoy] = [Dialect::Micro, Dialect::Envoy]
        .map(|dialect| mesh.sight(dialect, "web", Kind::Listener).get(name).map(|resource| resource.version()));
    assert!(micro.is_some() && micro == envoy);
}

#[test]
fn a_pod_costs_nothing_before_it_is_asked_for_and_tells_when_it_changes() {
    let mut moving = Moving::from([redirected("cart")]);
    let all = |snapshot: &Snapshot| snapshot.all().count();
    let (before, old) = (moving.builder.built(), moving.snapshot.clone());
    moving.apply([redirected("db")]);
    let after = moving.builder.built();
    assert_eq!((after.listeners - before.listeners, after.clusters - before.clusters), (1, 2), "its own alone");
    assert_eq!(all(&moving.snapshot) - all(&old), 3);
    let asked = |old: &Snapshot, new: &Snapshot| -> BTreeSet<String> {
        let changes = new.changes(old).into_iter().filter(|change| change.view == View::Asked);
        changes.map(|change| format!("{} {}", change.kind, change.name)).collect()
    };
    assert_eq!(asked(&old, &moving.snapshot), ["CDS out/10.1.0.1:", "LDS out/10.1.0.1:"].map(String::from).into());
    let old = moving.snapshot.clone();
    moving.apply(cart());
    assert_eq!(asked(&old, &moving.snapshot), BTreeSet::new());
    moving.apply([mesh(|mesh| mesh.cluster_domain = "other".to_owned())]);
    assert_eq!(asked(&old, &moving.snapshot).len(), 2);
    // Two workloads may have one address: the other stands in.
    moving.apply([workload("cart", Capture::Outside)]);
    let cluster = moving.asked(Kind::Cluster, "out/10.1.0.1:8080").unwrap();
    assert_eq!(cluster.origins()[0].object.to_string(), "Pod/shop/db");
}
