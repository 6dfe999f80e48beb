use serde_json::json;

use super::*;
use crate::check::report::Outcome;

fn told(check: Check) -> (Outcome, String) {
    let mut report = Report::default();
    report.add(check);
    (report.worst(), report.document()[0]["found"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_deployment_is_good_when_all_replicas_are_as_it_says() {
    let judged = |generation: u64, status: Value| {
        let found = json!({"metadata": {"generation": generation}, "spec": {"replicas": 2}, "status": status});
        told(deployment("deployment", NAME, &found, "byrnie-system"))
    };
    let status = |available: u64, updated: u64| json!({"availableReplicas": available, "updatedReplicas": updated, "observedGeneration": 3});
    assert_eq!(judged(3, status(2, 2)), (Outcome::Ok, "2 of 2 replicas are available".to_owned()));
    assert_eq!(judged(3, status(1, 2)).0, Outcome::Warning);
    assert_eq!(judged(4, status(2, 2)).0, Outcome::Warning, "the controllers have not seen it");
    assert_eq!(judged(3, status(2, 1)).1, "2 of 2 replicas are available, 1 of them as the Deployment now says");
    assert_eq!(judged(3, json!({})), (Outcome::Fault, "0 of 2 replicas are available".to_owned()));
    let mut refused = status(2, 2);
    refused["conditions"] = json!([{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}]);
    let text = "2 of 2 replicas are available: violates PodSecurity".to_owned();
    assert_eq!(judged(3, refused), (Outcome::Fault, text));
}

#[test]
fn an_image_of_another_version_is_told_of() {
    let pod = |image: &str| {
        json!({"metadata": {"name": "a"}, "spec": {"containers": [
            {"name": "proxy", "image": "other:9"}, {"name": "control-plane", "image": image},
        ]}})
    };
    for image in ["r:5000/byrnie-control-plane:0.1.0", "b:v0.1.0@sha256:00", "b@sha256:00", "r:5000/b", "b:dev"] {
        assert_eq!(told(images(&[pod(image)], "0.1.0")).0, Outcome::Ok, "{image}");
    }
    let other = told(images(&[pod("b:0.1.0"), pod("b:0.2.0")], "0.1.0"));
    assert_eq!(other, (Outcome::Warning, "Pod a runs b:0.2.0; this command is 0.1.0".to_owned()));
    assert_eq!(told(images(&[], "0.1.0")).0, Outcome::Warning);
}

#[test]
fn a_lease_is_judged_by_its_time_and_where_that_is_odd_by_whether_it_changes() {
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).unwrap();
    let now = time("2026-01-01T00:01:00Z");
    let held = |holder: &str, renewed: &str| json!({"spec": {"holderIdentity": holder, "renewTime": renewed}});
    let fresh = held("one", "2026-01-01T00:00:50.123456Z");
    assert_eq!(lease(&fresh, None, now).map(told), Some((Outcome::Ok, "held by one".to_owned())));
    let old = held("one", "2026-01-01T00:00:00.000000Z");
    assert_eq!(lease(&old, None, now), None, "it is looked at again");
    let stale = told(lease(&old, Some(&old), now).unwrap());
    assert_eq!(stale, (Outcome::Fault, "held by one, and not renewed for 60s".to_owned()));
    let slow = told(lease(&old, Some(&held("one", "2025-12-31T23:59:55.000000Z")), now).unwrap());
    assert_eq!(slow, (Outcome::Warning, "held by one, whose clock is 60s off this machine's".to_owned()));
    let free = held("", "2026-01-01T00:00:50.123456Z");
    assert_eq!(told(lease(&free, Some(&free), now).unwrap()), (Outcome::Fault, "held by nobody".to_owned()));
}

#[test]
fn the_secret_of_an_own_issuer_is_read_from_the_arguments() {
    let deployment = |arguments: Value| {
        let containers =
            json!([{"name": "other", "args": ["--issuer-secret=x"]}, {"name": CONTAINER, "args": arguments}]);
        json!({"spec": {"template": {"spec": {"containers": containers}}}})
    };
    let secret = |arguments| issuer_secret(&deployment(arguments));
    assert_eq!(secret(json!(["--leaf-lifetime=24h", "--issuer-secret=mesh-ca"])), Some("mesh-ca".to_owned()));
    assert_eq!(secret(json!(["--issuer-secret", "mesh-ca"])), Some("mesh-ca".to_owned()));
    assert_eq!(secret(json!(["--issuer-secret"])), None);
    assert_eq!(secret(Value::Null), None);
}
