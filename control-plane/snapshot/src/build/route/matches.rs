//! Conditions of a route: `RouteMatch`.

use byrnie_model::route::{Match, NameMatch, PathMatch, ValueMatch};
use byrnie_proto::envoy::envoy::{
    config::route::v3::{
        HeaderMatcher, QueryParameterMatcher, RouteMatch, header_matcher::HeaderMatchSpecifier,
        query_parameter_matcher::QueryParameterMatchSpecifier, route_match::PathSpecifier,
    },
    r#type::matcher::v3::StringMatcher,
};

use crate::build::pack;

/// A match as Envoy reads it.
pub fn envoy(conditions: &Match) -> RouteMatch {
    let method = conditions.method.as_deref().map(|method| header(":method", pack::exact(method)));
    RouteMatch {
        path_specifier: Some(path(&conditions.path)),
        headers: conditions.headers.iter().map(value_header).chain(method).collect(),
        query_parameters: conditions.query.iter().map(parameter).collect(),
        ..Default::default()
    }
}

/// A match as gRPC reads it (gRFC A28). `None` where a gRPC call can't fulfil it or the client could not tell: a
/// method other than POST, a query. gRPC knows no `path_separated_prefix`, so a prefix is written as a regex.
pub fn grpc(conditions: &Match) -> Option<RouteMatch> {
    let method_fits = conditions.method.as_deref().is_none_or(|method| method == "POST");
    if !method_fits || !conditions.query.is_empty() {
        return None;
    }
    let path = match path(&conditions.path) {
        PathSpecifier::PathSeparatedPrefix(prefix) => {
            PathSpecifier::SafeRegex(pack::regex(format!("{}(?:/.*)?", quote(&prefix))))
        }
        other => other,
    };
    Some(RouteMatch {
        path_specifier: Some(path),
        headers: conditions.headers.iter().map(value_header).collect(),
        ..Default::default()
    })
}

fn path(path: &PathMatch) -> PathSpecifier {
    match path {
        PathMatch::Exact(path) => PathSpecifier::Path(path.to_string()),
        // A separated prefix must not end with a slash (`RouteMatch.path_separated_prefix`).
        PathMatch::Prefix(prefix) if &**prefix == "/" => PathSpecifier::Prefix("/".to_owned()),
        PathMatch::Prefix(prefix) => PathSpecifier::PathSeparatedPrefix(prefix.to_string()),
        PathMatch::Regex(regex) => PathSpecifier::SafeRegex(pack::regex(&**regex)),
        PathMatch::Grpc { service, method } => grpc_path(service.as_ref(), method.as_ref()),
    }
}

fn grpc_path(service: Option<&NameMatch>, method: Option<&NameMatch>) -> PathSpecifier {
    let part = |name: Option<&NameMatch>| match name {
        None => "[^/]+".to_owned(),
        Some(NameMatch::Exact(name)) => quote(name),
        Some(NameMatch::Regex(regex)) => format!("(?:{regex})"),
    };
    match (service, method) {
        (None, None) => PathSpecifier::Prefix("/".to_owned()),
        (Some(NameMatch::Exact(service)), None) => PathSpecifier::Prefix(format!("/{service}/")),
        (Some(NameMatch::Exact(service)), Some(NameMatch::Exact(method))) => {
            PathSpecifier::Path(format!("/{service}/{method}"))
        }
        _ => PathSpecifier::SafeRegex(pack::regex(format!("/{}/{}", part(service), part(method)))),
    }
}

/// HTTP/1's Host is HTTP/2's `:authority` everywhere in Envoy.
fn value_header(condition: &ValueMatch) -> HeaderMatcher {
    let name = if condition.name.eq_ignore_ascii_case("host") { ":authority" } else { &condition.name };
    header(name, text(&condition.value))
}

/// The header is there, whatever its value.
pub fn present(name: &str) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        ..Default::default()
    }
}

fn header(name: &str, value: StringMatcher) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(value)),
        ..Default::default()
    }
}

fn parameter(condition: &ValueMatch) -> QueryParameterMatcher {
    QueryParameterMatcher {
        name: condition.name.to_string(),
        query_parameter_match_specifier: Some(QueryParameterMatchSpecifier::StringMatch(text(&condition.value))),
    }
}

fn text(value: &NameMatch) -> StringMatcher {
    match value {
        NameMatch::Exact(text) => pack::exact(text),
        NameMatch::Regex(regex) => pack::by_regex(regex),
    }
}

/// A text as the regex that takes it alone. Nothing but metacharacters is escaped: other escapes mean something in one
/// regex engine or another.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}
