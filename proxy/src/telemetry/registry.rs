//! All label sets of a kind, of all workers: bounded in number, and forgotten when nothing happens.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;

use super::cells::Cells;

/// The bounds of a registry.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Label sets; what comes beyond is counted together.
    pub sets: usize,
    /// A set is forgotten when nothing was counted for so long.
    pub idle: Duration,
}

impl Default for Limits {
    /// A request set is some forty lines of a scrape.
    fn default() -> Self {
        Self { sets: 1_000, idle: Duration::from_secs(600) }
    }
}

/// What workers count, by what tells it apart.
#[derive(Debug)]
pub struct Registry<L, C> {
    limits: Limits,
    sets: Mutex<HashMap<L, Set<C>, RandomState>>,
    /// As many as in `sets`, to be read without the lock.
    live: AtomicUsize,
}

type Guard<'a, L, C> = MutexGuard<'a, HashMap<L, Set<C>, RandomState>>;

/// One label set.
#[derive(Debug)]
struct Set<C> {
    /// One of each worker that counts here.
    cells: Vec<Arc<C>>,
    total: u64,
    changed: Instant,
}

impl<L: Eq + Hash, C: Cells> Registry<L, C> {
    /// Without sets.
    pub fn new(limits: Limits) -> Self {
        Self { limits, sets: Mutex::default(), live: AtomicUsize::new(0) }
    }

    /// Cells of a worker's own; gives the labels back where there are too many sets.
    pub fn register(&self, labels: L, now: Instant) -> Result<Arc<C>, L> {
        let sets = self.sets();
        if sets.len() >= self.limits.sets && !sets.contains_key(&labels) {
            return Err(labels);
        }
        Ok(self.enter(sets, labels, now))
    }

    /// The same, however many sets there are.
    pub fn register_anyway(&self, labels: L, now: Instant) -> Arc<C> {
        self.enter(self.sets(), labels, now)
    }

    fn enter(&self, mut sets: Guard<'_, L, C>, labels: L, now: Instant) -> Arc<C> {
        let set = sets.entry(labels).or_insert_with(|| Set { cells: Vec::new(), total: 0, changed: now });
        let cells = Arc::new(C::default());
        set.cells.push(Arc::clone(&cells));
        self.live.store(sets.len(), Relaxed);
        cells
    }

    /// How many sets there are.
    pub fn len(&self) -> usize {
        self.live.load(Relaxed)
    }

    /// Shows each set.
    pub fn each(&self, mut show: impl FnMut(&L, &[Arc<C>])) {
        for (labels, set) in self.sets().iter() {
            show(labels, &set.cells);
        }
    }

    /// Forgets sets in which nothing was counted for long. A worker that counts in one at this very moment loses that
    /// one count.
    pub fn sweep(&self, now: Instant) {
        let mut sets = self.sets();
        sets.retain(|_, set| {
            let total = set.cells.iter().fold(0u64, |total, cells| total.wrapping_add(cells.total()));
            if total != set.total || set.cells.iter().any(|cells| cells.is_in_use()) {
                (set.total, set.changed) = (total, now);
            }
            let stays = now.saturating_duration_since(set.changed) < self.limits.idle;
            if !stays {
                set.cells.iter().for_each(|cells| cells.life().end());
            }
            stays
        });
        self.live.store(sets.len(), Relaxed);
    }

    fn sets(&self) -> Guard<'_, L, C> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::cells::Connections, *};

    fn registry() -> Registry<&'static str, Connections> {
        Registry::new(Limits { sets: 2, idle: Duration::from_secs(600) })
    }

    fn labels(registry: &Registry<&'static str, Connections>) -> Vec<&'static str> {
        let mut all = Vec::new();
        registry.each(|labels, _| all.push(*labels));
        all.sort_unstable();
        all
    }

    #[test]
    fn what_is_idle_is_forgotten_and_told_so() {
        let (registry, start) = (registry(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let idle = registry.register("idle", start).unwrap();
        let busy = registry.register("busy", start).unwrap();
        busy.opened.add(1);
        registry.sweep(at(300));
        registry.sweep(at(599));
        assert_eq!(labels(&registry), ["busy", "idle"]);
        registry.sweep(at(600));
        assert_eq!((labels(&registry), idle.life.is_over(), busy.life.is_over()), (vec!["busy"], true, false));
        busy.received.add(1);
        registry.sweep(at(899));
        registry.sweep(at(1_498));
        assert_eq!(registry.len(), 1);
        registry.sweep(at(1_499));
        assert_eq!((registry.len(), busy.life.is_over()), (0, true));
    }

    #[test]
    fn a_set_with_an_open_connection_stays() {
        let (registry, start) = (registry(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let cells = registry.register("tunnel", start).unwrap();
        cells.open.add(1);
        registry.sweep(at(10_000));
        assert!(!cells.life.is_over());
        cells.open.take_back(1);
        registry.sweep(at(10_599));
        assert!(!cells.life.is_over());
        registry.sweep(at(10_600));
        assert!(cells.life.is_over());
    }

    #[test]
    fn beyond_the_limit_there_is_no_new_set_until_one_is_forgotten() {
        let (registry, start) = (registry(), Instant::now());
        assert!(registry.register("a", start).is_ok());
        assert!(registry.register("b", start).is_ok());
        assert_eq!(registry.register("c", start).err(), Some("c"));
        // Of another worker.
        assert!(registry.register("a", start).is_ok());
        registry.register_anyway("overflow", start);
        assert_eq!(registry.len(), 3);
        registry.sweep(start + Duration::from_secs(600));
        assert!(registry.register("c", start).is_ok());
    }
}
