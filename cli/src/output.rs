//! What the verbs print: a table for people, JSON and YAML for programs.

use std::io::Write;

use clap::ValueEnum;
use saphyr::{Mapping, Yaml, YamlEmitter};
use serde_json::Value;

/// `-o table|json|yaml`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

/// Prints a document in a machine's format; `table` is called for people.
pub fn print(format: Format, document: &Value, table: impl FnOnce(&Value) -> String) {
    let text = match format {
        Format::Table => table(document),
        Format::Json => serde_json::to_string_pretty(document).expect("a JSON value has a text"),
        Format::Yaml => yaml(document),
    };
    // Who reads no further, such as `head`, has what it wants.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// A list of objects as aligned columns; a column's title is its field's name in capitals.
pub fn table(rows: &[Value], columns: &[&str]) -> String {
    let cells = |row: &Value| columns.iter().map(|column| cell(row.get(column))).collect::<Vec<_>>();
    let title = columns.iter().map(|column| heading(column)).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> = std::iter::once(title).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A field as it stands in a column: lists are joined, nothing is `-`.
pub fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) if list.is_empty() => "-".to_owned(),
        Some(Value::Array(list)) => list.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

fn heading(field: &str) -> String {
    if field.chars().all(char::is_uppercase) {
        return field.to_owned();
    }
    let spaced = field.chars().flat_map(|c| c.is_uppercase().then_some(' ').into_iter().chain([c]));
    spaced.collect::<String>().to_uppercase()
}

fn yaml(document: &Value) -> String {
    let mut text = String::new();
    let tree = yaml_of(document);
    YamlEmitter::new(&mut text).dump(&tree).expect("a String takes every text");
    text.trim_start_matches("---\n").to_owned()
}

fn yaml_of(value: &Value) -> Yaml<'_> {
    match value {
        Value::Null => Yaml::Value(saphyr::Scalar::Null),
        Value::Bool(value) => Yaml::Value(saphyr::Scalar::Boolean(*value)),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Yaml::Value(saphyr::Scalar::Integer(number)),
            None => Yaml::Value(saphyr::Scalar::FloatingPoint(number.as_f64().unwrap_or_default().into())),
        },
        Value::String(text) => Yaml::Value(saphyr::Scalar::String(text.as_str().into())),
        Value::Array(list) => Yaml::Sequence(list.iter().map(yaml_of).collect()),
        Value::Object(fields) => {
            let key = |key: &'_ String| Yaml::Value(saphyr::Scalar::String(key.clone().into()));
            Yaml::Mapping(fields.iter().map(|(name, value)| (key(name), yaml_of(value))).collect::<Mapping<'_>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [json!({"name": "a", "lastNack": null}), json!({"name": "long", "lastNack": ["x", "y"]})];
        assert_eq!(table(&rows, &["name", "lastNack"]), "NAME  LAST NACK\na     -\nlong  x, y\n");
    }

    #[test]
    fn yaml_says_the_same_as_json() {
        let text = yaml(&json!({"a": [1, "true", null], "b": {"c": 1.5}}));
        assert!(text.contains("\"true\""), "a text that looks like a boolean is quoted: {text}");
        assert!(text.contains("c: 1.5"), "{text}");
    }
}
