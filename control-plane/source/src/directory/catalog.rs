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
    definitions: HashMap<ObjectRef, Defined>,
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

/// All definitions of an object. Almost always there is one, so that a list is much smaller than a tree.
#[derive(Default)]
struct Defined {
    /// In the order in which they win: by path, then by line. An unusable one without a good predecessor is `None`.
    all: Vec<(Position, Option<Arc<Object>>)>,
    in_force: Option<(Position, Arc<Object>)>,
}

#[derive(Default)]
struct File {
    documents: Box<[Kept]>,
    /// Its objects, once each, those of earlier texts that still serve included.
    objects: Box<[ObjectRef]>,
    /// Why its text as a whole cannot be read.
    fault: Option<Box<Told>>,
}

struct Kept {
    hash: u128,
    /// The line of the file where the document starts, counted from 1.
    line: usize,
    parsed: Arc<Parsed>,
}

impl Catalog {
    /// A file has this text now.
    pub fn put(&mut self, path: &Arc<Path>, text: &str, format: Format) {
        match documents::split(text, format) {
            Ok(documents) => self.put_documents(path, &documents, format),
            Err(fault) => {
                self.hold(path, Told { column: fault.column, ..Told::fault(fault.line, fault.message) });
            }
        }
    }

    /// A file as a whole cannot be read: what it held keeps serving. The line counts from 1; 0 = the whole file.
    pub fn hold(&mut self, path: &Arc<Path>, fault: Told) {
        self.files.entry(path.clone()).or_default().fault = Some(Box::new(fault));
        self.told.insert(path.clone());
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
            let Some(defined) = self.definitions.get_mut(&reference) else { continue };
            let first = defined.all.iter().find_map(|(at, object)| Some((at.clone(), object.clone()?)));
            match (first, defined.in_force.take()) {
                (Some(first), Some(known)) if first == known => defined.in_force = Some(known),
                (Some((at, object)), _) => {
                    let place = Place { file: at.0.to_path_buf(), line: at.1 };
                    defined.in_force = Some((at, object.clone()));
                    changes.push(Change::Put(reference, object, Arc::new(place)));
                }
                (None, known) => {
                    if defined.all.is_empty() {
                        self.definitions.remove(&reference);
                    }
                    changes.extend(known.map(|_| Change::Delete(reference)));
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

    fn put_documents(&mut self, path: &Arc<Path>, documents: &[Document<'_>], format: Format) {
        let old = self.files.remove(path).unwrap_or_default();
        self.forget_notes(path);
        let parsed_before: HashMap<u128, &Arc<Parsed>> = old.documents.iter().map(|d| (d.hash, &d.parsed)).collect();
        let kept: Box<[Kept]> = documents
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
            for (line, definition) in self.take_definitions(path, object) {
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
        self.note(path, &kept);
        let objects = objects.into_iter().collect();
        self.files.insert(path.clone(), File { documents: kept, objects, fault: None });
    }

    fn define(&mut self, object: &ObjectRef, position: Position, definition: Option<Arc<Object>>) {
        let all = &mut self.definitions.entry(object.clone()).or_default().all;
        match all.binary_search_by(|(known, _)| known.cmp(&position)) {
            Ok(known) => all[known].1 = definition,
            Err(place) => {
                if all.is_empty() {
                    all.reserve_exact(1);
                }
                all.insert(place, (position, definition));
            }
        }
        if all.len() > 1 {
            self.repeated.insert(object.clone());
        }
        self.dirty.insert(object.clone());
    }

    /// Takes all definitions of an object out of a file, with their lines. Where none is left the next call of
    /// [`Catalog::changes`] forgets the object.
    fn take_definitions(&mut self, path: &Arc<Path>, object: &ObjectRef) -> Vec<(usize, Option<Arc<Object>>)> {
        let Some(Defined { all, .. }) = self.definitions.get_mut(object) else { return Vec::new() };
        let from = all.partition_point(|((known, _), _)| known < path);
        let to = all.partition_point(|((known, _), _)| known <= path);
        let taken = all.drain(from..to).map(|((_, line), definition)| (line, definition)).collect();
        if all.len() < 2 {
            self.repeated.remove(object);
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
        let Some(Defined { all, in_force }) = self.definitions.get(object) else { return };
        let in_force = in_force.as_ref().map(|(position, _)| position);
        let Some(first) = in_force.or_else(|| all.first().map(|(position, _)| position)) else { return };
        let wins = all.iter().find(|(position, _)| position == first).map(|(_, definition)| definition);
        for (position, definition) in all.iter().filter(|(position, _)| position != first) {
            let place = Place { file: position.0.to_path_buf(), line: position.1 };
            let at = format!("{}:{}", first.0.display(), first.1);
            let (severity, message) = match Some(definition) == wins && definition.is_some() {
                true => (Severity::Note, format!("is defined at {at} already, with the same meaning")),
                false => (Severity::Error, format!("is defined at {at} already: this one is ignored")),
            };
            findings.push(Finding { object: Some(object.clone()), ..Finding::at(severity, place, message) });
        }
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
