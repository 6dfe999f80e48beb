use std::collections::BTreeMap;

use byrnie_identity::Account;
use byrnie_model::{EndpointState, Protocol, Touched, World};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::objects::{self, ZONE};

/// An index, and the world that it makes.
#[derive(Default)]
struct Mesh {
    index: Index,
    world: World,
}

impl Mesh {
    /// Puts objects and returns what that touched.
    fn put(&mut self, objects: &[Value]) -> BTreeSet<Touched> {
        for value in objects {
            let (_, object) = read(value);
            self.index.put(&object, None);
        }
        self.flush()
    }

    fn delete(&mut self, value: &Value) -> BTreeSet<Touched> {
        self.index.delete(&read(value).0);
        self.flush()
    }

    fn flush(&mut self) -> BTreeSet<Touched> {
        let (world, touched) = self.world.apply(self.index.updates());
        self.world = world;
        touched
    }

    /// The endpoints of port 80 of shop/cart: address, state, account, zone.
    fn endpoints(&self) -> Vec<String> {
        let endpoints = self.world.endpoints(&cart()).unwrap();
        let show = |endpoint: &byrnie_model::Endpoint| {
            let account = endpoint.account.as_ref().map(Account::name).unwrap_or("-").to_owned();
            let zone = endpoint.zone.as_deref().unwrap_or("-");
            format!("{} {:?} {account} {zone}", endpoint.address, endpoint.state)
        };
        endpoints.port(80).iter().map(show).collect()
    }
}

fn read(value: &Value) -> (ObjectRef, Object) {
    let objects::Identity::Known(kind) = objects::identify(value).unwrap() else { panic!("{value}") };
    let read = objects::read(kind, value);
    (read.object.unwrap(), read.content.unwrap_or_else(|| panic!("{:?}", read.told)))
}

fn cart() -> ServiceName {
    ServiceName::new("shop", "cart")
}

fn service(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"}, "spec": spec})
}

fn selecting(ports: Value) -> Value {
    service(json!({"selector": {"app": "cart"}, "ports": ports}))
}

fn pod(name: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "cart"}},
        "spec": {"serviceAccountName": "cart", "nodeName": "n1",
                 "containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"podIP": ip, "phase": "Running"},
    })
}

/// As the injector leaves it.
fn injected(mut pod: Value, mut annotations: Value) -> Value {
    annotations["byrnie.io/status"] = json!("injected");
    pod["metadata"]["annotations"] = annotations;
    pod["spec"]["initContainers"] = json!([{"name": "byrnie-proxy", "restartPolicy": "Always"}]);
    pod
}

fn with(mut value: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, change) in changes {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        value.pointer_mut(parent).unwrap()[field] = change.clone();
    }
    value
}

fn slice(name: &str, ports: Value, endpoints: Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}},
        "ports": ports, "endpoints": endpoints,
    })
}

fn node(zone: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {ZONE: zone}}})
}

#[test]
fn ready_pods_with_an_address_are_endpoints() {
    let condition = |ready: &str| json!([{"type": "Ready", "status": ready}]);
    let mut mesh = Mesh::default();
    mesh.put(&[
        selecting(json!([{"port": 80, "targetPort": 8080}])),
        pod("by-hand", "10.0.0.1"),
        with(pod("ready", "10.0.0.2"), &[("/status/conditions", condition("True"))]),
        with(pod("unready", "10.0.0.3"), &[("/status/conditions", condition("False"))]),
        with(pod("pending", "10.0.0.4"), &[("/status/phase", json!("Pending"))]),
        with(pod("over", "10.0.0.5"), &[("/status/phase", json!("Succeeded"))]),
        with(pod("other", "10.0.0.6"), &[("/metadata/labels", json!({"app": "other"}))]),
        with(pod("elsewhere", "10.0.0.7"), &[("/metadata/namespace", json!("other"))]),
        with(
            pod("going", "10.0.0.8"),
            &[
                ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
                ("/status/conditions", condition("True")),
            ],
        ),
        with(pod("no-address", "10.0.0.9"), &[("/status", json!({"phase": "Running"}))]),
    ]);
    let expected = ["10.0.0.1:8080 Ready - -", "10.0.0.2:8080 Ready - -", "10.0.0.8:8080 Draining - -"];
    assert_eq!(mesh.endpoints(), expected);
    let all =
        with(selecting(json!([{"port": 80, "targetPort": 8080}])), &[("/spec/publishNotReadyAddresses", json!(true))]);
    mesh.put(&[all]);
    assert_eq!(mesh.endpoints().len(), 5, "{:?}", mesh.endpoints());
}

