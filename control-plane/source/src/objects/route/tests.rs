use byrnie_model::{
    ObjectKind, ServiceName,
    route::{
        Backend, BackendTarget, Filters, HeaderEdits, Match, NameMatch, PathChange, PathMatch, Redirect, Rewrite,
        Route, RouteRetry, ValueMatch,
    },
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

use crate::objects::{Object, read};

fn route(kind: ObjectKind, spec: Value) -> Route {
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind.as_str(),
        "metadata": {"name": "cart", "namespace": "shop", "creationTimestamp": "1970-01-01T00:00:07Z", "generation": 3},
        "spec": spec,
        "status": {"parents": []},
    });
    let read = read(kind, &object);
    match read.content {
        Some(Object::Route(route)) => Arc::unwrap_or_clone(route),
        other => panic!("{other:?} {:?}", read.told),
    }
}

fn http(spec: Value) -> Route {
    route(ObjectKind::HTTPRoute, spec)
}

fn to(name: &str, port: u16, weight: u32) -> Backend {
    let target = BackendTarget::Service(ServiceName::new("shop", name), Some(port));
    Backend { target, weight, filters: Filters::default() }
}

#[test]
fn defaults_are_those_of_the_schema() {
    let route =
        http(json!({"parentRefs": [{"name": "gate"}], "rules": [{"backendRefs": [{"name": "a", "port": 80}]}]}));
    assert_eq!((route.created, route.origin.generation), (7, 3));
    let parent = &route.parents[0];
    assert_eq!((&*parent.group, &*parent.kind, &*parent.namespace), ("gateway.networking.k8s.io", "Gateway", "shop"));
    assert_eq!(parent.service(), None);
    assert_eq!(route.rules[0].matches, [Match::default()]);
    assert_eq!(route.rules[0].backends, [to("a", 80, 1)]);
    let unruled = http(json!({}));
    assert_eq!(unruled.rules.len(), 1);
    assert_eq!(unruled.rules[0].backends, []);
}

#[test]
fn a_service_is_a_parent_of_the_mesh() {
    let parents = json!([{"group": "", "kind": "Service", "name": "cart", "namespace": "other", "port": 80}]);
    let route = http(json!({"parentRefs": parents}));
    assert_eq!(route.parents[0].service(), Some(ServiceName::new("other", "cart")));
    assert_eq!(route.parents[0].port, Some(80));
}

#[test]
fn matches_are_read_with_prefixes_in_their_shortest_form() {
    let route = http(json!({"rules": [{"matches": [
        {"path": {"value": "/a/"}, "method": "GET",
         "headers": [{"name": "X-One", "value": "1"}, {"name": "x-one", "value": "2"},
                     {"name": "two", "type": "RegularExpression", "value": "a.*"}],
         "queryParams": [{"name": "Q", "value": "v"}]},
        {"path": {"type": "Exact", "value": "/a/"}},
        {"path": {"type": "RegularExpression", "value": "/a[0-9]+"}},
        {"path": {"type": "PathPrefix"}},
    ]}]}));
    let value = |name: &str, value| ValueMatch { name: name.into(), value };
    assert_eq!(
        route.rules[0].matches[0],
        Match {
            path: PathMatch::Prefix("/a".into()),
            method: Some("GET".into()),
            headers: vec![value("x-one", NameMatch::Exact("1".into())), value("two", NameMatch::Regex("a.*".into()))],
            query: vec![value("Q", NameMatch::Exact("v".into()))],
        }
    );
    let paths: Vec<_> = route.rules[0].matches[1..].iter().map(|found| found.path.clone()).collect();
    assert_eq!(
        paths,
        [PathMatch::Exact("/a/".into()), PathMatch::Regex("/a[0-9]+".into()), PathMatch::Prefix("/".into())]
    );
}

