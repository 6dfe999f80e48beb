//! One document to objects, each with its line and its faults.

use std::{collections::BTreeMap, sync::Arc};

use byrnie_model::{ObjectKind, ObjectRef};
use serde_json::Value;

use super::{
    documents::{Document, Format, without_place},
    lines::Lines,
    yaml::{self, TextFault},
};
use crate::{
    field::{Fault, FieldPath, Segment},
    objects::{self, Identity, Object},
};

/// How many faults of one object are told; a slip at the top of a long list would otherwise bury all others.
const MOST_FAULTS: usize = 20;

/// What a document says. Lines count from the document's first, which is 0.
#[derive(Debug, Default, PartialEq)]
pub struct Parsed {
    /// The objects.
    pub items: Vec<Item>,
    /// Kinds that are no concern of the mesh, with the line of each object.
    pub unknown: Vec<(String, usize)>,
    /// What is wrong with no object in particular; the document may have held any object.
    pub faults: Vec<Told>,
}

/// An object of a document.
#[derive(Debug, PartialEq)]
pub struct Item {
    /// Its kind and name.
    pub object: ObjectRef,
    /// Its first line.
    pub line: usize,
    /// What it says, or why that is not usable.
    pub content: Result<Arc<Object>, Vec<Told>>,
}

/// A fault with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub line: usize,
    pub column: Option<usize>,
    pub field: Option<String>,
    pub message: String,
}

/// Reads a document.
pub fn parse(document: &Document<'_>, format: Format) -> Parsed {
    let (value, line) = match value_of(document.text, format) {
        Ok(Some(read)) => read,
        Ok(None) => return Parsed::default(),
        Err(TextFault { line, column, message }) => {
            let told = Told { line: line.saturating_sub(1), column, field: None, message };
            return Parsed { faults: vec![told], ..Parsed::default() };
        }
    };
    let mut reading = Reading::default();
    reading.object(&value, Vec::new());
    reading.into_parsed(document.text, line)
}

fn value_of(text: &str, format: Format) -> Result<Option<(Value, usize)>, TextFault> {
    match format {
        Format::Yaml => yaml::read(text),
        Format::Json => {
            let mut value: Value = serde_json::from_str(text).map_err(|error| TextFault {
                line: error.line(),
                column: Some(error.column().max(1)),
                message: format!("no JSON: {}", without_place(&error)),
            })?;
            prune(&mut value);
            Ok(Some((value, 1)))
        }
    }
}

/// Takes away fields that are null, as the API server does.
fn prune(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(prune),
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(prune);
        }
        _ => {}
    }
}

/// An object by its name, its path in the document, and what it says.
type Named = (ObjectRef, Vec<Segment>, Result<Arc<Object>, Vec<Fault>>);

/// Objects and faults by path; lines come last, all at once.
#[derive(Default)]
struct Reading {
    items: Vec<Named>,
    unknown: Vec<(String, Vec<Segment>)>,
    faults: Vec<(Vec<Segment>, Fault)>,
}

impl Reading {
    /// Reads the object at `path`, and where it is a list those that it holds.
    fn object(&mut self, value: &Value, path: Vec<Segment>) {
        match objects::identify(value) {
            Ok(Identity::Known(kind)) => self.known(kind, value, path),
            Ok(Identity::List) => self.list(value, &path),
            Ok(Identity::Unknown(kind)) => self.unknown.push((kind, path)),
            Err(fault) => self.faults.push((path, fault)),
        }
    }

    fn known(&mut self, kind: ObjectKind, value: &Value, path: Vec<Segment>) {
        let content = objects::read(kind, value);
        match (objects::reference(kind, value), content) {
            (Some(object), content) => self.items.push((object, path, content.map(Arc::new))),
            (None, Err(faults)) => self.faults.extend(faults.into_iter().map(|fault| (path.clone(), fault))),
            // Without a name the object was refused, so this is not reached; nothing is lost if it were.
            (None, Ok(_)) => {}
        }
    }

    fn list(&mut self, value: &Value, path: &[Segment]) {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        // The items of a PodList have no kind of their own.
        let kind = text("kind").strip_suffix("List").filter(|kind| !kind.is_empty());
        for (index, item) in value.get("items").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let mut path = path.to_vec();
            path.extend([Segment::Key("items".to_owned()), Segment::Index(index)]);
            match (item, kind) {
                (Value::Object(fields), Some(kind)) if !fields.contains_key("kind") => {
                    let mut fields = fields.clone();
                    fields.insert("kind".to_owned(), kind.into());
                    fields.entry("apiVersion").or_insert_with(|| text("apiVersion").into());
                    self.object(&Value::Object(fields), path);
                }
                _ => self.object(item, path),
            }
        }
    }

    fn into_parsed(self, text: &str, first: usize) -> Parsed {
        let lines = Lines::of(text, self.wanted());
        let line = |path: &FieldPath| if path.is_root() { first } else { lines.line(path) }.saturating_sub(1);
        let told = |prefix: &[Segment], fault: Fault| Told {
            line: line(&fault.path.below(prefix)),
            column: None,
            field: (!fault.path.is_root()).then(|| fault.path.to_string()),
            message: fault.message,
        };
        let item = |(object, path, content): Named| Item {
            line: line(&FieldPath(path.clone())),
            content: content.map_err(|faults| {
                let more = faults.len().saturating_sub(MOST_FAULTS);
                let mut all: Vec<_> = faults.into_iter().take(MOST_FAULTS).map(|fault| told(&path, fault)).collect();
                if more > 0 {
                    let message = format!("and {more} more of the same object");
                    all.push(Told { line: line(&FieldPath(path.clone())), column: None, field: None, message });
                }
                all
            }),
            object,
        };
        Parsed {
            items: self.items.into_iter().map(item).collect(),
            unknown: self.unknown.into_iter().map(|(kind, path)| (kind, line(&FieldPath(path)))).collect(),
            faults: self.faults.into_iter().take(MOST_FAULTS).map(|(prefix, fault)| told(&prefix, fault)).collect(),
        }
    }

    /// The paths whose lines will be asked for; none for a good document of one object, whose line is known.
    fn wanted(&self) -> Vec<FieldPath> {
        let mut wanted: BTreeMap<FieldPath, ()> = BTreeMap::new();
        for (_, path, content) in &self.items {
            wanted.insert(FieldPath(path.clone()), ());
            for fault in content.as_ref().err().into_iter().flatten().take(MOST_FAULTS) {
                wanted.insert(fault.path.below(path), ());
            }
        }
        wanted.extend(self.unknown.iter().map(|(_, path)| (FieldPath(path.clone()), ())));
        wanted.extend(self.faults.iter().map(|(path, fault)| (fault.path.below(path), ())));
        wanted.into_keys().filter(|path| !path.is_root()).collect()
    }
}
