//! Figures of the server, for whoever exports them.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use byrnie_proto::Kind;

const KINDS: usize = Kind::ALL.len();

/// The upper bounds of the buckets of [`Figures::push_delay`].
pub const DELAY_BOUNDS: [Duration; 10] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// Counters since the start. Touched once a message.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub streams: AtomicU64,
    pub refused_streams: AtomicU64,
    pub load_reports: AtomicU64,
    pub snapshots: AtomicU64,
    pub requests: AtomicU64,
    pub responses: [AtomicU64; KINDS],
    pub resources: [AtomicU64; KINDS],
    pub bytes: [AtomicU64; KINDS],
    pub acks: [AtomicU64; KINDS],
    pub nacks: [AtomicU64; KINDS],
    delays: [AtomicU64; DELAY_BOUNDS.len() + 1],
    delay_sum_us: AtomicU64,
}

/// The counters at one moment; those of kinds stand in the order of [`Kind::ALL`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Streams that are open.
    pub open_streams: u64,
    /// Streams that were accepted.
    pub streams: u64,
    /// Streams that were refused.
    pub refused_streams: u64,
    /// Load reports that were read.
    pub load_reports: u64,
    /// Snapshots that were published.
    pub snapshots: u64,
    /// Requests that were read.
    pub requests: u64,
    /// Responses that were sent.
    pub responses: [u64; KINDS],
    /// Resources in them.
    pub resources: [u64; KINDS],
    /// Bytes of these resources.
    pub bytes: [u64; KINDS],
    /// Requests that accepted a response.
    pub acks: [u64; KINDS],
    /// Requests that refused one.
    pub nacks: [u64; KINDS],
    /// How long changes waited for the first response that a stream sent because of them: a count for each of
    /// [`DELAY_BOUNDS`], not cumulative, and one for what took longer.
    pub push_delay: [u64; DELAY_BOUNDS.len() + 1],
    /// The sum of these waits.
    pub push_delay_sum: Duration,
}

impl Counters {
    /// Counts the wait of a change.
    pub fn pushed_after(&self, delay: Duration) {
        let bucket = DELAY_BOUNDS.iter().position(|bound| delay <= *bound).unwrap_or(DELAY_BOUNDS.len());
        self.delays[bucket].fetch_add(1, Relaxed);
        self.delay_sum_us.fetch_add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The figures of this moment.
    pub fn read(&self, open_streams: u64) -> Figures {
        let all = |counters: &[AtomicU64; KINDS]| std::array::from_fn(|at| counters[at].load(Relaxed));
        Figures {
            open_streams,
            streams: self.streams.load(Relaxed),
            refused_streams: self.refused_streams.load(Relaxed),
            load_reports: self.load_reports.load(Relaxed),
            snapshots: self.snapshots.load(Relaxed),
            requests: self.requests.load(Relaxed),
            responses: all(&self.responses),
            resources: all(&self.resources),
            bytes: all(&self.bytes),
            acks: all(&self.acks),
            nacks: all(&self.nacks),
            push_delay: std::array::from_fn(|at| self.delays[at].load(Relaxed)),
            push_delay_sum: Duration::from_micros(self.delay_sum_us.load(Relaxed)),
        }
    }
}
