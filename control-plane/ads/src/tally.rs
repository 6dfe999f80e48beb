//! How the clients of this server stand to a route, a policy or the mesh's settings: how many need it, how many have
//! accepted it, and who refused.
//!
//! [`Tallies`] is told what is in force ([`Tallies::advance`]) and looks at the streams ([`Tallies::look`]), but only for
//! objects that may stand otherwise than before: those that are not settled, those that a change touched, and those that
//! a client refused. Clients that come to a settled object, or leave it, change nothing that was told.

mod count;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use byrnie_model::{ObjectRef, WorkloadName};
use byrnie_proto::Kind;
use byrnie_snapshot::{Slot, Snapshot};

use crate::hub::Hub;

/// How many refusals of an object are told.
const REFUSALS: usize = 3;

/// How the clients stand to one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The `metadata.generation` that this is about.
    pub generation: i64,
    /// How many clients subscribed to something that is made from the object, or still have what was. A client with
    /// several streams counts once.
    pub needing: u32,
    /// How many of them have accepted all of it.
    pub accepted: u32,
    /// The first refusals that stand, sorted.
    pub refusals: Box<[Refusal]>,
}

/// Something that a client refused, and still has not accepted anything for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Who.
    pub client: WorkloadName,
    /// The kind of what it refused.
    pub kind: Kind,
    /// Its name.
    pub resource: Arc<str>,
    /// The client's words, cut to 1 KiB.
    pub text: Arc<str>,
}

/// Counts for all objects, and tells what changed. One a [`Hub`].
pub struct Tallies {
    hub: Arc<Hub>,
    snapshot: Snapshot,
    objects: BTreeMap<ObjectRef, Known>,
    /// Objects that are not settled, each with where resources stood that came from it when it was settled last and
    /// come from it no longer.
    open: BTreeMap<ObjectRef, BTreeSet<Slot>>,
    /// What is still to be looked at in this round.
    round: VecDeque<ObjectRef>,
    gone: Vec<ObjectRef>,
}

struct Known {
    generation: i64,
    told: Option<Tally>,
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// What stands otherwise than was told before; `None`: the object is gone.
    pub changed: Vec<(ObjectRef, Option<Tally>)>,
    /// Whether the round is complete; else the next look goes on with it.
    pub done: bool,
}

impl Tally {
    /// Whether there is nothing to wait for.
    pub fn is_settled(&self) -> bool {
        self.accepted == self.needing && self.refusals.is_empty()
    }
}

impl Tallies {
    /// Of no object yet.
    pub fn new(hub: Arc<Hub>) -> Self {
        hub.answers.watch();
        Self {
            hub,
            snapshot: Snapshot::default(),
            objects: BTreeMap::new(),
            open: BTreeMap::new(),
            round: VecDeque::new(),
            gone: Vec::new(),
        }
    }

    /// Waits until something was published, or a client answered, subscribed or left.
    pub async fn moved(&self) {
        self.hub.answers.wait().await;
    }

    /// Goes on to `snapshot`, whose objects differ from those before in `objects`: their generations, `None` where one is
    /// gone. Both must be of one moment, or what is accepted would be told of a generation that nobody was sent.
    pub fn advance(&mut self, snapshot: &Snapshot, objects: impl IntoIterator<Item = (ObjectRef, Option<i64>)>) {
        let old = std::mem::replace(&mut self.snapshot, snapshot.clone());
        for (object, generation) in objects {
            match generation {
                Some(generation) => {
                    self.objects.entry(object.clone()).or_insert(Known { generation, told: None }).generation =
                        generation;
                    self.open.entry(object).or_default();
                }
                None => {
                    self.open.remove(&object);
                    if self.objects.remove(&object).is_some_and(|known| known.told.is_some()) {
                        self.gone.push(object);
                    }
                }
            }
        }
        for change in snapshot.changes(&old) {
            let sides = [&old, snapshot].map(|side| side.at(&change.view, change.kind, &change.name));
            sides.into_iter().flatten().flat_map(|resource| resource.objects()).for_each(|object| self.touch(object));
        }
        for object in snapshot.changed_objects(&old) {
            self.touch(object);
            if let Some(former) = self.open.get_mut(object) {
                let now: BTreeSet<&Slot> = snapshot.of_object(object).collect();
                former.extend(old.of_object(object).filter(|slot| !now.contains(slot)).cloned());
            }
        }
    }

    /// Looks at objects that may stand otherwise than before, until it has looked at about `limit` subscriptions.
    pub fn look(&mut self, limit: usize) -> Looked {
        for object in self.hub.answers.take_refused() {
            self.touch(&object);
        }
        if self.round.is_empty() {
            self.round = self.open.keys().cloned().collect();
        }
        let mut changed: Vec<_> = self.gone.drain(..).map(|object| (object, None)).collect();
        let mut looked = 0;
        while looked < limit
            && let Some(object) = self.round.pop_front()
        {
            // It may be gone since the round began.
            let (Some(former), Some(known)) = (self.open.get(&object), self.objects.get_mut(&object)) else { continue };
            let counted = count::of(&self.hub, &self.snapshot, &object, former);
            looked += 1 + counted.looked;
            let tally = counted.tally(known.generation);
            if tally.is_settled() {
                self.open.remove(&object);
            }
            if known.told.as_ref() != Some(&tally) {
                known.told = Some(tally.clone());
                changed.push((object, Some(tally)));
            }
        }
        Looked { changed, done: self.round.is_empty() }
    }

    /// How many objects are not settled.
    pub fn unsettled(&self) -> usize {
        self.open.len()
    }

    fn touch(&mut self, object: &ObjectRef) {
        if self.objects.contains_key(object) && !self.open.contains_key(object) {
            self.open.insert(object.clone(), BTreeSet::new());
        }
    }
}

#[cfg(test)]
mod tests;
