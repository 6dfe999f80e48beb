//! What leads from a Pod to the injected one, as a JSON Patch (RFC 6902).

use serde::Serialize;
use serde_json::{Map, Value};

/// A step of a JSON Patch.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// A field that was not there.
    Add {
        /// A JSON pointer (RFC 6901).
        path: String,
        /// The field's value.
        value: Value,
    },
    /// A field or an item of a list that was there.
    Replace {
        /// A JSON pointer.
        path: String,
        /// Its new value.
        value: Value,
    },
    /// A field that goes.
    Remove {
        /// A JSON pointer.
        path: String,
    },
}

/// The steps that lead from a Pod to what it becomes; none where that is the same.
pub fn patch(pod: &Value, done: &Value) -> Vec<Operation> {
    let mut steps = Vec::new();
    compare(pod, done, String::new(), &mut steps);
    steps
}

fn compare(from: &Value, to: &Value, path: String, steps: &mut Vec<Operation>) {
    match (from, to) {
        _ if from == to => {}
        (Value::Object(from), Value::Object(to)) => fields(from, to, &path, steps),
        (Value::Array(from), Value::Array(to)) if from.len() == to.len() => {
            let pairs = from.iter().zip(to).enumerate();
            pairs.for_each(|(index, (from, to))| compare(from, to, format!("{path}/{index}"), steps));
        }
        _ => steps.push(Operation::Replace { path, value: to.clone() }),
    }
}

fn fields(from: &Map<String, Value>, to: &Map<String, Value>, path: &str, steps: &mut Vec<Operation>) {
    let at = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
    for (name, value) in to {
        match from.get(name) {
            Some(old) => compare(old, value, at(name), steps),
            None => steps.push(Operation::Add { path: at(name), value: value.clone() }),
        }
    }
    let gone = from.keys().filter(|name| !to.contains_key(*name));
    steps.extend(gone.map(|name| Operation::Remove { path: at(name) }));
}
