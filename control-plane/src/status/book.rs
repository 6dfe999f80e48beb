//! Which object's status is to be written next: a plain struct, `now` in.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    time::{Duration, Instant},
};

use byrnie_model::ObjectRef;

use super::desired::Desired;

/// An object is written at most once in this time.
const PACE: Duration = Duration::from_secs(1);

/// The longest pause after failures, which double.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When an object is looked at again that has changed faster than the mesh has heard of it.
const LATER: Duration = Duration::from_secs(30);

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It says now what it is to say.
    Written,
    /// It said so already, or it is gone.
    Nothing,
    /// It is another generation than the one that was spoken of.
    Later,
    /// It has changed since it was read.
    Overtaken,
    /// The API server refuses it, or does not answer.
    Failed,
}

/// All objects with a status, and what is known of each.
#[derive(Debug, Default)]
pub struct Book {
    entries: BTreeMap<ObjectRef, Entry>,
    queue: BTreeSet<(Instant, ObjectRef)>,
}

#[derive(Debug)]
struct Entry {
    desired: Desired,
    /// When it is due; `None` where it says what it is to say, and while it is written.
    due: Option<Instant>,
    /// What is being written.
    writing: Option<Desired>,
    /// When it may be written again.
    not_before: Instant,
    failures: u32,
}

impl Book {
    /// What an object is to say from now on.
    pub fn want(&mut self, object: &ObjectRef, desired: Desired, now: Instant) {
        match self.entries.entry(object.clone()) {
            btree_map::Entry::Vacant(vacant) => {
                let entry = Entry { desired, due: Some(now), writing: None, not_before: now, failures: 0 };
                vacant.insert(entry);
                self.queue.insert((now, object.clone()));
            }
            btree_map::Entry::Occupied(mut occupied) => {
                let entry = occupied.get_mut();
                if entry.desired == desired {
                    return;
                }
                entry.desired = desired;
                if entry.writing.is_none() {
                    let due = entry.not_before.max(now);
                    self.schedule(object, due);
                }
            }
        }
    }

    /// Forgets all objects but these.
    pub fn keep_only(&mut self, is_there: impl Fn(&ObjectRef) -> bool) {
        self.entries.retain(|object, _| is_there(object));
        let entries = &self.entries;
        self.queue.retain(|(_, object)| entries.contains_key(object));
    }

    /// When the next one is due.
    pub fn due(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// One that is due, which is being written from now on.
    pub fn take(&mut self, now: Instant) -> Option<(ObjectRef, Desired)> {
        if self.due()? > now {
            return None;
        }
        let (_, object) = self.queue.pop_first()?;
        let entry = self.entries.get_mut(&object)?;
        (entry.due, entry.writing) = (None, Some(entry.desired.clone()));
        let desired = entry.desired.clone();
        Some((object, desired))
    }

    /// What came of it.
    pub fn done(&mut self, object: &ObjectRef, outcome: Outcome, now: Instant) {
        let Some(entry) = self.entries.get_mut(object) else { return };
        let is_last_word = entry.writing.take().as_ref() == Some(&entry.desired);
        entry.failures = if outcome == Outcome::Failed { entry.failures.saturating_add(1) } else { 0 };
        let (pause, is_settled) = match outcome {
            Outcome::Written => (PACE, true),
            Outcome::Nothing => (Duration::ZERO, true),
            Outcome::Overtaken => (PACE, false),
            Outcome::Later => (if is_last_word { LATER } else { Duration::ZERO }, false),
            Outcome::Failed => (PACE.saturating_mul(1 << entry.failures.min(6)).min(LONGEST_PAUSE), false),
        };
        let next = now + pause;
        // The world may hear of the change any moment; what is wanted then does not wait.
        entry.not_before = if outcome == Outcome::Later { now } else { next };
        if !(is_settled && is_last_word) {
            self.schedule(object, next);
        }
    }

    fn schedule(&mut self, object: &ObjectRef, due: Instant) {
        let Some(entry) = self.entries.get_mut(object) else { return };
        if let Some(before) = entry.due.replace(due) {
            self.queue.remove(&(before, object.clone()));
        }
        self.queue.insert((due, object.clone()));
    }
}

#[cfg(test)]
mod tests {
    use byrnie_model::ObjectKind;

