//! One kind on one stream.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use byrnie_proto::Kind;
use byrnie_snapshot::Sight;

use super::{flight::Flights, held::Held};

/// What is subscribed to, what the client has of it, and what is still to be said.
pub(crate) struct Subscription {
    pub kind: Kind,
    /// Whether there was a request.
    pub opened: bool,
    /// Whether a name was ever given: from then on an empty list is no wildcard.
    pub ever_named: bool,
    /// A hash of the names of the last state-of-the-world request: an ACK repeats them all.
    pub listed: u64,
    /// Whether the client came with versions of an earlier stream.
    pub resumed: bool,
    pub held: Held,
    /// A request waits for a response even if there is nothing to say.
    pub must_answer: bool,
    /// Names that a request asked for: answered at once, unchanged or not.
    pub owed: BTreeSet<Arc<str>>,
    /// Names to look at again; `true`: to be sent even if unchanged.
    pub due: BTreeMap<Arc<str>, bool>,
    /// Whether a wildcard has to look at the snapshot again.
    pub moved: bool,
    /// What was refused together with something bad, to be sent once more in smaller groups, one a response.
    pub suspects: VecDeque<Vec<Arc<str>>>,
    /// The group that the next full response tries.
    pub tried: Vec<Arc<str>>,
    /// Names that are gone, but that the client keeps until nothing of what it has refers to them.
    pub leaving: BTreeMap<Arc<str>, Instant>,
    /// Whether something happened that may let go of `leaving`.
    pub recheck: bool,
    pub flights: Flights,
}

impl Subscription {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            opened: false,
            ever_named: false,
            listed: 0,
            resumed: false,
            held: Held::default(),
            must_answer: false,
            owed: BTreeSet::new(),
            due: BTreeMap::new(),
            moved: false,
            suspects: VecDeque::new(),
            tried: Vec::new(),
            leaving: BTreeMap::new(),
            recheck: false,
            flights: Flights::default(),
        }
    }

    /// Whether there is news that was not asked for.
    pub fn has_news(&self) -> bool {
        self.moved || !self.due.is_empty() || !self.suspects.is_empty()
    }

    /// Whether a request waits for its answer.
    pub fn has_question(&self) -> bool {
        self.must_answer || !self.owed.is_empty() || self.held.is_fresh()
    }

    /// Ends a subscription by name; whether there was one.
    pub fn unsubscribe(&mut self, name: &Arc<str>) -> bool {
        if !self.held.unsubscribe(name) {
            return false;
        }
        self.owed.remove(name);
        if !self.held.covers(name) {
            self.due.remove(name);
            self.leaving.remove(name);
            self.flights.forget(name);
        }
        true
    }

    /// Subscribes to everything that `sight` shows.
    pub fn widen(&mut self, sight: Sight) {
        for name in self.held.widen(sight) {
            self.due.entry(name).or_insert(false);
        }
    }

    /// Ends the subscription to everything; names stay.
    pub fn narrow(&mut self) {
        self.held.narrow();
        self.moved = false;
        let Self { held, due, leaving, .. } = self;
        due.retain(|name, _| held.names(name));
        leaving.retain(|name, _| held.names(name));
    }
}
