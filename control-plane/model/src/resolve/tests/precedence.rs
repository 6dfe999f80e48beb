//! The sorted table against a slow, obviously right model: of all matches that take a request the one that beats
//! every other, where "beats" reads the spec's criteria one after the other.

use std::cmp::Ordering;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::request::Request;
use crate::{
    Protocol, World,
    resolve::RouteTable,
    route::{Match, NameMatch, PathMatch, Route, RouteKind, Rule, ValueMatch},
    sample::*,
};

/// One match of one rule of one route.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    route: &'a Route,
    rule: usize,
    index: usize,
    matches: &'a Match,
}

impl<'a> Candidate<'a> {
    /// The matches of all rules that are honoured.
    fn all(routes: impl IntoIterator<Item = &'a Route>) -> Vec<Self> {
        let mut all = Vec::new();
        for route in routes {
            for (rule, found) in route.rules.iter().enumerate().filter(|(_, rule)| rule.unsupported.is_empty()) {
                let matches = found.matches.iter().enumerate();
                all.extend(matches.map(|(index, matches)| Candidate { route, rule, index, matches }));
            }
        }
        all
    }

    /// The name of the rule that the request goes to, and the match that says so.
    pub(super) fn best(routes: impl IntoIterator<Item = &'a Route>, request: &Request) -> Option<(String, &'a Match)> {
        let mut taking = Self::all(routes);
        taking.retain(|candidate| request.is_taken_by(candidate.matches));
        let beats_all = |a: &Self| taking.iter().all(|b| std::ptr::eq(a, b) || a.beats(b));
        let mut best = taking.iter().filter(|candidate| beats_all(candidate));
        let found = best.next().map(|best| (format!("{}/rule/{}", best.route.name, best.rule), best.matches));
        assert_eq!((found.is_some(), best.next().is_some()), (!taking.is_empty(), false), "the model has one answer");
        found
    }

    fn beats(&self, other: &Self) -> bool {
        let (a, b) = (self.matches, other.matches);
        let criteria = match self.route.name.kind {
            RouteKind::Http => vec![
                first_if(is_exact(a), is_exact(b)),
                last_if(takes_all(a), takes_all(b)),
                first_if(is_prefix(a), is_prefix(b)),
                more(length(a), length(b)),
                first_if(a.method.is_some(), b.method.is_some()),
                more(a.headers.len(), b.headers.len()),
                more(a.query.len(), b.query.len()),
            ],
            RouteKind::Grpc => vec![
                by_name(service_of(a), service_of(b)),
                by_name(method_of(a), method_of(b)),
                more(a.headers.len(), b.headers.len()),
            ],
        };
        let older = self.route.created.cmp(&other.route.created);
        let full_name = |route: &Route| format!("{}/{}", route.name.namespace(), route.name.name());
        let alphabetical = full_name(self.route).cmp(&full_name(other.route));
        let first_rule = self.rule.cmp(&other.rule);
        let first_match = self.index.cmp(&other.index);
        let ties = [older, alphabetical, first_rule, first_match];
        criteria.into_iter().chain(ties).find(|decision| decision.is_ne()) == Some(Ordering::Less)
    }
}

fn more(a: usize, b: usize) -> Ordering {
    b.cmp(&a)
}

fn first_if(a: bool, b: bool) -> Ordering {
    b.cmp(&a)
}

fn last_if(a: bool, b: bool) -> Ordering {
    a.cmp(&b)
}

fn is_exact(a: &Match) -> bool {
    matches!(a.path, PathMatch::Exact(_))
}

fn is_prefix(a: &Match) -> bool {
    matches!(a.path, PathMatch::Prefix(_))
}

fn takes_all(a: &Match) -> bool {
    *a == Match::default()
}

/// Two exact paths that take the same request are the same.
fn length(a: &Match) -> usize {
    match &a.path {
        PathMatch::Prefix(text) | PathMatch::Regex(text) => text.chars().count(),
        PathMatch::Exact(_) | PathMatch::Grpc { .. } => 0,
    }
}

fn service_of(a: &Match) -> Option<&NameMatch> {
    match &a.path {
        PathMatch::Grpc { service, .. } => service.as_ref(),
        _ => None,
    }
}

fn method_of(a: &Match) -> Option<&NameMatch> {
    match &a.path {
        PathMatch::Grpc { method, .. } => method.as_ref(),
        _ => None,
    }
}

fn by_name(a: Option<&NameMatch>, b: Option<&NameMatch>) -> Ordering {
    let class = |name: Option<&NameMatch>| match name {
        Some(NameMatch::Exact(text)) => (2, text.chars().count()),
        Some(NameMatch::Regex(text)) => (1, text.chars().count()),
        None => (0, 0),
    };
    class(b).cmp(&class(a))
}

const PATHS: [&str; 7] = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/ü", "/ü/b"];
const VALUES: [&str; 2] = ["1", "2"];

