//! Parts of a Pod by their place.

use byrnie_source::objects::annotation::SIDECAR;
use serde_json::{Map, Value};

use crate::{
    annotation::{INJECTED, STATUS},
    refusal::Refusal,
};

/// The text at a JSON pointer.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

/// An annotation of the Pod.
pub fn annotation<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod.pointer("/metadata/annotations")?.get(name)?.as_str()
}

/// A label of the Pod.
pub fn label<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod.pointer("/metadata/labels")?.get(name)?.as_str()
}

/// Whether the Pod bears the mark of one that was injected, which may be a copy: it stands in the Pod's metadata.
pub fn is_injected(pod: &Value) -> bool {
    annotation(pod, STATUS) == Some(INJECTED)
}

/// Whether the Pod bears the mark beside its sidecar, as the control plane has it.
pub fn has_sidecar(pod: &Value) -> bool {
    let is_sidecar = |one: &Value| name(one) == SIDECAR && one["restartPolicy"] == "Always";
    is_injected(pod) && pod["spec"]["initContainers"].as_array().is_some_and(|list| list.iter().any(is_sidecar))
}

/// A container's or volume's name.
pub fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

/// The object at the field, which is made where there is none.
pub fn object<'a>(
    parent: &'a mut Map<String, Value>,
    field: &str,
    path: &str,
) -> Result<&'a mut Map<String, Value>, Refusal> {
    let value = parent.entry(field).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().ok_or_else(|| Refusal::Shape { field: path.to_owned(), wanted: "an object" })
}

/// Takes the list of objects at the field out; nothing there is an empty one.
pub fn take_list(parent: &mut Map<String, Value>, field: &str, path: &str) -> Result<Vec<Value>, Refusal> {
    match parent.remove(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) if items.iter().all(Value::is_object) => Ok(items),
        Some(_) => Err(Refusal::Shape { field: path.to_owned(), wanted: "a list of objects" }),
    }
}
