use std::{collections::BTreeMap, fs, net::SocketAddr, sync::Arc};

use byrnie_identity::Account;
use byrnie_model::*;
use byrnie_proto::Kind;

use crate::*;

fn at(a: &str) -> SocketAddr {
    a.parse().unwrap()
}

#[test]
fn dump() {
    let Ok(dir) = std::env::var("DUMP") else { return };
    let strict = std::env::var("STRICT").is_ok();
    let name = |n: &str| ServiceName::new("shop", n);
    let port = |number, protocol| ServicePort { number, name: None, protocol };
    let protocols = [
        (80, 8080, Protocol::Http1),
        (81, 8081, Protocol::Undeclared),
        (82, 8082, Protocol::Tcp),
        (83, 8083, Protocol::Http1),
        (84, 8084, Protocol::Http2),
    ];
    let mut updates = Vec::new();
    let cart = Service {
        name: name("cart"),
        origin: Origin::of(ObjectKind::Service, "shop", "cart"),
        kind: ServiceKind::Virtual(vec!["10.96.0.5".parse().unwrap(), "fd00::5".parse().unwrap()]),
        ports: protocols.iter().map(|p| port(p.0, p.2)).collect(),
    };
    let db = Service {
        name: name("db"),
        origin: Origin::of(ObjectKind::Service, "shop", "db"),
        kind: ServiceKind::Headless,
        ports: vec![port(5432, Protocol::Tcp), port(90, Protocol::Http1), port(91, Protocol::Undeclared)],
    };
    let endpoint = |a: String, account: Option<&str>| Endpoint {
        address: at(&a),
        state: EndpointState::Ready,
        account: account.map(|n| Account::new("shop", n)),
        workload: None,
        zone: None,
    };
    let ports: BTreeMap<_, _> =
        protocols.iter().map(|p| (p.0, vec![endpoint(format!("127.0.1.10:{}", p.1), Some("cart"))])).collect();
    updates.push(Update::Endpoints(cart.name.clone(), Some(Arc::new(ServiceEndpoints { ports }))));
    let ports = [(5432u16, 8082), (90, 8080), (91, 8081)]
        .into_iter()
        .map(|(p, t)| {
            (p, vec![endpoint(format!("127.0.1.10:{t}"), Some("cart")), endpoint(format!("127.0.1.20:{t}"), None)])
        })
        .collect();
    updates.push(Update::Endpoints(db.name.clone(), Some(Arc::new(ServiceEndpoints { ports }))));
    for s in [cart, db] {
        updates.push(Update::Service(s.name.clone(), Some(Arc::new(s))));
    }
    let workload = |n: &str, account: &str, capture, ips: &[&str]| Workload {
        name: WorkloadName::new("shop", n),
        origin: Origin::of(ObjectKind::Pod, "shop", n),
        account: Account::new("shop", account),
        labels: BTreeMap::new(),
        ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        zone: None,
        capture,
        served: protocols.iter().map(|p| Served { port: p.1, protocol: p.2, service: name("cart") }).collect(),
    };
    let server = workload(
        "cart-1",
        "cart",
        Capture::Explicit {
            inbound: protocols
                .iter()
                .map(|p| InboundPort {
                    listen: at(&format!("127.0.1.10:{}", p.1)),
                    application: at(&format!("127.0.0.1:1{}", p.1)),
                })
                .collect(),
            upstreams: vec![],
        },
        &["127.0.1.10"],
    );
    let mut client = workload(
        "web-1",
        "web",
        Capture::Explicit {
            inbound: vec![],
            upstreams: protocols
                .iter()
                .map(|p| UpstreamPort {
                    listen: at(&format!("127.0.0.1:151{}", p.0)),
                    service: name("cart"),
                    port: p.0,
                })
                .collect(),
        },
        &["127.0.0.1"],
    );
    client.served.clear();
    let pod = workload("pod-1", "cart", Capture::Redirected, &["127.0.1.20"]);
    let mut dual = workload("dual-1", "cart", Capture::Redirected, &["10.1.0.9", "::1"]);
    dual.served.clear();
    let all = [server, client, pod, dual];
    for w in &all {
        updates.push(Update::Workload(w.name.clone(), Some(Arc::new(w.clone()))));
    }
    if strict {
        let mesh =
            MeshConfig { peer_mode: PeerMode::Strict, unknown_outbound: UnknownOutbound::Refuse, ..Default::default() };
        updates.push(Update::Mesh(Arc::new(mesh)));
    }
    let (world, touched) = World::default().apply(updates);
    let snapshot = Builder::default().advance(world, &touched);
    for (n, w) in all.iter().enumerate() {
        let client = Client { workload: w.name.clone(), dialect: Dialect::Envoy };
        let dir = format!("{dir}/{}", w.name.name());
        for kind in Kind::ALL {
            let dir = format!("{dir}/{kind}");
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            for r in snapshot.sight(&client, kind).iter() {
                fs::write(format!("{dir}/{}", r.name().replace('/', "~")), r.body()).unwrap();
            }
        }
        let mut b = bootstrap::Bootstrap::new(w.name.clone(), at("127.0.0.1:25010").into());
        b.delta = false;
        b.token = Some("tok".into());
        b.admin = at(&format!("127.0.0.1:2590{n}"));
        fs::write(format!("{dir}/boot.yaml"), bootstrap::envoy(&b)).unwrap();
    }
}
