use crate::route::{Match, NameMatch, PathMatch, RouteKind};

/// How specific a match is; the greater one is tried first. Where two are equal the older route, then the first by
/// name, then the first rule decides (Gateway API, `HTTPRouteRule.matches` and `GRPCRouteRule.matches`).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Specificity {
    path: Path,
    method: bool,
    headers: usize,
    query: usize,
}

/// Lengths are in characters. The spec leaves regular expressions to the implementation; as in Istio they come
/// after every prefix that says something, before the match that takes all, the longer pattern first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Path {
    Anything,
    Regex(usize),
    Prefix(usize),
    Exact,
    /// Never beside the others: a table holds routes of one kind.
    Grpc {
        service: Name,
        method: Name,
    },
}

/// A part of a gRPC path. A regular expression has no "characters in a matching service"; it comes after all exact
/// names, the longer pattern first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Any,
    Regex(usize),
    Exact(usize),
}

impl Specificity {
    pub(super) fn of(kind: RouteKind, matches: &Match) -> Self {
        let Match { path, method, headers, query } = matches;
        let conditions = method.is_some() || !headers.is_empty() || !query.is_empty();
        let path = match (kind, path) {
            (_, PathMatch::Grpc { service, method }) => {
                Path::Grpc { service: Name::of(service.as_ref()), method: Name::of(method.as_ref()) }
            }
            (RouteKind::Grpc, _) => Path::Grpc { service: Name::Any, method: Name::Any },
            (RouteKind::Http, PathMatch::Exact(_)) => Path::Exact,
            (RouteKind::Http, PathMatch::Prefix(prefix)) if &**prefix == "/" && !conditions => Path::Anything,
            (RouteKind::Http, PathMatch::Prefix(prefix)) => Path::Prefix(prefix.chars().count()),
            (RouteKind::Http, PathMatch::Regex(pattern)) => Path::Regex(pattern.chars().count()),
        };
        Self { path, method: method.is_some(), headers: headers.len(), query: query.len() }
    }
}

impl Name {
    fn of(name: Option<&NameMatch>) -> Self {
        match name {
            None => Self::Any,
            Some(NameMatch::Regex(pattern)) => Self::Regex(pattern.chars().count()),
            Some(NameMatch::Exact(name)) => Self::Exact(name.chars().count()),
        }
    }
}
