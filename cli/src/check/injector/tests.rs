use serde_json::json;

use super::*;
use crate::check::report::Outcome;

fn told(check: Check) -> (Outcome, String) {
    let mut report = Report::default();
    report.add(check);
    (report.worst(), report.document()[0]["found"].as_str().unwrap_or_default().to_owned())
}

/// The roots of a new mesh, as a text.
fn roots() -> String {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    byrnie_ca::State::open(&state, &Default::default(), std::time::SystemTime::now()).unwrap();
    std::fs::read_to_string(state.join("ca/root.crt")).unwrap()
}

#[test]
fn webhooks_are_good_where_each_asks_this_injector_and_proves_it_by_the_roots() {
    let [ours, others] = [roots(), roots()];
    let read = certificates::read(ours.as_bytes()).unwrap();
    let judged = |namespace: &str, bundle: Option<&str>| {
        let webhook = |bundle: Option<&str>| {
            json!({"name": "pod.inject.byrnie.io", "clientConfig": {
                "service": {"namespace": namespace, "name": NAME}, "caBundle": bundle.map(|text| STANDARD.encode(text)),
            }})
        };
        let found = json!({"webhooks": [webhook(Some(&ours)), webhook(bundle)]});
        told(webhooks(&found, Some(&read), "byrnie-system"))
    };
    let good = "2 in MutatingWebhookConfiguration byrnie-injector, with the roots of the mesh".to_owned();
    assert_eq!(judged("byrnie-system", Some(&ours)), (Outcome::Ok, good));
    let both = format!("{others}{ours}");
    assert_eq!(judged("byrnie-system", Some(&both)).0, Outcome::Ok, "those before them are there for a while");
    for (namespace, bundle, expected) in [
        ("byrnie-system", None, "clientConfig.caBundle of pod.inject.byrnie.io is missing: Pods that should have"),
        ("byrnie-system", Some("x"), "clientConfig.caBundle of pod.inject.byrnie.io cannot be read: no certificate"),
        (
            "byrnie-system",
            Some(&*others),
            "clientConfig.caBundle of pod.inject.byrnie.io has other roots than the mesh",
        ),
        ("mesh", Some(&ours), "pod.inject.byrnie.io asks the injector of namespace mesh"),
    ] {
        let (outcome, found) = judged(namespace, bundle);
        assert!(outcome == Outcome::Fault && found.starts_with(expected), "{found}");
    }
    assert_eq!(told(webhooks(&json!({}), None, "byrnie-system")).0, Outcome::Fault);
}
