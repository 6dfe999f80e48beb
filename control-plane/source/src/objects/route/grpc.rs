//! GRPCRoute.

use std::sync::Arc;

use byrnie_model::{
    ObjectKind, RouteName,
    route::{Backend, Match, NameMatch, PathMatch, Route, RouteKind, Rule as Read},
};
use serde::Deserialize;

use super::{
    SessionPersistence,
    filter::{self, GrpcFilter, HttpFilter, Scope},
    http::{check_hostnames, check_rules},
    reference::{self, BackendRef, DefaultGateways, ParentRef},
    value::{self, MatchKind, ValueMatch},
};
use crate::{field::Cursor, objects::meta::Strict};

/// `spec`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Spec {
    #[serde(default)]
    parent_refs: Vec<ParentRef>,
    #[serde(rename = "useDefaultGateways")]
    _use_default_gateways: Option<DefaultGateways>,
    #[serde(default)]
    hostnames: Vec<String>,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    name: Option<Arc<str>>,
    #[serde(default)]
    matches: Vec<RouteMatch>,
    #[serde(default)]
    filters: Vec<GrpcFilter>,
    #[serde(default)]
    backend_refs: Vec<BackendRef<GrpcFilter>>,
    session_persistence: Option<SessionPersistence>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteMatch {
    method: Option<Method>,
    #[serde(default)]
    headers: Vec<ValueMatch>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Method {
    #[serde(rename = "type", default)]
    kind: MatchKind,
    service: Option<Arc<str>>,
    method: Option<Arc<str>>,
}

/// Reads a GRPCRoute.
pub(crate) fn read(object: &Strict<Spec>, at: Cursor<'_>) -> Route {
    let Strict { metadata, spec, .. } = object;
    let namespace = metadata.namespace();
    let at = at.key("spec");
    check_hostnames(&spec.hostnames, at.key("hostnames"));
    let rules_at = at.key("rules");
    check_rules(spec.rules.iter().map(|rule| (rule.name.as_ref(), rule.matches.len())), rules_at);
    Route {
        name: RouteName::new(RouteKind::Grpc, namespace.clone(), metadata.name.clone()),
        origin: metadata.origin(ObjectKind::GRPCRoute),
        created: metadata.created(),
        parents: reference::parents(&spec.parent_refs, &namespace, at.key("parentRefs")),
        rules: spec.rules.iter().enumerate().map(|(i, rule)| rule.read(&namespace, rules_at.index(i))).collect(),
    }
}

impl Rule {
    fn read(&self, namespace: &Arc<str>, at: Cursor<'_>) -> Read {
        let mut unsupported = Vec::new();
        let filters = read_filters(&self.filters, Scope::Rule, "", &mut unsupported, at.key("filters"));
        let refs_at = at.key("backendRefs");
        refs_at.at_most(self.backend_refs.len(), 16);
        let mut backends = Vec::with_capacity(self.backend_refs.len());
        for (index, backend) in self.backend_refs.iter().enumerate() {
            let (at, prefix) = (refs_at.index(index), format!("backendRefs[{index}]."));
            let filters = read_filters(&backend.filters, Scope::Backend, &prefix, &mut unsupported, at.key("filters"));
            backends.push(Backend { target: backend.target(namespace, at), weight: backend.weight(), filters });
        }
        if self.session_persistence.is_some() {
            unsupported.push("sessionPersistence: given".to_owned());
        }
        let matches_at = at.key("matches");
        matches_at.at_most(self.matches.len(), 64);
        let matches = match self.matches.is_empty() {
            true => vec![any_call(Vec::new())],
            false => self.matches.iter().enumerate().map(|(i, found)| found.read(matches_at.index(i))).collect(),
        };
        Read { name: self.name.clone(), matches, filters, backends, unsupported, ..Read::default() }
    }
}

impl RouteMatch {
    fn read(&self, at: Cursor<'_>) -> Match {
        let headers = value::headers(&self.headers, at.key("headers"));
        let Some(method) = &self.method else { return any_call(headers) };
        let at = at.key("method");
        if method.service.is_none() && method.method.is_none() {
            at.refuse("one or both of service and method must be given");
        }
        let service = method.service.as_ref().map(|name| method.part(name, is_service, at.key("service")));
        let method = method.method.as_ref().map(|name| method.part(name, is_identifier, at.key("method")));
        Match { path: PathMatch::Grpc { service, method }, method: None, headers, query: Vec::new() }
    }
}

impl Method {
    fn part(&self, name: &Arc<str>, is_name: fn(&str) -> bool, at: Cursor<'_>) -> NameMatch {
        if name.len() > 1024 {
            at.refuse(format!("found {} bytes, at most 1024 are accepted", name.len()));
        }
        if self.kind == MatchKind::Exact && !is_name(name) {
            at.refuse(format!("{name:?} is no gRPC name: letters, digits and '_' are accepted, and '.' in a service"));
        }
        self.kind.of(name, at)
    }
}

fn read_filters(
    filters: &[GrpcFilter],
    scope: Scope,
    prefix: &str,
    unsupported: &mut Vec<String>,
    at: Cursor<'_>,
) -> byrnie_model::route::Filters {
    let filters: Vec<HttpFilter> = filters.iter().cloned().map(HttpFilter::from).collect();
    filter::read(&filters, scope, prefix, unsupported, at)
}

fn any_call(headers: Vec<byrnie_model::route::ValueMatch>) -> Match {
    Match { path: PathMatch::Grpc { service: None, method: None }, method: None, headers, query: Vec::new() }
}

fn is_service(name: &str) -> bool {
    name.strip_prefix('.').unwrap_or(name).split('.').all(is_identifier)
}

fn is_identifier(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !name.is_empty() && name.bytes().all(inner) && !name.starts_with(|c: char| c.is_ascii_digit())
}
