//! However a World came about, its snapshot is the one that is built from it at once.

use std::{collections::BTreeSet, sync::Arc};

use byrnie_identity::Account;
use byrnie_model::{
    Capture, Endpoint, EndpointState, ObjectKind, Origin, PeerMode, PolicyName, Protocol, RouteName, ServiceKind,
    Update, WorkloadName, World,
    policy::{Balancer, HashKey, PeerPolicy, Retry},
    route::{RouteKind, Rule},
};
use byrnie_proto::Kind;
use byrnie_snapshot::{Builder, Client, Dialect, Snapshot};
use proptest::prelude::*;

use crate::sample::{
    self, NAMESPACE, calling, name, policy, prefix, put, put_endpoints, route, rule, service, workload,
};

const SERVICES: [&str; 3] = ["a", "b", "c"];

fn one_of() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&SERVICES[..])
}

fn protocols() -> impl Strategy<Value = Protocol> {
    use Protocol::{Grpc, Http1, Http2, Tcp, Tls, Undeclared};
    prop::sample::select(vec![Http1, Http2, Grpc, Tcp, Tls, Undeclared])
}

fn services() -> impl Strategy<Value = Update> {
    let kind = prop_oneof![
        4 => Just(ServiceKind::Virtual(vec!["10.96.0.5".parse().unwrap()])),
        1 => Just(ServiceKind::Virtual(vec!["10.96.0.6".parse().unwrap()])),
        2 => Just(ServiceKind::Headless),
        1 => Just(ServiceKind::External("example.com".into())),
    ];
    let ports = prop::collection::btree_map(80_u16..83, protocols(), 0..3);
    (one_of(), prop::option::weighted(0.8, (kind, ports))).prop_map(|(of, shape)| match shape {
        Some((kind, ports)) => {
            let ports: Vec<_> = ports.into_iter().collect();
            put(byrnie_model::Service { kind, ..service(of, &ports) })
        }
        None => Update::Service(name(of), None),
    })
}

fn endpoints() -> impl Strategy<Value = Update> {
    let account = prop::option::of(one_of().prop_map(|name| Account::new(NAMESPACE, name)));
    let state = prop::sample::select(vec![EndpointState::Ready, EndpointState::Draining]);
    let zone = prop::option::of(prop::sample::select(vec!["z1", "z2"]).prop_map(Into::into));
    let of_port = prop::collection::btree_map(1_u8..4, (account, state, zone), 0..4).prop_map(|list| {
        let endpoint = |(last, (account, state, zone))| {
            let address = ([10, 1, 0, last], 8080).into();
            Endpoint { address, state, account, workload: None, zone }
        };
        list.into_iter().map(endpoint).collect::<Vec<_>>()
    });
    let ports = prop::collection::btree_map(80_u16..83, of_port, 0..3);
    (one_of(), prop::option::weighted(0.9, ports)).prop_map(|(of, ports)| match ports {
        Some(ports) => put_endpoints(of, ports),
        None => Update::Endpoints(name(of), None),
    })
}

