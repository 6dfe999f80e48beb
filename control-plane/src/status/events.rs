//! Events (events.k8s.io/v1) for what an operator must notice of an object.

use byrnie_source::{ObjectPath, moment};
use serde_json::{Value, json};

use super::{
    desired::{Condition, Holds},
    document::{CONTROLLER, Turned},
};

/// `note` takes 1 KiB.
const LONGEST_NOTE: usize = 1000;

/// What is worth an Event: a condition that turned bad, and that an object is in force everywhere which was not; `was_bad`:
/// an Event told so, whatever it went through since.
pub fn worth(turned: &[Turned], was_bad: bool) -> Option<&Turned> {
    let is_good = |condition: &Condition| condition.kind == "Programmed" && condition.status == Holds::True;
    let is_worth = |turned: &&Turned| turned.condition.is_bad() || (was_bad && is_good(&turned.condition));
    // What is not accepted is not programmed either; the cause comes first, and is enough.
    turned.iter().find(is_worth)
}

/// The Event of a condition that turned, on `object` as it was read. `nonce` tells it from others.
pub fn event(object: &Value, turned: &Turned, pod: &str, nonce: u64) -> (ObjectPath, Value) {
    let metadata = &object["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
    // Those of cluster-scoped objects stand in `default`, where kubectl looks for them.
    let namespace = if text("namespace").is_empty() { "default".to_owned() } else { text("namespace") };
    let name = format!("{}.{nonce:016x}", text("name"));
    let condition = &turned.condition;
    let note = format!("{}: {}", condition.kind, condition.message);
    let event = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "eventTime": moment::micro(std::time::SystemTime::now()),
        "reportingController": CONTROLLER,
        "reportingInstance": pod,
        "action": "Program",
        "type": if condition.is_bad() { "Warning" } else { "Normal" },
        "reason": condition.reason,
        "note": &note[..note.floor_char_boundary(LONGEST_NOTE)],
        "regarding": {
            "apiVersion": object["apiVersion"],
            "kind": object["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    });
    (ObjectPath::event(&namespace, &name), event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(kind: &'static str, status: Holds) -> Turned {
        let condition = Condition { kind, status, reason: "Because", message: "why".to_owned() };
        Turned { condition, was_bad: false }
    }

    #[test]
    fn what_goes_wrong_is_told_once_and_that_it_is_right_again() {
        let wrong = [turned("Accepted", Holds::False), turned("Programmed", Holds::False)];
        assert_eq!(worth(&wrong, true).map(|turned| turned.condition.kind), Some("Accepted"));
        let usual = [turned("Accepted", Holds::True), turned("Programmed", Holds::Unknown)];
        assert_eq!((worth(&usual, false), worth(&usual, true)), (None, None), "it is not right yet");
        let right = [turned("Programmed", Holds::True)];
        assert_eq!((worth(&right, false), worth(&right, true)), (None, Some(&right[0])));
        let partial = [turned("PartiallyInvalid", Holds::True)];
        assert_eq!(worth(&partial, false).map(|turned| turned.condition.is_bad()), Some(true));
    }

    #[test]
    fn an_event_names_the_object_and_lies_where_kubectl_looks() {
        let object = json!({"apiVersion": "v1", "kind": "MeshConfig", "metadata": {"name": "default", "uid": "u"}});
        let (path, event) = event(&object, &turned("Accepted", Holds::False), "pod-1", 7);
        assert_eq!(path.to_string(), "events/default/default.0000000000000007");
        assert_eq!((&event["type"], &event["note"]), (&json!("Warning"), &json!("Accepted: why")));
        assert_eq!(event["regarding"]["uid"], "u");
    }
}
