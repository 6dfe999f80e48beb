//! Which object stands in which document, which definition of it is in force, and what is wrong with the others.
//!
//! Nothing here reads a file: texts come in, changes of objects come out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use byrnie_model::{ObjectRef, Place};

use super::{
    documents::{self, Document, Format},
    parse::{Parsed, Told, parse},
};
use crate::{
    findings::{Finding, Severity},
    objects::Object,
};

/// The definitions of all objects.
#[derive(Default)]
pub struct Catalog {
    files: HashMap<Arc<Path>, File>,
    /// All definitions of an object, in the order in which they win: by path, then by line.
    definitions: HashMap<ObjectRef, BTreeMap<Position, Option<Arc<Object>>>>,
    in_force: HashMap<ObjectRef, (Arc<Object>, Position)>,
    /// Objects whose definitions changed since [`Catalog::changes`].
    dirty: BTreeSet<ObjectRef>,
    /// Objects that are defined more than once.
    repeated: BTreeSet<ObjectRef>,
    /// Files of which something is to be told.
    told: BTreeSet<Arc<Path>>,
    /// Kinds that are not read: by file the first line and the number of objects.
    unknown: BTreeMap<String, BTreeMap<Arc<Path>, (usize, usize)>>,
}

/// What changed of an object.
#[derive(Debug, PartialEq)]
pub enum Change {
    /// It is new, or says something else, or stands elsewhere.
    Put(ObjectRef, Arc<Object>, Arc<Place>),
    /// It is gone.
    Delete(ObjectRef),
}

/// A file and a line of it.
type Position = (Arc<Path>, usize);

#[derive(Default)]
struct File {
    documents: Vec<Kept>,
    /// Its objects, those of earlier texts that still serve included.
    objects: BTreeSet<ObjectRef>,
    /// Why its text as a whole cannot be read.
    fault: Option<Told>,
}

struct Kept {
    hash: u128,
    /// The line of the file where the document starts, counted from 1.
    line: usize,
    parsed: Arc<Parsed>,
}

impl Catalog {
    /// A file has this text now.
    pub fn put(&mut self, path: &Path, text: &str, format: Format) {
        match documents::split(text, format) {
            Ok(documents) => self.put_documents(path, &documents, format),
            Err(fault) => {
                self.hold(path, Told { column: fault.column, ..Told::fault(fault.line, fault.message) });
            }
        }
    }

    /// A file as a whole cannot be read: what it held keeps serving. The line counts from 1; 0 = the whole file.
    pub fn hold(&mut self, path: &Path, fault: Told) {
        let path = self.key(path);
        self.files.entry(path.clone()).or_default().fault = Some(fault);
        self.told.insert(path);
    }

    /// A file is gone, and all it held.
    pub fn remove(&mut self, path: &Path) {
        let Some((path, file)) = self.files.remove_entry(path) else { return };
        self.forget_notes(&path);
        for object in file.objects {
            self.take_definitions(&path, &object);
        }
    }

