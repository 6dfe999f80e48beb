//! What is changed on the way.

use super::*;

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

proptest! {
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
}
