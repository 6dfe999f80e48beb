//! YAML to JSON values, as `kubectl` reads it, with bounds on what a document may cost.
//!
//! Fields whose value is null are left out, as the API server prunes them. Anchors, aliases and merge keys work.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};
use serde_json::{Map, Value};

/// Deeper than any Kubernetes object, and shallow enough for recursion over values.
const MOST_LEVELS: usize = 100;

/// Values of one document, aliases written out; a text counts one more for each 32 bytes.
const MOST_VALUES: usize = 4_000_000;

/// Why a text is not read, and where; lines and columns count from 1, the line within the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFault {
    pub line: usize,
    pub column: Option<usize>,
    pub message: String,
}

/// The first document of a text: its value and the line where it starts. `None` where there is none.
pub fn read(text: &str) -> Result<Option<(Value, usize)>, TextFault> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    let outcome = builder.run(&mut parser);
    outcome.map_err(|fault| tab_fault(text, fault.line).unwrap_or(fault))?;
    Ok(builder.root.map(|root| (root, builder.line)))
}

/// YAML refuses tabs as indentation, and its parsers then speak of something else.
fn tab_fault(text: &str, line: usize) -> Option<TextFault> {
    let near = text.lines().enumerate().skip(line.saturating_sub(2)).take(3);
    near.filter_map(|(index, text)| {
        let indentation = &text[..text.len() - text.trim_start_matches([' ', '\t']).len()];
        let column = indentation.find('\t')? + 1;
        let message = "a tab is used as indentation: YAML accepts spaces only".to_owned();
        Some(TextFault { line: index + 1, column: Some(column), message })
    })
    .next()
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    values: usize,
    root: Option<Value>,
    line: usize,
}

/// A collection that is not complete.
struct Open {
    anchor: usize,
    holds: Holds,
}

enum Holds {
    List(Vec<Value>),
    Fields { fields: Map<String, Value>, key: Option<String>, merged: Vec<Value> },
}

struct Anchored {
    value: Value,
    weight: usize,
    levels: usize,
}

impl Builder {
    fn run(&mut self, parser: &mut Parser<'_, StrInput<'_>>) -> Result<(), TextFault> {
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| scan_fault(&error))?;
            let fail = |message: &str| TextFault {
                line: span.start.line(),
                column: Some(span.start.col() + 1),
                message: message.to_owned(),
            };
            if let Event::DocumentStart(_) = event {
                documents += 1;
                if documents > 1 {
                    return Err(fail("a second document starts here without a line of ---"));
                }
            }
            if self.line == 0 && matches!(event, Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..))
            {
                self.line = span.start.line();
            }
            self.take(event).map_err(|message| fail(&message))?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref());
                self.complete(value, anchor)
            }
            Event::SequenceStart(anchor, _) => self.start(Open { anchor, holds: Holds::List(Vec::new()) }),
            Event::MappingStart(anchor, _) => {
                self.start(Open { anchor, holds: Holds::Fields { fields: Map::new(), key: None, merged: Vec::new() } })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop().ok_or("a collection ends that never began")?;
                let value = open.holds.into_value();
                self.complete(value, open.anchor)
            }
            Event::Alias(anchor) => {
                let anchored = self.anchors.get(&anchor).ok_or("an alias stands within its own anchor")?;
                if self.open.len() + anchored.levels > MOST_LEVELS {
                    return Err(format!("nests deeper than {MOST_LEVELS} levels"));
                }
                let (value, weight) = (anchored.value.clone(), anchored.weight);
                self.weigh(weight)?;
                self.place(value)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn start(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() == MOST_LEVELS {
            return Err(format!("nests deeper than {MOST_LEVELS} levels"));
        }
        self.open.push(open);
        Ok(())
    }

    fn complete(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        self.weigh(own_weight(&value))?;
        if anchor > 0 {
            let (weight, levels) = measure(&value);
            self.weigh(weight)?;
            self.anchors.insert(anchor, Anchored { value: value.clone(), weight, levels });
        }
        self.place(value)
    }

    fn weigh(&mut self, weight: usize) -> Result<(), String> {
        self.values += weight;
        if self.values > MOST_VALUES {
            return Err(format!("holds more than {MOST_VALUES} values, with aliases written out"));
        }
        Ok(())
    }

    fn place(&mut self, value: Value) -> Result<(), String> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        match &mut open.holds {
            Holds::List(list) => list.push(value),
            Holds::Fields { fields, key, merged } => match key.take() {
                None => *key = Some(key_of(value)?),
                Some(name) if name == "<<" => merged.push(value),
                Some(name) => {
                    // A null is kept until the collection is complete: a second value for its key is a slip too.
                    if fields.contains_key(&name) {
                        return Err(format!("field {name:?} is there twice"));
                    }
                    fields.insert(name, value);
                }
            },
        }
        Ok(())
    }
}

