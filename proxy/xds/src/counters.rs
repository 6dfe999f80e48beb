//! What is counted, to be read by whoever shows metrics.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) connects: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) responses: AtomicU64,
    pub(crate) acks: AtomicU64,
    pub(crate) nacks: AtomicU64,
    pub(crate) updates: AtomicU64,
    pub(crate) removals: AtomicU64,
    pub(crate) saves: AtomicU64,
    /// Microseconds since 1970; 0 without a stream.
    connected_at: AtomicU64,
}

/// The counts of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Streams that were opened.
    pub connects: u64,
    /// Tries that did not lead to a stream, and streams that ended.
    pub failures: u64,
    /// Responses.
    pub responses: u64,
    /// Responses that were accepted.
    pub acks: u64,
    /// Responses that were refused, in part or as a whole.
    pub nacks: u64,
    /// Resources that were new or changed.
    pub updates: u64,
    /// Resources that were taken back.
    pub removals: u64,
    /// Times that the state was written to disk.
    pub saves: u64,
    /// Since when the stream is open that is open.
    pub connected_since: Option<SystemTime>,
}

impl Counters {
    /// The counts of this moment.
    pub fn read(&self) -> Figures {
        let at = self.connected_at.load(Relaxed);
        Figures {
            connects: self.connects.load(Relaxed),
            failures: self.failures.load(Relaxed),
            responses: self.responses.load(Relaxed),
            acks: self.acks.load(Relaxed),
            nacks: self.nacks.load(Relaxed),
            updates: self.updates.load(Relaxed),
            removals: self.removals.load(Relaxed),
            saves: self.saves.load(Relaxed),
            connected_since: (at > 0).then(|| UNIX_EPOCH + Duration::from_micros(at)),
        }
    }

    pub(crate) fn connected(&self) {
        self.connects.fetch_add(1, Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        self.connected_at.store(u64::try_from(now).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn disconnected(&self) {
        self.failures.fetch_add(1, Relaxed);
        self.connected_at.store(0, Relaxed);
    }
}
