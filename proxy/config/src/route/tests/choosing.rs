//! Targets, retries, and what is refused.

use super::*;

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
    assert!(action(|action| action.hedge_policy = Some(Default::default())).contains("hedge_policy: not"));
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

proptest! {
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