impl Holds {
    fn into_value(self) -> Value {
        match self {
            Self::List(list) => Value::Array(list),
            Self::Fields { mut fields, merged, .. } => {
                for source in merged {
                    let sources = match source {
                        Value::Array(sources) => sources,
                        source => vec![source],
                    };
                    for (key, value) in sources.into_iter().filter_map(into_fields).flatten() {
                        fields.entry(key).or_insert(value);
                    }
                }
                fields.retain(|_, value| !value.is_null());
                Value::Object(fields)
            }
        }
    }
}

fn into_fields(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

fn key_of(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null => Ok("null".to_owned()),
        Value::Array(_) | Value::Object(_) => Err("a list or an object cannot be the name of a field".to_owned()),
    }
}

/// The core schema of YAML 1.2 (section 10.3.2).
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && matches!(&*tag.suffix, "str" | "binary"));
    if style != ScalarStyle::Plain || is_text {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let first = text.bytes().next()?;
    if !first.is_ascii_digit() && !matches!(first, b'-' | b'+' | b'.') {
        return None;
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok().map(Value::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return i64::from_str_radix(digits, 8).ok().map(Value::from);
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Some(Value::from(whole));
    }
    let is_float = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'));
    let float = text.parse::<f64>().ok().filter(|_| is_float)?;
    serde_json::Number::from_f64(float).map(Value::Number)
}

fn own_weight(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len() / 32,
        _ => 1,
    }
}

/// The weight of a value with all that it holds, and its levels.
fn measure(value: &Value) -> (usize, usize) {
    let inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(list) => Box::new(list.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => return (own_weight(value), 0),
    };
    inner.map(measure).fold((1, 1), |(weight, levels), (w, l)| (weight + w, levels.max(l + 1)))
}

fn scan_fault(error: &ScanError) -> TextFault {
    let marker = error.marker();
    TextFault { line: marker.line(), column: Some(marker.col() + 1), message: error.info().to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        read(text).unwrap().unwrap().0
    }

    fn fault(text: &str) -> String {
        let fault = read(text).unwrap_err();
        format!("{}:{}: {}", fault.line, fault.column.unwrap(), fault.message)
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        assert_eq!(
            value(
                "{a: 1, b: 1.5, c: yes, d: true, e: '1', f: 0x10, g: !!str 7, h: 10s, i: 18446744073709551615, j: .inf}"
            ),
            json!({"a": 1, "b": 1.5, "c": "yes", "d": true, "e": "1", "f": 16, "g": "7", "h": "10s",
                   "i": u64::MAX, "j": ".inf"})
        );
    }

    #[test]
    fn a_null_field_is_no_field() {
        assert_eq!(value("a:\nb: null\nc: [~]\n"), json!({"c": [null]}));
    }

    #[test]
    fn merge_keys_and_number_keys_work() {
        assert_eq!(
            value("base: &b {a: 1, c: 2}\nuse:\n  <<: *b\n  a: 3\n8080: x\n"),
            json!({"base": {"a": 1, "c": 2}, "use": {"a": 3, "c": 2}, "8080": "x"})
        );
    }

    #[test]
    fn the_line_of_the_first_field_is_told() {
        assert_eq!(read("---\n# comment\n\nkind: Pod\n").unwrap().unwrap().1, 4);
        assert_eq!(read("# nothing\n").unwrap(), None);
    }

    #[test]
    fn a_tab_is_named_with_its_place() {
        let expected = "a tab is used as indentation: YAML accepts spaces only";
        assert_eq!(fault("spec:\n\tports: []\n"), format!("2:1: {expected}"));
        assert_eq!(fault("spec:\n  a: 1\n  \tports: []\n"), format!("3:3: {expected}"));
        assert_eq!(fault("spec:\n  ports:\n  - a: 1\n\tb: 2\n"), format!("4:1: {expected}"));
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        assert_eq!(fault("a: 1\nb: 2\na: 3\n"), "3:4: field \"a\" is there twice");
        assert_eq!(fault("a:\na: 3\n"), "2:4: field \"a\" is there twice");
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(fault(&deep).ends_with("nests deeper than 100 levels"), "{}", fault(&deep));
        let block: String = (0..2000).map(|level| " ".repeat(level) + "a:\n").collect();
        assert!(fault(&block).ends_with("nests deeper than 100 levels"));
        let aliases: String = (1..200).map(|i| format!("a{i}: &a{i} [*a{}]\n", i - 1)).collect();
        let text = format!("a0: &a0 []\n{aliases}");
        assert!(fault(&text).ends_with("nests deeper than 100 levels"));
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let bomb: String = (1..30).map(|i| format!("a{i}: &a{i} [*a{0}, *a{0}, *a{0}, *a{0}]\n", i - 1)).collect();
        let text = format!("a0: &a0 [x, y]\n{bomb}");
        assert!(fault(&text).ends_with("holds more than 4000000 values, with aliases written out"));
        assert!(fault("a: &a [*a]\n").ends_with("an alias stands within its own anchor"), "{}", fault("a: &a [*a]\n"));
    }
}
