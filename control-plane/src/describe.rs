//! What an object of the user's does in the mesh, for `byrnie describe` and `/debug/describe`.

mod settings;

use byrnie_model::{
    Capture, ObjectKind, ObjectRef, PolicyName, RouteName, Service, ServiceKind, ServiceName, Workload, WorkloadName,
    World,
    attach::{self, ParentStatus},
    resolve::{self, Action, Entry, RouteTable},
    route::{NameMatch, PathMatch, RouteKind},
};
use serde_json::{Value, json};

/// An object that is not there, or a reference that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescribeError {
    /// Not `KIND/NAMESPACE/NAME`.
    #[error("{0:?} names no object: KIND/NAMESPACE/NAME is accepted, KIND one of {kinds}", kinds = KINDS.map(|kind| kind.as_str()).join(", "))]
    Reference(String),
    /// Nothing of that name.
    #[error("{0} is not there")]
    Missing(ObjectRef),
}

const KINDS: [ObjectKind; 6] = [
    ObjectKind::Service,
    ObjectKind::Pod,
    ObjectKind::HTTPRoute,
    ObjectKind::GRPCRoute,
    ObjectKind::TrafficPolicy,
    ObjectKind::PeerPolicy,
];

/// Reads `KIND/NAMESPACE/NAME`; the kind in any case, and `KIND/NAME` in namespace `default`.
pub fn parse_object(text: &str) -> Result<ObjectRef, DescribeError> {
    let wrong = || DescribeError::Reference(text.to_owned());
    let parts: Vec<_> = text.split('/').collect();
    let (kind, namespace, name) = match parts[..] {
        [kind, name] => (kind, "default", name),
        [kind, namespace, name] => (kind, namespace, name),
        _ => return Err(wrong()),
    };
    let kind = KINDS.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(kind)).ok_or_else(wrong)?;
    if namespace.is_empty() || name.is_empty() {
        return Err(wrong());
    }
    Ok(ObjectRef { kind, namespace: namespace.into(), name: name.into() })
}

/// Everything that the World says of one object.
pub fn describe(world: &World, object: &ObjectRef) -> Result<Value, DescribeError> {
    let (namespace, name) = (object.namespace.clone(), object.name.clone());
    let found = match object.kind {
        ObjectKind::Service => world.service(&ServiceName::new(namespace, name)).map(|s| service(world, s)),
        ObjectKind::Pod => world.workload(&WorkloadName::new(namespace, name)).map(|w| workload(world, w)),
        ObjectKind::HTTPRoute => route(world, &RouteName::new(RouteKind::Http, namespace, name)),
        ObjectKind::GRPCRoute => route(world, &RouteName::new(RouteKind::Grpc, namespace, name)),
        ObjectKind::TrafficPolicy => traffic_policy(world, &PolicyName::new(namespace, name)),
        ObjectKind::PeerPolicy => peer_policy(world, &PolicyName::new(namespace, name)),
        _ => None,
    };
    found.ok_or_else(|| DescribeError::Missing(object.clone()))
}

/// The parents of every route with their conditions, as `validate` and `describe` show them.
pub fn parents(statuses: &[ParentStatus]) -> Vec<Value> {
    let port = |status: &ParentStatus| status.parent.port.map(|port| format!(":{port}")).unwrap_or_default();
    let conditions = |status: &ParentStatus| -> Vec<Value> {
        let one = |c: &attach::Condition| json!({"type": c.kind, "status": c.holds, "reason": c.reason, "message": c.message});
        status.conditions.iter().map(one).collect()
    };
    let one = |status: &ParentStatus| {
        let parent =
            format!("{}/{}/{}{}", status.parent.kind, status.parent.namespace, status.parent.name, port(status));
        json!({"parent": parent, "conditions": conditions(status)})
    };
    statuses.iter().map(one).collect()
}

fn service(world: &World, service: &Service) -> Value {
    let addresses = match &service.kind {
        ServiceKind::Virtual(addresses) => addresses.iter().map(ToString::to_string).collect(),
        ServiceKind::Headless => vec!["headless".to_owned()],
        ServiceKind::External(name) => vec![format!("alias of {name}")],
    };
    let ports = service.ports.iter().map(|port| {
        let tables = resolve::tables(world, service, port);
        let endpoints = world.endpoints(&service.name).map(|endpoints| endpoints.port(port.number).to_vec());
        let endpoint = |e: &byrnie_model::Endpoint| {
            json!({
                "address": e.address.to_string(),
                "state": format!("{:?}", e.state).to_lowercase(),
                "account": e.account.as_ref().map(ToString::to_string),
                "workload": e.workload.as_ref().map(ToString::to_string),
                "zone": e.zone,
            })
        };
        json!({
            "port": port.number,
            "name": port.name,
            "protocol": format!("{:?}", port.protocol).to_lowercase(),
            "endpoints": endpoints.unwrap_or_default().iter().map(endpoint).collect::<Vec<_>>(),
            "routes": table(&tables.shared),
            "consumerRoutes": tables.consumers.iter().map(|(ns, t)| (ns.to_string(), Value::Array(table(t)))).collect::<serde_json::Map<_, _>>(),
        })
    });
    json!({
        "object": service.origin.to_string(),
        "addresses": addresses,
        "ports": ports.collect::<Vec<_>>(),
        "trafficPolicy": world.traffic_policy(&service.name).map(|policy| policy.origin.to_string()),
    })
}

