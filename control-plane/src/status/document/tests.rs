use byrnie_model::{ObjectKind, ObjectRef};

use super::{super::desired::Holds, *};

const NOW: &str = "2026-11-26T12:00:00Z";
const BEFORE: &str = "2026-11-25T12:00:00Z";

fn condition(kind: &'static str, status: Holds, reason: &'static str) -> Condition {
    Condition { kind, status, reason, message: "m".to_owned() }
}

fn written(kind: &str, status: &str, reason: &str, since: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": "m", "observedGeneration": 3, "lastTransitionTime": since})
}

fn path(kind: ObjectKind) -> ObjectPath {
    ObjectPath::of(&ObjectRef { kind, namespace: "shop".into(), name: "cart".into() })
}

fn parent(name: &str) -> Value {
    json!({"group": "", "kind": "Service", "name": name, "port": 80})
}

fn gateway() -> Value {
    json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front"})
}

fn route(said: Value) -> Value {
    json!({
        "kind": "HTTPRoute",
        "metadata": {"name": "cart", "namespace": "shop", "generation": 3, "resourceVersion": "77", "uid": "u"},
        "spec": {"parentRefs": [parent("cart"), gateway(), parent("pay")]},
        "status": {"parents": said},
    })
}

fn foreign() -> Value {
    json!({"parentRef": gateway(), "controllerName": "example.com/gateway", "conditions": [written("Accepted", "True", "Accepted", BEFORE)]})
}

fn said(name: &str, conditions: &[Value]) -> Value {
    json!({"parentRef": parent(name), "controllerName": CONTROLLER, "conditions": conditions})
}

fn desired(parents: Vec<(usize, Vec<Condition>)>) -> Desired {
    Desired { generation: 3, said: Said::Parents(parents) }
}

fn good() -> Vec<Condition> {
    vec![condition("Accepted", Holds::True, "Accepted")]
}

fn applied(object: &Value, desired: &Desired) -> (Value, Vec<Turned>) {
    match due(&path(ObjectKind::HTTPRoute), object, desired, NOW) {
        Due::Apply(document, turned) => (document, turned),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_parent_of_ours_has_its_entry_and_those_of_others_stay_as_they_are() {
    let object = route(json!([foreign()]));
    let (document, turned) = applied(&object, &desired(vec![(0, good()), (2, good())]));
    let fresh = written("Accepted", "True", "Accepted", NOW);
    assert_eq!(
        document,
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "cart", "namespace": "shop", "resourceVersion": "77"},
            "status": {"parents": [foreign(), said("cart", std::slice::from_ref(&fresh)), said("pay", &[fresh])]},
        })
    );
    assert!(turned.iter().all(|turned| !turned.was_bad && turned.condition.kind == "Accepted"));
}

#[test]
fn what_is_there_already_is_not_written() {
    let old = written("Accepted", "True", "Accepted", BEFORE);
    let resolved = written("ResolvedRefs", "True", "ResolvedRefs", BEFORE);
    let object = route(json!([said("cart", &[resolved, old]), foreign()]));
    let conditions =
        vec![condition("Accepted", Holds::True, "Accepted"), condition("ResolvedRefs", Holds::True, "ResolvedRefs")];
    assert_eq!(due(&path(ObjectKind::HTTPRoute), &object, &desired(vec![(0, conditions)]), NOW), Due::Nothing);
    let untouched = route(json!([foreign()]));
    assert_eq!(due(&path(ObjectKind::HTTPRoute), &untouched, &desired(Vec::new()), NOW), Due::Nothing);
}

#[test]
fn an_entry_goes_with_its_parent() {
    let object = route(json!([said("gone", &[written("Accepted", "True", "Accepted", BEFORE)]), foreign()]));
    let (document, _) = applied(&object, &desired(Vec::new()));
    assert_eq!(document["status"]["parents"], json!([foreign()]));
}

