//! Byrnie's own proxy as a client: what its wildcard covers, what it asks for, what is built because it asks.

use byrnie_model::{
    Capture, ObjectKind, Origin, Protocol, Service, ServiceKind, ServiceName, ServicePort, Update, Workload,
    WorkloadName, World,
};
use byrnie_proto::{
    Kind::{self, Cluster, Listener},
    envoy::envoy::{config::core::v3::Node, service::discovery::v3::DeltaDiscoveryRequest},
};
use byrnie_snapshot::{Builder, Dialect};

use super::fixture::{Delta, Fixture, delta_request, names};

/// A mesh that is published as it moves on.
struct Mesh {
    fixture: Fixture,
    world: World,
    builder: Builder,
}

impl Mesh {
    async fn start() -> Self {
        let fixture = Fixture::start(Default::default()).await;
        let mut mesh = Self { fixture, world: World::default(), builder: Builder::default() };
        mesh.apply([pod("cart-1", "10.1.0.1")]);
        mesh
    }

    fn apply(&mut self, updates: impl IntoIterator<Item = Update>) {
        let (world, touched) = self.world.apply(updates);
        self.world = world.clone();
        self.fixture.hub.publish(self.builder.advance(world, &touched));
    }

    async fn enter(&self, kind: Kind, names: &[&str]) -> Delta {
        let line = self.fixture.delta().await;
        let node = Node { id: "shop/cart-1".into(), user_agent_name: "byrnie-proxy".into(), ..Node::default() };
        line.say(DeltaDiscoveryRequest { node: Some(node), ..delta_request(kind, names) }).await;
        line
    }
}

fn pod(name: &str, ip: &str) -> Update {
    let name = WorkloadName::new("shop", name);
    let workload = Workload {
        name: name.clone(),
        origin: Origin::of(ObjectKind::Pod, "shop", name.name()),
        uid: None,
        account: byrnie_identity::Account::new("shop", name.name()),
        labels: Default::default(),
        ips: vec![ip.parse().unwrap()],
        zone: None,
        capture: Capture::Redirected { excluded: Vec::new() },
        served: Vec::new(),
    };
    Update::Workload(name, Some(workload.into()))
}

fn service(name: &str, vip: &str) -> Update {
    let name = ServiceName::new("shop", name);
    let service = Service {
        name: name.clone(),
        origin: Origin::of(ObjectKind::Service, "shop", name.name()),
        kind: ServiceKind::Virtual(vec![vip.parse().unwrap()]),
        ports: vec![ServicePort { number: 80, name: None, protocol: Protocol::Http1 }],
    };
    Update::Service(name, Some(service.into()))
}

fn give_up(name: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { resource_names_unsubscribe: vec![name.to_owned()], ..delta_request(Listener, &[]) }
}

#[tokio::test]
async fn its_wildcard_covers_its_own_and_a_name_is_answered_when_asked_and_when_it_appears() {
    let mut mesh = Mesh::start().await;
    mesh.apply([service("cart", "10.96.0.5")]);
    let mut line = mesh.enter(Listener, &["*"]).await;
    let own = line.hear().await.unwrap();
    assert_eq!(names(&own), ["in", "out"]);
    line.ack(&own).await;
    let status = mesh.fixture.hub.clients().remove(0);
    assert_eq!((status.dialect, &*status.dialect.to_string()), (Dialect::Micro, "byrnie-proxy"));

    line.say(delta_request(Listener, &["out/10.96.0.5:80", "out/10.96.0.6:80"])).await;
    let answer = line.hear().await.unwrap();
    assert_eq!(names(&answer), ["out/10.96.0.5:80"]);
    assert_eq!(answer.removed_resources, ["out/10.96.0.6:80"]);
    line.ack(&answer).await;

    // One that nobody asked for is told to nobody.
    mesh.apply([service("web", "10.96.0.7")]);
    mesh.apply([service("pay", "10.96.0.6")]);
    let appeared = line.hear().await.unwrap();
    assert_eq!(names(&appeared), ["out/10.96.0.6:80"]);
    line.ack(&appeared).await;

    // What its wildcard does not cover it loses with the name.
    line.say(give_up("out/10.96.0.5:80")).await;
    assert_eq!(line.hear().await.unwrap().removed_resources, ["out/10.96.0.5:80"]);
    line.say(give_up("in")).await;
    line.say(delta_request(Listener, &["in"])).await;
    assert_eq!(names(&line.hear().await.unwrap()), ["in"]);
}

#[tokio::test]
async fn a_pod_is_found_by_its_address_as_long_as_it_is_there() {
    let mut mesh = Mesh::start().await;
    let names_of_pod = ["out/10.1.0.20:8080", "out/10.1.0.2:8080", "out/10.1.0.2:9090"];
    let mut listeners = mesh.enter(Listener, &names_of_pod).await;
    assert_eq!(listeners.hear().await.unwrap().removed_resources, names_of_pod);
    let mut clusters = mesh.enter(Cluster, &names_of_pod[1..2]).await;
    assert_eq!(clusters.hear().await.unwrap().removed_resources, names_of_pod[1..2]);

    mesh.apply([pod("db-1", "10.1.0.2")]);
    let come = listeners.hear().await.unwrap();
    assert_eq!(names(&come), names_of_pod[1..]);
    listeners.ack(&come).await;
    let come = clusters.hear().await.unwrap();
    assert_eq!(names(&come), names_of_pod[1..2]);
    clusters.ack(&come).await;

    mesh.apply([Update::Workload(WorkloadName::new("shop", "db-1"), None)]);
    assert_eq!(listeners.hear().await.unwrap().removed_resources, names_of_pod[1..]);
    assert_eq!(clusters.hear().await.unwrap().removed_resources, names_of_pod[1..2]);
}

#[tokio::test]
async fn one_that_comes_back_is_sent_nothing_that_it_has() {
    let mut mesh = Mesh::start().await;
    mesh.apply([service("cart", "10.96.0.5")]);
    let wanted = ["out/10.96.0.5:80", "*", "out/10.1.0.1:8080"];
    let mut line = mesh.enter(Listener, &wanted).await;
    let mut versions = std::collections::HashMap::new();
    while versions.len() < 4 {
        let response = line.hear().await.unwrap();
        line.ack(&response).await;
        versions.extend(response.resources.into_iter().map(|resource| (resource.name, resource.version)));
    }
    // It was subscribed to this one too, and has given it up.
    versions.insert("out/10.96.0.9:80".to_owned(), "0123456789abcdef".to_owned());
    drop(line);
    let mut line = mesh.fixture.delta().await;
    let node = Node { id: "shop/cart-1".into(), user_agent_name: "byrnie-proxy".into(), ..Node::default() };
    let request = DeltaDiscoveryRequest {
        node: Some(node),
        initial_resource_versions: versions,
        ..delta_request(Listener, &wanted)
    };
    line.say(request).await;
    let first = line.hear().await.unwrap();
    assert_eq!(names(&first), [""; 0]);
    line.ack(&first).await;
    mesh.apply([service("cart", "10.96.0.6")]);
    let mut removed = first.removed_resources;
    while removed.len() < 2 {
        let response = line.hear().await.unwrap();
        line.ack(&response).await;
        assert_eq!(names(&response), [""; 0]);
        removed.extend(response.removed_resources);
    }
    removed.sort();
    assert_eq!(removed, ["out/10.96.0.5:80", "out/10.96.0.9:80"]);
}
