use byrnie_proto::envoy::{
    envoy::{
        config::{
            core::v3::{
                HeaderValue, HeaderValueOption, RuntimeFractionalPercent, header_value_option::HeaderAppendAction,
            },
            route::v3::{
                self as wire, DirectResponseAction, HeaderMatcher, QueryParameterMatcher, RedirectAction, RetryPolicy,
                RouteAction, RouteConfiguration, RouteMatch, VirtualHost, WeightedCluster,
                header_matcher::HeaderMatchSpecifier,
                query_parameter_matcher::QueryParameterMatchSpecifier,
                redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier},
                route_action::{ClusterSpecifier, HostRewriteSpecifier},
                route_match::PathSpecifier,
                weighted_cluster::{ClusterWeight, cluster_weight},
            },
        },
        r#type::{
            matcher::v3::{RegexMatchAndSubstitute, RegexMatcher, StringMatcher, string_matcher::MatchPattern},
            v3::{FractionalPercent, Int64Range, fractional_percent::DenominatorType},
        },
    },
    google::protobuf::BoolValue,
};
use proptest::prelude::*;

use super::*;
use crate::{Refused, fields::At, value::testing::set};

fn to(cluster: &str) -> wire::route::Action {
    wire::route::Action::Route(RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        ..Default::default()
    })
}

fn when(path: PathSpecifier) -> RouteMatch {
    RouteMatch { path_specifier: Some(path), ..Default::default() }
}

fn prefix(path: &str) -> RouteMatch {
    when(PathSpecifier::Prefix(path.to_owned()))
}

fn route(name: &str, matches: RouteMatch, action: wire::route::Action) -> wire::Route {
    wire::Route { name: name.to_owned(), r#match: Some(matches), action: Some(action), ..Default::default() }
}

fn host(domains: &[&str], routes: Vec<wire::Route>) -> VirtualHost {
    let domains = domains.iter().map(|&domain| domain.to_owned()).collect();
    VirtualHost { name: "host".to_owned(), domains, routes, ..Default::default() }
}

fn table(routes: Vec<wire::Route>) -> RouteConfiguration {
    RouteConfiguration { name: "table".to_owned(), virtual_hosts: vec![host(&["*"], routes)], ..Default::default() }
}

fn read(table: &RouteConfiguration) -> Result<RouteTable, Refused> {
    RouteTable::read(table, &At::ROOT)
}

fn request(path: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    head.begin(b"GET", b"http", b"cart", path.as_bytes());
    for (name, value) in fields {
        head.fields_mut().push(name.as_bytes(), value.as_bytes());
    }
    head
}

fn found(table: &RouteTable, request: &RequestHead) -> Option<String> {
    table.find(request, || 0).map(|route| route.name.to_string())
}

fn takes(matches: RouteMatch, request: &RequestHead) -> bool {
    found(&read(&table(vec![route("r", matches, to("a"))])).unwrap(), request).is_some()
}

fn path(matches: &RouteMatch, path: &str) -> bool {
    takes(matches.clone(), &request(path, &[]))
}

#[test]
fn paths_are_matched_without_their_query() {
    let exact = when(PathSpecifier::Path("/a".to_owned()));
    assert!(path(&exact, "/a") && path(&exact, "/a?b") && !path(&exact, "/a/") && !path(&exact, "/A"));
    let separated = when(PathSpecifier::PathSeparatedPrefix("/sp".to_owned()));
    assert!(["/sp", "/sp/", "/sp/x", "/sp?x"].iter().all(|text| path(&separated, text)));
    assert!(!["/spx", "/sp;a", "/SP", "/s"].iter().any(|text| path(&separated, text)));
    let regex = RegexMatcher { regex: r"/re/\d+".to_owned(), engine_type: None };
    let regex = when(PathSpecifier::SafeRegex(regex));
    assert!(path(&regex, "/re/12?x") && !path(&regex, "/re/12/"));
    assert!(!path(&prefix("/a?x"), "/a?x") && path(&prefix(""), "*") && !path(&prefix("/"), "*"));
    let any_case = RouteMatch { case_sensitive: Some(BoolValue { value: false }), ..prefix("/LongPrefix") };
    assert!(path(&any_case, "/longprefix/x") && path(&any_case, "/LONGPREFIX") && !path(&any_case, "/longprefiy"));
}

#[test]
fn path_parameters_and_ports_are_cut_where_the_table_says_so() {
    let routes = vec![route("a", when(PathSpecifier::Path("/p".to_owned())), to("a"))];
    let mut wire = RouteConfiguration {
        ignore_path_parameters_in_path_matching: true,
        ignore_port_in_host_matching: true,
        virtual_hosts: vec![host(&["a.com", "[::1]"], routes)],
        ..Default::default()
    };
    let at = |wire: &RouteConfiguration, authority: &str| {
        let mut head = RequestHead::default();
        head.begin(b"GET", b"http", authority.as_bytes(), b"/p;x=1?y");
        found(&read(wire).unwrap(), &head).is_some()
    };
    assert!(at(&wire, "A.com:80") && at(&wire, "[::1]:80") && at(&wire, "[::1]") && !at(&wire, "b.com"));
    wire.ignore_port_in_host_matching = false;
    assert!(at(&wire, "a.com") && !at(&wire, "a.com:80"));
}

#[test]
fn hosts_go_from_exact_to_the_longest_wildcard() {
    let one = |name: &str, domains: &[&str]| host(domains, vec![route(name, prefix("/"), to("a"))]);
    let virtual_hosts = vec![
        one("exact", &["a.com"]),
        one("short", &["*.a.com", "b.*"]),
        one("long", &["*-x.a.com", "b.c.*"]),
        one("rest", &["*"]),
    ];
    let table = RouteConfiguration { virtual_hosts, ..Default::default() };
    let at = |authority: &str| {
        let mut head = RequestHead::default();
        head.begin(b"GET", b"http", authority.as_bytes(), b"/");
        found(&read(&table).unwrap(), &head).unwrap()
    };
    assert_eq!(["A.COM", "x.a.com", "y-x.a.com", ".a.com"].map(at), ["exact", "short", "long", "rest"]);
    assert_eq!(["b.z", "b.c.d", "b.", "a.com:80"].map(at), ["short", "long", "rest", "rest"]);
    let twice = RouteConfiguration { virtual_hosts: vec![one("a", &["X"]), one("b", &["y", "x"])], ..table.clone() };
    let error = read(&twice).unwrap_err().to_string();
    assert_eq!(error, "virtual_hosts[1].domains[1]: x stands twice; accepted: each domain once");
}

fn text(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ignore_case: false }
}

