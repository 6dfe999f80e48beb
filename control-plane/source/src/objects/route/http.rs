//! HTTPRoute.

use std::{sync::Arc, time::Duration};

use byrnie_model::{
    ObjectKind, RouteName,
    route::{Backend, Match, PathMatch, Route, RouteKind, RouteRetry, Rule as Read},
};
use serde::Deserialize;

use super::{
    SessionPersistence,
    filter::{self, HttpFilter, Scope},
    reference::{self, BackendRef, DefaultGateways, ParentRef},
    value::{self, ValueMatch},
};
use crate::{
    field::Cursor,
    objects::{
        check,
        meta::Strict,
        re2,
        scalar::{Bounded, Span},
    },
};

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
    rules: Option<Vec<Rule>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    name: Option<Arc<str>>,
    #[serde(default)]
    matches: Vec<RouteMatch>,
    #[serde(default)]
    filters: Vec<HttpFilter>,
    #[serde(default)]
    backend_refs: Vec<BackendRef<HttpFilter>>,
    timeouts: Option<Timeouts>,
    retry: Option<Retry>,
    session_persistence: Option<SessionPersistence>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RouteMatch {
    path: Option<Path>,
    method: Option<Method>,
    #[serde(default)]
    headers: Vec<ValueMatch>,
    #[serde(default)]
    query_params: Vec<ValueMatch>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Path {
    #[serde(rename = "type", default)]
    kind: PathKind,
    value: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum PathKind {
    Exact,
    #[default]
    PathPrefix,
    RegularExpression,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Timeouts {
    request: Option<Span>,
    backend_request: Option<Span>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    #[serde(default)]
    codes: Vec<Bounded<400, 599>>,
    attempts: Option<Bounded<1, { i32::MAX as i64 }>>,
    backoff: Option<Span>,
}

/// Reads an HTTPRoute.
pub(crate) fn read(object: &Strict<Spec>, at: Cursor<'_>) -> Route {
    let Strict { metadata, spec, .. } = object;
    let namespace = metadata.namespace();
    let at = at.key("spec");
    check_hostnames(&spec.hostnames, at.key("hostnames"));
    let rules_at = at.key("rules");
    // The schema's default: one rule that matches all and, having no backend, answers 500.
    let unruled = [Rule::default()];
    let rules = spec.rules.as_deref().unwrap_or(&unruled);
    if rules.is_empty() {
        rules_at.refuse("found no entry, 1 to 16 are accepted");
    }
    check_rules(rules.iter().map(|rule| (rule.name.as_ref(), rule.matches.len())), rules_at);
    Route {
        name: RouteName::new(RouteKind::Http, namespace.clone(), metadata.name.clone()),
        origin: metadata.origin(ObjectKind::HTTPRoute),
        created: metadata.created(),
        parents: reference::parents(&spec.parent_refs, &namespace, at.key("parentRefs")),
        rules: rules.iter().enumerate().map(|(index, rule)| rule.read(&namespace, rules_at.index(index))).collect(),
    }
}

/// Hostnames are for gateways: a Service as parent is reached by its own names only. They are checked nevertheless.
pub(super) fn check_hostnames(hostnames: &[String], at: Cursor<'_>) {
    at.at_most(hostnames.len(), 16);
    for (index, host) in hostnames.iter().enumerate().filter(|(_, host)| !check::is_hostname(host)) {
        at.index(index).refuse(format!("{host:?} is no host name: a DNS name, or *. and a DNS name, is accepted"));
    }
}

/// What holds for the rules of one route together: names are unique, and matches limited.
pub(super) fn check_rules<'a>(rules: impl Iterator<Item = (Option<&'a Arc<str>>, usize)>, at: Cursor<'_>) {
    let mut names = Vec::new();
    let (mut count, mut matches) = (0, 0);
    for (index, (name, of_rule)) in rules.enumerate() {
        count += 1;
        matches += of_rule.max(1);
        let Some(name) = name else { continue };
        let at = at.index(index);
        if !check::is_dns_subdomain(name) {
            at.key("name").refuse(check::not_a_subdomain(name));
        }
        if names.contains(&name) {
            at.key("name").refuse(format!("{name:?} is there twice: names of rules are unique within the route"));
        }
        names.push(name);
    }
    at.at_most(count, 16);
    if matches > 128 {
        at.refuse(format!("found {matches} matches in all rules, at most 128 are accepted"));
    }
}

impl Rule {
    fn read(&self, namespace: &Arc<str>, at: Cursor<'_>) -> Read {
        let mut unsupported = Vec::new();
        let filters = filter::read(&self.filters, Scope::Rule, "", &mut unsupported, at.key("filters"));
        let refs_at = at.key("backendRefs");
        refs_at.at_most(self.backend_refs.len(), 16);
        if filters.redirect.is_some() && !self.backend_refs.is_empty() {
            refs_at.refuse("must be empty: a rule with a RequestRedirect filter calls no backend");
        }
        let backends = self.backend_refs.iter().enumerate().map(|(index, backend)| {
            let (at, prefix) = (refs_at.index(index), format!("backendRefs[{index}]."));
            let filters = filter::read(&backend.filters, Scope::Backend, &prefix, &mut unsupported, at.key("filters"));
            Backend { target: backend.target(namespace, at), weight: backend.weight(), filters }
        });
        let backends = backends.collect();
        let matches = self.matches(at.key("matches"));
        self.check_prefixes(&matches, at);
        if self.session_persistence.is_some() {
            unsupported.push("sessionPersistence: given".to_owned());
        }
        let (request_timeout, backend_timeout) = self.timeouts(at.key("timeouts"));
        Read {
            name: self.name.clone(),
            matches,
            filters,
            backends,
            request_timeout,
            backend_timeout,
            retry: self.retry.as_ref().map(|retry| retry.read(at.key("retry"))),
            unsupported,
        }
    }

    fn matches(&self, at: Cursor<'_>) -> Vec<Match> {
        at.at_most(self.matches.len(), 64);
        if self.matches.is_empty() {
            return vec![Match::default()];
        }
        self.matches.iter().enumerate().map(|(index, found)| found.read(at.index(index))).collect()
    }

    /// `ReplacePrefixMatch` needs to know which prefix.
    fn check_prefixes(&self, matches: &[Match], at: Cursor<'_>) {
        if let [Match { path: PathMatch::Prefix(_), .. }] = matches {
            return;
        }
        let message = "ReplacePrefixMatch needs a rule with exactly one match, of path type PathPrefix";
        let refuse = |filters: &[HttpFilter], at: Cursor<'_>| {
            for (index, filter) in filters.iter().enumerate() {
                if let Some(field) = filter.replaces_prefix() {
                    at.index(index).key(field).key("path").key("type").refuse(message);
                }
            }
        };
        refuse(&self.filters, at.key("filters"));
        let refs = at.key("backendRefs");
        for (index, backend) in self.backend_refs.iter().enumerate() {
            refuse(&backend.filters, refs.index(index).key("filters"));
        }
    }

    fn timeouts(&self, at: Cursor<'_>) -> (Option<Duration>, Option<Duration>) {
        let Some(timeouts) = self.timeouts else { return (None, None) };
        let (request, backend) = (timeouts.request.map(|span| span.0), timeouts.backend_request.map(|span| span.0));
        if let (Some(request), Some(backend)) = (request, backend)
            && !request.is_zero()
            && backend > request
        {
            at.key("backendRequest").refuse(format!("{backend:?} is longer than timeouts.request, {request:?}"));
        }
        (request, backend)
    }
}

