//! Objects as short as a test can say them; all live in the namespace `shop` unless they say otherwise.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use byrnie_identity::Account;
use byrnie_model::{
    Capture, Endpoint, EndpointState, MeshConfig, ObjectKind, Origin, PolicyName, Protocol, RouteName, Served, Service,
    ServiceEndpoints, ServiceKind, ServiceName, ServicePort, Update, UpstreamPort, Workload, WorkloadName,
    policy::{Limits, TrafficPolicy},
    route::{Backend, BackendTarget, Filters, Match, ParentRef, PathMatch, Route, RouteKind, Rule},
};

pub const NAMESPACE: &str = "shop";

pub fn name(name: &str) -> ServiceName {
    ServiceName::new(NAMESPACE, name)
}

/// A Service with a VIP for each of its ports' sake.
pub fn service(of: &str, ports: &[(u16, Protocol)]) -> Service {
    let port = |&(number, protocol)| ServicePort { number, name: None, protocol };
    Service {
        name: name(of),
        origin: Origin::of(ObjectKind::Service, NAMESPACE, of),
        kind: ServiceKind::Virtual(vec!["10.96.0.5".parse().unwrap()]),
        ports: ports.iter().map(port).collect(),
    }
}

pub fn put(service: Service) -> Update {
    Update::Service(service.name.clone(), Some(Arc::new(service)))
}

/// A ready endpoint in the mesh, `address=account`, or outside it, `address`.
pub fn endpoint(text: &str) -> Endpoint {
    let (address, account) = match text.split_once('=') {
        Some((address, account)) => (address, Some(Account::new(NAMESPACE, account))),
        None => (text, None),
    };
    let address = address.parse().unwrap();
    Endpoint { address, state: EndpointState::Ready, account, workload: None, zone: None }
}

pub fn endpoints(of: &str, port: u16, list: &[&str]) -> Update {
    let mut list: Vec<_> = list.iter().map(|text| endpoint(text)).collect();
    list.sort_by_key(|endpoint| endpoint.address);
    put_endpoints(of, [(port, list)])
}

pub fn put_endpoints(of: &str, ports: impl IntoIterator<Item = (u16, Vec<Endpoint>)>) -> Update {
    Update::Endpoints(name(of), Some(Arc::new(ServiceEndpoints { ports: ports.into_iter().collect() })))
}

pub fn policy(of: &str, set: impl FnOnce(&mut TrafficPolicy)) -> Update {
    let mut policy = TrafficPolicy {
        origin: Origin::of(ObjectKind::TrafficPolicy, NAMESPACE, of),
        created: 0,
        service: name(of),
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
    set(&mut policy);
    Update::TrafficPolicy(PolicyName::new(NAMESPACE, of), Some(Arc::new(policy)))
}

/// A route of `namespace` on the Service `parent`, named like it.
pub fn route(kind: RouteKind, namespace: &str, parent: &str, rules: Vec<Rule>) -> Update {
    let object = match kind {
        RouteKind::Http => ObjectKind::HTTPRoute,
        RouteKind::Grpc => ObjectKind::GRPCRoute,
    };
    let route = Route {
        name: RouteName::new(kind, namespace, parent),
        origin: Origin::of(object, namespace, parent),
        created: 0,
        parents: vec![ParentRef {
            group: "".into(),
            kind: "Service".into(),
            namespace: NAMESPACE.into(),
            name: parent.into(),
            port: None,
            section_name: None,
        }],
        rules,
    };
    Update::Route(route.name.clone(), Some(Arc::new(route)))
}

/// A rule for a path with backends `service:port*weight`.
pub fn rule(path: PathMatch, backends: &[&str]) -> Rule {
    Rule {
        matches: vec![Match { path, ..Match::default() }],
        backends: backends.iter().map(|text| backend(text)).collect(),
        ..Rule::default()
    }
}

pub fn backend(text: &str) -> Backend {
    let (target, weight) = text.split_once('*').unwrap_or((text, "1"));
    let (service, port) = target.split_once(':').unwrap();
    Backend {
        target: BackendTarget::Service(name(service), Some(port.parse().unwrap())),
        weight: weight.parse().unwrap(),
        filters: Filters::default(),
    }
}

pub fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.into())
}

pub fn workload(of: &str, capture: Capture) -> Update {
    let workload = Workload {
        name: WorkloadName::new(NAMESPACE, of),
        origin: Origin::of(ObjectKind::Pod, NAMESPACE, of),
        uid: None,
        account: Account::new(NAMESPACE, of),
        labels: BTreeMap::new(),
        ips: vec!["10.1.0.1".parse().unwrap()],
        zone: None,
        capture,
        served: vec![Served { port: 8080, protocol: Protocol::Http1, service: name("cart") }],
    };
    Update::Workload(workload.name.clone(), Some(Arc::new(workload)))
}

/// Explicit mode with one upstream.
pub fn calling(of: &str, port: u16) -> Capture {
    let listen = format!("127.0.0.1:{}", 15100 + port % 100).parse().unwrap();
    Capture::Explicit { inbound: Vec::new(), upstreams: vec![UpstreamPort { listen, service: name(of), port }] }
}

pub fn mesh(set: impl FnOnce(&mut MeshConfig)) -> Update {
    let mut mesh = MeshConfig::default();
    set(&mut mesh);
    Update::Mesh(Arc::new(mesh))
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
