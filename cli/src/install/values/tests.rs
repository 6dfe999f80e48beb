//! The types against the chart's files, which are made of them or read by them.

use std::{collections::BTreeSet, fs, path::PathBuf};

use schemars::generate::SchemaSettings;
use serde_json::json;

use super::*;
use crate::install::{chart, layers::Layers};

fn chart(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../charts/byrnie").join(file)
}

/// Compares a file of the chart; BYRNIE_BLESS=1 writes it anew.
fn hold(file: &str, wanted: &str) {
    if std::env::var_os("BYRNIE_BLESS").is_some() {
        fs::write(chart(file), wanted).unwrap();
    }
    let found = fs::read_to_string(chart(file)).unwrap_or_default();
    assert!(found == wanted, "{file} of the chart is out of date; BYRNIE_BLESS=1 writes it anew");
}

/// As Helm checks it: draft 7 is what its older releases know.
fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Values>().to_value();
    flow(&mut schema);
    schema
}

/// Makes of each description one line.
fn flow(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            fields.values_mut().for_each(flow);
        }
        Value::Array(items) => items.iter_mut().for_each(flow),
        _ => {}
    }
}

/// The fields that have no fields of their own, with what is said of them.
fn leaves(path: &str, schema: &Value, leaves: &mut Vec<(String, String)>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}{name}");
        match inner.get("properties") {
            Some(_) => self::leaves(&format!("{path}."), inner, leaves),
            None => leaves.push((path, inner["description"].as_str().unwrap_or_default().to_owned())),
        }
    }
}

fn defaults() -> Value {
    serde_json::to_value(Layers::new(chart::VALUES).unwrap().values()).unwrap()
}

#[test]
fn the_schema_is_made_from_the_types() {
    hold("values.schema.json", &format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap()));
}

#[test]
fn the_table_of_the_readme_is_made_from_the_types_and_the_defaults() {
    let mut rows = Vec::new();
    leaves("", &schema(), &mut rows);
    let defaults = defaults();
    let mut table = String::from("| value | default | |\n| --- | --- | --- |\n");
    for (path, description) in rows.iter().filter(|(path, _)| path != "global") {
        let default = &defaults.pointer(&format!("/{}", path.replace('.', "/"))).unwrap();
        table += &format!("| `{path}` | `{default}` | {description} |\n");
    }
    let readme = fs::read_to_string(chart("README.md")).unwrap();
    let (before, rest) = readme.split_once("<!-- values -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- /values -->").unwrap();
    hold("README.md", &format!("{before}<!-- values -->\n{table}<!-- /values -->{after}"));
}

#[test]
fn the_defaults_hold_every_field() {
    let mut fields = Vec::new();
    leaves("", &schema(), &mut fields);
    let expected: BTreeSet<_> = fields.into_iter().map(|(path, _)| path).filter(|path| path != "global").collect();
    assert!(expected.contains("image.tag"));
    let text = fs::read_to_string(chart("values.yaml")).unwrap();
    let mut found = BTreeSet::new();
    let mut above: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, _)) = line.split_once(':') else { continue };
        above.truncate((name.len() - name.trim_start().len()) / 2);
        above.push(name.trim_start());
        found.insert(above.join("."));
    }
    let missing: Vec<_> = expected.iter().filter(|path| !found.contains(*path)).collect();
    assert!(missing.is_empty(), "values.yaml lacks {missing:?}");
}

#[test]
fn patterns_of_the_schema_accept_what_the_types_accept() {
    let schema = schema();
    let matches = |field: &str, text: &str| {
        let pattern = schema["properties"][field]["pattern"].as_str().unwrap();
        regex::Regex::new(pattern).unwrap().is_match(text)
    };
    let is_taken = |field: &str, text: &str| {
        let mut values = defaults();
        values[field] = json!(text);
        serde_json::from_value::<Values>(values).is_ok()
    };
    for (field, text, expected) in [
        ("leafLifetime", "24h", true),
        ("leafLifetime", "90m", true),
        ("leafLifetime", "0s", false),
        ("leafLifetime", "1d", false),
        ("leafLifetime", "", false),
        ("issuerSecret", "", true),
        ("issuerSecret", "mesh-issuer.v1", true),
        ("issuerSecret", "Issuer", false),
        ("issuerSecret", "-a", false),
        ("issuerSecret", "a b", false),
    ] {
        assert_eq!((matches(field, text), is_taken(field, text)), (expected, expected), "{field}: {text:?}");
    }
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = fs::read_to_string(chart("Chart.yaml")).unwrap();
    for field in ["version", "appVersion"] {
        assert!(chart.contains(&format!("\n{field}: {}\n", chart::VERSION)), "{field}");
    }
}
