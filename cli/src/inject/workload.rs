//! Where objects have their Pods.

use byrnie_injector::Namespace;
use serde_json::Value;

/// The place of the template of Pods, by group and kind; a Pod is one itself.
const TEMPLATES: [(&str, &str, &str); 8] = [
    ("", "Pod", ""),
    ("", "ReplicationController", "spec.template"),
    ("apps", "DaemonSet", "spec.template"),
    ("apps", "Deployment", "spec.template"),
    ("apps", "ReplicaSet", "spec.template"),
    ("apps", "StatefulSet", "spec.template"),
    ("batch", "CronJob", "spec.jobTemplate.spec.template"),
    ("batch", "Job", "spec.template"),
];

/// Calls with each object; those of a list one after the other.
pub fn for_each(document: &Value, call: &mut dyn FnMut(&Value)) {
    match list(document) {
        Some(items) => items.iter().for_each(|item| for_each(item, call)),
        None => call(document),
    }
}

/// Calls with each Pod and each template of Pods: the object without it, its place there, and the Pod.
pub fn pods(document: &mut Value, call: &mut dyn FnMut(&Value, &str, &mut Value)) {
    if list(document).is_some() {
        let items = document["items"].as_array_mut().into_iter().flatten();
        return items.for_each(|item| pods(item, call));
    }
    let Some(place) = place(document) else { return };
    let pointer: String = place.split('.').filter(|part| !part.is_empty()).map(|part| format!("/{part}")).collect();
    let object = Value::Object(
        ["apiVersion", "kind", "metadata"].map(|field| (field.into(), document[field].clone())).into_iter().collect(),
    );
    if let Some(pod) = document.pointer_mut(&pointer) {
        call(&object, place, pod);
    }
}

/// `Deployment/shop/cart`
pub fn name(object: &Value, namespace: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let own = if metadata["name"].is_string() { &metadata["name"] } else { &metadata["generateName"] };
    format!("{}/{namespace}/{}", text(&object["kind"]), text(own))
}

/// Whether an object is a Namespace.
pub fn is_namespace(object: &Value) -> bool {
    object["kind"] == "Namespace" && object["apiVersion"] == "v1"
}

/// A Namespace, of which the metadata is enough.
pub fn namespace(object: &Value) -> Namespace {
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    let labels = labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    Namespace { name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(), labels: labels.collect() }
}

fn list(document: &Value) -> Option<&Vec<Value>> {
    let is_list = document["apiVersion"] == "v1" && document["kind"] == "List";
    document["items"].as_array().filter(|_| is_list)
}

fn place(object: &Value) -> Option<&'static str> {
    let version = object["apiVersion"].as_str()?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let kind = object["kind"].as_str()?;
    TEMPLATES.iter().find(|(in_group, of_kind, _)| *in_group == group && *of_kind == kind).map(|(_, _, place)| *place)
}