fn values(names: [&'static str; 2]) -> impl Strategy<Value = Vec<ValueMatch>> {
    let of = move |index: usize| {
        let name = names[index];
        option::weighted(
            0.4,
            prop_oneof![
                select(VALUES.as_slice()).prop_map(|value| NameMatch::Exact(value.into())),
                select(["1|2", "[12]+"].as_slice()).prop_map(|value| NameMatch::Regex(value.into())),
            ]
            .prop_map(move |value| ValueMatch { name: name.into(), value }),
        )
    };
    (of(0), of(1)).prop_map(|(a, b)| a.into_iter().chain(b).collect())
}

pub(super) fn http_match() -> impl Strategy<Value = Match> {
    let path = prop_oneof![
        2 => select(PATHS.as_slice()).prop_map(|path| PathMatch::Exact(path.into())),
        4 => select(PATHS.as_slice()).prop_map(|path| PathMatch::Prefix(path.into())),
        2 => select(["/.*", "/a.*", "/a/.", "/(a|ü)/b"].as_slice()).prop_map(|path| PathMatch::Regex(path.into())),
    ];
    let method = option::weighted(0.3, select(["GET", "POST"].as_slice()).prop_map(Into::into));
    (path, method, values(["x", "y"]), values(["q", "r"])).prop_map(|(path, method, headers, query)| Match {
        path,
        method,
        headers,
        query,
    })
}

pub(super) fn grpc_match() -> impl Strategy<Value = Match> {
    let name = |exact: &'static [&'static str], regex: &'static [&'static str]| {
        option::weighted(
            0.7,
            prop_oneof![
                select(exact).prop_map(|name| NameMatch::Exact(name.into())),
                select(regex).prop_map(|name| NameMatch::Regex(name.into())),
            ],
        )
    };
    let service = name(&["a.B", "a.Bcd"], &["a\\..*", ".*"]);
    let method = name(&["Get", "GetAll"], &["Get.*", "G.+"]);
    (service, method, values(["x", "y"])).prop_map(|(service, method, headers)| Match {
        path: PathMatch::Grpc { service, method },
        headers,
        ..Match::default()
    })
}

pub(super) fn rule(matches: impl Strategy<Value = Match>) -> impl Strategy<Value = Rule> {
    (vec(matches, 1..4), prop::bool::weighted(0.15)).prop_map(|(matches, refused)| {
        let rule = if refused { mirror(&["shop/cart"]) } else { to(&["shop/cart"]) };
        rule.matching(&matches)
    })
}

/// Routes of one kind with distinct names, which may be equally old.
fn routes(kind: &'static str, matches: impl Strategy<Value = Match> + Clone) -> impl Strategy<Value = Vec<Route>> {
    let age = prop_oneof![1..3_i64, Just(i64::MAX)];
    vec((age, vec(rule(matches), 0..4)), 1..5).prop_shuffle().prop_map(move |given| {
        let names = ["d", "a", "c-1", "c"];
        let of = |((created, rules), name): ((i64, Vec<Rule>), &str)| {
            let empty = route(&format!("{kind}/shop/{name}")).on("shop/cart", None).created(created);
            Route { rules, ..empty }
        };
        given.into_iter().zip(names).map(of).collect()
    })
}

fn pairs(names: [&'static str; 2]) -> impl Strategy<Value = Vec<(String, String)>> {
    let value = || option::of(select(VALUES.as_slice()));
    (value(), value()).prop_map(move |(a, b)| {
        let pair = |(name, value): (&str, Option<&str>)| Some((name.to_owned(), value?.to_owned()));
        names.into_iter().zip([a, b]).filter_map(pair).collect()
    })
}

pub(super) fn request(paths: &'static [&'static str]) -> impl Strategy<Value = Request> {
    let method = select(["GET", "POST"].as_slice());
    (method, select(paths), pairs(["x", "y"]), pairs(["q", "r"])).prop_map(|(method, path, headers, query)| Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: headers.into_iter().collect(),
        query: query.into_iter().collect(),
    })
}

/// What the World's table does is what the model does, which sees only the routes.
fn agrees(routes: &[Route], requests: &[Request]) -> Result<(), TestCaseError> {
    let ours = service("shop/cart", &[(80, Protocol::Undeclared)]);
    let world: World = world([ours], routes.iter().cloned());
    let table = tables_of(&world, "shop/cart", 80).shared;
    if !routes.iter().any(is_viable) {
        prop_assert_eq!(table, RouteTable::to_itself(&service_name("shop/cart"), 80));
        return Ok(());
    }
    prop_assert_eq!(table.entries.len(), Candidate::all(routes).len());
    for request in requests {
        let found = request.routed(&table).map(|entry| (entry.name.clone(), &entry.matches));
        prop_assert_eq!(found, Candidate::best(routes, request), "{:?}", request);
    }
    Ok(())
}

/// Whether some rule of the route is honoured, or it has none.
pub(super) fn is_viable(route: &Route) -> bool {
    route.rules.is_empty() || route.rules.iter().any(|rule| rule.unsupported.is_empty())
}

proptest! {
    #[test]
    fn the_first_http_entry_that_takes_a_request_is_the_best_match(
        routes in routes("HTTPRoute", http_match().boxed()),
        requests in vec(request(&PATHS), 1..20),
    ) {
        agrees(&routes, &requests)?;
    }

    #[test]
    fn the_first_grpc_entry_that_takes_a_request_is_the_best_match(
        routes in routes("GRPCRoute", grpc_match().boxed()),
        requests in vec(request(&["/a.B/Get", "/a.B/GetAll", "/a.Bcd/Get", "/b.C/Get", "/b.C/Put", "/"]), 1..20),
    ) {
        agrees(&routes, &requests)?;
    }
}