#[test]
fn a_named_target_port_is_looked_up_in_each_pod() {
    let mut mesh = Mesh::default();
    let other = json!([{"ports": [{"name": "http", "containerPort": 9090}]}]);
    mesh.put(&[
        selecting(json!([{"port": 80, "name": "http", "targetPort": "http"}, {"port": 53, "protocol": "UDP"}])),
        pod("a", "10.0.0.1"),
        with(pod("b", "10.0.0.2"), &[("/spec/containers", other)]),
        with(pod("c", "10.0.0.3"), &[("/spec/containers", json!([]))]),
    ]);
    assert_eq!(mesh.endpoints(), ["10.0.0.1:8080 Ready - -", "10.0.0.2:9090 Ready - -"]);
    let ports: Vec<_> = mesh.world.service(&cart()).unwrap().ports.iter().map(|port| port.number).collect();
    assert_eq!(ports, [80], "UDP is no concern of the mesh");
    let served = &mesh.world.workload(&WorkloadName::new("shop", "b")).unwrap().served;
    assert_eq!(served[0], byrnie_model::Served { port: 9090, protocol: Protocol::Http1, service: cart() });
}

#[test]
fn slices_win_over_the_selector_as_long_as_there_are_any() {
    let ports = json!([{"name": "http", "port": 8080}, {"name": "other", "port": 1}, {"name": "http", "protocol": "UDP", "port": 2}]);
    let endpoint = |ip: &str, conditions: Value| json!({"addresses": [ip], "conditions": conditions, "zone": "z1"});
    let slice = slice(
        "cart-1",
        ports,
        json!([
            endpoint("10.1.0.1", json!({})),
            endpoint("10.1.0.2", json!({"ready": false, "serving": true, "terminating": true})),
            endpoint("10.1.0.3", json!({"ready": false})),
            endpoint("10.1.0.4", json!({"ready": false, "terminating": true})),
            endpoint("10.1.0.2", json!({"ready": true})),
        ]),
    );
    let mut mesh = Mesh::default();
    mesh.put(&[selecting(json!([{"port": 80, "name": "http"}])), pod("a", "10.0.0.1"), slice.clone()]);
    assert_eq!(mesh.endpoints(), ["10.1.0.1:8080 Ready - z1", "10.1.0.2:8080 Ready - z1"]);
    let touched = mesh.delete(&slice);
    assert_eq!(touched, BTreeSet::from([Touched::Endpoints(cart())]));
    assert_eq!(mesh.endpoints(), ["10.0.0.1:80 Ready - -"]);
}

#[test]
fn a_pod_behind_a_slice_is_found_by_reference_or_address() {
    let ports = json!([{"port": 8080}]);
    let endpoints = json!([
        {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "a"}},
        {"addresses": ["10.0.0.2"], "nodeName": "n1"},
    ]);
    let mut mesh = Mesh::default();
    mesh.put(&[service(json!({"ports": [{"port": 80}]})), slice("cart-1", ports, endpoints)]);
    assert_eq!(mesh.endpoints(), ["10.0.0.1:8080 Ready - -", "10.0.0.2:8080 Ready - -"]);
    mesh.put(&[injected(pod("a", "10.0.0.1"), json!({})), injected(pod("b", "10.0.0.2"), json!({})), node("z1")]);
    assert_eq!(mesh.endpoints(), ["10.0.0.1:8080 Ready cart z1", "10.0.0.2:8080 Ready cart z1"]);
    mesh.put(&[node("z2")]);
    assert_eq!(mesh.endpoints(), ["10.0.0.1:8080 Ready cart z2", "10.0.0.2:8080 Ready cart z2"]);
}

