use serde_json::json;

use super::*;
use crate::check::report::{Outcome, Report};

/// The outcome of a check, and its text with the hint.
fn told(check: Check) -> (Outcome, String) {
    let mut report = Report::default();
    report.add(check);
    let one = &report.document()[0];
    let text = ["found", "hint"].map(|field| one[field].as_str().unwrap_or_default());
    (report.worst(), text.join(" | "))
}

#[test]
fn a_server_that_is_too_old_is_a_fault() {
    let server = |minor: &str| json!({"major": "1", "minor": minor, "gitVersion": format!("v1.{minor}.0")});
    assert_eq!(told(version(&server("36"))), (Outcome::Ok, "Kubernetes v1.36.0 | ".to_owned()));
    assert_eq!(told(version(&server("27+"))).0, Outcome::Ok);
    let (outcome, text) = told(version(&server("26")));
    assert_eq!((outcome, &*text), (Outcome::Fault, "Kubernetes v1.26.0 | Kubernetes 1.27 or later is needed"));
    assert_eq!(told(version(&json!({}))).0, Outcome::Warning);
}

#[test]
fn a_right_that_is_missing_is_a_fault_before_the_installation_alone() {
    let missing = ["clusterroles".to_owned(), "namespaces".to_owned()];
    assert_eq!(told(rights(&[], true)).0, Outcome::Ok);
    let (outcome, text) = told(rights(&missing, true));
    assert_eq!(outcome, Outcome::Fault);
    assert!(text.starts_with("this user may not create clusterroles, namespaces | "), "{text}");
    assert_eq!(told(rights(&missing, false)).0, Outcome::Warning);
}

fn gateway(fields: Value) -> Option<Value> {
    let rule = json!({"properties": {"rules": {"items": {"properties": fields}}}});
    Some(json!({
        "metadata": {"annotations": {
            "gateway.networking.k8s.io/bundle-version": "v1.6.3",
            "gateway.networking.k8s.io/channel": "standard",
        }},
        "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"properties": {"spec": rule}}}}]},
    }))
}

#[test]
fn the_gateway_api_is_told_by_version_and_by_what_its_schema_drops() {
    let (outcome, text) = told(gateway_api(&[None, gateway(json!({}))]));
    assert_eq!(outcome, Outcome::Warning);
    assert!(text.starts_with("no httproutes.gateway.networking.k8s.io: "), "{text}");
    assert!(text.contains("kubectl apply --server-side -f https://"), "{text}");
    let (outcome, text) = told(gateway_api(&[gateway(json!({})), gateway(json!({}))]));
    assert_eq!(outcome, Outcome::Ok);
    assert!(text.starts_with("version v1.6.3, channel standard; its HTTPRoute has no `retry`"), "{text}");
    let (_, text) = told(gateway_api(&[gateway(json!({"retry": {}})), gateway(json!({}))]));
    assert_eq!(text, "version v1.6.3, channel standard | ");
}

#[test]
fn definitions_of_another_version_are_told_with_their_first_difference() {
    let own = crds::definitions();
    let found = || -> Vec<Value> {
        let server = |one: &Value| {
            let mut one = one.clone();
            // What the server adds, and how it may write numbers.
            one["spec"]["conversion"] = json!({"strategy": "None"});
            one["spec"]["names"]["more"] = json!(true);
            one
        };
        own.iter().map(server).collect()
    };
    let judged = |found: Vec<Value>| told(definitions(&own, &found.into_iter().map(Some).collect::<Vec<_>>(), false));
    assert_eq!(judged(found()), (Outcome::Ok, "the 3 of this version | ".to_owned()));
    let schema = "/spec/versions/0/schema/openAPIV3Schema";
    let mut newer = found();
    newer[1].pointer_mut(&format!("{schema}/properties/spec/properties")).unwrap()["new"] = json!({"type": "string"});
    let (outcome, text) = judged(newer);
    assert_eq!(outcome, Outcome::Warning);
    let at = "peerpolicies.mesh.byrnie.io: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.new";
    assert!(text.starts_with(&format!("not those of this version: {at} is unknown")), "{text}");
    let mut older = found();
    older[0].pointer_mut(schema).unwrap()["properties"].as_object_mut().unwrap().remove("status");
    older[2]["spec"]["scope"] = json!("Namespaced");
    let (_, text) = judged(older);
    assert!(text.contains("openAPIV3Schema.properties.status is missing; "), "{text}");
    assert!(text.contains("meshconfigs.mesh.byrnie.io: spec.scope differs"), "{text}");
}

#[test]
fn definitions_that_are_not_there_are_brought_by_the_installation() {
    let own = crds::definitions();
    assert_eq!(told(definitions(&own, &[None, None, None], true)).0, Outcome::Ok);
    let (outcome, text) = told(definitions(&own, &[None, None, None], false));
    assert_eq!(outcome, Outcome::Warning);
    assert!(
        text.starts_with("not installed: trafficpolicies.mesh.byrnie.io, ") && text.contains("byrnie crds"),
        "{text}"
    );
    let some = [Some(own[0].clone()), None, None];
    assert_eq!(told(definitions(&own, &some, true)).0, Outcome::Warning);
}

#[test]
fn numbers_are_the_same_however_they_are_written() {
    let (wanted, found) = (json!({"schema": {"maximum": 10.0}}), json!({"schema": {"maximum": 10}}));
    assert_eq!(difference(&wanted, &found, "spec"), None);
    let other = json!({"schema": {"maximum": 11}});
    assert_eq!(difference(&wanted, &other, "spec"), Some("spec.schema.maximum differs".to_owned()));
}
