//! Which paths changed, and when to look at them.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, MetadataKind, ModifyKind},
};

use super::files::Identity;
use crate::batch::{LONGEST_SETTLE, SETTLE};

/// A file that is being written, or a name that is gone, is looked at when nothing happened to it for so long: a
/// writer may pause, and some editors move the old file away before they write the new one.
const QUIET: Duration = Duration::from_millis(50);

/// A file that never rests is looked at nevertheless.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// So many paths at once, and everything is looked at instead.
const MOST_PATHS: usize = 10_000;

/// Watches directories, and keeps what happened there until somebody looks.
pub struct Watch {
    watcher: RecommendedWatcher,
    watched: HashMap<PathBuf, Identity>,
}

/// What happened and was not looked at. Shared by the watcher's thread and the reader's.
#[derive(Default)]
pub struct Pending {
    state: Mutex<State>,
    changed: Condvar,
}

/// What to look at.
#[derive(Debug, Default)]
pub struct Due {
    /// When the first of it happened.
    pub since: Option<Instant>,
    /// Files by real path, and whether their writers have closed them.
    pub paths: Vec<(PathBuf, Written)>,
    /// Everything has to be looked at.
    pub everything: bool,
    /// Nobody wants to know any more.
    pub stopped: bool,
}

/// How sure it is that a file is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was closed, replaced or removed.
    Closed,
    /// It was written to, some time ago.
    Quiet,
}

#[derive(Default)]
struct State {
    paths: HashMap<PathBuf, Waiting>,
    everything: Option<Instant>,
    last_event: Option<Instant>,
    stopped: bool,
}

struct Waiting {
    first: Instant,
    due: Instant,
    written: Written,
}

impl Watch {
    /// A watch on nothing yet, that notes what it sees in `pending`.
    pub fn new(pending: Arc<Pending>) -> notify::Result<Self> {
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| pending.note(event))?;
        Ok(Self { watcher, watched: HashMap::new() })
    }

    /// Watches these directories and no others, from now on. Those that cannot be watched are returned with the reason.
    pub fn set(&mut self, wanted: &HashMap<PathBuf, Identity>) -> Vec<(PathBuf, String)> {
        let gone: HashSet<PathBuf> = self
            .watched
            .iter()
            .filter(|(path, identity)| wanted.get(*path) != Some(identity))
            .map(|(p, _)| p.clone())
            .collect();
        for path in gone {
            // The watch of a directory that was removed is gone already.
            let _ = self.watcher.unwatch(&path);
            self.watched.remove(&path);
        }
        let mut refused = Vec::new();
        for (path, identity) in wanted {
            if self.watched.contains_key(path) {
                continue;
            }
            match self.watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(path.clone(), *identity)),
                Err(error) => refused.push((path.clone(), error.to_string())),
            }
        }
        refused
    }
}

impl Pending {
    /// Waits until something is to be looked at, at most until `until`, when all is.
    pub fn next(&self, until: Instant) -> Due {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let next = state.next_due();
            let ready = next.filter(|due| *due <= now);
            if let Some(since) = ready.filter(|_| !state.stopped) {
                // Hold on while more comes in, but not for long.
                let settled = state.last_event.map_or(since, |last| last + SETTLE).min(since + LONGEST_SETTLE);
                if settled > now {
                    state = self.wait(state, settled - now);
                    continue;
                }
                return state.take_due(now);
            }
            if state.stopped || now >= until {
                return Due { everything: true, stopped: state.stopped, since: None, paths: Vec::new() };
            }
            let wake = next.map_or(until, |due| due.min(until));
            state = self.wait(state, wake.saturating_duration_since(now));
        }
    }

    /// Looks at a path once more, when it was quiet for a while.
    pub fn later(&self, path: PathBuf, now: Instant) {
        self.lock().wait_for(path, now, Written::Quiet);
    }

    /// Ends the wait of [`Pending::next`] for good.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn note(&self, event: notify::Result<Event>) {
        let now = Instant::now();
        let mut state = self.lock();
        match event {
            Ok(event) if event.need_rescan() => state.everything(now),
            Ok(event) => {
                let Some(written) = written(event.kind) else { return };
                for path in event.paths {
                    state.wait_for(path, now, written);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "directory watch failed");
                state.everything(now);
            }
        }
        state.last_event = Some(now);
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl State {
    fn everything(&mut self, now: Instant) {
        self.everything.get_or_insert(now);
    }

    fn wait_for(&mut self, path: PathBuf, now: Instant, written: Written) {
        if self.paths.len() >= MOST_PATHS {
            self.paths.clear();
            return self.everything(now);
        }
        let waiting = self.paths.entry(path).or_insert(Waiting { first: now, due: now, written });
        waiting.written = written;
        waiting.due = match written {
            Written::Closed => now,
            Written::Quiet => (now + QUIET).min(waiting.first + LONGEST_WAIT),
        };
    }

    fn next_due(&self) -> Option<Instant> {
        self.paths.values().map(|waiting| waiting.due).chain(self.everything).min()
    }

    fn take_due(&mut self, now: Instant) -> Due {
        let everything = self.everything.take();
        let mut since = everything;
        let mut paths = Vec::new();
        self.paths.retain(|path, waiting| {
            let is_due = waiting.due <= now;
            if is_due {
                since = Some(since.map_or(waiting.first, |since| since.min(waiting.first)));
                paths.push((path.clone(), waiting.written));
            }
            !is_due
        });
        paths.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Due { since, paths, everything: everything.is_some(), stopped: false }
    }
}

/// What an event means for a file; `None` where it means nothing.
fn written(kind: EventKind) -> Option<Written> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Written::Closed),
        // Our own reading.
        EventKind::Access(_) => None,
        // A file that is created is written next; a link is complete, and is looked at 50 ms later all the same.
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => Some(Written::Quiet),
        // Access times change by reading.
        EventKind::Modify(ModifyKind::Metadata(MetadataKind::AccessTime)) => None,
        _ => Some(Written::Closed),
    }
}

/// The parent of a path, as it is watched.
pub fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
