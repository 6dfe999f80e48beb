//! The chart's own values, and what files and the command line lay over them, as Helm does it: objects are merged, all
//! else is replaced.

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow, bail, ensure};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use super::values::Values;

/// Values, checked after each layer, so that what is wrong names the layer.
#[derive(Debug)]
pub struct Layers {
    merged: Value,
    values: Values,
}

impl Layers {
    /// The lowest one, as YAML.
    pub fn new(yaml: &str) -> Result<Self> {
        let merged = read(yaml)?;
        let values = check(&merged)?;
        Ok(Self { merged, values })
    }

    /// A file of YAML.
    pub fn add_file(&mut self, file: &Path) -> Result<()> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.add(|| read(&text)).with_context(|| file.display().to_string())
    }

    /// `a.b=c,d=e`, of which a comma or a point that is part of a name or value has a `\` before it.
    pub fn add_assignments(&mut self, text: &str) -> Result<()> {
        let each = split(text, ',').into_iter().try_for_each(|one| self.add(|| assignment(one)));
        each.with_context(|| format!("--set {text}"))
    }

    /// What all of them give.
    pub fn values(&self) -> &Values {
        &self.values
    }

    fn add(&mut self, layer: impl FnOnce() -> Result<Value>) -> Result<()> {
        merge(&mut self.merged, layer()?);
        self.values = check(&self.merged)?;
        Ok(())
    }
}

fn check(merged: &Value) -> Result<Values> {
    serde_path_to_error::deserialize(merged).map_err(|error| match error.path().to_string() {
        // A field of the outermost object is missing, which the error names.
        path if path == "." => anyhow!("{}", error.inner()),
        path => anyhow!("{path}: {}", error.inner()),
    })
}

fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                match below.get_mut(&name) {
                    // As with Helm, null takes a field away.
                    _ if value.is_null() => drop(below.remove(&name)),
                    Some(present) => merge(present, value),
                    None => drop(below.insert(name, value)),
                }
            }
        }
        (below, above) => *below = above,
    }
}

fn assignment(text: &str) -> Result<Value> {
    let (path, value) = text.split_once('=').context("a field, = and its value are accepted")?;
    ensure!(!path.contains('[') && !value.starts_with('{'), "a list is accepted in a file only: --values FILE");
    let value = unescaped(value);
    let value = match value.as_str() {
        "true" => true.into(),
        "false" => false.into(),
        "null" => Value::Null,
        // What begins with a zero is an identifier and no number.
        number if number == "0" || !number.starts_with('0') => {
            number.parse::<i64>().map_or_else(|_| number.into(), Value::from)
        }
        text => text.into(),
    };
    let within = |value, field: &str| Value::from(Map::from_iter([(unescaped(field), value)]));
    Ok(split(path, '.').into_iter().rev().fold(value, within))
}

/// The parts between separators that have no `\` before them.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut is_escaped = false;
    text.split(|c| {
        let ends = c == separator && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    })
    .collect()
}

fn unescaped(text: &str) -> String {
    let mut is_escaped = false;
    let is_kept = |c: &char| {
        is_escaped = *c == '\\' && !is_escaped;
        !is_escaped
    };
    text.chars().filter(is_kept).collect()
}

/// A document of YAML; an empty one says nothing.
fn read(yaml: &str) -> Result<Value> {
    let documents = Yaml::load_from_str(yaml)?;
    match documents.as_slice() {
        [] => Ok(Map::new().into()),
        [one] => match json(one)? {
            Value::Null => Ok(Map::new().into()),
            object @ Value::Object(_) => Ok(object),
            other => bail!("found {other}: fields and their values are accepted"),
        },
        more => bail!("found {} documents: one is accepted", more.len()),
    }
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
                let name = name.as_str().with_context(|| format!("{name:?}: the name of a field is a text"))?;
                Ok((name.to_owned(), json(value).with_context(|| name.to_owned())?))
            };
            Value::Object(fields.iter().map(field).collect::<Result<_>>()?)
        }
        other => bail!("{other:?} is not understood"),
    })
}

#[cfg(test)]
mod tests;
