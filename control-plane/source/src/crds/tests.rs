//! The definitions against the types that read the objects, against the chart, and against the pages' examples.

mod agree;
mod validity;

use std::{fs, path::Path};

use super::*;
use crate::directory;

/// A field of a schema, with the way to it from the object's root; `[]` is each element of a list.
struct Field {
    path: String,
    schema: Value,
}

/// All fields of `spec`, itself included.
fn fields(definition: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    walk("spec", spec_of(definition), &mut fields);
    fields
}

fn walk(path: &str, schema: &Value, fields: &mut Vec<Field>) {
    fields.push(Field { path: path.to_owned(), schema: schema.clone() });
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), inner, fields);
    }
    if let Some(items) = schema.get("items") {
        walk(&format!("{path}[]"), items, fields);
    }
}

fn kind_of(definition: &Value) -> &str {
    definition["spec"]["names"]["kind"].as_str().unwrap()
}

fn schema_of(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

fn spec_of(definition: &Value) -> &Value {
    &schema_of(definition)["properties"]["spec"]
}

/// The value of one document, as files are read.
fn read_yaml(text: &str) -> Value {
    directory::yaml::read(text).unwrap().unwrap_or_default().0
}

#[test]
fn the_chart_holds_the_definitions() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/byrnie-crds/templates");
    let mut wanted: Vec<String> = Vec::new();
    for mut definition in definitions() {
        let file = format!("{}.yaml", definition["spec"]["names"]["singular"].as_str().unwrap());
        // With the definition all objects of its kind would go.
        definition["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
        let text = format!(
            "# Made from the types that read the objects. BYRNIE_BLESS=1 writes it anew.\n{}",
            yaml(&definition)
        );
        assert!(!text.contains("{{"), "{file} would be taken for a template");
        if std::env::var_os("BYRNIE_BLESS").is_some() {
            fs::create_dir_all(&templates).unwrap();
            fs::write(templates.join(&file), &text).unwrap();
        }
        let found = fs::read_to_string(templates.join(&file)).unwrap_or_default();
        let differing = found.lines().zip(text.lines()).find(|(found, wanted)| found != wanted);
        assert!(found == text, "{file} in the chart is out of date ({differing:?}); BYRNIE_BLESS=1 writes it anew");
        wanted.push(file);
    }
    let mut found: Vec<_> =
        fs::read_dir(templates).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[test]
fn the_yaml_says_the_same_as_the_value() {
    for definition in definitions() {
        assert_eq!(read_yaml(&yaml(&definition)), definition);
    }
    let all = json!({
        "a": ["", " x", "x ", "a\nb", "a\n b", "a\n", "x\ty", "a  b", "it's \"so\"", "\\", "- a", "# a", "a: b", "a #b"],
        "b": ["true", "on", "No", "1", "1e3", "0x1f", "~", "null", "-", "é", true, null, 1, -1.5],
        "c": [[], {}, [[1, [2]]], [{"on": {}}], {"a: b": [{"x": 1, "y": {"z": 2}}]}],
        "d": [format!("{} it's: so", "word ".repeat(40)), "x".repeat(200), format!("a  b{}", "c".repeat(100))],
    });
    let mut expected = all.clone();
    crate::objects::prune(&mut expected);
    assert_eq!(read_yaml(&yaml(&all)), expected, "{}", yaml(&all));
}

#[test]
fn every_field_is_explained_and_can_be_written_without_quotation_marks() {
    for definition in definitions() {
        for Field { path, schema } in fields(&definition) {
            let description = schema["description"].as_str().unwrap_or_default();
            assert!(description.len() > 6 || path.ends_with("targetRef.kind"), "{path}: {description:?}");
            let name = path.rsplit('.').next().unwrap_or_default();
            // What YAML 1.1 takes for a boolean, which kubectl reads.
            assert!(!["on", "off", "yes", "no", "y", "n"].contains(&name), "{path}");
        }
    }
}
