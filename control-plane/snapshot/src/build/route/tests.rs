use byrnie_model::route::{Match, NameMatch, PathChange, PathMatch, Redirect, ValueMatch};
use byrnie_proto::envoy::envoy::{
    config::route::v3::{
        RouteAction, RouteMatch,
        header_matcher::HeaderMatchSpecifier,
        redirect_action::{PathRewriteSpecifier, RedirectResponseCode},
        route_match::PathSpecifier,
    },
    r#type::matcher::v3::string_matcher::MatchPattern,
};

use super::{matches, rewrite};

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.into())
}

fn grpc_path(service: Option<NameMatch>, method: Option<NameMatch>) -> PathMatch {
    PathMatch::Grpc { service, method }
}

fn envoy(path: PathMatch) -> PathSpecifier {
    matches::envoy(&Match { path, ..Match::default() }).path_specifier.unwrap()
}

fn grpc(path: PathMatch) -> PathSpecifier {
    matches::grpc(&Match { path, ..Match::default() }).unwrap().path_specifier.unwrap()
}

fn regex(specifier: PathSpecifier) -> String {
    let PathSpecifier::SafeRegex(matcher) = specifier else { panic!("no regex: {specifier:?}") };
    matcher.regex
}

#[test]
fn a_prefix_is_taken_by_whole_segments_and_the_root_takes_everything() {
    assert_eq!(envoy(prefix("/a")), PathSpecifier::PathSeparatedPrefix("/a".to_owned()));
    assert_eq!(envoy(prefix("/")), PathSpecifier::Prefix("/".to_owned()));
    assert_eq!(envoy(PathMatch::Exact("/a".into())), PathSpecifier::Path("/a".to_owned()));
    assert_eq!(regex(envoy(PathMatch::Regex("/a+".into()))), "/a+");
}

#[test]
fn a_grpc_method_is_a_path_and_what_it_leaves_open_takes_one_segment() {
    let exact = |name: &str| Some(NameMatch::Exact(name.into()));
    let by_regex = |name: &str| Some(NameMatch::Regex(name.into()));
    assert_eq!(envoy(grpc_path(exact("a.B"), exact("M"))), PathSpecifier::Path("/a.B/M".to_owned()));
    assert_eq!(envoy(grpc_path(exact("a.B"), None)), PathSpecifier::Prefix("/a.B/".to_owned()));
    assert_eq!(regex(envoy(grpc_path(None, exact("M")))), "/[^/]+/M");
    assert_eq!(regex(envoy(grpc_path(by_regex("a|b"), None))), "/(?:a|b)/[^/]+");
    assert_eq!(regex(envoy(grpc_path(exact("a.B"), by_regex("Get.*")))), r"/a\.B/(?:Get.*)");
    assert_eq!(envoy(grpc_path(None, None)), PathSpecifier::Prefix("/".to_owned()));
}

#[test]
fn all_conditions_of_a_match_are_there() {
    let condition = |name: &str, value| ValueMatch { name: name.into(), value };
    let matched = matches::envoy(&Match {
        path: prefix("/"),
        method: Some("GET".into()),
        headers: vec![condition("host", NameMatch::Exact("a".into())), condition("x", NameMatch::Regex("a+".into()))],
        query: vec![condition("Q", NameMatch::Exact("1".into()))],
    });
    assert_eq!(headers(&matched), [":authority = a", "x ~ a+", ":method = GET"]);
    assert_eq!(matched.query_parameters[0].name, "Q");
}

fn headers(matched: &RouteMatch) -> Vec<String> {
    let text = |header: &byrnie_proto::envoy::envoy::config::route::v3::HeaderMatcher| {
        let Some(HeaderMatchSpecifier::StringMatch(value)) = &header.header_match_specifier else {
            panic!("no text: {header:?}")
        };
        match value.match_pattern.as_ref().unwrap() {
            MatchPattern::Exact(text) => format!("{} = {text}", header.name),
            MatchPattern::SafeRegex(regex) => format!("{} ~ {}", header.name, regex.regex),
            other => panic!("{other:?}"),
        }
    };
    matched.headers.iter().map(text).collect()
}

