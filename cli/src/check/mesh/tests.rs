use serde_json::json;

use super::*;

/// What each check tells, with its result.
fn shown(checks: Vec<Check>) -> Vec<String> {
    let mut report = Report::default();
    checks.into_iter().for_each(|check| report.add(check));
    let text = |one: &Value| format!("{}: {}", output::cell(one.get("result")), output::cell(one.get("found")));
    report.document().as_array().unwrap().iter().map(text).collect()
}

#[test]
fn findings_are_warnings_and_notes_are_left_out() {
    let finding = |severity: &str, object: &str, field: &str| json!({"severity": severity, "object": object, "field": field, "message": "no Service of that name"});
    let found = [
        finding("error", "HTTPRoute/shop/cart", "spec.parentRefs[0]"),
        finding("note", "Pod/shop/a", ""),
        finding("warning", "", ""),
    ];
    let lines = [
        "warning: HTTPRoute/shop/cart spec.parentRefs[0]: no Service of that name",
        "warning: no Service of that name",
    ];
    assert_eq!(shown(findings(&found)), lines);
    assert_eq!(shown(findings(&[])), ["ok: nothing is wrong with the configuration"]);
    let many: Vec<_> = (0..12).map(|number| finding("error", &format!("Pod/shop/{number}"), "spec")).collect();
    assert_eq!(shown(findings(&many)).last().unwrap(), "warning: and 2 more");
}

#[test]
fn a_proxy_that_refused_something_or_is_behind_is_told_of() {
    let client = |node: &str, kinds: Value, refused: Value| json!({"node": node, "kinds": kinds, "refused": refused});
    let kind = |kind: &str, sync: &str, seconds: Value| json!({"kind": kind, "sync": sync, "pendingSeconds": seconds});
    let synced = || json!([kind("CDS", "synced", Value::Null), kind("LDS", "pending", json!(1))]);
    let refusal =
        json!([{"kind": "CDS", "resources": ["shop/cart:80"], "message": "no", "objects": ["Service/shop/cart"]}]);
    let clients = [
        client("shop/good", synced(), json!([])),
        client("shop/slow", json!([kind("EDS", "pending", json!(60)), kind("RDS", "stale", Value::Null)]), json!([])),
        client("shop/bad", json!([kind("CDS", "refused", Value::Null)]), refusal),
        client("shop/shut", json!([kind("SDS", "denied", Value::Null)]), json!([])),
    ];
    let lines = [
        "warning: shop/slow: pending EDS, stale RDS",
        "warning: shop/bad refused CDS shop/cart:80: no",
        "warning: shop/shut: denied SDS",
    ];
    assert_eq!(shown(proxies(&clients)), lines);
    assert_eq!(shown(proxies(&clients[..1])), ["ok: 1 connected, each with all that it needs"]);
}