#[test]
fn a_time_changes_only_with_the_status() {
    let object = route(json!([said("cart", &[written("Programmed", "Unknown", "Pending", BEFORE)])]));
    let mut pending = condition("Programmed", Holds::Unknown, "Pending");
    pending.message = "7/12 proxies".to_owned();
    let (document, turned) = applied(&object, &desired(vec![(0, vec![pending])]));
    let condition = &document["status"]["parents"][0]["conditions"][0];
    assert_eq!((&condition["message"], &condition["lastTransitionTime"]), (&json!("7/12 proxies"), &json!(BEFORE)));
    assert!(turned.is_empty());
}

#[test]
fn what_was_in_force_everywhere_stays_so_until_it_is_refused_or_changed() {
    let object = |generation: i64| {
        let mut condition = written("Programmed", "True", "Programmed", BEFORE);
        condition["observedGeneration"] = json!(generation);
        route(json!([said("cart", &[condition])]))
    };
    let now = |status, reason| desired(vec![(0, vec![condition("Programmed", status, reason)])]);
    let mut pending = now(Holds::Unknown, "Pending");
    assert_eq!(due(&path(ObjectKind::HTTPRoute), &object(3), &pending, NOW), Due::Nothing);
    let mut more = condition("Programmed", Holds::True, "Programmed");
    more.message = "13/13 proxies".to_owned();
    assert_eq!(due(&path(ObjectKind::HTTPRoute), &object(3), &desired(vec![(0, vec![more])]), NOW), Due::Nothing);
    let (document, turned) = applied(&object(3), &now(Holds::False, "Refused"));
    assert_eq!(document["status"]["parents"][0]["conditions"][0]["reason"], "Refused");
    assert!(turned[0].condition.is_bad());
    pending.generation = 3;
    let (document, _) = applied(&object(2), &pending);
    assert_eq!(document["status"]["parents"][0]["conditions"][0]["reason"], "Pending");
}

#[test]
fn a_condition_that_turns_is_told() {
    let refused = written("Programmed", "False", "Refused", BEFORE);
    let object = route(json!([said("cart", &[refused])]));
    let (document, turned) =
        applied(&object, &desired(vec![(0, vec![condition("Programmed", Holds::True, "Programmed")])]));
    assert_eq!(document["status"]["parents"][0]["conditions"][0]["lastTransitionTime"], NOW);
    assert!(turned[0].was_bad && !turned[0].condition.is_bad());
}

#[test]
fn another_generation_is_not_spoken_of() {
    let object = route(json!([]));
    let older = Desired { generation: 2, ..desired(vec![(0, good())]) };
    assert_eq!(due(&path(ObjectKind::HTTPRoute), &object, &older, NOW), Due::Later);
}

#[test]
fn an_object_that_cannot_be_read_is_told_so_at_every_parent_of_ours() {
    let object = route(Value::Null);
    let invalid =
        Desired { generation: 3, said: Said::EveryParent(vec![condition("Accepted", Holds::False, "Invalid")]) };
    let (document, _) = applied(&object, &invalid);
    let parents = document["status"]["parents"].as_array().unwrap();
    assert_eq!(
        parents.iter().map(|entry| entry["parentRef"].clone()).collect::<Vec<_>>(),
        [parent("cart"), parent("pay")]
    );
}

#[test]
fn a_policy_has_its_conditions_at_itself() {
    let object = json!({
        "kind": "MeshConfig",
        "metadata": {"name": "default", "generation": 3, "resourceVersion": "1"},
        "status": {"conditions": [written("Conflicted", "True", "Conflicted", BEFORE)]},
    });
    let wanted = Desired { generation: 3, said: Said::Object(good()) };
    let Due::Apply(document, _) = due(&path(ObjectKind::MeshConfig), &object, &wanted, NOW) else { panic!() };
    let expected = json!({
        "apiVersion": "mesh.byrnie.io/v1alpha1",
        "kind": "MeshConfig",
        "metadata": {"name": "default", "resourceVersion": "1"},
        "status": {"conditions": [written("Accepted", "True", "Accepted", NOW)]},
    });
    assert_eq!(document, expected);
}
