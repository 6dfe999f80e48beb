#![allow(missing_docs, clippy::unwrap_used)]
use byrnie_identity::Account;
use byrnie_model::{policy::*, route::*, *};
use byrnie_proto::{
    Kind,
    envoy::envoy::{
        config::{bootstrap::v3::*, cluster::v3::Cluster, core::v3::*, listener::v3::*, route::v3::RouteConfiguration},
        extensions::filters::{http::router::v3::Router, network::http_connection_manager::v3::*},
    },
};
use byrnie_snapshot::{Builder, Client, Dialect};
use prost::Message;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

fn any<T: Message + prost::Name>(m: &T) -> byrnie_proto::envoy::google::protobuf::Any {
    byrnie_proto::envoy::google::protobuf::Any { type_url: T::type_url(), value: m.encode_to_vec() }
}
fn svc(name: &str, ports: &[(u16, Protocol)]) -> Update {
    let n = ServiceName::new("shop", name);
    Update::Service(
        n.clone(),
        Some(Arc::new(Service {
            name: n,
            origin: Origin::of(ObjectKind::Service, "shop", name),
            kind: ServiceKind::Virtual(vec![]),
            ports: ports.iter().map(|(p, pr)| ServicePort { number: *p, name: None, protocol: *pr }).collect(),
        })),
    )
}
fn eps(name: &str, port: u16, list: &[(&str, Option<&str>)]) -> (u16, Vec<Endpoint>, String) {
    (
        port,
        list.iter()
            .map(|(a, acc)| Endpoint {
                address: a.parse().unwrap(),
                state: EndpointState::Ready,
                account: acc.map(|a| Account::new("shop", a)),
                workload: None,
                zone: None,
            })
            .collect(),
        name.to_owned(),
    )
}
fn endpoints(l: Vec<(u16, Vec<Endpoint>, String)>) -> Update {
    let name = ServiceName::new("shop", l[0].2.as_str());
    Update::Endpoints(
        name,
        Some(Arc::new(ServiceEndpoints { ports: l.into_iter().map(|(p, e, _)| (p, e)).collect::<BTreeMap<_, _>>() })),
    )
}
fn policy(svc: &str, f: impl FnOnce(&mut TrafficPolicy)) -> Update {
    let mut p = TrafficPolicy {
        origin: Origin::of(ObjectKind::TrafficPolicy, "shop", svc),
        created: 0,
        service: ServiceName::new("shop", svc),
        balancer: None,
        retry: None,
        connect_timeout: None,
        health_check: None,
        outlier: None,
        limits: Limits::default(),
        retry_budget: None,
        slow_start: None,
        panic_threshold: None,
    };
    f(&mut p);
    Update::TrafficPolicy(PolicyName::new("shop", svc), Some(Arc::new(p)))
}
fn hc(probe: Probe) -> Option<HealthCheck> {
    Some(HealthCheck {
        probe,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        healthy_threshold: 1,
        unhealthy_threshold: 3,
    })
}
fn backend(name: &str, port: u16, weight: u32, filters: Filters) -> Backend {
    Backend { target: BackendTarget::Service(ServiceName::new("shop", name), Some(port)), weight, filters }
}