#[test]
fn only_where_a_sidecar_listens_has_an_endpoint_an_account() {
    let explicit = json!({"byrnie.io/inbound": "127.0.1.10:8080=127.0.0.1:18080"});
    let mut mesh = Mesh::default();
    mesh.put(&[
        selecting(json!([{"port": 80, "targetPort": 8080}, {"port": 81, "targetPort": 8081}])),
        with(pod("a", "127.0.1.10"), &[("/metadata/annotations", explicit)]),
    ]);
    assert_eq!(mesh.endpoints(), ["127.0.1.10:8080 Ready cart -"]);
    let endpoints = mesh.world.endpoints(&cart()).unwrap();
    assert_eq!(endpoints.accounts(80), [&Account::new("shop", "cart")]);
    assert!(endpoints.any_outside(81));

    mesh.put(&[
        selecting(json!([{"port": 80, "targetPort": 8080}, {"port": 81, "targetPort": 8081}, {"port": 82, "targetPort": 15020}])),
        injected(pod("a", "10.0.0.1"), json!({"byrnie.io/exclude-inbound-ports": "8081-8082"})),
    ]);
    let endpoints = mesh.world.endpoints(&cart()).unwrap();
    assert_eq!(endpoints.accounts(80), [&Account::new("shop", "cart")]);
    assert!(endpoints.any_outside(81) && endpoints.any_outside(82), "what is not redirected");
}

#[test]
fn of_two_families_the_service_s_first_is_called() {
    let both = ("/status/podIPs", json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]));
    let of = |families: Value| {
        let mut mesh = Mesh::default();
        let service = with(selecting(json!([{"port": 80}])), &[("/spec/ipFamilies", families)]);
        mesh.put(&[service, with(pod("a", "10.0.0.1"), std::slice::from_ref(&both)), pod("b", "10.0.0.2")]);
        mesh.endpoints()
    };
    assert_eq!(of(json!(["IPv6", "IPv4"])), ["10.0.0.2:80 Ready - -", "[fd00::1]:80 Ready - -"]);
    assert_eq!(of(json!(["IPv6"])), ["[fd00::1]:80 Ready - -"]);
    assert_eq!(of(json!([])), ["10.0.0.1:80 Ready - -", "10.0.0.2:80 Ready - -"]);

    let target = json!({"kind": "Pod", "name": "a"});
    let of_family = |name: &str, kind: &str, ip: &str| {
        let endpoints = json!([{"addresses": [ip], "targetRef": target}]);
        with(slice(name, json!([{"port": 80}]), endpoints), &[("/addressType", json!(kind))])
    };
    let mut mesh = Mesh::default();
    let service = service(json!({"ports": [{"port": 80}], "clusterIPs": ["fd00::aa", "10.96.0.1"]}));
    mesh.put(&[service, of_family("s4", "IPv4", "10.0.0.1"), of_family("s6", "IPv6", "fd00::1")]);
    assert_eq!(mesh.endpoints(), ["[fd00::1]:80 Ready - -"]);
}

#[test]
fn services_that_disagree_leave_a_port_undeclared() {
    let other = |protocol: &str| {
        with(
            selecting(json!([{"port": 90, "targetPort": 8080, "appProtocol": protocol}])),
            &[("/metadata/name", json!("other"))],
        )
    };
    let mut mesh = Mesh::default();
    mesh.put(&[
        selecting(json!([{"port": 80, "name": "http", "targetPort": 8080}])),
        other("http"),
        pod("a", "10.0.0.1"),
    ]);
    let served = |mesh: &Mesh| mesh.world.workload(&WorkloadName::new("shop", "a")).unwrap().served.clone();
    assert_eq!(served(&mesh)[0].protocol, Protocol::Http1);
    let touched = mesh.put(&[other("tcp")]);
    assert!(touched.contains(&Touched::Workload(WorkloadName::new("shop", "a"))));
    assert_eq!((served(&mesh)[0].protocol, &served(&mesh)[0].service), (Protocol::Undeclared, &cart()));
    let third = with(other("http"), &[("/metadata/name", json!("third"))]);
    mesh.put(std::slice::from_ref(&third));
    assert_eq!(served(&mesh)[0].protocol, Protocol::Undeclared, "a majority decides nothing");
    mesh.delete(&third);
    mesh.delete(&other("tcp"));
    assert_eq!(served(&mesh)[0].protocol, Protocol::Http1);
}

