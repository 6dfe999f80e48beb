//! The part of Go's text templates, and of the functions that Helm adds, which the chart uses: `if`, `with`, `else`,
//! `define`, pipelines, fields, and whitespace trimmed by `{{-` and `-}}`. What it does not know is an error, so that no
//! template means something else here than to Helm.

mod parse;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use self::parse::{Expression, Node};

/// Templates that may include each other's definitions.
#[derive(Debug, Default)]
pub struct Templates {
    defined: BTreeMap<String, Vec<Node>>,
}

impl Templates {
    /// Takes what a file defines.
    pub fn define(&mut self, text: &str) -> Result<()> {
        self.parse(text).map(|_| ())
    }

    /// What a file gives with these fields.
    pub fn render(&mut self, text: &str, fields: &Value) -> Result<String> {
        let nodes = self.parse(text)?;
        let mut out = String::new();
        self.write(&mut out, &nodes, fields)?;
        Ok(out)
    }

    fn parse(&mut self, text: &str) -> Result<Vec<Node>> {
        let (nodes, defined) = parse::parse(text)?;
        self.defined.extend(defined);
        Ok(nodes)
    }

    fn write(&self, out: &mut String, nodes: &[Node], dot: &Value) -> Result<()> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Print(expression) => out.push_str(&text_of(&self.value(expression, dot)?)),
                Node::If { condition, then, otherwise } => {
                    let branch = if is_true(&self.value(condition, dot)?) { then } else { otherwise };
                    self.write(out, branch, dot)?;
                }
                Node::With { subject, then, otherwise } => match self.value(subject, dot)? {
                    value if is_true(&value) => self.write(out, then, &value)?,
                    _ => self.write(out, otherwise, dot)?,
                },
            }
        }
        Ok(())
    }

    fn value(&self, expression: &Expression, dot: &Value) -> Result<Value> {
        match expression {
            Expression::Constant(value) => Ok(value.clone()),
            Expression::Field(path) => path
                .iter()
                .try_fold(dot, |value, field| value.get(field))
                .cloned()
                .with_context(|| format!("there is no .{}", path.join("."))),
            Expression::Call(name, arguments) => {
                let arguments = arguments.iter().map(|one| self.value(one, dot)).collect::<Result<Vec<_>>>()?;
                self.call(name, &arguments).with_context(|| format!("function {name}"))
            }
        }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value> {
        Ok(match (name, arguments) {
            ("and", [a, b]) => if is_true(a) { b } else { a }.clone(),
            // What comes by a pipe is the last argument.
            ("default", [default, given]) => if is_true(given) { given } else { default }.clone(),
            ("gt", [a, b]) => (integer(a)? > integer(b)?).into(),
            ("include", [Value::String(name), dot]) => {
                let nodes = self.defined.get(name).with_context(|| format!("{name:?} is not defined"))?;
                let mut out = String::new();
                self.write(&mut out, nodes, dot)?;
                out.into()
            }
            ("int", [number]) => integer(number)?.into(),
            ("nindent", [width, Value::String(text)]) => {
                let margin = format!("\n{}", " ".repeat(usize::try_from(integer(width)?)?));
                text.split('\n').map(|line| format!("{margin}{line}")).collect::<String>().into()
            }
            ("quote", [value]) => Value::from(text_of(value)).to_string().into(),
            ("toYaml", [value]) => byrnie_source::crds::yaml(value).trim().into(),
            _ => bail!("it is not known with {} arguments of these kinds", arguments.len()),
        })
    }
}

/// As Go has it: zero and what is empty are false.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn integer(value: &Value) -> Result<i64> {
    value.as_i64().with_context(|| format!("{value} is no integer"))
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
