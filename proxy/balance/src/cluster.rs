//! What the hosts of one cluster share across lists and threads.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::*},
};

/// Whether new hosts have to pass an active check before they take traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstCheck {
    /// The cluster has no active checks: new hosts take traffic at once.
    #[default]
    NotNeeded,
    /// New hosts count as failed until they pass.
    Awaited,
    /// So they do, and until their first result the share of healthy hosts leaves them out
    /// (`CommonLbConfig.ignore_new_hosts_until_first_hc`).
    AwaitedApart,
}

/// Shared by all hosts and lists of a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub first_check: FirstCheck,
    /// Grows whenever the health of some host changes.
    generation: AtomicU64,
    /// Whether any connection was ever made for traffic; checks of an unused cluster are rarer.
    used: AtomicBool,
    census: Mutex<Census>,
}

/// Judged under one lock, so that the share of ejected hosts is never exceeded.
#[derive(Debug, Default)]
pub(crate) struct Census {
    pub members: usize,
    pub ejected: usize,
}

impl Cluster {
    pub fn new(first_check: FirstCheck) -> Self {
        Self { first_check, generation: AtomicU64::new(0), used: AtomicBool::new(false), census: Mutex::default() }
    }

    /// Read before the flags of the hosts: whoever sees a new generation sees the flags that made it.
    pub fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    pub fn note_change(&self) {
        self.generation.fetch_add(1, Release);
    }

    pub fn is_used(&self) -> bool {
        self.used.load(Relaxed)
    }

    pub fn note_use(&self) {
        // Read first: the cache line stays shared.
        if !self.is_used() {
            self.used.store(true, Relaxed);
        }
    }

    pub fn census(&self) -> MutexGuard<'_, Census> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
