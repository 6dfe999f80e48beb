use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::*;
use crate::check::report::Outcome;

fn told(check: Check) -> (Outcome, String) {
    let mut report = Report::default();
    report.add(check);
    (report.worst(), report.document()[0]["found"].as_str().unwrap_or_default().to_owned())
}

/// A state directory's root and issuer, as texts.
fn texts() -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let now = std::time::SystemTime::now();
    byrnie_ca::State::open(&state, &Default::default(), now).unwrap();
    ["root.crt", "issuer.pem"].map(|file| std::fs::read_to_string(state.join("ca").join(file)).unwrap())
}

fn certificate(der: u8, ends: &str) -> Certificate {
    Certificate { der: vec![der], ends: OffsetDateTime::parse(ends, &Rfc3339).unwrap() }
}

#[test]
fn the_secret_of_the_mesh_and_that_of_an_own_issuer_are_read_by_their_keys() {
    let [root, issuer] = texts();
    let encoded = |text: &str| STANDARD.encode(text);
    let own = json!({"data": {"root.crt": encoded(&root), "issuer.pem": encoded(&issuer)}});
    let read = material(&own, false).unwrap();
    assert_eq!((read.roots.len(), read.issuers.len()), (1, 1));
    let (outcome, text) = told(keys(&read, false, OffsetDateTime::now_utc()));
    assert_eq!(outcome, Outcome::Ok, "{text}");
    let given = json!({"data": {"ca.crt": encoded(&root), "tls.crt": encoded(&issuer)}});
    assert_eq!(material(&given, true).unwrap().roots, read.roots);
    assert_eq!(material(&own, true).unwrap_err(), "no key ca.crt");
    let broken = json!({"data": {"root.crt": "%", "issuer.pem": ""}});
    assert!(material(&broken, false).unwrap_err().starts_with("root.crt: "));
    let empty = json!({"data": {"root.crt": encoded(&root), "issuer.pem": ""}});
    assert_eq!(material(&empty, false).unwrap_err(), "issuer.pem: no certificate");
}

#[test]
fn a_certificate_that_ends_is_told_of_before_it_does() {
    let now = OffsetDateTime::parse("2026-01-01T00:00:00Z", &Rfc3339).unwrap();
    let judged = |root: &str, issuer: &str| {
        told(keys(&Material { roots: vec![certificate(1, root)], issuers: vec![certificate(2, issuer)] }, true, now))
    };
    let text = "the root lasts until 2036-01-01, the issuer until 2026-03-01".to_owned();
    assert_eq!(judged("2036-01-01T00:00:00Z", "2026-03-01T00:00:00Z"), (Outcome::Ok, text));
    assert_eq!(judged("2036-01-01T00:00:00Z", "2026-01-20T00:00:00Z").0, Outcome::Warning);
    assert_eq!(judged("2025-12-31T00:00:00Z", "2026-03-01T00:00:00Z").0, Outcome::Fault);
}

#[test]
fn a_namespace_is_in_the_mesh_by_its_label_or_by_a_pod_with_a_sidecar() {
    let namespace = |name: &str, going: Value| json!({"metadata": {"name": name, "deletionTimestamp": going}});
    let pod = |namespace: &str, annotation: &str| json!({"metadata": {"namespace": namespace, "annotations": {annotation: "x"}}});
    let labelled = [namespace("shop", Value::Null), namespace("gone", json!("2026-01-01T00:00:00Z"))];
    let pods = [pod("bank", "byrnie.io/inbound"), pod("bank", "byrnie.io/upstreams"), pod("other", "example.com/x")];
    let found = of_mesh(&labelled, &pods, "byrnie-system");
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["bank", "byrnie-system", "shop"]);
}

#[test]
fn every_namespace_of_the_mesh_must_hold_the_roots() {
    let [root, _] = texts();
    let [other, _] = texts();
    let roots = certificates::read(root.as_bytes()).unwrap();
    let map = |namespace: &str, text: &str| json!({"metadata": {"namespace": namespace}, "data": {"root.crt": text}});
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let (own, both) = ("byrnie-system", format!("{other}{root}"));
    let maps = [map(own, &root), map("shop", &both), map("bank", &other)];
    let good = told(trust(&names(&[own, "shop"]), &maps, Some(&roots), own));
    assert_eq!(good, (Outcome::Ok, "ConfigMap byrnie-trust holds the roots in 2 namespaces".to_owned()));
    let (outcome, text) = told(trust(&names(&[own, "shop", "bank", "new"]), &maps, Some(&roots), own));
    assert_eq!(outcome, Outcome::Fault);
    assert_eq!(text, "ConfigMap byrnie-trust is missing in new, and has other roots in bank");
    assert_eq!(
        told(trust(&names(&[own, "bank"]), &maps, None, own)).0,
        Outcome::Fault,
        "those of its own namespace count"
    );
    let many: BTreeSet<_> = (1..8).map(|number| format!("n{number}")).chain([own.to_owned()]).collect();
    let (_, text) = told(trust(&many, &maps[..1], Some(&roots), own));
    assert_eq!(text, "ConfigMap byrnie-trust is missing in n1, n2, n3, n4, n5 and 2 more");
}