#[test]
fn filters_timeouts_and_retry_are_read() {
    let route = http(json!({"rules": [
        {"filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {
                "set": [{"name": "a", "value": "1"}], "add": [{"name": "b", "value": "2"}], "remove": ["c"]}},
            {"type": "URLRewrite", "urlRewrite": {"hostname": "new.example.com",
                "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}},
        ],
         "timeouts": {"request": "10s", "backendRequest": "0s"},
         "retry": {"codes": [500, 503], "attempts": 2, "backoff": "100ms"}},
        {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "port": 8443, "statusCode": 308,
            "path": {"type": "ReplaceFullPath", "replaceFullPath": "/x"}}}]},
    ]}));
    let header = |name: &str, value: &str| (name.into(), value.into());
    let rule = &route.rules[0];
    assert_eq!(
        rule.filters,
        Filters {
            request_headers: Some(HeaderEdits {
                set: vec![header("a", "1")],
                add: vec![header("b", "2")],
                remove: vec!["c".into()]
            }),
            response_headers: None,
            redirect: None,
            rewrite: Some(Rewrite {
                hostname: Some("new.example.com".into()),
                path: Some(PathChange::Prefix("/new".into()))
            }),
        }
    );
    assert_eq!((rule.request_timeout, rule.backend_timeout), (Some(Duration::from_secs(10)), Some(Duration::ZERO)));
    let backoff = Some(Duration::from_millis(100));
    assert_eq!(rule.retry, Some(RouteRetry { codes: vec![500, 503], attempts: Some(2), backoff }));
    assert_eq!(
        route.rules[1].filters.redirect,
        Some(Redirect {
            scheme: Some("https".into()),
            hostname: None,
            path: Some(PathChange::Full("/x".into())),
            port: Some(8443),
            status: 308,
        })
    );
    assert_eq!(rule.unsupported, [""; 0]);
}

#[test]
fn what_is_not_honoured_is_listed_and_not_lost_in_silence() {
    let route = http(json!({"useDefaultGateways": "All", "hostnames": ["*.example.com"], "rules": [{
        "filters": [
            {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a", "port": 80}, "percent": 10}},
            {"type": "CORS", "cors": {"allowOrigins": ["*"], "maxAge": 5}},
            {"type": "ExtensionRef", "extensionRef": {"group": "g", "kind": "K", "name": "n"}},
            {"type": "ExternalAuth", "externalAuth": {
                "protocol": "GRPC", "backendRef": {"name": "a", "port": 80}, "grpc": {"allowedHeaders": ["x"]}}},
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "Host", "value": "x"}]}},
        ],
        "sessionPersistence": {"sessionName": "s", "type": "Cookie", "cookieConfig": {"lifetimeType": "Session"}},
        "backendRefs": [{"name": "a", "port": 80, "weight": 0, "filters": [
            {"type": "URLRewrite", "urlRewrite": {"hostname": "h",
                "path": {"type": "ReplaceFullPath", "replaceFullPath": "/"}}}]}],
    }]}));
    assert_eq!(
        route.rules[0].unsupported,
        [
            "filters[0].type: RequestMirror",
            "filters[1].type: CORS",
            "filters[2].type: ExtensionRef",
            "filters[3].type: ExternalAuth",
            "filters[4].requestHeaderModifier.set[0].name: Host",
            "backendRefs[0].filters[0].urlRewrite.path: given for one backend",
            "sessionPersistence: given",
        ]
    );
    let rewrite = Rewrite { hostname: Some("h".into()), path: None };
    assert_eq!(route.rules[0].backends[0].filters.rewrite, Some(rewrite));
    assert_eq!(route.rules[0].backends[0].weight, 0);
}

#[test]
fn backends_of_other_namespaces_and_kinds_are_named() {
    let route = http(json!({"rules": [{"backendRefs": [
        {"name": "a", "namespace": "other", "port": 80},
        {"group": "example.com", "kind": "Bucket", "name": "b"},
    ]}]}));
    let targets: Vec<_> = route.rules[0].backends.iter().map(|backend| backend.target.clone()).collect();
    assert_eq!(
        targets,
        [
            BackendTarget::Service(ServiceName::new("other", "a"), Some(80)),
            BackendTarget::Other("example.com/Bucket".into())
        ]
    );
}

#[test]
fn grpc_methods_are_matched_by_service_and_method() {
    let grpc = |matches: Value| {
        route(
            ObjectKind::GRPCRoute,
            json!({"rules": [{"matches": matches, "backendRefs": [{"name": "a", "port": 80}]}]}),
        )
    };
    let route = grpc(json!([
        {"method": {"service": "shop.Cart", "method": "Add"}, "headers": [{"name": "A", "value": "b"}]},
        {"method": {"type": "RegularExpression", "service": "shop\\..*"}},
        {},
    ]));
    let exact = |text: &str| Some(NameMatch::Exact(text.into()));
    let matches = &route.rules[0].matches;
    assert_eq!(matches[0].path, PathMatch::Grpc { service: exact("shop.Cart"), method: exact("Add") });
    assert_eq!(&*matches[0].headers[0].name, "a");
    let regex = Some(NameMatch::Regex("shop\\..*".into()));
    assert_eq!(matches[1].path, PathMatch::Grpc { service: regex, method: None });
    assert_eq!(matches[2].path, PathMatch::Grpc { service: None, method: None });
    assert_eq!(grpc(json!([])).rules[0].matches, [matches[2].clone()]);
    assert_eq!(route.rules[0].backends, [to("a", 80, 1)]);
}
