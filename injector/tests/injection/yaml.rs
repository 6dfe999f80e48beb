use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::Value;

/// The one document of a text.
pub fn read(text: &str) -> Value {
    json(&Yaml::load_from_str(text).expect("it is YAML")[0])
}

fn json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(fields) => Value::Object(
            fields.iter().map(|(name, value)| (name.as_str().expect("a text").to_owned(), json(value))).collect(),
        ),
        other => panic!("{other:?}"),
    }
}
