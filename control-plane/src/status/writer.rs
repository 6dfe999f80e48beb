//! Writes what is due, while this process holds the Lease.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use byrnie_model::ObjectRef;
use byrnie_runtime::backoff::random;
use byrnie_source::{CallError, Calls, ObjectPath, Turn, moment};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, sleep_until},
};
use tracing::{debug, warn};

use super::{
    book::{Book, Outcome},
    desired::{self, Condition, Desired, Holds},
    document::{self, Due, Turned},
    events, programmed,
};
use crate::{
    current::{Current, State},
    fleet::Fleet,
};

/// Writes at once; each is two requests.
const MOST_WRITING: usize = 4;

/// What changes within so short a time is looked at once.
const SETTLE: Duration = Duration::from_millis(100);

/// How often it is seen that the Lease has ended by time.
const LOOK_AT_LEASE: Duration = Duration::from_secs(1);

/// The figures of the writer.
#[derive(Debug, Default)]
pub struct Figures {
    /// Status documents that were applied.
    pub written: AtomicU64,
    /// Writes that failed.
    pub failed: AtomicU64,
}

/// Tells operators what became of their objects.
pub struct StatusWriter {
    current: Current,
    turn: watch::Receiver<Turn>,
    pen: Pen,
}

/// What writes one object.
#[derive(Clone)]
struct Pen {
    calls: Calls,
    turn: watch::Receiver<Turn>,
    /// Who we are, for Events.
    pod: Arc<str>,
    figures: Arc<Figures>,
    known: Arc<Mutex<Known>>,
}

/// What was told, so that it is told once, and that it is over.
#[derive(Debug, Default)]
struct Known {
    /// The objects whose status could not be written.
    troubled: BTreeSet<ObjectRef>,
    /// Those that were not in force, and are not yet everywhere.
    bad: BTreeSet<ObjectRef>,
}

/// What all objects are to say, as it was found out last.
#[derive(Default)]
struct Meant {
    meaning: Option<u64>,
    all: BTreeMap<ObjectRef, Desired>,
    /// Those that were in force everywhere, at which generation, and what was said then. Proxies that come and go later
    /// are no news.
    settled: BTreeMap<ObjectRef, (i64, Condition)>,
}

/// One process writes as this for all replicas, so that a change of the holder changes no owner of a field.
const MANAGER: &str = "byrnie-mesh";

impl StatusWriter {
    /// A writer for the holder of a Lease; `pod` names this process.
    pub fn new(
        calls: Calls,
        current: Current,
        turn: watch::Receiver<Turn>,
        pod: Arc<str>,
        figures: Arc<Figures>,
    ) -> Self {
        let pen = Pen { calls, turn: turn.clone(), pod, figures, known: Arc::default() };
        Self { current, turn, pen }
    }

    /// Writes whenever this process holds the Lease. `follow` starts to follow the proxies of all replicas.
    pub async fn run(mut self, follow: impl Fn() -> Fleet) {
        loop {
            if self.turn.borrow_and_update().is_mine() {
                self.write(follow()).await;
            }
            if self.turn.changed().await.is_err() {
                return;
            }
        }
    }

    /// Until the Lease is another's. What is being written then is dropped.
    async fn write(&mut self, mut fleet: Fleet) {
        let (mut book, mut meant, mut writes) = (Book::default(), Meant::default(), JoinSet::new());
        let mut moves = self.current.moves();
        let mut look = Some(Instant::now());
        let mut counted = BTreeSet::new();
        while self.turn.borrow().is_mine() {
            if look.is_some_and(|look| look <= Instant::now()) {
                look = None;
                meant.look(&self.current.load(), &fleet, &std::mem::take(&mut counted), &mut book);
            }
            while writes.len() < MOST_WRITING
                && let Some((object, desired)) = book.take(Instant::now())
            {
                writes.spawn(self.pen.clone().write(object, desired));
            }
            let due = book.due().filter(|_| writes.len() < MOST_WRITING);
            let wake = due.into_iter().chain(look).min();
            // Changes come in groups.
            let soon = || Some(Instant::now() + SETTLE);
            tokio::select! {
                Some(Ok((object, outcome))) = writes.join_next() => book.done(&object, outcome, Instant::now()),
                Ok(()) = moves.changed() => look = look.or_else(soon),
                objects = fleet.changed() => {
                    counted.extend(objects);
                    look = look.or_else(soon);
                }
                Ok(()) = self.turn.changed() => {}
                () = sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {}
                // The Lease ends by time where the API server is away.
                () = sleep(LOOK_AT_LEASE) => {}
            }
        }
    }
}