fn field(specifier: Option<HeaderMatchSpecifier>, invert: bool, missing_is_empty: bool) -> RouteMatch {
    let matcher = HeaderMatcher {
        name: "X".to_owned(),
        invert_match: invert,
        treat_missing_header_as_empty: missing_is_empty,
        header_match_specifier: specifier,
    };
    RouteMatch { headers: vec![matcher], ..prefix("/") }
}

/// What Envoy 1.40 answered for: missing, empty, `a`, `b`, `a` and `b`, `b` and `a`, `a,b`, `3`.
#[test]
fn fields_are_matched_as_by_envoy() {
    let exact = |text_: &str| Some(HeaderMatchSpecifier::StringMatch(text(MatchPattern::Exact(text_.to_owned()))));
    let range = || Some(HeaderMatchSpecifier::RangeMatch(Int64Range { start: -10, end: 5 }));
    let present = |present| Some(HeaderMatchSpecifier::PresentMatch(present));
    let cases = [
        (exact("a"), false, false, "00101100"),
        (exact("a"), true, false, "01010011"),
        (exact("a"), true, true, "11010011"),
        (exact(""), false, true, "11000000"),
        (exact("b"), false, false, "00011100"),
        (exact("a,b"), false, false, "00000010"),
        (present(true), false, false, "01111111"),
        (present(true), true, false, "10000000"),
        (present(false), false, false, "10000000"),
        (present(false), true, false, "01111111"),
        (present(true), false, true, "11111111"),
        (present(false), false, true, "00000000"),
        (present(false), true, true, "11111111"),
        (None, false, false, "01111111"),
        (None, true, false, "10000000"),
        (range(), false, false, "00000001"),
        (range(), true, false, "01111110"),
        (range(), true, true, "11111110"),
    ];
    let lines: [&[&str]; 8] = [&[], &[""], &["a"], &["b"], &["a", "b"], &["b", "a"], &["a,b"], &["+3"]];
    for (specifier, invert, missing_is_empty, wanted) in cases {
        let matches = field(specifier, invert, missing_is_empty);
        let answers = lines.map(|values| {
            let fields: Vec<_> = values.iter().map(|&value| ("x", value)).collect();
            if takes(matches.clone(), &request("/", &fields)) { '1' } else { '0' }
        });
        assert_eq!(answers.iter().collect::<String>(), wanted, "{matches:?}");
    }
}