    /// Whether the file holds objects that are in force.
    pub fn holds_objects(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|file| !file.objects.is_empty())
    }

    /// What changed since the last call.
    pub fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for reference in std::mem::take(&mut self.dirty) {
            let definitions = self.definitions.get(&reference);
            let first = definitions.and_then(|definitions| {
                definitions.iter().find_map(|(position, object)| Some((object.clone()?, position.clone())))
            });
            match first {
                Some((object, position)) => {
                    let known = self.in_force.get(&reference);
                    if known.is_some_and(|(known, at)| *at == position && known == &object) {
                        continue;
                    }
                    let place = Place { file: position.0.to_path_buf(), line: position.1 };
                    self.in_force.insert(reference.clone(), (object.clone(), position));
                    changes.push(Change::Put(reference, object, Arc::new(place)));
                }
                None => {
                    if self.in_force.remove(&reference).is_some() {
                        changes.push(Change::Delete(reference));
                    }
                }
            }
        }
        changes
    }

    /// All that is to be told now, by file.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for path in &self.told {
            self.files.get(path).into_iter().for_each(|file| file.tell(path, &mut findings));
        }
        for object in &self.repeated {
            self.tell_repetition(object, &mut findings);
        }
        for (kind, files) in &self.unknown {
            let Some((path, (line, _))) = files.iter().next() else { continue };
            let count: usize = files.values().map(|(_, count)| count).sum();
            let place = Place { file: path.to_path_buf(), line: *line };
            let objects = if count == 1 { "1 object".to_owned() } else { format!("{count} objects") };
            findings.push(Finding::at(
                Severity::Note,
                place,
                format!("{kind} is not read by Byrnie: {objects} skipped"),
            ));
        }
        findings
    }

    fn put_documents(&mut self, path: &Path, documents: &[Document<'_>], format: Format) {
        let path = self.key(path);
        let old = self.files.remove(&path).unwrap_or_default();
        self.forget_notes(&path);
        let parsed_before: HashMap<u128, &Arc<Parsed>> = old.documents.iter().map(|d| (d.hash, &d.parsed)).collect();
        let kept: Vec<Kept> = documents
            .iter()
            .map(|document| Kept {
                hash: document.hash,
                line: document.line,
                parsed: match parsed_before.get(&document.hash) {
                    Some(parsed) => Arc::clone(parsed),
                    None => Arc::new(parse(document, format)),
                },
            })
            .collect();
        let mut good: BTreeMap<ObjectRef, (usize, Arc<Object>)> = BTreeMap::new();
        for object in &old.objects {
            for (line, definition) in self.take_definitions(&path, object) {
                if let Some(definition) = definition {
                    good.entry(object.clone()).or_insert((line, definition));
                }
            }
        }
        let mut objects = BTreeSet::new();
        for document in &kept {
            for item in &document.parsed.items {
                let definition = match &item.content {
                    Some(object) => Some(object.clone()),
                    None => good.get(&item.object).map(|(_, object)| object.clone()),
                };
                objects.insert(item.object.clone());
                self.define(&item.object, (path.clone(), document.line + item.line), definition);
            }
        }
        // A document that tells no name may be a broken version of any object that the file held.
        if kept.iter().any(|document| !document.parsed.faults.is_empty()) {
            for (object, (line, definition)) in good {
                if objects.insert(object.clone()) {
                    self.define(&object, (path.clone(), line), Some(definition));
                }
            }
        }
        self.note(&path, &kept);
        self.files.insert(path, File { documents: kept, objects, fault: None });
    }

    fn define(&mut self, object: &ObjectRef, position: Position, definition: Option<Arc<Object>>) {
        let definitions = self.definitions.entry(object.clone()).or_default();
        definitions.insert(position, definition);
        if definitions.len() > 1 {
            self.repeated.insert(object.clone());
        }
        self.dirty.insert(object.clone());
    }

    /// Takes all definitions of an object out of a file, with their lines.
    fn take_definitions(&mut self, path: &Arc<Path>, object: &ObjectRef) -> Vec<(usize, Option<Arc<Object>>)> {
        let Some(definitions) = self.definitions.get_mut(object) else { return Vec::new() };
        let lines: Vec<Position> = definitions
            .range((path.clone(), 0)..=(path.clone(), usize::MAX))
            .map(|(position, _)| position.clone())
            .collect();
        let taken = lines.into_iter().filter_map(|at| Some((at.1, definitions.remove(&at)?))).collect();
        if definitions.len() < 2 {
            self.repeated.remove(object);
        }
        if definitions.is_empty() {
            self.definitions.remove(object);
        }
        self.dirty.insert(object.clone());
        taken
    }

    fn note(&mut self, path: &Arc<Path>, documents: &[Kept]) {
        for document in documents {
            let parsed = &document.parsed;
            if !parsed.faults.is_empty() || parsed.items.iter().any(|item| !item.told.is_empty()) {
                self.told.insert(path.clone());
            }
            for (kind, line) in &parsed.unknown {
                let files = self.unknown.entry(kind.clone()).or_default();
                files.entry(path.clone()).or_insert((document.line + line, 0)).1 += 1;
            }
        }
    }

    fn forget_notes(&mut self, path: &Arc<Path>) {
        self.told.remove(path);
        self.unknown.retain(|_, files| {
            files.remove(path);
            !files.is_empty()
        });
    }

    fn tell_repetition(&self, object: &ObjectRef, findings: &mut Vec<Finding>) {
        let in_force = self.in_force.get(object).map(|(_, position)| position);
        let Some(definitions) = self.definitions.get(object) else { return };
        let Some(first) = in_force.or_else(|| definitions.keys().next()) else { return };
        let wins = definitions.get(first);
        for (position, definition) in definitions.iter().filter(|(position, _)| *position != first) {
            let place = Place { file: position.0.to_path_buf(), line: position.1 };
            let at = format!("{}:{}", first.0.display(), first.1);
            let (severity, message) = match Some(definition) == wins && definition.is_some() {
                true => (Severity::Note, format!("is defined at {at} already, with the same meaning")),
                false => (Severity::Error, format!("is defined at {at} already: this one is ignored")),
            };
            findings.push(Finding { object: Some(object.clone()), ..Finding::at(severity, place, message) });
        }
    }

    fn key(&self, path: &Path) -> Arc<Path> {
        self.files.get_key_value(path).map_or_else(|| path.into(), |(path, _)| path.clone())
    }
}

impl File {
    fn tell(&self, path: &Path, findings: &mut Vec<Finding>) {
        let mut tell = |object: Option<&ObjectRef>, line: usize, told: &Told| {
            findings.push(Finding {
                place: Some(Place { file: PathBuf::from(path), line }),
                column: told.column,
                severity: told.severity,
                object: object.cloned(),
                field: told.field.clone(),
                message: told.message.clone(),
            });
        };
        if let Some(fault) = &self.fault {
            return tell(None, fault.line, fault);
        }
        for document in &self.documents {
            for told in &document.parsed.faults {
                tell(None, document.line + told.line, told);
            }
            for item in &document.parsed.items {
                for told in &item.told {
                    tell(Some(&item.object), document.line + told.line, told);
                }
            }
        }
    }
}