    use super::{
        super::desired::{Condition, Holds, Said},
        *,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn object(name: &str) -> ObjectRef {
        ObjectRef { kind: ObjectKind::TrafficPolicy, namespace: "shop".into(), name: name.into() }
    }

    fn desired(message: &str) -> Desired {
        let condition =
            Condition { kind: "Accepted", status: Holds::True, reason: "Accepted", message: message.to_owned() };
        Desired { generation: 1, said: Said::Object(vec![condition]) }
    }

    #[test]
    fn an_object_is_written_once_and_again_only_when_it_has_more_to_say() {
        let (mut book, now, cart) = (Book::default(), Instant::now(), object("cart"));
        book.want(&cart, desired("a"), now);
        assert_eq!(book.take(now), Some((cart.clone(), desired("a"))));
        assert_eq!(book.take(now), None);
        book.done(&cart, Outcome::Written, now);
        book.want(&cart, desired("a"), now);
        assert_eq!(book.due(), None);
        book.want(&cart, desired("b"), now);
        assert_eq!((book.due(), book.take(now)), (Some(now + SECOND), None));
        book.want(&cart, desired("c"), now);
        assert_eq!(book.take(now + SECOND), Some((cart, desired("c"))));
    }

    #[test]
    fn what_changes_while_it_is_written_follows_a_second_later() {
        let (mut book, now, cart) = (Book::default(), Instant::now(), object("cart"));
        book.want(&cart, desired("a"), now);
        book.take(now).unwrap();
        book.want(&cart, desired("b"), now);
        assert_eq!(book.take(now), None, "one write of an object at a time");
        book.done(&cart, Outcome::Written, now);
        assert_eq!(book.due(), Some(now + SECOND));
        assert_eq!(book.take(now + SECOND).unwrap().1, desired("b"));
        // And back again.
        book.want(&cart, desired("c"), now);
        book.want(&cart, desired("b"), now);
        book.done(&cart, Outcome::Written, now + SECOND);
        assert_eq!(book.due(), None);
    }

    #[test]
    fn failures_are_tried_again_later_and_later_and_hold_up_nobody_else() {
        let (mut book, mut now, cart, pay) = (Book::default(), Instant::now(), object("cart"), object("pay"));
        book.want(&cart, desired("a"), now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            book.take(now).unwrap();
            book.done(&cart, Outcome::Failed, now);
            let due = book.due().unwrap();
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        book.want(&pay, desired("a"), now - SECOND);
        assert_eq!(book.take(now).unwrap().0, pay);
        book.want(&cart, desired("b"), now);
        assert_eq!(book.take(now).unwrap().0, cart);
        book.done(&cart, Outcome::Nothing, now);
        assert_eq!(book.due(), None);
    }

    #[test]
    fn a_generation_that_is_not_known_yet_waits_for_it() {
        let (mut book, now, cart) = (Book::default(), Instant::now(), object("cart"));
        book.want(&cart, desired("a"), now);
        book.take(now).unwrap();
        book.done(&cart, Outcome::Later, now);
        assert_eq!(book.due(), Some(now + LATER));
        book.want(&cart, Desired { generation: 2, ..desired("a") }, now);
        assert_eq!(book.due(), Some(now));
    }

    #[test]
    fn what_is_gone_is_not_written() {
        let (mut book, now) = (Book::default(), Instant::now());
        book.want(&object("cart"), desired("a"), now);
        book.want(&object("pay"), desired("a"), now);
        book.keep_only(|object| &*object.name == "pay");
        assert_eq!(book.take(now).unwrap().0, object("pay"));
        assert_eq!(book.take(now), None);
        book.done(&object("cart"), Outcome::Failed, now);
        assert_eq!(book.due(), None);
    }
}