#[test]
fn fields_of_one_line_are_matched_joined_and_host_is_the_authority() {
    let named = |name: &str, wanted: &str| {
        let specifier = HeaderMatchSpecifier::StringMatch(text(MatchPattern::Exact(wanted.to_owned())));
        let matcher =
            HeaderMatcher { name: name.to_owned(), header_match_specifier: Some(specifier), ..Default::default() };
        RouteMatch { headers: vec![matcher], ..prefix("/") }
    };
    assert!(takes(named("Accept", "a,b"), &request("/", &[("accept", "a"), ("accept", "b")])));
    let request = request("/q?x", &[]);
    for (name, value) in
        [("host", "cart"), (":authority", "cart"), (":path", "/q?x"), (":method", "GET"), (":scheme", "http")]
    {
        assert!(takes(named(name, value), &request), "{name}");
    }
}

#[test]
fn the_first_value_of_a_parameter_counts_as_it_stands() {
    let parameter = |specifier| {
        let matcher = QueryParameterMatcher { name: "q".to_owned(), query_parameter_match_specifier: specifier };
        RouteMatch { query_parameters: vec![matcher], ..prefix("/") }
    };
    let exact = |value: &str| {
        let text = text(MatchPattern::Exact(value.to_owned()));
        parameter(Some(QueryParameterMatchSpecifier::StringMatch(text)))
    };
    let fits = |matches: &RouteMatch, queries: &[&str]| {
        queries.iter().map(|query| u8::from(path(matches, &format!("/{query}")))).collect::<Vec<_>>()
    };
    let queries = ["", "?q", "?q=1", "?q=1&q=2", "?q=2&q=1", "?&q=1", "?q=%31", "?%71=1", "?q=1=2", "?a?q=1"];
    assert_eq!(fits(&exact("1"), &queries), [0, 0, 1, 1, 0, 1, 0, 0, 0, 0]);
    assert_eq!(fits(&exact(""), &queries), [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(fits(&parameter(None), &queries), [0, 1, 1, 1, 1, 1, 1, 0, 1, 0]);
    let absent = parameter(Some(QueryParameterMatchSpecifier::PresentMatch(false)));
    assert_eq!(fits(&absent, &queries), [1, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
}

#[test]
fn grpc_is_told_by_its_content_type() {
    let grpc = RouteMatch { grpc: Some(Default::default()), ..prefix("/") };
    let is = |kind: &str| takes(grpc.clone(), &request("/", &[("content-type", kind)]));
    assert!(is("application/grpc") && is("application/grpc+proto"));
    assert!(!is("application/grpc-web") && !is("application/grpc;x") && !is("APPLICATION/GRPC"));
}

#[test]
fn one_number_a_request_is_held_against_all_shares() {
    let share = |numerator| RouteMatch {
        runtime_fraction: Some(RuntimeFractionalPercent {
            default_value: Some(FractionalPercent { numerator, denominator: DenominatorType::Hundred.into() }),
            ..Default::default()
        }),
        ..prefix("/")
    };
    let routes = vec![route("a", share(30), to("a")), route("b", share(60), to("b")), route("c", prefix("/"), to("c"))];
    let table = read(&table(routes)).unwrap();
    let mut drawn = 0;
    let mut at = |number| {
        let draw = || {
            drawn += 1;
            number
        };
        table.find(&request("/", &[]), draw).unwrap().name.to_string()
    };
    assert_eq!([at(29), at(130), at(59), at(60)], ["a", "b", "b", "c"]);
    assert_eq!(drawn, 4);
}

fn option(name: &str, value: &str, action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value: value.to_owned(), ..Default::default() }),
        append_action: action.into(),
        ..Default::default()
    }
}

const ADD: HeaderAppendAction = HeaderAppendAction::AppendIfExistsOrAdd;
const ABSENT: HeaderAppendAction = HeaderAppendAction::AddIfAbsent;
const SET: HeaderAppendAction = HeaderAppendAction::OverwriteIfExistsOrAdd;
const EXISTS: HeaderAppendAction = HeaderAppendAction::OverwriteIfExists;

fn level(name: &str) -> Vec<HeaderValueOption> {
    vec![option("set", name, SET), option("app", name, ADD), option("abs", name, ABSENT)]
}

fn edited(table: &RouteConfiguration, path: &str, fields: &[(&str, &str)]) -> RequestHead {
    let table = read(table).unwrap();
    let mut head = request(path, fields);
    let route = table.find(&head, || 0).unwrap();
    let Action::Forward(forward) = &route.action else { panic!() };
    route.edit_request(forward.choose(0), &mut head);
    head
}

fn listed(head: &RequestHead, name: &str) -> Vec<String> {
    head.fields().all(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

/// Both orders as Envoy 1.40 wrote them to a backend. The target comes first in each.
#[test]
fn levels_are_applied_in_envoys_order() {
    let target = ClusterWeight {
        name: "a".to_owned(),
        weight: set(1),
        request_headers_to_add: level("target"),
        host_rewrite_specifier: Some(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(
            "target.host".to_owned(),
        )),
        ..Default::default()
    };
    let weighted = WeightedCluster { clusters: vec![target], ..Default::default() };
    let mut action =
        RouteAction { cluster_specifier: Some(ClusterSpecifier::WeightedClusters(weighted)), ..Default::default() };
    for with_host in [false, true] {
        if with_host {
            let host = HostRewriteSpecifier::HostRewriteLiteral("route.host".to_owned());
            action.host_rewrite_specifier = Some(host);
        }
        let mut wire = route("r", prefix("/"), wire::route::Action::Route(action.clone()));
        wire.request_headers_to_add = level("route");
        let mut table = table(vec![wire]);
        table.request_headers_to_add = level("table");
        table.virtual_hosts[0].request_headers_to_add = level("vhost");
        let head = edited(&table, "/", &[("set", "c"), ("app", "c")]);
        assert_eq!(listed(&head, "app"), ["c", "target", "route", "vhost", "table"]);
        assert_eq!((listed(&head, "set"), listed(&head, "abs")), (vec!["table".into()], vec!["target".into()]));
        assert_eq!(head.authority(), if with_host { &b"route.host"[..] } else { b"target.host" });
        table.most_specific_header_mutations_wins = true;
        let head = edited(&table, "/", &[("set", "c"), ("app", "c")]);
        assert_eq!(listed(&head, "app"), ["c", "target", "table", "vhost", "route"]);
        assert_eq!(listed(&head, "set"), ["route"]);
    }
}

#[test]
fn a_level_removes_judges_sets_and_adds() {
    let mut wire = route("r", prefix("/"), to("a"));
    wire.request_headers_to_remove = vec!["gone".to_owned(), "Re".to_owned()];
    wire.request_headers_to_add = vec![
        option("re", "1", ADD),
        option("x", "1", ABSENT),
        option("x", "2", ABSENT),
        option("y", "3", ADD),
        option("y", "4", SET),
        option("z", "5", EXISTS),
        option("empty", "", ADD),
        HeaderValueOption { keep_empty_value: true, ..option("kept", "", ADD) },
        option("user-agent", "u", ADD),
        option("p", "8", EXISTS),
        option("pct", "50%%", ADD),
    ];
    let before = [("gone", "1"), ("re", "0"), ("y", "c"), ("p", "c"), ("p", "d"), ("user-agent", "ua")];
    let head = edited(&table(vec![wire]), "/", &before);
    let all: Vec<_> = ["gone", "re", "x", "y", "z", "empty", "kept", "user-agent", "p", "pct"]
        .map(|name| listed(&head, name).join("|"))
        .into();
    assert_eq!(all, ["", "1", "1|2", "4|3", "", "", "", "ua,u", "8", "50%"]);
    assert_eq!((listed(&head, "kept").len(), listed(&head, "empty").len()), (1, 0));
}

#[test]
fn edits_that_are_not_ours_to_make_are_refused() {
    let with = |option: HeaderValueOption| {
        let mut wire = route("r", prefix("/"), to("a"));
        wire.request_headers_to_add = vec![option];
        read(&table(vec![wire])).unwrap_err().to_string()
    };
    let at = "virtual_hosts[0].routes[0].request_headers_to_add[0].header";
    let command = with(option("x", "a%REQ(y)%", SET));
    assert_eq!(
        command,
        format!("{at}.value: found \"%REQ(y)%\"; accepted: a text without commands, `%` written as `%%`")
    );
    assert!(with(option("x", "50%", SET)).starts_with(&format!("{at}.value: found \"%\"")));
    assert!(with(option(":path", "/", SET)).starts_with(&format!("{at}.key: found \":path\"")));
    assert!(with(option("Host", "h", SET)).starts_with(&format!("{at}.key: found \"host\"")));
    assert!(with(option("x", "a\nb", SET)).starts_with(&format!("{at}.value")));
}

fn substitution(regex: &str, substitution: &str) -> RegexMatchAndSubstitute {
    let pattern = Some(RegexMatcher { regex: regex.to_owned(), engine_type: None });
    RegexMatchAndSubstitute { pattern, substitution: substitution.to_owned() }
}

fn rewritten(matches: RouteMatch, set: impl FnOnce(&mut RouteAction), path: &str) -> String {
    let wire::route::Action::Route(mut action) = to("a") else { unreachable!() };
    set(&mut action);
    let head = edited(&table(vec![route("r", matches, wire::route::Action::Route(action))]), path, &[]);
    String::from_utf8(head.path().to_vec()).unwrap()
}

#[test]
fn paths_are_rewritten_and_their_query_stays() {
    let by_prefix = |matches, path| rewritten(matches, |action| action.prefix_rewrite = "/new".to_owned(), path);
    assert_eq!(by_prefix(prefix("/old"), "/old/x?q=1"), "/new/x?q=1");
    assert_eq!(by_prefix(when(PathSpecifier::Path("/old".to_owned())), "/old?q"), "/new?q");
    let regex = PathSpecifier::SafeRegex(RegexMatcher { regex: "/o.*".to_owned(), engine_type: None });
    assert_eq!(by_prefix(when(regex), "/old/x?q"), "/new?q");
    let by_regex = |regex, text, path| {
        rewritten(prefix("/"), |action| action.regex_rewrite = Some(substitution(regex, text)), path)
    };
    assert_eq!(by_regex("^/strip/?", "/", "/strip/a?b=/strip"), "/a?b=/strip");
    assert_eq!(by_regex("^.*$", r"/full\\1", "/any?q"), r"/full\1?q");
    assert_eq!(by_regex("(a)(b)?", r"<\0\1\2>", "/abxa"), "/<abab>x<aa>");
}

#[test]
fn a_substitution_names_groups_that_there_are() {
    for (text, fine) in [(r"\1", true), (r"\2", false), (r"\x", false), ("\\", false)] {
        let wire::route::Action::Route(mut action) = to("a") else { unreachable!() };
        action.regex_rewrite = Some(substitution("(a)", text));
        let read = read(&table(vec![route("r", prefix("/"), wire::route::Action::Route(action))]));
        assert_eq!(read.is_ok(), fine, "{text}");
    }
}

fn location(redirect: RedirectAction, authority: &str, proto: Option<&str>, path: &str) -> String {
    let table = read(&table(vec![route("r", prefix("/old"), wire::route::Action::Redirect(redirect))])).unwrap();
    let mut head = RequestHead::default();
    head.begin(b"GET", proto.unwrap_or("http").as_bytes(), authority.as_bytes(), path.as_bytes());
    if let Some(proto) = proto {
        head.fields_mut().push(b"x-forwarded-proto", proto.as_bytes());
    }
    let route = table.find(&head, || 0).unwrap();
    let Action::Redirect(redirect) = &route.action else { panic!() };
    String::from_utf8(redirect.location(&head)).unwrap()
}

/// As Envoy 1.40 answered.
#[test]
fn a_location_keeps_what_is_not_changed() {
    let https = || RedirectAction {
        scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
        ..Default::default()
    };
    let port = |port_redirect, redirect| RedirectAction { port_redirect, ..redirect };
    let at = |redirect: RedirectAction, authority| location(redirect, authority, None, "/old?q=1");
    assert_eq!(at(https(), "h:80"), "https://h/old?q=1");
    assert_eq!(at(https(), "h:443"), "https://h:443/old?q=1");
    assert_eq!(at(https(), "[::1]:80"), "https://[::1]/old?q=1");
    assert_eq!(at(port(8443, https()), "h:8080"), "https://h:8443/old?q=1");
    assert_eq!(at(port(8443, RedirectAction::default()), "[::1]"), "http://[::1]:8443/old?q=1");
    assert_eq!(location(https(), "h:443", Some("https"), "/old"), "https://h:443/old");
    let http = RedirectAction {
        scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::SchemeRedirect("http".to_owned())),
        ..Default::default()
    };
    assert_eq!(location(http, "h:443", Some("https"), "/old"), "http://h/old");
    let path = |specifier, strip_query| RedirectAction {
        path_rewrite_specifier: Some(specifier),
        strip_query,
        ..Default::default()
    };
    let whole = |text: &str| PathRewriteSpecifier::PathRedirect(text.to_owned());
    assert_eq!(at(path(whole("/new"), false), "h"), "http://h/new?q=1");
    assert_eq!(at(path(whole("/new"), true), "h"), "http://h/new");
    assert_eq!(at(path(whole("/new?a=b"), true), "h"), "http://h/new?a=b");
    let by_prefix = || PathRewriteSpecifier::PrefixRewrite("/PP".to_owned());
    assert_eq!(location(path(by_prefix(), false), "h", None, "/old/x?q"), "http://h/PP/x?q");
    assert_eq!(location(path(by_prefix(), true), "h", None, "/old/x?q"), "http://h/PP/x");
    let regex = PathRewriteSpecifier::RegexRewrite(substitution("^/(o)ld", r"/\1/\1"));
    assert_eq!(location(path(regex, false), "h", None, "/old/x?q"), "http://h/o/o/x?q");
}

fn retry(retry_on: &str) -> Retry {
    let policy = RetryPolicy {
        retry_on: retry_on.to_owned(),
        retriable_status_codes: vec![418],
        retriable_headers: vec![HeaderMatcher { name: "again".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    Retry::read(&policy, &At::ROOT).unwrap()
}

fn response(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::default();
    head.begin(status);
    for (name, value) in fields {
        head.fields.push(name.as_bytes(), value.as_bytes());
    }
    head
}

#[test]
fn words_say_what_is_tried_again() {
    let on = |words: &str, status, fields: &[(&str, &str)]| retry(words).on_response(&response(status, fields));
    assert!(on("5xx", 500, &[]) && on("5xx", 599, &[]) && !on("5xx", 499, &[]));
    assert!(on("gateway-error", 502, &[]) && !on("gateway-error", 500, &[]));
    assert!(on("retriable-4xx", 409, &[]) && !on("retriable-4xx", 404, &[]));
    assert!(on("retriable-status-codes", 418, &[]) && !on("5xx", 418, &[]));
    assert!(on("retriable-headers", 200, &[("again", "")]) && !on("5xx", 200, &[("again", "")]));
    assert!(
        on("cancelled, unavailable", 200, &[("grpc-status", "14")]) && !on("internal", 200, &[("grpc-status", "14")])
    );
    assert!(!on("5xx", 503, &[("x-envoy-ratelimited", "true")]));
    assert!(on("envoy-ratelimited", 429, &[("x-envoy-ratelimited", "true")]));
    let safe = retry("connect-failure,refused-stream,reset-before-request");
    assert!(safe.on_connect_failure() && safe.on_refused_stream() && safe.on_reset(false) && !safe.on_reset(true));
    let reset = retry("reset");
    assert!(reset.on_connect_failure() && reset.on_refused_stream() && reset.on_reset(true));
    assert!(!retry("connect-failure").on_reset(false) && !retry("refused-stream").on_connect_failure());
    let error = Retry::read(&RetryPolicy { retry_on: "5xx,4xx".to_owned(), ..Default::default() }, &At::ROOT);
    assert!(error.unwrap_err().to_string().starts_with("retry_on: found \"4xx\"; accepted: 5xx, gateway-error"));
}

#[test]
fn a_retry_may_depend_on_the_request_and_waits_as_envoy_does() {
    let policy = RetryPolicy {
        retry_on: "5xx".to_owned(),
        retriable_request_headers: vec![HeaderMatcher { name: "may".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    let retry = Retry::read(&policy, &At::ROOT).unwrap();
    assert!(retry.applies_to(&request("/", &[("may", "")])) && !retry.applies_to(&request("/", &[])));
    assert_eq!((retry.attempts, retry.other_host_attempts, retry.per_try_timeout), (1, None, None));
    assert_eq!((retry.base, retry.max), (Duration::from_millis(25), Duration::from_millis(250)));
}

#[test]
fn orders_to_the_proxy_are_taken_off() {
    let table = RouteConfiguration { internal_only_headers: vec!["X-Own".to_owned()], ..table(Vec::new()) };
    let mut head = request("/", &[("x-own", "1"), ("x-envoy-retry-on", "5xx"), ("x-envoy-other", "1"), ("b", "2")]);
    read(&table).unwrap().clean(&mut head);
    let left: Vec<_> = head.fields().iter().map(|(name, _)| name).collect();
    assert_eq!(left, [&b"x-envoy-other"[..], b"b"]);
}

#[test]
fn what_is_not_there_is_refused_with_its_path() {
    let action = |set: fn(&mut RouteAction)| {
        let wire::route::Action::Route(mut action) = to("a") else { unreachable!() };
        set(&mut action);
        let routes =
            vec![route("r", prefix("/"), to("a")), route("s", prefix("/"), wire::route::Action::Route(action))];
        read(&table(routes)).unwrap_err().to_string()
    };
    let mirror = action(|action| action.request_mirror_policies.push(Default::default()));
    assert!(mirror.starts_with("virtual_hosts[0].routes[1].route.request_mirror_policies: not supported"), "{mirror}");
    assert!(
        action(|action| action.max_stream_duration = Some(Default::default())).contains("max_stream_duration: not")
    );
    let plugin = ClusterSpecifier::ClusterHeader("x".to_owned());
    let plugin = action(move |action| action.cluster_specifier = Some(ClusterSpecifier::ClusterHeader("x".to_owned())))
        .replace(&format!("{plugin:?}"), "");
    assert!(
        plugin.contains("routes[1].route.cluster_header: not supported, found \"x\"; accepted: nothing"),
        "{plugin}"
    );
    let respond = DirectResponseAction { status: 99, ..Default::default() };
    let respond = read(&table(vec![route("r", prefix("/"), wire::route::Action::DirectResponse(respond))]));
    assert!(respond.unwrap_err().to_string().ends_with("direct_response.status: found 99; accepted: 200 to 599"));
    assert!(read(&table(vec![wire::Route { r#match: None, ..route("r", prefix("/"), to("a")) }])).is_err());
    // What is hashed matters to no balancer here.
    let wire::route::Action::Route(mut hashed) = to("a") else { unreachable!() };
    hashed.hash_policy.push(Default::default());
    assert!(read(&table(vec![route("r", prefix("/"), wire::route::Action::Route(hashed))])).is_ok());
}

fn text_of(alphabet: &'static str, longest: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(alphabet.chars().collect::<Vec<_>>()), 0..longest)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #[test]
    fn the_first_route_whose_path_fits_is_found(
        routes in proptest::collection::vec((0u8..3, text_of("ab/", 12), any::<bool>()), 0..12),
        path in text_of("abA/?", 16),
    ) {
        let path = format!("/{path}");
        let bare = path.split('?').next().unwrap().to_owned();
        let model = |kind: u8, text: &str, sensitive: bool| {
            let (text, bare) = if sensitive { (text.to_owned(), bare.clone()) } else { (text.to_lowercase(), bare.to_lowercase()) };
            match kind {
                0 => bare == text,
                1 => bare.starts_with(&text),
                _ => bare == text || bare.starts_with(&format!("{text}/")),
            }
        };
        let mut wanted = None;
        let mut wire_routes = Vec::new();
        for (index, (kind, text, sensitive)) in routes.into_iter().enumerate() {
            let text = if kind == 2 { format!("/a{}", text.trim_end_matches('/')) } else { format!("/{text}") };
            let specifier = match kind {
                0 => PathSpecifier::Path(text.clone()),
                1 => PathSpecifier::Prefix(text.clone()),
                _ => PathSpecifier::PathSeparatedPrefix(text.clone()),
            };
            let matches = RouteMatch { case_sensitive: Some(BoolValue { value: sensitive }), ..when(specifier) };
            if wanted.is_none() && model(kind, &text, sensitive) {
                wanted = Some(index.to_string());
            }
            wire_routes.push(route(&index.to_string(), matches, to("a")));
        }
        prop_assert_eq!(found(&read(&table(wire_routes)).unwrap(), &request(&path, &[])), wanted);
    }

    #[test]
    fn edits_of_a_level_are_those_of_a_simple_model(
        fields in proptest::collection::vec((0usize..4, "[a-c]"), 0..6),
        changes in proptest::collection::vec((0usize..4, "[d-f]?", 0usize..4, any::<bool>()), 0..6),
        removed in proptest::collection::vec(0usize..4, 0..2),
    ) {
        const NAMES: [&str; 4] = ["w", "x", "y", "accept"];
        const ACTIONS: [HeaderAppendAction; 4] = [ADD, ABSENT, SET, EXISTS];
        let before: Vec<_> = fields.iter().map(|(name, value)| (NAMES[*name], value.as_str())).collect();
        let mut wire = route("r", prefix("/"), to("a"));
        wire.request_headers_to_remove = removed.iter().map(|name| NAMES[*name].to_owned()).collect();
        wire.request_headers_to_add = changes.iter().map(|(name, value, action, keep)| HeaderValueOption {
            keep_empty_value: *keep,
            ..option(NAMES[*name], value, ACTIONS[*action])
        }).collect();

        let mut model: Vec<Vec<String>> = NAMES.iter().map(|name| {
            before.iter().filter(|(known, _)| known == name).map(|(_, value)| (*value).to_owned()).collect()
        }).collect();
        for name in &removed { model[*name].clear(); }
        let (mut sets, mut adds) = (Vec::new(), Vec::new());
        for (name, value, action, keep) in &changes {
            if value.is_empty() && !keep { continue; }
            let missing = model[*name].is_empty();
            match ACTIONS[*action] {
                ADD => adds.push((*name, value)),
                ABSENT => if missing { adds.push((*name, value)) },
                SET => sets.push((*name, value)),
                EXISTS => if !missing { sets.push((*name, value)) },
            }
        }
        for (name, value) in sets { model[name] = vec![value.clone()]; }
        for (name, value) in adds {
            model[name].push(value.clone());
            if NAMES[name] == "accept" { model[name] = vec![model[name].join(",")]; }
        }
        let head = edited(&table(vec![wire]), "/", &before);
        for (index, name) in NAMES.iter().enumerate() {
            prop_assert_eq!(&listed(&head, name), &model[index], "{}", name);
        }
    }

    #[test]
    fn targets_are_chosen_by_weight(weights in proptest::collection::vec(0u32..5, 1..5), random: u64) {
        prop_assume!(weights.iter().sum::<u32>() > 0);
        let clusters = weights.iter().enumerate().map(|(index, weight)| ClusterWeight {
            name: index.to_string(), weight: set(*weight), ..Default::default()
        });
        let weighted = WeightedCluster { clusters: clusters.collect(), ..Default::default() };
        let action = RouteAction { cluster_specifier: Some(ClusterSpecifier::WeightedClusters(weighted)), ..Default::default() };
        let table = read(&table(vec![route("r", prefix("/"), wire::route::Action::Route(action))])).unwrap();
        let route = table.routes().next().unwrap();
        let Action::Forward(forward) = &route.action else { panic!() };
        let slots: Vec<_> = weights.iter().enumerate().flat_map(|(index, weight)| vec![index.to_string(); *weight as usize]).collect();
        prop_assert_eq!(&*forward.choose(random).cluster, slots[(random % slots.len() as u64) as usize].as_str());
    }
}
