//! What the API server holds, as far as it was told: a plain struct, events of the watches in, batches out.
//!
//! A list replaces what was known of its kind as a whole, in one batch. What fails leaves everything as it was: the last
//! state stays in force for as long as the server is away. An object that is invalid leaves its last valid state in
//! force, as the directory does; after a restart there is none, and the object is not in force.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_model::{ObjectKind, ObjectRef};

use super::{
    document::Document,
    follow::{Event, Failure},
};
use crate::{
    batch::Batch,
    field::Fault,
    findings::{Finding, Severity},
    index::Index,
    objects::{self, Object, Read},
};

/// A failure becomes a finding when it has lasted so long; watches break and are taken up again all the time.
const PATIENCE: Duration = Duration::from_secs(5);

/// An object of a watch, read: as large as what the mesh needs of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    object: ObjectRef,
    generation: i64,
    stamp: Option<u64>,
    content: Option<Object>,
    told: Box<[Fault]>,
}

/// All objects of the kinds that are watched.
pub struct Mirror {
    index: Index,
    kinds: BTreeMap<ObjectKind, Held>,
    /// The findings of the last batch; `None` before the first.
    told: Option<Vec<Finding>>,
    /// The objects that the last batch called unreadable.
    unreadable: BTreeMap<ObjectRef, i64>,
    /// Why the server does not answer, as it was told first: one outage is one finding, although watches end in many
    /// ways and come back one after the other.
    outage: Option<Arc<str>>,
}

/// How far the mirror of one kind is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchState {
    /// The first list is not complete.
    Listing,
    /// All objects are known.
    Following,
    /// The server has no such kind: its CustomResourceDefinition is not installed.
    Absent,
}

/// How the watch of one kind stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The kind.
    pub kind: ObjectKind,
    /// How far it is.
    pub state: WatchState,
    /// How many objects are known.
    pub objects: usize,
    /// Why the server does not answer as it should, where it does not.
    pub failing: Option<Arc<str>>,
}

/// What is held of one kind.
struct Held {
    state: WatchState,
    objects: HashMap<ObjectRef, Kept>,
    /// The list that is being received; what has not changed is only remembered to be there.
    list: Option<HashMap<ObjectRef, Option<Seen>>>,
    told: BTreeMap<ObjectRef, Told>,
    failing: Option<Failing>,
}

/// What is to be told of an object.
struct Told {
    generation: i64,
    faults: Box<[Fault]>,
}

#[derive(Clone, Copy)]
struct Kept {
    stamp: Option<u64>,
    is_in_force: bool,
}

/// A failure that lasts. Its first text is kept, so that it is told once.
struct Failing {
    since: Instant,
    text: Arc<str>,
    is_unreachable: bool,
    is_told: bool,
}

impl Seen {
    /// Reads an object; `None` where it has no name.
    pub fn of(kind: ObjectKind, document: &Document) -> Option<Self> {
        let Read { object, content, told } = objects::read(kind, &document.0);
        Some(Self {
            object: object?,
            generation: document.generation(),
            stamp: document.stamp(),
            content,
            told: told.into(),
        })
    }
}

impl Mirror {
    /// A mirror that knows nothing yet of these kinds.
    pub fn new(kinds: impl IntoIterator<Item = ObjectKind>) -> Self {
        let kinds = kinds.into_iter().map(|kind| (kind, Held::new())).collect();
        Self { index: Index::default(), kinds, told: None, unreadable: BTreeMap::new(), outage: None }
    }

    /// Something happened on the watch of a kind.
    pub fn take(&mut self, kind: ObjectKind, event: Event<Seen>, now: Instant) {
        let Some(held) = self.kinds.get_mut(&kind) else { return };
        if !matches!(event, Event::Failing(_)) {
            held.failing = None;
        }
        match event {
            Event::Begin => held.list = Some(HashMap::new()),
            Event::Listed(seen) => held.listed(seen),
            Event::Complete => held.replace(&mut self.index),
            Event::Put(seen) => held.put(seen, &mut self.index),
            Event::Deleted(seen) => held.delete(&seen.object, &mut self.index),
            Event::Absent => {
                held.list = Some(HashMap::new());
                held.replace(&mut self.index);
                held.state = WatchState::Absent;
            }
            Event::Answering => {}
            Event::Failing(failure) => held.fail(&failure, now),
        }
    }