fn main() {
    let s = |x: &str| -> Arc<str> { x.into() };
    let edits = HeaderEdits {
        set: vec![(s("x-a"), s("50%")), (s("host"), s("other.example"))],
        add: vec![(s("x-b"), s(""))],
        remove: vec![s("x-c"), s("Host")],
    };
    let mut rules = Vec::new();
    let rule = |p: PathMatch| Rule { matches: vec![Match { path: p, ..Default::default() }], ..Default::default() };
    rules.push(Rule {
        filters: Filters {
            rewrite: Some(Rewrite { hostname: None, path: Some(PathChange::Prefix(s("/"))) }),
            request_headers: Some(edits.clone()),
            response_headers: Some(edits.clone()),
            redirect: None,
        },
        backends: vec![backend("cart", 80, 1, Filters::default())],
        request_timeout: Some(Duration::from_secs(3)),
        backend_timeout: Some(Duration::from_secs(1)),
        retry: Some(RouteRetry { codes: vec![503, 500], attempts: Some(3), backoff: Some(Duration::from_millis(10)) }),
        ..rule(PathMatch::Prefix(s("/a.b")))
    });
    rules.push(Rule {
        filters: Filters {
            rewrite: Some(Rewrite { hostname: Some(s("h")), path: Some(PathChange::Full(s("/x\\1"))) }),
            ..Default::default()
        },
        backends: vec![
            backend("cart", 80, 9, Filters { request_headers: Some(edits.clone()), ..Default::default() }),
            backend("mixed", 80, 1, Filters::default()),
        ],
        ..rule(PathMatch::Exact(s("/full")))
    });
    rules.push(Rule {
        backends: vec![backend("cart", 80, 1, Filters::default()), backend("gone", 80, 1, Filters::default())],
        ..rule(PathMatch::Regex(s("/r[0-9]+")))
    });
    for (scheme, host, port, path) in [
        (None, None, None, Some(PathChange::Prefix(s("/")))),
        (Some("https"), None, None, None),
        (None, Some("e.com"), None, Some(PathChange::Full(s("/f")))),
        (Some("https"), Some("e.com"), Some(8443), Some(PathChange::Prefix(s("/new/")))),
    ] {
        let n = rules.len();
        rules.push(Rule {
            filters: Filters {
                redirect: Some(Redirect { scheme: scheme.map(s), hostname: host.map(s), path, port, status: 302 }),
                response_headers: Some(edits.clone()),
                ..Default::default()
            },
            ..rule(PathMatch::Prefix(s(&format!("/red{n}"))))
        });
    }
    rules.push(Rule {
        matches: vec![Match {
            path: PathMatch::Prefix(s("/")),
            method: Some(s("POST")),
            headers: vec![ValueMatch { name: s("x"), value: NameMatch::Regex(s("a.*")) }],
            query: vec![ValueMatch { name: s("q"), value: NameMatch::Exact(s("1")) }],
        }],
        backends: vec![backend("cart", 80, 1, Filters::default())],
        ..Default::default()
    });
    let http = Route {
        name: RouteName::new(RouteKind::Http, "shop", "web"),
        origin: Origin::of(ObjectKind::HTTPRoute, "shop", "web"),
        created: 0,
        parents: vec![ParentRef {
            group: s(""),
            kind: s("Service"),
            namespace: s("shop"),
            name: s("web"),
            port: None,
            section_name: None,
        }],
        rules,
    };
    let g = |service: Option<NameMatch>, method: Option<NameMatch>| Rule {
        matches: vec![Match { path: PathMatch::Grpc { service, method }, ..Default::default() }],
        backends: vec![backend("grpc", 50, 1, Filters::default()), backend("gone", 1, 1, Filters::default())],
        ..Default::default()
    };
    let grpc = Route {
        name: RouteName::new(RouteKind::Grpc, "shop", "g"),
        origin: Origin::of(ObjectKind::GRPCRoute, "shop", "g"),
        created: 0,
        parents: vec![ParentRef {
            group: s(""),
            kind: s("Service"),
            namespace: s("shop"),
            name: s("grpc"),
            port: None,
            section_name: None,
        }],
        rules: vec![
            g(Some(NameMatch::Exact(s("a.B"))), Some(NameMatch::Exact(s("M")))),
            g(Some(NameMatch::Exact(s("a.B"))), None),
            g(None, Some(NameMatch::Exact(s("M")))),
            g(Some(NameMatch::Regex(s("a|b"))), None),
            g(None, None),
        ],
    };
    let ups = vec![
        svc("web", &[(80, Protocol::Http1), (81, Protocol::Undeclared)]),
        endpoints(vec![
            eps("web", 80, &[("10.0.0.1:80", Some("web")), ("10.0.0.2:80", Some("web2"))]),
            eps("web", 81, &[("10.0.0.1:81", Some("web")), ("10.0.0.3:81", None)]),
        ]),
        svc("cart", &[(80, Protocol::Http2)]),
        endpoints(vec![eps("cart", 80, &[("10.0.1.1:80", Some("cart"))])]),
        svc("mixed", &[(80, Protocol::Http1), (81, Protocol::Http2)]),
        endpoints(vec![
            eps("mixed", 80, &[("10.0.2.1:80", Some("cart")), ("[::1]:80", None)]),
            eps("mixed", 81, &[("10.0.2.1:81", Some("cart")), ("[::1]:81", None)]),
        ]),
        svc("empty", &[(80, Protocol::Http1), (81, Protocol::Grpc), (82, Protocol::Undeclared), (83, Protocol::Tcp)]),
        svc("plain", &[(80, Protocol::Http1)]),
        endpoints(vec![eps("plain", 80, &[("10.0.3.1:80", None)])]),
        svc("db", &[(5432, Protocol::Tcp)]),
        endpoints(vec![eps("db", 5432, &[("10.0.4.1:5432", Some("db"))])]),
        svc("grpc", &[(50, Protocol::Grpc)]),
        endpoints(vec![eps("grpc", 50, &[("10.0.5.1:50", Some("g"))])]),
        Update::Route(http.name.clone(), Some(Arc::new(http))),
        Update::Route(grpc.name.clone(), Some(Arc::new(grpc))),
        policy("web", |p| {
            p.balancer = Some(Balancer::RingHash {
                key: HashKey::Cookie { name: s("c"), ttl: Some(Duration::ZERO), path: Some(s("/")) },
                minimum_ring_size: Some(64),
            });
            p.health_check = hc(Probe::Http { path: s("/ok"), host: None, expected: vec![200..300] });
            p.outlier = Some(OutlierEjection {
                consecutive_errors: 5,
                interval: Duration::from_secs(10),
                base_ejection_time: Duration::from_secs(30),
                max_ejection_percent: 10,
                failure_percent: Some(50),
            });
            p.retry = Some(Retry {
                attempts: 3,
                on: vec![RetryOn::Condition(s("5xx")), RetryOn::Condition(s("unavailable")), RetryOn::Status(418)],
                per_try_timeout: Some(Duration::from_millis(200)),
                backoff: Some(Backoff { base: Duration::from_millis(5), max: Some(Duration::from_millis(50)) }),
            });
        }),
        policy("cart", |p| {
            p.balancer = Some(Balancer::Maglev { key: HashKey::Header(s("x-user")), table_size: Some(65537) });
            p.health_check = hc(Probe::Grpc { service: None });
            p.limits = Limits { connections: Some(1), pending: Some(2), requests: Some(3), retries: Some(4) };
            p.panic_threshold = Some(30);
        }),
        policy("mixed", |p| {
            p.balancer = Some(Balancer::RoundRobin);
            p.slow_start = Some(SlowStart { window: Duration::from_secs(30), minimum_percent: 10 });
            p.health_check = hc(Probe::Tcp);
        }),
        policy("db", |p| {
            p.balancer = Some(Balancer::Random);
            p.health_check = hc(Probe::Tcp);
        }),
        policy("grpc", |p| {
            p.balancer = Some(Balancer::LeastRequest { choices: 5 });
            p.slow_start = Some(SlowStart { window: Duration::from_secs(30), minimum_percent: 10 });
            p.retry = Some(Retry { attempts: 0, on: vec![], per_try_timeout: None, backoff: None });
            p.retry_budget = Some(RetryBudget { percent: 50, minimum: 1 });
        }),
    ];
    let (world, touched) = World::default().apply(ups);
    let snapshot = Builder::default().advance(world, &touched);
    let client = Client { workload: WorkloadName::new("shop", "x"), dialect: Dialect::Envoy };
    let mut clusters: Vec<Cluster> =
        snapshot.sight(&client, Kind::Cluster).iter().map(|r| Cluster::decode(r.body().clone()).unwrap()).collect();
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    let only = std::env::args().nth(2);
    if let Some(only) = &only {
        clusters.retain(|c| c.name == *only);
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for (i, r) in snapshot.sight(&client, Kind::Route).iter().enumerate() {
        let rc = RouteConfiguration::decode(r.body().clone()).unwrap();
        eprintln!("{} {} bytes", r.name(), r.body().len());
        let hcm = HttpConnectionManager {
            stat_prefix: "x".into(),
            route_specifier: Some(http_connection_manager::RouteSpecifier::RouteConfig(rc)),
            http_filters: vec![HttpFilter {
                name: "envoy.filters.http.router".into(),
                config_type: Some(http_filter::ConfigType::TypedConfig(any(&Router {
                    suppress_envoy_headers: true,
                    ..Default::default()
                }))),
                ..Default::default()
            }],
            ..Default::default()
        };
        listeners.push(Listener {
            name: r.name().to_string(),
            address: Some(Address {
                address: Some(address::Address::SocketAddress(SocketAddress {
                    address: "127.0.0.1".into(),
                    port_specifier: Some(socket_address::PortSpecifier::PortValue(19100 + i as u32)),
                    ..Default::default()
                })),
            }),
            filter_chains: vec![FilterChain {
                filters: vec![Filter {
                    name: "envoy.filters.network.http_connection_manager".into(),
                    config_type: Some(filter::ConfigType::TypedConfig(any(&hcm))),
                }],
                ..Default::default()
            }],
            ..Default::default()
        });
    }
    for (view, r) in snapshot.all() {
        if r.kind() == Kind::Cluster || r.kind() == Kind::Listener {
            eprintln!("{view:?} {} {} {}", r.kind(), r.name(), r.body().len());
        }
    }
    if let Ok(backends) = std::env::var("RUN") {
        use byrnie_proto::envoy::envoy::config::{cluster::v3::cluster::*, endpoint::v3 as ep};
        clusters.retain(|c| ["shop/cart:80", "shop/mixed:80", "shop/grpc:50"].contains(&c.name.as_str()));
        for c in &mut clusters {
            c.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into()));
            c.eds_cluster_config = None;
            c.transport_socket_matches.clear();
            c.transport_socket = None;
            c.health_checks.clear();
            c.typed_extension_protocol_options.clear();
            c.set_lb_policy(LbPolicy::RoundRobin);
            c.lb_config = None;
            c.circuit_breakers = None;
            let lb = backends
                .split(',')
                .map(|a| {
                    let (h, p) = a.split_once(':').unwrap();
                    ep::LbEndpoint {
                        host_identifier: Some(ep::lb_endpoint::HostIdentifier::Endpoint(ep::Endpoint {
                            address: Some(Address {
                                address: Some(address::Address::SocketAddress(SocketAddress {
                                    address: h.into(),
                                    port_specifier: Some(socket_address::PortSpecifier::PortValue(p.parse().unwrap())),
                                    ..Default::default()
                                })),
                            }),
                            ..Default::default()
                        })),
                        ..Default::default()
                    }
                })
                .collect();
            c.load_assignment = Some(ep::ClusterLoadAssignment {
                cluster_name: c.name.clone(),
                endpoints: vec![ep::LocalityLbEndpoints { lb_endpoints: lb, ..Default::default() }],
                ..Default::default()
            });
        }
    }
    clusters.push(Cluster { name: "xds".into(), ..Default::default() });
    let ads = ApiConfigSource {
        api_type: api_config_source::ApiType::DeltaGrpc.into(),
        transport_api_version: 2,
        grpc_services: vec![GrpcService {
            target_specifier: Some(grpc_service::TargetSpecifier::EnvoyGrpc(grpc_service::EnvoyGrpc {
                cluster_name: "xds".into(),
                ..Default::default()
            })),
            ..Default::default()
        }],
        ..Default::default()
    };
    let bootstrap = Bootstrap {
        node: Some(Node { id: "shop/x".into(), cluster: "c".into(), ..Default::default() }),
        dynamic_resources: std::env::var("RUN")
            .is_err()
            .then_some(bootstrap::DynamicResources { ads_config: Some(ads), ..Default::default() }),
        static_resources: Some(bootstrap::StaticResources { clusters, listeners, ..Default::default() }),
        ..Default::default()
    };
    std::fs::write(std::env::args().nth(1).unwrap(), bootstrap.encode_to_vec()).unwrap();
}