impl Meant {
    /// Brings into the book what objects are to say now: all of them where the mesh says something else of them, else
    /// those of which proxies were counted anew.
    fn look(&mut self, state: &State, fleet: &Fleet, counted: &BTreeSet<ObjectRef>, book: &mut Book) {
        let is_news = self.meaning != Some(state.meaning);
        if is_news {
            self.meaning = Some(state.meaning);
            self.all = desired::all(state);
            self.settled.retain(|object, _| self.all.contains_key(object));
            book.keep_only(|object| self.all.contains_key(object));
        }
        let now = Instant::now();
        for (object, desired) in self.all.iter().filter(|(object, _)| is_news || counted.contains(*object)) {
            let sum = fleet.sum(object, desired.generation);
            let reached = programmed::condition(&sum);
            let told = match self.settled.get(object) {
                Some((generation, told)) if *generation == desired.generation && reached.status != Holds::False => told,
                _ => {
                    self.settled.remove(object);
                    if reached.status == Holds::True {
                        self.settled.insert(object.clone(), (desired.generation, reached.clone()));
                    }
                    &reached
                }
            };
            let mut desired = desired.clone();
            programmed::add(&mut desired, told);
            book.want(object, desired, now);
        }
    }
}

impl Pen {
    /// Brings one object to say what it is to say.
    async fn write(self, object: ObjectRef, desired: Desired) -> (ObjectRef, Outcome) {
        let outcome = match self.try_write(&object, &desired).await {
            Ok(outcome) => {
                self.known().troubled.remove(&object);
                outcome
            }
            Err(CallError::Missing(_)) => Outcome::Nothing,
            Err(CallError::Conflict(_)) => Outcome::Overtaken,
            Err(error) => {
                self.figures.failed.fetch_add(1, Relaxed);
                if self.known().troubled.insert(object.clone()) {
                    warn!(%object, %error, "the status was not written; it is tried again");
                }
                Outcome::Failed
            }
        };
        (object, outcome)
    }

    async fn try_write(&self, object: &ObjectRef, desired: &Desired) -> Result<Outcome, CallError> {
        let path = ObjectPath::of(object);
        let Some(there) = self.calls.read(&path).await? else { return Ok(Outcome::Nothing) };
        match document::due(&path, &there, desired, &moment::seconds(SystemTime::now())) {
            Due::Nothing => Ok(Outcome::Nothing),
            Due::Later => Ok(Outcome::Later),
            // Another holder may have taken over while this one was asking.
            Due::Apply(..) if !self.turn.borrow().is_mine() => Ok(Outcome::Overtaken),
            Due::Apply(document, turned) => {
                self.calls.apply_status(&path, MANAGER, &document).await?;
                self.figures.written.fetch_add(1, Relaxed);
                debug!(%object, "wrote the status");
                self.tell(object, &there, &turned).await;
                Ok(Outcome::Written)
            }
        }
    }

    /// An Event that cannot be made is no reason to write the status again.
    async fn tell(&self, object: &ObjectRef, there: &Value, turned: &[Turned]) {
        let was_bad = self.known().turn(object, turned);
        let Some(turned) = events::worth(turned, was_bad) else { return };
        let nonce = random();
        let (path, event) = events::event(there, turned, &self.pod, nonce);
        if let Err(error) = self.calls.create(&path, &event).await {
            debug!(%error, event = %path, "an Event was not made");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Notes how `Programmed` turned; whether the object was not in force before, through whatever it went since.
    fn turn(&mut self, object: &ObjectRef, turned: &[Turned]) -> bool {
        let Some(programmed) = turned.iter().find(|turned| turned.condition.kind == "Programmed") else { return false };
        let was_bad = self.bad.remove(object) || programmed.was_bad;
        if programmed.condition.is_bad() || (was_bad && programmed.condition.status != Holds::True) {
            self.bad.insert(object.clone());
        }
        was_bad
    }
}

#[cfg(test)]
mod tests {
    use byrnie_model::ObjectKind;

    use super::*;

    #[test]
    fn what_was_bad_is_remembered_until_it_is_in_force_everywhere() {
        let object = ObjectRef { kind: ObjectKind::HTTPRoute, namespace: "shop".into(), name: "cart".into() };
        let mut known = Known::default();
        let mut turn = |status, was_bad| {
            let condition = Condition { kind: "Programmed", status, reason: "Because", message: String::new() };
            known.turn(&object, &[Turned { condition, was_bad }])
        };
        let turns = [
            (Holds::Unknown, false),
            (Holds::True, false),
            (Holds::False, false),
            (Holds::Unknown, true),
            (Holds::True, false),
            (Holds::True, false),
        ];
        let was_bad = turns.map(|(status, was_bad)| turn(status, was_bad));
        assert_eq!(was_bad, [false, false, false, true, true, false]);
        assert!(known.bad.is_empty());
    }
}
