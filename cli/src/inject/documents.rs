//! A file's documents: their text, to be printed as it stands, and what it says, as `kubectl` reads it.

use anyhow::{Context, Result, anyhow, bail};
use saphyr::{Scalar, ScalarStyle, Yaml, YamlLoader};
use saphyr_parser::Parser;
use serde_json::{Map, Value};

/// A document that says something.
#[derive(Debug)]
pub struct Document<'a> {
    pub text: &'a str,
    pub value: Value,
}

/// The documents of a text of YAML, of which JSON is a part.
pub fn read(text: &str) -> Result<Vec<Document<'_>>> {
    let mut documents = Vec::new();
    for (line, text) in split(text) {
        let value = value(text, line)?;
        documents.extend((!value.is_null()).then_some(Document { text, value }));
    }
    Ok(documents)
}

/// The texts between lines of `---`, with the line where each begins, counted from 1.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut texts = Vec::new();
    let (mut from, mut first, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            texts.push((first, &text[from..at]));
            // What follows the marker in its line belongs to the document.
            let marker = if line[3..].trim().is_empty() { line.len() } else { 3 };
            (from, first) = (at + marker, index + 1 + usize::from(marker > 3));
        }
        at += line.len();
    }
    texts.push((first, &text[from..]));
    texts
}

fn value(text: &str, first: usize) -> Result<Value> {
    let mut loader = YamlLoader::<Yaml<'_>>::default();
    loader.early_parse(false);
    let loaded = Parser::new_from_str(text).load(&mut loader, true);
    if let Some(error) = loaded.err().or_else(|| loader.error().cloned()) {
        return Err(anyhow!("line {}: {}", first + error.marker().line() - 1, error.info()));
    }
    match loader.into_documents().as_slice() {
        [] => Ok(Value::Null),
        [one] => json(one).with_context(|| format!("the document at line {first}")),
        _ => bail!("line {first}: a second document begins without a line of ---"),
    }
}

fn json(yaml: &Yaml<'_>) -> Result<Value> {
    Ok(match yaml {
        Yaml::Representation(text, style, tag) => {
            let octal = (*style == ScalarStyle::Plain && tag.is_none()).then(|| octal(text)).flatten();
            if let Some(number) = octal {
                return Ok(number.into());
            }
            let scalar = Scalar::parse_from_cow_and_metadata(text.clone(), *style, tag.as_ref());
            match scalar.with_context(|| format!("{text:?} is not what its tag says"))? {
                Scalar::Null => Value::Null,
                Scalar::Boolean(value) => value.into(),
                Scalar::Integer(value) => value.into(),
                Scalar::FloatingPoint(value) => value.into_inner().into(),
                Scalar::String(text) => text.into_owned().into(),
            }
        }
        Yaml::Sequence(items) => items.iter().map(json).collect::<Result<_>>()?,
        Yaml::Mapping(fields) => {
            let mut object = Map::new();
            let mut merged = Vec::new();
            for (name, value) in fields {
                let Yaml::Representation(name, ..) = name else { bail!("the name of a field is a text") };
                match &**name {
                    "<<" => merged.push(json(value)?),
                    name => drop(object.insert(name.to_owned(), json(value).with_context(|| name.to_owned())?)),
                }
            }
            merged.into_iter().for_each(|below| merge(&mut object, below));
            Value::Object(object)
        }
        Yaml::Tagged(_, inner) => json(inner)?,
        other => bail!("{other:?} is not understood"),
    })
}

/// What a merge key (`<<`) names goes below the object's own fields.
fn merge(object: &mut Map<String, Value>, below: Value) {
    match below {
        Value::Object(fields) => {
            for (name, value) in fields {
                object.entry(name).or_insert(value);
            }
        }
        Value::Array(all) => all.into_iter().for_each(|one| merge(object, one)),
        _ => {}
    }
}

/// `0644`, as modes of files are written, and as YAML 1.1 has it, which `kubectl` reads.
fn octal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('0').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    i64::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_keep_their_text_and_say_what_kubectl_reads() {
        let text = "# nothing\n---\na: 0644\nb: '0644'\nc: 0\n--- # two\nd: &d {e: 1}\nf: {<<: *d, e: 2}\n---\n{\"g\": [null]}";
        let read = read(text).unwrap();
        let texts: Vec<_> = read.iter().map(|document| document.text).collect();
        assert_eq!(
            texts,
            ["a: 0644\nb: '0644'\nc: 0\n", " # two\nd: &d {e: 1}\nf: {<<: *d, e: 2}\n", "{\"g\": [null]}"]
        );
        let values: Vec<_> = read.into_iter().map(|document| document.value).collect();
        assert_eq!(values[0], json!({"a": 420, "b": "0644", "c": 0}));
        assert_eq!(values[1], json!({"d": {"e": 1}, "f": {"e": 2}}));
        assert_eq!(values[2], json!({"g": [null]}));
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        let told = read("a: 1\n---\nb: [\nc: 2\n").unwrap_err().to_string();
        assert!(told.starts_with("line "), "{told}");
        let line: usize = told["line ".len()..].split(':').next().unwrap().parse().unwrap();
        assert!((3..=5).contains(&line), "{told}");
    }
}