    /// How the watches stand.
    pub fn standings(&self) -> impl Iterator<Item = Standing> + '_ {
        self.kinds.iter().map(|(kind, held)| Standing {
            kind: *kind,
            state: held.state,
            objects: held.objects.len(),
            failing: held.failing.as_ref().map(|failing| failing.text.clone()),
        })
    }

    /// When a failure will have lasted long enough to be told, if one is not told yet.
    pub fn due(&self) -> Option<Instant> {
        let failing = self.kinds.values().filter_map(|held| held.failing.as_ref());
        failing.filter(|failing| !failing.is_told).map(|failing| failing.since + PATIENCE).min()
    }

    /// What changed since the last batch; `None` where nothing did, and before every kind was listed once.
    pub fn batch(&mut self, changed_at: Instant, now: Instant) -> Option<Batch> {
        let is_first = self.told.is_none();
        if is_first && self.kinds.values().any(|held| held.state == WatchState::Listing) {
            return None;
        }
        let updates = self.index.updates();
        let findings = self.findings(now);
        let told = self.told.replace(findings.clone());
        let unreadable = self.unreadable();
        let is_news = !updates.is_empty() || told.as_ref() != Some(&findings) || self.unreadable != unreadable;
        self.unreadable.clone_from(&unreadable);
        is_news.then_some(Batch { updates, findings, unreadable, changed_at })
    }

    fn unreadable(&self) -> BTreeMap<ObjectRef, i64> {
        let told = self.kinds.values().flat_map(|held| &held.told);
        let is_unreadable = |told: &Told| told.faults.iter().any(|fault| fault.severity == Severity::Error);
        told.filter(|(_, told)| is_unreadable(told)).map(|(object, told)| (object.clone(), told.generation)).collect()
    }

    fn findings(&mut self, now: Instant) -> Vec<Finding> {
        let mut findings = self.index.findings();
        for held in self.kinds.values() {
            findings.extend(
                held.told.iter().flat_map(|(object, told)| told.faults.iter().map(|fault| of_fault(object, fault))),
            );
        }
        findings.extend(self.failures(now));
        findings.sort_unstable();
        findings
    }

    /// Failures that have lasted. That nobody answers is one, however many watches it concerns.
    fn failures(&mut self, now: Instant) -> Vec<Finding> {
        let mut refused: BTreeMap<Arc<str>, Vec<&str>> = BTreeMap::new();
        let mut unreachable: Option<(Instant, Arc<str>)> = None;
        for (kind, held) in &mut self.kinds {
            let Some(failing) = held.failing.as_mut().filter(|failing| now >= failing.since + PATIENCE) else {
                continue;
            };
            failing.is_told = true;
            if !failing.is_unreachable {
                refused.entry(failing.text.clone()).or_default().push(kind.as_str());
            } else if unreachable.as_ref().is_none_or(|(since, _)| failing.since < *since) {
                unreachable = Some((failing.since, failing.text.clone()));
            }
        }
        let refused = refused.into_iter().map(|(why, kinds)| format!("no watch of {}: {why}", kinds.join(", ")));
        self.outage = unreachable.map(|(_, why)| self.outage.take().unwrap_or(why));
        let unreachable = self.outage.iter().map(|why| format!("the API server does not answer: {why}"));
        refused.chain(unreachable).map(of_server).collect()
    }
}

impl Held {
    fn new() -> Self {
        Self { state: WatchState::Listing, objects: HashMap::new(), list: None, told: BTreeMap::new(), failing: None }
    }

    fn listed(&mut self, seen: Seen) {
        let is_known = self.knows(&seen);
        let list = self.list.get_or_insert_default();
        list.insert(seen.object.clone(), (!is_known).then_some(seen));
    }

    fn replace(&mut self, index: &mut Index) {
        let list = self.list.take().unwrap_or_default();
        let gone: Vec<ObjectRef> = self.objects.keys().filter(|object| !list.contains_key(*object)).cloned().collect();
        for object in &gone {
            self.delete(object, index);
        }
        self.objects.shrink_to(list.len());
        for seen in list.into_values().flatten() {
            self.put(seen, index);
        }
        self.state = WatchState::Following;
    }

    fn put(&mut self, seen: Seen, index: &mut Index) {
        if self.knows(&seen) {
            return;
        }
        let Seen { object, generation, stamp, content, told } = seen;
        let was_in_force = self.objects.get(&object).is_some_and(|kept| kept.is_in_force);
        if let Some(content) = &content {
            index.put(content, None);
        }
        match told.is_empty() {
            true => drop(self.told.remove(&object)),
            false => drop(self.told.insert(object.clone(), Told { generation, faults: told })),
        }
        self.objects.insert(object, Kept { stamp, is_in_force: was_in_force || content.is_some() });
    }

    fn delete(&mut self, object: &ObjectRef, index: &mut Index) {
        self.told.remove(object);
        if self.objects.remove(object).is_some_and(|kept| kept.is_in_force) {
            index.delete(object);
        }
    }

    /// Whether the object is known in just this state.
    fn knows(&self, seen: &Seen) -> bool {
        seen.stamp.is_some() && self.objects.get(&seen.object).is_some_and(|kept| kept.stamp == seen.stamp)
    }

    fn fail(&mut self, failure: &Failure, now: Instant) {
        let is_unreachable = matches!(failure, Failure::Unreachable(_));
        if self.failing.as_ref().is_none_or(|failing| failing.is_unreachable != is_unreachable) {
            let text = failure.to_string().into();
            self.failing = Some(Failing { since: now, text, is_unreachable, is_told: false });
        }
    }
}

fn of_fault(object: &ObjectRef, fault: &Fault) -> Finding {
    Finding {
        place: None,
        column: None,
        severity: fault.severity,
        object: Some(object.clone()),
        field: (!fault.path.is_root()).then(|| fault.path.to_string()),
        message: fault.message.clone(),
    }
}

fn of_server(what: String) -> Finding {
    Finding {
        place: None,
        column: None,
        severity: Severity::Warning,
        object: None,
        field: None,
        message: format!("{what}; what was known last stays in force"),
    }
}

#[cfg(test)]
mod tests;
