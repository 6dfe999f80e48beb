//! A status as the API server keeps it, from what it keeps now and what is to be said.

use byrnie_source::ObjectPath;
use serde_json::{Map, Value, json};

use super::desired::{Condition, Desired, Holds, Said, is_bad};

/// Who we are among the controllers of a route's parents (Gateway API, `RouteParentStatus.controllerName`).
pub const CONTROLLER: &str = "byrnie.io/mesh";

/// `metav1.Condition.message` takes more; nobody reads more.
const LONGEST_MESSAGE: usize = 4096;

/// What is to be done about an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// Nothing: all of it is there.
    Nothing,
    /// The object has another generation than the one that is spoken of.
    Later,
    /// The document to apply to the status, and the conditions that turned.
    Apply(Value, Vec<Turned>),
}

/// A condition whose status or reason is another than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned {
    /// As it is now.
    pub condition: Condition,
    /// Whether it said that something is wrong before.
    pub was_bad: bool,
}

/// What to apply to `object`, which was just read; `now` in RFC 3339.
pub fn due(path: &ObjectPath, object: &Value, desired: &Desired, now: &str) -> Due {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
    if desired.generation != generation {
        return Due::Later;
    }
    let mut writing = Writing { generation, now, turned: Vec::new() };
    let status = match &desired.said {
        Said::Object(conditions) => of_object(object, conditions, &mut writing),
        Said::Parents(parents) => of_parents(object, parents, &mut writing),
        Said::EveryParent(conditions) => {
            let ours = spec_parents(object).iter().enumerate().filter(|(_, parent)| is_service(parent));
            let parents: Vec<_> = ours.map(|(index, _)| (index, conditions.clone())).collect();
            of_parents(object, &parents, &mut writing)
        }
    };
    let Some(status) = status else { return Due::Nothing };
    let metadata = &object["metadata"];
    let mut identity = Map::new();
    for field in ["name", "namespace", "resourceVersion"] {
        identity.extend(metadata.get(field).map(|value| (field.to_owned(), value.clone())));
    }
    let document = json!({
        "apiVersion": path.api_version(),
        "kind": object["kind"],
        "metadata": identity,
        "status": status,
    });
    Due::Apply(document, writing.turned)
}

struct Writing<'a> {
    generation: i64,
    now: &'a str,
    turned: Vec<Turned>,
}

fn of_object(object: &Value, conditions: &[Condition], writing: &mut Writing<'_>) -> Option<Value> {
    let before = &object["status"]["conditions"];
    let after = writing.conditions(before, conditions);
    (!same(before, &after)).then(|| json!({"conditions": after}))
}

/// `status.parents` is one value to the API server (an atomic list): what others said there is said again.
fn of_parents(object: &Value, parents: &[(usize, Vec<Condition>)], writing: &mut Writing<'_>) -> Option<Value> {
    let said = object["status"]["parents"].as_array().map_or(&[][..], Vec::as_slice);
    let (ours, others): (Vec<&Value>, Vec<&Value>) =
        said.iter().partition(|entry| entry["controllerName"] == CONTROLLER);
    let mut next = Vec::new();
    let mut is_same = true;
    for (index, conditions) in parents {
        let Some(parent) = spec_parents(object).get(*index) else { continue };
        let before = ours.iter().find(|entry| entry["parentRef"] == *parent).map(|entry| &entry["conditions"]);
        let after = writing.conditions(before.unwrap_or(&Value::Null), conditions);
        is_same &= before.is_some_and(|before| same(before, &after));
        next.push(json!({"parentRef": parent, "controllerName": CONTROLLER, "conditions": after}));
    }
    is_same &= next.len() == ours.len();
    (!is_same).then(|| json!({"parents": others.into_iter().cloned().chain(next).collect::<Vec<_>>()}))
}

fn spec_parents(object: &Value) -> &[Value] {
    object["spec"]["parentRefs"].as_array().map_or(&[], Vec::as_slice)
}

fn is_service(parent: &Value) -> bool {
    parent["kind"] == "Service" && parent["group"] == ""
}

/// Whether both say the same, in any order.
fn same(before: &Value, after: &[Value]) -> bool {
    let before = before.as_array().map_or(&[][..], Vec::as_slice);
    before.len() == after.len() && after.iter().all(|condition| before.contains(condition))
}

impl Writing<'_> {
    fn conditions(&mut self, before: &Value, conditions: &[Condition]) -> Vec<Value> {
        conditions.iter().map(|condition| self.condition(before, condition)).collect()
    }

    /// What was in force everywhere stays so for its generation: proxies come and go, and who writes may have taken over
    /// before all replicas have told.
    fn was_programmed(&self, said: &Value) -> bool {
        said["type"] == "Programmed" && said["status"] == "True" && said["observedGeneration"] == self.generation
    }

    /// A condition keeps the time at which its status last changed.
    fn condition(&mut self, before: &Value, condition: &Condition) -> Value {
        let said = before.as_array().into_iter().flatten().find(|said| said["type"] == condition.kind);
        if let Some(said) = said.filter(|said| self.was_programmed(said) && condition.status != Holds::False) {
            return said.clone();
        }
        let status = condition.status.as_str();
        let since = said.filter(|said| said["status"] == status).and_then(|said| said["lastTransitionTime"].as_str());
        if since.is_none() || said.is_some_and(|said| said["reason"] != condition.reason) {
            let was = said.and_then(|said| said["status"].as_str());
            let was_bad = was.is_some_and(|was| is_bad(condition.kind, was));
            self.turned.push(Turned { condition: condition.clone(), was_bad });
        }
        let message = &condition.message[..condition.message.floor_char_boundary(LONGEST_MESSAGE)];
        json!({
            "type": condition.kind,
            "status": status,
            "reason": condition.reason,
            "message": message,
            "observedGeneration": self.generation,
            "lastTransitionTime": since.unwrap_or(self.now),
        })
    }
}

#[cfg(test)]
mod tests;
