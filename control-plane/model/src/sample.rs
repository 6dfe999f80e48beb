//! Objects for tests, in few words.

use std::{net::IpAddr, sync::Arc};

use crate::{
    ObjectKind, Origin, Protocol, RouteName, Service, ServiceKind, ServiceName, ServicePort, Update, World,
    attach::{self, Condition},
    resolve::{self, RouteTable, Tables},
    route::{
        Backend, BackendTarget, Filters, HeaderEdits, Match, ParentRef, PathMatch, Redirect, Route, RouteKind, Rule,
    },
};

pub(crate) fn service_name(name: &str) -> ServiceName {
    name.parse().unwrap()
}

/// A Service with a virtual IP; its ports are named `p80`.
pub(crate) fn service(name: &str, ports: &[(u16, Protocol)]) -> Service {
    let name = service_name(name);
    let port = |&(number, protocol): &(u16, Protocol)| ServicePort {
        number,
        name: Some(format!("p{number}").into()),
        protocol,
    };
    Service {
        origin: Origin::of(ObjectKind::Service, name.namespace(), name.name()),
        kind: ServiceKind::Virtual(vec![IpAddr::from([10, 96, 0, 1])]),
        ports: ports.iter().map(port).collect(),
        name,
    }
}

/// A Service with one undeclared port, 80.
pub(crate) fn plain(name: &str) -> Service {
    service(name, &[(80, Protocol::Undeclared)])
}

/// A route without parents and rules: `HTTPRoute/shop/cart`.
pub(crate) fn route(name: &str) -> Route {
    let name: RouteName = name.parse().unwrap();
    let kind = match name.kind {
        RouteKind::Grpc => ObjectKind::GRPCRoute,
        RouteKind::Http => ObjectKind::HTTPRoute,
    };
    Route {
        origin: Origin::of(kind, name.namespace(), name.name()),
        created: i64::MAX,
        parents: Vec::new(),
        rules: Vec::new(),
        name,
    }
}

impl Route {
    pub(crate) fn created(self, created: i64) -> Self {
        Self { created, ..self }
    }

    /// One more parentRef, to a Service.
    pub(crate) fn on(mut self, service: &str, port: Option<u16>) -> Self {
        self.parents.push(parent(service, port));
        self
    }

    /// One more rule.
    pub(crate) fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

pub(crate) fn parent(service: &str, port: Option<u16>) -> ParentRef {
    let name = service_name(service);
    ParentRef {
        group: "".into(),
        kind: "Service".into(),
        namespace: name.namespace().into(),
        name: name.name().into(),
        port,
        section_name: None,
    }
}

/// A rule that takes all, to port 80 of each of these Services with weight 1.
pub(crate) fn to(services: &[&str]) -> Rule {
    let backends = services.iter().map(|service| backend(service, 80, 1)).collect();
    Rule { matches: vec![Match::default()], backends, ..Rule::default() }
}

/// A rule that Byrnie does not honour.
pub(crate) fn mirror(services: &[&str]) -> Rule {
    Rule { unsupported: vec!["filters[0].type: RequestMirror".to_owned()], ..to(services) }
}

impl Rule {
    pub(crate) fn matching(self, matches: &[Match]) -> Self {
        Self { matches: matches.to_vec(), ..self }
    }
}

pub(crate) fn backend(service: &str, port: u16, weight: u32) -> Backend {
    let target = BackendTarget::Service(service_name(service), Some(port));
    Backend { target, weight, filters: Filters::default() }
}

pub(crate) fn prefix(path: &str) -> Match {
    Match { path: PathMatch::Prefix(path.into()), ..Match::default() }
}

pub(crate) fn exact(path: &str) -> Match {
    Match { path: PathMatch::Exact(path.into()), ..Match::default() }
}

pub(crate) fn regex(pattern: &str) -> Match {
    Match { path: PathMatch::Regex(pattern.into()), ..Match::default() }
}

pub(crate) fn redirect(status: u16) -> Redirect {
    Redirect { scheme: None, hostname: None, path: None, port: None, status }
}

/// Filters that set one request header.
pub(crate) fn sets_header(value: &str) -> Filters {
    let edits = HeaderEdits { set: vec![("x-set".into(), value.into())], ..HeaderEdits::default() };
    Filters { request_headers: Some(edits), ..Filters::default() }
}

/// A World of these.
pub(crate) fn world(services: impl IntoIterator<Item = Service>, routes: impl IntoIterator<Item = Route>) -> World {
    World::default().apply(services.into_iter().map(put_service).chain(routes.into_iter().map(put_route))).0
}

pub(crate) fn put_service(service: Service) -> Update {
    Update::Service(service.name.clone(), Some(Arc::new(service)))
}

pub(crate) fn put_route(route: Route) -> Update {
    Update::Route(route.name.clone(), Some(Arc::new(route)))
}

pub(crate) fn tables_of(world: &World, service: &str, port: u16) -> Tables {
    let service = world.service(&service_name(service)).unwrap();
    resolve::tables(world, service, service.port(port).unwrap())
}

/// The names of a table's entries, in order.
pub(crate) fn names(table: &RouteTable) -> Vec<&str> {
    table.entries.iter().map(|entry| entry.name.as_str()).collect()
}

/// The conditions of each parentRef to a Service.
pub(crate) fn conditions(world: &World, route: &str) -> Vec<Vec<Condition>> {
    let route = world.route(&route.parse().unwrap()).unwrap();
    attach::status(world, route).into_iter().map(|status| status.conditions).collect()
}

/// `Accepted` of the only parentRef: whether it holds, reason, message.
pub(crate) fn accepted(world: &World, route: &str) -> (bool, &'static str, String) {
    condition(world, route, "Accepted").unwrap()
}

pub(crate) fn resolved(world: &World, route: &str) -> (bool, &'static str, String) {
    condition(world, route, "ResolvedRefs").unwrap()
}

pub(crate) fn condition(world: &World, route: &str, kind: &str) -> Option<(bool, &'static str, String)> {
    let [conditions] = &*conditions(world, route) else { panic!("{route} has not one parentRef to a Service") };
    let found = conditions.iter().find(|condition| condition.kind == kind)?;
    Some((found.holds, found.reason, found.message.clone()))
}
