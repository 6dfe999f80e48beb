//! The route table of a Service port: routes merged, put in order of precedence, backends looked up.
//!
//! A dropped rule ([`crate::attach`] says which) has no entry: its requests fall to the next rule that matches. A
//! Service port that no route governs keeps its default table.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

mod precedence;
#[cfg(test)]
mod tests;

use crate::{
    ObjectKind, Origin, Service, ServiceName, ServicePort, World,
    attach::{self, is_honoured},
    backend,
    route::{Filters, Match, Redirect, Route, RouteKind, RouteRetry, Rule},
};
use precedence::Specificity;

/// The tables of one Service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// For clients of every namespace without a table of its own.
    pub shared: RouteTable,
    /// For clients of namespaces that have consumer routes.
    pub consumers: BTreeMap<Arc<str>, RouteTable>,
}

/// What to do with a request: the first entry that matches; where none does, 404.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    /// In order of precedence.
    pub entries: Vec<Entry>,
}

/// One match and what is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which requests.
    pub matches: Match,
    /// What is done with them.
    pub action: Action,
    /// Header edits and rewrite of the rule (its redirect is in `action`).
    pub filters: Filters,
    /// `timeouts.request`; `None` = not said.
    pub request_timeout: Option<Duration>,
    /// `timeouts.backendRequest`; `None` = not said.
    pub backend_timeout: Option<Duration>,
    /// `retry`; `None` = not said.
    pub retry: Option<RouteRetry>,
    /// The route object; `None` for a Service without routes.
    pub origin: Option<Origin>,
    /// A name for logs: `HTTPRoute/shop/cart/rule/0` or, where the rule has a name, `.../rule/NAME`; `default`
    /// for a Service without routes.
    pub name: String,
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sent to one of these, by weight. At least one weight is above 0.
    Forward(Vec<Destination>),
    /// Answered with a redirect.
    Redirect(Redirect),
    /// Answered with this status where no backend takes anything, as [`Entry::broken_status`] says.
    Respond(u16),
}

/// A backend with its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The service port; `None` where the reference leads nowhere, and its share is answered with
    /// [`Entry::broken_status`].
    pub target: Option<(ServiceName, u16)>,
    /// Its share, above 0.
    pub weight: u32,
    /// What is done only to requests that go to this backend: after the filters of the entry, and in place of its
    /// rewrite where both have one.
    pub filters: Filters,
}

/// The tables of `port` of `service`.
pub fn tables(world: &World, service: &Service, port: &ServicePort) -> Tables {
    let frontend = attach::frontend(world, &service.name, port.number);
    let shared = match &*frontend.producer {
        [] => RouteTable::to_itself(&service.name, port.number),
        routes => RouteTable::merged(world, routes),
    };
    let of = |(namespace, routes): (Arc<str>, Vec<_>)| (namespace, RouteTable::merged(world, &routes));
    Tables { shared, consumers: frontend.consumers.into_iter().map(of).collect() }
}

impl RouteTable {
    /// The table of a Service that has no routes: everything goes to the port that was called.
    pub fn to_itself(service: &ServiceName, port: u16) -> Self {
        let destination = Destination { target: Some((service.clone(), port)), weight: 1, filters: Filters::default() };
        let entry = Entry {
            matches: Match::default(),
            action: Action::Forward(vec![destination]),
            filters: Filters::default(),
            request_timeout: None,
            backend_timeout: None,
            retry: None,
            origin: None,
            name: "default".to_owned(),
        };
        Self { entries: vec![entry] }
    }

    /// The routes of one set in order of precedence. They come oldest first, then by name; the sort is stable, so
    /// that this order, that of the rules and that of the matches decide between equals.
    fn merged(world: &World, routes: &[Arc<Route>]) -> Self {
        let mut ranked = Vec::new();
        for route in routes {
            for (index, rule) in route.rules.iter().enumerate().filter(|(_, rule)| is_honoured(rule)) {
                let entry = entry(world, route, index, rule);
                ranked.extend(rule.matches.iter().map(|matches| {
                    let entry = Entry { matches: matches.clone(), ..entry.clone() };
                    (Specificity::of(route.name.kind, matches), entry)
                }));
            }
        }
        ranked.sort_by(|(a, _), (b, _)| b.cmp(a));
        Self { entries: ranked.into_iter().map(|(_, entry)| entry).collect() }
    }
}

impl Entry {
    /// The status of requests that have no backend: 500, and for a GRPCRoute 503, which a gRPC client reads as
    /// UNAVAILABLE (Gateway API, `HTTPRouteRule.backendRefs` and `GRPCRouteRule.backendRefs`).
    pub fn broken_status(&self) -> u16 {
        match self.origin.as_ref().map(|origin| origin.object.kind) {
            Some(ObjectKind::GRPCRoute) => broken_status(RouteKind::Grpc),
            _ => broken_status(RouteKind::Http),
        }
    }
}

fn broken_status(kind: RouteKind) -> u16 {
    match kind {
        RouteKind::Grpc => 503,
        RouteKind::Http => 500,
    }
}

/// What a rule does; `matches` is left to the caller.
fn entry(world: &World, route: &Route, index: usize, rule: &Rule) -> Entry {
    let mut filters = rule.filters.clone();
    let action = match filters.redirect.take() {
        Some(redirect) => Action::Redirect(redirect),
        None => forward(world, route.name.kind, rule),
    };
    let name = match &rule.name {
        Some(name) => format!("{}/rule/{name}", route.name),
        None => format!("{}/rule/{index}", route.name),
    };
    Entry {
        matches: Match::default(),
        action,
        filters,
        request_timeout: rule.request_timeout,
        backend_timeout: rule.backend_timeout,
        retry: rule.retry.clone(),
        origin: Some(route.origin.clone()),
        name,
    }
}

fn forward(world: &World, kind: RouteKind, rule: &Rule) -> Action {
    let taking = rule.backends.iter().filter(|backend| backend.weight > 0);
    let destinations: Vec<_> = taking
        .map(|backend| Destination {
            target: backend::resolve(world, kind, &backend.target).ok(),
            weight: backend.weight,
            filters: backend.filters.clone(),
        })
        .collect();
    if destinations.iter().all(|destination| destination.target.is_none()) {
        return Action::Respond(broken_status(kind));
    }
    Action::Forward(destinations)
}