#[test]
fn a_service_that_declares_nothing_leaves_the_protocol_of_a_port_to_those_that_do() {
    let declaring = |name: &str, protocol: &str| {
        let ports = json!([{"port": 80, "name": "unknown", "targetPort": 8080, "appProtocol": protocol}]);
        with(selecting(ports), &[("/metadata/name", json!(name))])
    };
    let undeclared =
        |name: &str| with(selecting(json!([{"port": 80, "targetPort": 8080}])), &[("/metadata/name", json!(name))]);
    for services in [
        [undeclared("a"), declaring("b", "http"), undeclared("c")],
        [declaring("a", "http"), undeclared("b"), declaring("c", "http")],
    ] {
        let mut mesh = Mesh::default();
        mesh.put(&services);
        mesh.put(&[pod("a", "10.0.0.1")]);
        let served = &mesh.world.workload(&WorkloadName::new("shop", "a")).unwrap().served;
        assert_eq!((served.len(), served[0].protocol), (1, Protocol::Http1));
    }
}

#[test]
fn an_alias_has_no_endpoints_and_a_headless_service_has() {
    let mut mesh = Mesh::default();
    let headless = service(json!({"clusterIP": "None", "selector": {"app": "cart"}, "ports": [{"port": 80}]}));
    mesh.put(&[headless, pod("a", "10.0.0.1")]);
    assert_eq!(mesh.world.service(&cart()).unwrap().kind, byrnie_model::ServiceKind::Headless);
    assert_eq!(mesh.endpoints().len(), 1);
    mesh.put(&[service(json!({"type": "ExternalName", "externalName": "example.com"}))]);
    assert!(mesh.world.endpoints(&cart()).is_none());
}

#[test]
fn what_changes_nothing_tells_nothing() {
    let mut mesh = Mesh::default();
    let objects = [selecting(json!([{"port": 80}])), pod("a", "10.0.0.1"), node("z1")];
    mesh.put(&objects);
    for object in &objects {
        let (_, object) = read(object);
        mesh.index.put(&object, None);
    }
    assert!(mesh.index.updates().is_empty());
    // A change that is taken back before it was told.
    mesh.index.delete(&read(&objects[1]).0);
    mesh.index.put(&read(&objects[1]).1, None);
    assert!(mesh.index.updates().is_empty());
}

