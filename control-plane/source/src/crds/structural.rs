//! Schemas of JSON Schema, as they are derived, to structural ones, as an API server wants them: each field has one
//! type, nothing is referred to, and unknown fields are not named (they are pruned).

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// The structural schema of a type.
pub fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    structural(settings.into_generator().into_root_schema_for::<T>().to_value())
}

fn structural(schema: Value) -> Value {
    // What takes any value.
    let Value::Object(mut fields) = schema else { return json!({}) };
    fields.remove("title");
    if let Some(Value::Array(alternatives)) = fields.remove("anyOf") {
        let inner = alternatives.into_iter().find(|one| one["type"] != "null");
        if let Some(Value::Object(inner)) = inner {
            // What the field says goes before what its type says.
            for (key, value) in inner {
                fields.entry(key).or_insert(value);
            }
        }
    }
    words(&mut fields);
    // `Option` allows null, which the API server takes away from fields that are not nullable.
    if let Some(Value::Array(types)) = fields.get("type") {
        let named = types.iter().find(|one| *one != "null").cloned();
        fields.extend(named.map(|named| ("type".to_owned(), named)));
    }
    if let Some(Value::Array(words)) = fields.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if fields.get("additionalProperties") == Some(&Value::Bool(false)) {
        fields.remove("additionalProperties");
    }
    if fields.get("default").is_some_and(|default| [json!(null), json!({}), json!([])].contains(default)) {
        fields.remove("default");
    }
    if let Some(Value::String(text)) = fields.get_mut("description") {
        *text = flowed(text);
    }
    for within in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(within) {
            *inner = structural(inner.take());
        }
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(|property| *property = structural(property.take()));
    }
    fields.into()
}

/// An enum whose variants have descriptions is derived as a choice between constants: it becomes a list of words, and
/// what they mean joins its description.
fn words(fields: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = fields.remove("oneOf") else { return };
    let mut description = fields.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    let choices = choices.iter().filter(|choice| choice["type"] != "null");
    let words: Vec<_> = choices.clone().map(|choice| choice["const"].clone()).collect();
    for choice in choices {
        let [word, meaning] = ["const", "description"].map(|field| choice[field].as_str().unwrap_or_default());
        description += &format!("\n\n{word}: {meaning}");
    }
    fields.extend([
        ("type".to_owned(), "string".into()),
        ("enum".to_owned(), words.into()),
        ("description".to_owned(), description.trim_start().into()),
    ]);
}

/// Lines of a doc comment as paragraphs.
fn flowed(text: &str) -> String {
    let paragraph = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "");
    text.split("\n\n").map(paragraph).collect::<Vec<_>>().join("\n")
}
