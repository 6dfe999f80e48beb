//! What is counted: plain numbers that one worker writes and the scrape reads.
//!
//! A count is written by a load and a store, not by a locked addition: there is one writer, and a reader that comes in
//! between sees either number.

use std::{
    array,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use byrnie_proto::latency;

/// Upper bounds of durations in microseconds, each inclusive.
pub const DURATIONS: [u64; 16] = [
    500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// Upper bounds of bodies in octets, each inclusive.
pub const SIZES: [u64; 9] = [0, 100, 1_000, 5_000, 10_000, 50_000, 100_000, 1_000_000, 10_000_000];

/// A number that only grows, but for [`Count::take_back`].
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

/// How often a value was in which range, and the sum of all.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    /// Of each bound, what is above the one before it.
    buckets: [Count; N],
    over: Count,
    sum: Count,
}

/// The requests of one label set and one worker.
#[derive(Debug)]
pub struct Requests {
    pub life: Life,
    pub durations: Histogram<{ DURATIONS.len() }>,
    pub received: Histogram<{ SIZES.len() }>,
    pub sent: Histogram<{ SIZES.len() }>,
}

/// The TCP connections of one label set and one worker.
#[derive(Debug, Default)]
pub struct Connections {
    pub life: Life,
    pub opened: Count,
    pub closed: Count,
    pub received: Count,
    pub sent: Count,
    /// How many are open.
    pub open: Count,
}

/// How calls of one cluster by one worker ended, for load reports.
#[derive(Debug)]
pub struct Calls {
    pub life: Life,
    pub successes: Count,
    pub errors: Count,
    /// Tries after the first.
    pub retries: Count,
    /// By the buckets of [`latency`]: how many, and the sum of their microseconds.
    pub latencies: [(Count, Count); latency::BUCKETS],
}

/// How calls of one cluster ended, by all workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Those that ended well.
    pub successes: u64,
    /// Those that failed.
    pub errors: u64,
    /// Tries after the first.
    pub retries: u64,
    /// By the buckets of [`latency`]: how many, and the sum of their microseconds.
    pub latencies: [(u64, u64); latency::BUCKETS],
}

/// Whether anybody shows what is counted here.
#[derive(Debug, Default)]
pub struct Life(AtomicBool);

/// What a registry keeps.
pub trait Cells: Default + Send + Sync + 'static {
    /// Whether it was given up.
    fn life(&self) -> &Life;
    /// Differs from what it was whenever anything was counted.
    fn total(&self) -> u64;
    /// Something is under way that will be counted here.
    fn is_in_use(&self) -> bool {
        false
    }
}

impl Count {
    /// To be called by one thread only.
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// To be called by the thread that adds.
    #[inline]
    pub fn take_back(&self, less: u64) {
        self.0.store(self.0.load(Relaxed).saturating_sub(less), Relaxed);
    }

    /// The number of this moment.
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl<const N: usize> Histogram<N> {
    #[inline]
    pub fn observe(&self, bounds: &[u64; N], value: u64) {
        let bucket = bounds.iter().position(|bound| value <= *bound);
        bucket.map_or(&self.over, |at| &self.buckets[at]).add(1);
        self.sum.add(value);
    }

    /// Adds what was counted to `counts`, whose last is what was above all bounds, and gives the sum.
    pub fn add_to(&self, counts: &mut [u64]) -> u64 {
        for (count, bucket) in counts.iter_mut().zip(self.buckets.iter().chain([&self.over])) {
            *count += bucket.read();
        }
        self.sum.read()
    }

    fn count(&self) -> u64 {
        self.buckets.iter().chain([&self.over]).map(Count::read).sum()
    }
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { buckets: array::from_fn(|_| Count::default()), over: Count::default(), sum: Count::default() }
    }
}

impl Default for Requests {
    fn default() -> Self {
        let life = Life::default();
        Self { life, durations: Histogram::default(), received: Histogram::default(), sent: Histogram::default() }
    }
}

impl Default for Calls {
    fn default() -> Self {
        let latencies = array::from_fn(|_| Default::default());
        let count = Count::default;
        Self { life: Life::default(), successes: count(), errors: count(), retries: count(), latencies }
    }
}

impl Calls {
    /// Adds what was counted to `counts`.
    pub fn add_to(&self, counts: &mut CallCounts) {
        counts.successes += self.successes.read();
        counts.errors += self.errors.read();
        counts.retries += self.retries.read();
        for ((count, sum), (counted, micros)) in counts.latencies.iter_mut().zip(&self.latencies) {
            *count += counted.read();
            *sum += micros.read();
        }
    }

    /// A call ended.
    #[inline]
    pub fn add(&self, failed: bool, took: Duration) {
        if failed { &self.errors } else { &self.successes }.add(1);
        let (count, sum) = &self.latencies[latency::bucket_of(took)];
        count.add(1);
        sum.add(micros(took));
    }
}

impl Life {
    /// Nobody reads it any more: who counts has to begin anew.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Says so.
    pub fn end(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Cells for Requests {
    fn life(&self) -> &Life {
        &self.life
    }

    fn total(&self) -> u64 {
        self.durations.count()
    }
}

impl Cells for Connections {
    fn life(&self) -> &Life {
        &self.life
    }

    fn total(&self) -> u64 {
        let counts = [&self.opened, &self.closed, &self.received, &self.sent];
        counts.into_iter().fold(0, |total, count| total.wrapping_add(count.read()))
    }

    fn is_in_use(&self) -> bool {
        self.open.read() > 0
    }
}

impl Cells for Calls {
    fn life(&self) -> &Life {
        &self.life
    }

    fn total(&self) -> u64 {
        self.successes.read() + self.errors.read()
    }
}

/// For ever, where it is longer than that.
#[inline]
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_above_all_is_counted() {
        let histogram = Histogram::<{ DURATIONS.len() }>::default();
        for value in [0, 500, 501, 60_000_000, 60_000_001] {
            histogram.observe(&DURATIONS, value);
        }
        let mut counts = [0; DURATIONS.len() + 1];
        assert_eq!(histogram.add_to(&mut counts), 120_001_002);
        assert_eq!((counts[0], counts[1], counts[15], counts[16]), (2, 1, 1, 1));
        assert_eq!(histogram.count(), 5);
    }

    #[test]
    fn calls_are_counted_by_outcome_and_latency() {
        let calls = Calls::default();
        calls.add(false, Duration::from_millis(2));
        calls.add(true, Duration::from_secs(60));
        assert_eq!((calls.successes.read(), calls.errors.read(), calls.total()), (1, 1, 2));
        assert_eq!((calls.latencies[1].0.read(), calls.latencies[1].1.read()), (1, 2_000));
        assert_eq!(calls.latencies[latency::BUCKETS - 1].0.read(), 1);
    }
}