fn workload(world: &World, workload: &Workload) -> Value {
    let capture = match &workload.capture {
        Capture::Outside => json!("outside the mesh"),
        Capture::Redirected { .. } => json!("redirected"),
        Capture::Explicit { inbound, upstreams } => json!({
            "inbound": inbound.iter().map(|p| format!("{} -> {}", p.listen, p.application)).collect::<Vec<_>>(),
            "upstreams": upstreams.iter().map(|u| {
                let known = world.service(&u.service).and_then(|s| s.port(u.port)).is_some();
                json!({"listen": u.listen.to_string(), "service": format!("{}:{}", u.service, u.port), "found": known})
            }).collect::<Vec<_>>(),
        }),
    };
    let serves = |served: &byrnie_model::Served| {
        json!({
            "port": served.port,
            "protocol": format!("{:?}", served.protocol).to_lowercase(),
            "service": served.service.to_string(),
            "peers": format!("{:?}", world.peer_mode(workload, served.port)).to_lowercase(),
        })
    };
    json!({
        "object": workload.origin.to_string(),
        "identity": workload.account.in_domain(&world.mesh().trust_domain).to_string(),
        "addresses": workload.ips.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "capture": capture,
        "serves": workload.served.iter().map(serves).collect::<Vec<_>>(),
        "peerPolicy": world.peer_policy(workload).map(|policy| policy.origin.to_string()),
    })
}

fn route(world: &World, name: &RouteName) -> Option<Value> {
    let route = world.route(name)?;
    Some(json!({
        "object": route.origin.to_string(),
        "generation": route.origin.generation,
        "parents": parents(&attach::status(world, route)),
    }))
}

fn traffic_policy(world: &World, name: &PolicyName) -> Option<Value> {
    let (_, policy) = world.traffic_policies().find(|(known, _)| *known == name)?;
    let winner = world.traffic_policy(&policy.service);
    let overruled = winner.filter(|winner| winner.origin != policy.origin).map(|winner| winner.origin.to_string());
    Some(json!({
        "object": policy.origin.to_string(),
        "service": policy.service.to_string(),
        "serviceFound": world.service(&policy.service).is_some(),
        "overruledBy": overruled,
        "settings": settings::of(policy),
    }))
}

fn peer_policy(world: &World, name: &PolicyName) -> Option<Value> {
    let (_, policy) = world.peer_policies().find(|(known, _)| *known == name)?;
    let governed = world
        .workloads_of(&policy.namespace)
        .filter(|workload| world.peer_policy(workload).is_some_and(|winner| winner.origin == policy.origin));
    Some(json!({
        "object": policy.origin.to_string(),
        "mode": format!("{:?}", policy.mode).to_lowercase(),
        "workloads": governed.map(|workload| workload.name.to_string()).collect::<Vec<_>>(),
    }))
}

fn table(table: &RouteTable) -> Vec<Value> {
    table.entries.iter().map(entry).collect()
}

fn entry(entry: &Entry) -> Value {
    let action = match &entry.action {
        Action::Redirect(redirect) => json!({"redirect": redirect.status}),
        Action::Respond(status) => json!({"respond": status}),
        Action::Forward(destinations) => {
            let one = |d: &resolve::Destination| match &d.target {
                Some((service, port)) => json!({"service": format!("{service}:{port}"), "weight": d.weight}),
                None => json!({"service": null, "weight": d.weight, "respond": 500}),
            };
            json!({"forward": destinations.iter().map(one).collect::<Vec<_>>()})
        }
    };
    json!({"name": entry.name, "match": describe_match(&entry.matches), "action": action})
}

fn describe_match(matches: &byrnie_model::route::Match) -> String {
    let part = |part: &Option<NameMatch>| match part {
        Some(NameMatch::Exact(text)) => text.to_string(),
        Some(NameMatch::Regex(text)) => format!("~{text}"),
        None => "*".to_owned(),
    };
    let path = match &matches.path {
        PathMatch::Exact(path) => format!("path {path}"),
        PathMatch::Prefix(path) => format!("prefix {path}"),
        PathMatch::Regex(path) => format!("path ~{path}"),
        PathMatch::Grpc { service, method } => format!("method {}/{}", part(service), part(method)),
    };
    let value = |kind: &str, m: &byrnie_model::route::ValueMatch| match &m.value {
        NameMatch::Exact(text) => format!("{kind} {}={text}", m.name),
        NameMatch::Regex(text) => format!("{kind} {}~{text}", m.name),
    };
    let method = matches.method.iter().map(|method| method.to_string());
    let headers = matches.headers.iter().map(|header| value("header", header));
    let query = matches.query.iter().map(|parameter| value("query", parameter));
    std::iter::once(path).chain(method).chain(headers).chain(query).collect::<Vec<_>>().join(", ")
}