fn routes() -> impl Strategy<Value = Update> {
    let kind = prop::sample::select(vec![RouteKind::Http, RouteKind::Grpc]);
    let namespace = prop::sample::select(vec![NAMESPACE, "bank"]);
    let backend = (prop::sample::select(vec!["a", "b", "c", "gone"]), 80_u16..83, 0_u32..3)
        .prop_map(|(service, port, weight)| format!("{service}:{port}*{weight}"));
    let path = prop::sample::select(vec!["/", "/x"]);
    let rule = (path, prop::collection::vec(backend, 0..3)).prop_map(|(path, backends)| -> Rule {
        rule(prefix(path), &backends.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let rules = prop::option::weighted(0.9, prop::collection::vec(rule, 1..3));
    (kind, namespace, one_of(), rules).prop_map(|(kind, namespace, parent, rules)| match rules {
        Some(rules) => route(kind, namespace, parent, rules),
        None => Update::Route(RouteName::new(kind, namespace, parent), None),
    })
}

fn policies() -> impl Strategy<Value = Update> {
    let balancer = prop::option::of(prop::sample::select(vec![
        Balancer::RoundRobin,
        Balancer::RingHash { key: HashKey::Header("x".into()), minimum_ring_size: None },
        Balancer::Maglev { key: HashKey::Source, table_size: None },
    ]));
    let attempts = prop::option::of(0_u32..3);
    (one_of(), prop::option::weighted(0.8, (balancer, attempts))).prop_map(|(of, shape)| match shape {
        Some((balancer, attempts)) => policy(of, |policy| {
            policy.balancer = balancer;
            policy.retry =
                attempts.map(|attempts| Retry { attempts, on: Vec::new(), per_try_timeout: None, backoff: None });
        }),
        None => Update::TrafficPolicy(PolicyName::new(NAMESPACE, of), None),
    })
}

fn workloads() -> impl Strategy<Value = Update> {
    let capture = prop_oneof![
        Just(Capture::Outside),
        Just(Capture::Redirected { excluded: Vec::new() }),
        Just(Capture::Redirected { excluded: vec![8080..=8081] }),
        (one_of(), 80_u16..83).prop_map(|(service, port)| calling(service, port)),
    ];
    (one_of(), prop::option::weighted(0.8, capture)).prop_map(|(of, capture)| match capture {
        Some(capture) => workload(of, capture),
        None => Update::Workload(WorkloadName::new(NAMESPACE, of), None),
    })
}

fn peers() -> impl Strategy<Value = Update> {
    prop::option::of(prop::sample::select(vec![PeerMode::Strict, PeerMode::Permissive])).prop_map(|mode| {
        let policy = mode.map(|mode| {
            Arc::new(PeerPolicy {
                origin: Origin::of(ObjectKind::PeerPolicy, NAMESPACE, "p"),
                created: 0,
                namespace: NAMESPACE.into(),
                selector: Default::default(),
                mode,
                ports: Default::default(),
            })
        });
        Update::PeerPolicy(PolicyName::new(NAMESPACE, "p"), policy)
    })
}

fn mesh() -> impl Strategy<Value = Update> {
    prop::sample::select(vec!["cluster.local", "other.local"])
        .prop_map(|domain| sample::mesh(|mesh| mesh.cluster_domain = domain.to_owned()))
}

fn updates() -> impl Strategy<Value = Update> {
    prop_oneof![
        4 => services(),
        6 => endpoints(),
        4 => routes(),
        2 => policies(),
        2 => workloads(),
        1 => peers(),
        1 => mesh(),
    ]
}

/// All that a client or the server can tell two snapshots apart by.
fn seen(snapshot: &Snapshot) -> Vec<String> {
    let resources = snapshot.all().map(|(view, resource)| {
        let (kind, name, version) = (resource.kind(), resource.name(), resource.version());
        format!("{view:?} {kind} {name} {version} {:?} {:?}", resource.refers(), resource.origins())
    });
    let listeners = SERVICES.map(|workload| {
        let workload = WorkloadName::new(NAMESPACE, workload);
        let client = Client { workload, dialect: Dialect::Envoy };
        format!("{} {}", client.workload, snapshot.sight(&client, Kind::Listener).len())
    });
    let client = Client { workload: WorkloadName::new(NAMESPACE, "a"), dialect: Dialect::Micro };
    let asked = [Kind::Listener, Kind::Cluster].map(|kind| {
        let sight = snapshot.sight(&client, kind);
        let built = sight.pods().and_then(|pods| byrnie_snapshot::of_pod(pods, kind, "out/10.1.0.1:8080"));
        format!(
            "{kind} {:?} of {}",
            built.map(|built| (built.version(), built.origins().to_vec())),
            sight.wildcard().len()
        )
    });
    resources.chain(listeners).chain(asked).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, ..ProptestConfig::default() })]

    #[test]
    fn the_incremental_snapshot_equals_the_one_from_scratch(
        steps in prop::collection::vec(prop::collection::vec(updates(), 1..4), 1..60)
    ) {
        let mut builder = Builder::default();
        let mut world = World::default();
        for step in steps {
            let (next, touched) = world.apply(step);
            let incremental = builder.advance(next.clone(), &touched);
            let scratch = Builder::default().advance(next.clone(), &BTreeSet::new());
            prop_assert_eq!(seen(&incremental), seen(&scratch));
            world = next;
        }
    }
}
