//! The schema and the reading have the same fields, the same defaults, and refuse the same durations.

use std::collections::BTreeSet;

use byrnie_model::ObjectKind;

use super::*;
use crate::objects::{Object, Read, read};

/// A field that no kind has.
const NO_FIELD: &str = "zzz";

/// Values for texts that must match.
const SAMPLES: [&str; 6] = ["10s", "/", "cart", "200", "503", "info"];

#[test]
fn every_field_of_the_schema_is_read_and_every_field_that_is_read_is_in_the_schema() {
    let mut known = 0;
    for definition in definitions() {
        for Field { path, schema } in fields(&definition) {
            let value = least(&schema);
            let message = told(&read_with(&definition, &path, value.clone()));
            assert!(!message.contains("unknown field") && !message.contains("invalid type"), "{path}: {message}");
            let Value::Object(mut wrong) = value else { continue };
            if schema.get("additionalProperties").is_some() {
                continue;
            }
            wrong.insert(NO_FIELD.to_owned(), json!(1));
            let message = told(&read_with(&definition, &path, wrong.into()));
            let accepted = accepted(&message).unwrap_or_else(|| panic!("{path}: {message}"));
            let declared = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
            assert_eq!(declared.collect::<BTreeSet<_>>(), accepted, "{path}");
            known += accepted.len();
        }
    }
    assert!(known > 50, "only {known} fields were told by the refusals: has their wording changed?");
}

#[test]
fn a_default_that_is_written_means_the_same_as_none() {
    let mut tried = 0;
    for definition in definitions() {
        for Field { path, schema } in
            fields(&definition).into_iter().filter(|field| field.schema["default"] != json!(null))
        {
            let (parent, name) = path.rsplit_once('.').unwrap();
            let mut without =
                least(&fields(&definition).into_iter().find(|field| field.path == parent).unwrap().schema);
            if parent == "spec.healthCheck" {
                without["tcp"] = json!({});
            }
            let mut with = without.clone();
            with[name] = schema["default"].clone();
            let [with, without] = [with, without].map(|value| content(&read_with(&definition, parent, value)));
            assert_eq!(with, without, "{path}");
            tried += 1;
        }
    }
    assert!(tried > 10, "only {tried} defaults");
}

#[test]
fn what_may_not_be_0s_has_a_rule_that_says_so() {
    for definition in definitions() {
        let durations =
            fields(&definition).into_iter().filter(|field| field.schema["pattern"] == crate::objects::scalar::SPAN);
        for Field { path, schema } in durations {
            let is_refused = told(&read_with(&definition, &path, json!("0s"))).contains("is 0s: ");
            let rules = schema["x-kubernetes-validations"].to_string();
            assert_eq!(rules.contains("longer than 0s"), is_refused, "{path}");
        }
    }
}

/// Reads an object with the field at `path` and what is needed beside it.
fn read_with(definition: &Value, path: &str, value: Value) -> Read {
    let kind = kind_of(definition);
    let mut object = json!({
        "apiVersion": "mesh.byrnie.io/v1alpha1", "kind": kind, "metadata": {"name": "default"},
        "spec": least(spec_of(definition)),
    });
    put(&mut object["spec"], spec_of(definition), path.strip_prefix("spec").unwrap().trim_start_matches('.'), value);
    let kinds = [ObjectKind::TrafficPolicy, ObjectKind::PeerPolicy, ObjectKind::MeshConfig];
    read(kinds.into_iter().find(|known| known.as_str() == kind).unwrap(), &object)
}

/// Puts a value at a path, with what each level needs.
fn put(within: &mut Value, schema: &Value, path: &str, value: Value) {
    if path.is_empty() {
        *within = value;
    } else if let Some(rest) = path.strip_prefix("[]") {
        *within = json!([least(&schema["items"])]);
        put(&mut within[0], &schema["items"], rest.trim_start_matches('.'), value);
    } else {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (name, rest) = path.split_at(end);
        let inner = &schema["properties"][name];
        within[name] = least(inner);
        put(&mut within[name], inner, rest.trim_start_matches('.'), value);
    }
}

/// The least value that a schema takes.
fn least(schema: &Value) -> Value {
    if let Some(words) = schema["enum"].as_array() {
        return words[0].clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let needed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            needed.map(|name| (name.to_owned(), least(&schema["properties"][name]))).collect::<Map<_, _>>().into()
        }
        Some("array") => json!([]),
        Some("boolean") => json!(true),
        Some("string") => {
            let pattern = regex::Regex::new(schema["pattern"].as_str().unwrap_or_default()).unwrap();
            SAMPLES.into_iter().find(|sample| pattern.is_match(sample)).unwrap().into()
        }
        _ => schema["minimum"].clone(),
    }
}

fn told(read: &Read) -> String {
    read.told.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect::<Vec<_>>().join("\n")
}

fn content(read: &Read) -> Object {
    read.content.clone().unwrap_or_else(|| panic!("{}", told(read)))
}

/// The names in ``unknown field `zzz`, expected one of `a`, `b` ``.
fn accepted(told: &str) -> Option<BTreeSet<&str>> {
    let (_, rest) = told.split_once(&format!("unknown field `{NO_FIELD}`, "))?;
    Some(rest.split('`').skip(1).step_by(2).collect())
}
