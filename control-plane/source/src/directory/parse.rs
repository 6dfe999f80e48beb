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
    findings::Severity,
    objects::{self, Identity, MOST_FAULTS, Object, Read},
};

/// What a document says. Lines count from the document's first, which is 0. There are as many of these as documents,
/// so that they hold no room to grow.
#[derive(Debug, Default, PartialEq)]
pub struct Parsed {
    /// The objects.
    pub items: Box<[Item]>,
    /// Kinds that are no concern of the mesh, with the line of each object.
    pub unknown: Box<[(String, usize)]>,
    /// What is wrong with no object in particular; the document may have held any object.
    pub faults: Box<[Told]>,
}

/// An object of a document.
#[derive(Debug, PartialEq)]
pub struct Item {
    /// Its kind and name.
    pub object: ObjectRef,
    /// Its first line.
    pub line: usize,
    /// What it says, where that is usable.
    pub content: Option<Arc<Object>>,
    /// What is to be told of it: an error at least where it is not usable.
    pub told: Box<[Told]>,
}

/// What is to be told, with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub line: usize,
    pub column: Option<usize>,
    pub severity: Severity,
    pub field: Option<String>,
    pub message: String,
}

impl Told {
    /// An error that concerns no field.
    pub fn fault(line: usize, message: String) -> Self {
        Self { line, column: None, severity: Severity::Error, field: None, message }
    }
}

/// Reads a document.
pub fn parse(document: &Document<'_>, format: Format) -> Parsed {
    let (value, line) = match value_of(document.text, format) {
        Ok(Some(read)) => read,
        Ok(None) => return Parsed::default(),
        Err(TextFault { line, column, message }) => {
            let fault = Told { column, ..Told::fault(line.saturating_sub(1), message) };
            return Parsed { faults: Box::new([fault]), ..Parsed::default() };
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
            objects::prune(&mut value);
            Ok(Some((value, 1)))
        }
    }
}

/// An object by its name, its path in the document, what it says, and what is to be told of it.
type Named = (ObjectRef, Vec<Segment>, Option<Arc<Object>>, Vec<Fault>);

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
        let Read { object, content, told } = objects::read(kind, value);
        match object {
            Some(object) => self.items.push((object, path, content.map(Arc::new), told)),
            // Without a name the object was refused.
            None => self.faults.extend(told.into_iter().map(|fault| (path.clone(), fault))),
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
            severity: fault.severity,
            field: (!fault.path.is_root()).then(|| fault.path.to_string()),
            message: fault.message,
        };
        let item = |(object, path, content, faults): Named| {
            let line = line(&FieldPath(path.clone()));
            let told = faults.into_iter().map(|fault| told(&path, fault)).collect();
            Item { object, line, content, told }
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
        for (_, path, _, told) in &self.items {
            wanted.insert(FieldPath(path.clone()), ());
            for fault in told {
                wanted.insert(fault.path.below(path), ());
            }
        }
        wanted.extend(self.unknown.iter().map(|(_, path)| (FieldPath(path.clone()), ())));
        wanted.extend(self.faults.iter().map(|(path, fault)| (fault.path.below(path), ())));
        wanted.into_keys().filter(|path| !path.is_root()).collect()
    }
}
