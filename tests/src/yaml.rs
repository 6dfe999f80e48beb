//! YAML as JSON, for objects that are looked into.

use anyhow::{Context, Result, bail};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::Value;

/// The documents of a text that hold anything.
pub fn documents(text: &str) -> Result<Vec<Value>> {
    let documents = Yaml::load_from_str(text)?.iter().map(json).collect::<Result<Vec<_>>>()?;
    Ok(documents.into_iter().filter(|one| !one.is_null()).collect())
}

fn json(yaml: &Yaml<'_>) -> Result<Value> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Sequence(items) => items.iter().map(json).collect::<Result<_>>()?,
        Yaml::Mapping(fields) => {
            let field = |(name, value): (&Yaml<'_>, _)| {
                Ok((name.as_str().context("a field has a text for its name")?.to_owned(), json(value)?))
            };
            Value::Object(fields.iter().map(field).collect::<Result<_>>()?)
        }
        other => bail!("{other:?} has no equal in JSON"),
    })
}