#[test]
fn grpc_is_given_a_prefix_as_regex_and_no_match_that_it_would_misread() {
    assert_eq!(regex(grpc(prefix("/a.b"))), r"/a\.b(?:/.*)?");
    assert_eq!(grpc(prefix("/")), PathSpecifier::Prefix("/".to_owned()));
    let with_method = |method: &str| Match { method: Some(method.into()), ..Match::default() };
    assert!(matches::grpc(&with_method("GET")).is_none());
    assert!(matches::grpc(&with_method("POST")).unwrap().headers.is_empty());
    let query = vec![ValueMatch { name: "q".into(), value: NameMatch::Exact("1".into()) }];
    assert!(matches::grpc(&Match { query, ..Match::default() }).is_none());
}

/// What Envoy makes of a path, by what it is told: `prefix -> text` or `regex => text`.
fn rewritten(change: PathChange, matched: &PathMatch) -> String {
    let mut action = RouteAction::default();
    rewrite::forwarded(&mut action, &change, matched);
    match action.regex_rewrite {
        Some(regex) => format!("{} => {}", regex.pattern.unwrap().regex, regex.substitution),
        None => format!("-> {}", action.prefix_rewrite),
    }
}

#[test]
fn a_replaced_prefix_keeps_one_slash_before_the_rest() {
    let of = |from: &str, to: &str| rewritten(PathChange::Prefix(to.into()), &prefix(from));
    assert_eq!(of("/foo", "/xyz"), "-> /xyz");
    assert_eq!(of("/foo", "/xyz/"), "-> /xyz");
    assert_eq!(of("/foo", "/"), "^/foo/? => /");
    assert_eq!(of("/foo", ""), "^/foo/? => /");
    assert_eq!(of("/", "/xyz"), "-> /xyz/");
    assert_eq!(of("/", "/"), "-> ");
}

#[test]
fn a_full_path_is_taken_literally() {
    assert_eq!(rewritten(PathChange::Full(r"/a\1".into()), &prefix("/")), r"^.*$ => /a\\1");
}

fn redirect() -> Redirect {
    Redirect { scheme: None, hostname: None, path: None, port: None, status: 302 }
}

#[test]
fn a_redirect_names_the_port_of_the_scheme_or_of_the_service_and_leaves_out_a_well_known_one() {
    let port = |scheme: Option<&str>, host: Option<&str>, port, called| {
        let redirect = Redirect { scheme: scheme.map(Into::into), hostname: host.map(Into::into), port, ..redirect() };
        rewrite::redirect(&redirect, &prefix("/"), called).port_redirect
    };
    assert_eq!(port(None, None, None, 8080), 0, "the request's own");
    assert_eq!(port(None, Some("h"), None, 8080), 8080, "the one that was called");
    assert_eq!(port(None, Some("h"), None, 80), 0);
    assert_eq!(port(Some("https"), Some("h"), None, 8080), 0);
    assert_eq!(port(Some("https"), None, None, 8080), 443, "the request's Host may carry another");
    assert_eq!(port(Some("http"), None, None, 8080), 80);
    assert_eq!(port(Some("https"), Some("h"), Some(443), 80), 0);
    assert_eq!(port(Some("http"), Some("h"), Some(443), 80), 443);
    assert_eq!(port(None, None, Some(8443), 80), 8443);
}

#[test]
fn a_redirect_has_its_status_and_path() {
    let with = |status, path| rewrite::redirect(&Redirect { status, path, ..redirect() }, &prefix("/a"), 80);
    assert_eq!(with(301, None).response_code(), RedirectResponseCode::MovedPermanently);
    assert_eq!(with(308, None).response_code(), RedirectResponseCode::PermanentRedirect);
    let full = with(302, Some(PathChange::Full("/x".into()))).path_rewrite_specifier;
    assert_eq!(full, Some(PathRewriteSpecifier::PathRedirect("/x".to_owned())));
    let prefix = with(302, Some(PathChange::Prefix("/x/".into()))).path_rewrite_specifier;
    assert_eq!(prefix, Some(PathRewriteSpecifier::PrefixRewrite("/x".to_owned())));
}
