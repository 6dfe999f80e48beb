//! Which route takes a request.

use super::*;

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
}