#[test]
fn a_draining_pod_touches_only_the_endpoints_behind_it() {
    let mut mesh = Mesh::default();
    let other = with(
        selecting(json!([{"port": 80}])),
        &[("/metadata/name", json!("x")), ("/spec/selector", json!({"app": "x"}))],
    );
    mesh.put(&[selecting(json!([{"port": 80}])), other, pod("a", "10.0.0.1")]);
    let going = with(pod("a", "10.0.0.1"), &[("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))]);
    assert_eq!(mesh.put(&[going]), BTreeSet::from([Touched::Endpoints(cart())]));
    assert_eq!(mesh.world.endpoints(&cart()).unwrap().port(80)[0].state, EndpointState::Draining);
}

/// All that a world holds, by name.
fn dump(world: &World) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for service in world.services() {
        all.insert(format!("service {}", service.name), format!("{service:?}"));
    }
    for namespace in ["a", "b"] {
        for name in ["s0", "s1", "s2"] {
            let name = ServiceName::new(namespace, name);
            if let Some(endpoints) = world.endpoints(&name) {
                all.insert(format!("endpoints {name}"), format!("{endpoints:?}"));
            }
        }
    }
    for workload in world.workloads() {
        all.insert(format!("workload {}", workload.name), format!("{workload:?}"));
    }
    for (name, policy) in world.traffic_policies() {
        all.insert(format!("policy {name}"), format!("{policy:?}"));
    }
    all
}

/// An object of a small mesh, in which all kinds of ties are likely.
fn any_object() -> impl Strategy<Value = Value> {
    let namespace = prop::sample::select(vec!["a", "b"]);
    let number = 0..3u8;
    let labels =
        prop::sample::select(vec![json!({}), json!({"x": "1"}), json!({"x": "1", "y": "1"}), json!({"y": "1"})]);
    let detail = any::<u16>();
    (0..6u8, namespace, number, labels, detail).prop_map(|(kind, namespace, number, labels, detail)| {
        let bit = |index: u16| detail >> index & 1 == 1;
        let meta = |prefix: &str| json!({"name": format!("{prefix}{number}"), "namespace": namespace});
        let ip = format!("10.0.0.{}", detail >> 8 & 3);
        match kind {
            0 => {
                let port = json!({"port": 80, "name": if bit(0) { "http" } else { "p" },
                                  "targetPort": if bit(1) { json!("web") } else { json!(8080) }});
                json!({"apiVersion": "v1", "kind": "Service", "metadata": meta("s"), "spec": {
                    "selector": labels, "ports": [port], "publishNotReadyAddresses": bit(2),
                    "type": if bit(3) && bit(4) { "ExternalName" } else { "ClusterIP" }, "externalName": "example.com"}})
            }
            1 | 2 => {
                let mut metadata = meta("p");
                metadata["labels"] = labels;
                if bit(1) {
                    metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                }
                let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                    "spec": {"nodeName": if bit(2) { "n0" } else { "n1" },
                             "containers": [{"ports": [{"name": "web", "containerPort": if bit(3) { 1 } else { 2 }}]}]},
                    "status": {"podIP": ip, "phase": if bit(4) && bit(5) { "Failed" } else { "Running" }}});
                if bit(0) { injected(pod, json!({})) } else { pod }
            }
            3 => {
                let mut metadata = meta("e");
                metadata["labels"] = json!({"kubernetes.io/service-name": format!("s{}", detail & 3)});
                let mut endpoint = json!({"addresses": [ip], "conditions": {"ready": bit(2)}, "nodeName": "n0"});
                if bit(3) {
                    endpoint["targetRef"] = json!({"kind": "Pod", "name": format!("p{}", detail >> 4 & 3)});
                }
                json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                    "metadata": metadata, "ports": [{"name": "http", "port": 8080}], "endpoints": [endpoint]})
            }
            4 => json!({"apiVersion": "mesh.byrnie.io/v1alpha1", "kind": "TrafficPolicy", "metadata": meta("t"),
                "spec": {"targetRef": {"name": format!("s{}", detail & 3)}}}),
            _ => json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{}", number % 2),
                "labels": {ZONE: format!("z{}", detail & 1)}}}),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn step_by_step_comes_to_the_same_as_all_at_once(
        steps in prop::collection::vec((any_object(), prop::bool::weighted(0.3), any::<bool>()), 1..40)
    ) {
        let mut mesh = Mesh::default();
        let mut standing: BTreeMap<ObjectRef, Object> = BTreeMap::new();
        for (value, is_deletion, is_told) in &steps {
            let (reference, object) = read(value);
            if *is_deletion {
                mesh.index.delete(&reference);
                standing.remove(&reference);
            } else {
                mesh.index.put(&object, None);
                standing.insert(reference, object);
            }
            if *is_told {
                mesh.flush();
                mesh.index.findings();
            }
        }
        mesh.flush();
        let mut fresh = Mesh::default();
        for object in standing.values() {
            fresh.index.put(object, None);
        }
        fresh.flush();
        prop_assert_eq!(dump(&mesh.world), dump(&fresh.world));
        prop_assert_eq!(mesh.index.findings(), fresh.index.findings());
    }
}