impl RouteMatch {
    fn read(&self, at: Cursor<'_>) -> Match {
        Match {
            path: match &self.path {
                Some(path) => path.read(at.key("path")),
                None => Match::default().path,
            },
            method: self.method.map(|method| format!("{method:?}").to_ascii_uppercase().into()),
            headers: value::headers(&self.headers, at.key("headers")),
            query: value::query(&self.query_params, at.key("queryParams")),
        }
    }
}

impl Path {
    fn read(&self, at: Cursor<'_>) -> PathMatch {
        let path = self.value.clone().unwrap_or_else(|| "/".into());
        let at = at.key("value");
        if path.len() > 1024 {
            at.refuse(format!("found {} bytes, at most 1024 are accepted", path.len()));
        }
        let fault = match self.kind {
            PathKind::RegularExpression => re2::fault(&path),
            PathKind::Exact | PathKind::PathPrefix => plain_path_fault(&path),
        };
        if let Some(why) = fault {
            at.refuse(why);
        }
        match self.kind {
            PathKind::Exact => PathMatch::Exact(path),
            PathKind::RegularExpression => PathMatch::Regex(path),
            PathKind::PathPrefix => match path.strip_suffix('/') {
                Some(shorter) if !shorter.is_empty() => PathMatch::Prefix(shorter.into()),
                _ => PathMatch::Prefix(path),
            },
        }
    }
}

/// The CEL rules of `path.value` for `Exact` and `PathPrefix`.
fn plain_path_fault(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return Some(format!("{path:?} does not start with '/': an absolute path is accepted"));
    }
    if let Some(found) = ["//", "/./", "/../", "%2f", "%2F", "#"].iter().find(|found| path.contains(**found)) {
        return Some(format!("{path:?} contains {found:?}: a path in its shortest form is accepted"));
    }
    if let Some(found) = ["/..", "/."].iter().find(|found| path.ends_with(**found)) {
        return Some(format!("{path:?} ends with {found:?}: a path in its shortest form is accepted"));
    }
    (!check::is_path_text(path)).then(|| {
        format!("{path:?} has characters that no path has: letters, digits, %XX and -/._~!$&'()*+,;=:@ are accepted")
    })
}

impl Retry {
    fn read(&self, at: Cursor<'_>) -> RouteRetry {
        let mut codes = Vec::with_capacity(self.codes.len());
        let at = at.key("codes");
        for (index, code) in self.codes.iter().enumerate() {
            let code = u16::try_from(code.get()).expect("bounded by its type");
            if codes.contains(&code) {
                at.index(index).refuse(format!("{code} is there twice"));
            }
            codes.push(code);
        }
        RouteRetry { codes, attempts: self.attempts.map(u32::from), backoff: self.backoff.map(|span| span.0) }
    }
}
