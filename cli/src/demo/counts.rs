//! What an application counts of its own traffic. It knows nothing of sidecars, so that what it counts says the same of
//! all kinds of them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::faults::Failing;

/// What an application counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Its own calls, by the name of what it calls.
    pub calls: BTreeMap<String, Calls>,
    /// Requests that came to it, by the Pod that called. Each try of a sidecar is one.
    pub arrived: BTreeMap<String, u64>,
    /// What it failed on purpose.
    pub failing: Failing,
}

/// The calls of an application to one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// Begun.
    pub sent: u64,
    /// Over, well or not.
    pub answered: u64,
    /// Of these, the ones without a good answer.
    pub failed: u64,
    /// How long they took.
    pub times: Times,
}

/// How many calls took how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times(Vec<u64>);

/// Milliseconds until the answer was there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Half of the calls were faster.
    pub p50: f64,
    /// 99 of 100 were.
    pub p99: f64,
}

/// The upper bound of the first bucket in milliseconds; each of the others reaches a fifth further.
const FIRST_MS: f64 = 0.1;
const GROWTH: f64 = 1.2;
/// The last one begins at 8 s.
const BUCKETS: usize = 64;

impl Calls {
    /// One is over.
    pub fn end(&mut self, begun: Instant, is_good: bool) {
        self.answered += 1;
        self.failed += u64::from(!is_good);
        self.times.add(begun.elapsed());
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        let ratio = (1000.0 * time.as_secs_f64() / FIRST_MS).max(1.0);
        let bucket = (ratio.ln() / GROWTH.ln()).ceil() as usize;
        self.0.resize(BUCKETS, 0);
        self.0[bucket.min(BUCKETS - 1)] += 1;
    }

    /// What came since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.0.iter().chain(std::iter::repeat(&0));
        Self(self.0.iter().zip(before).map(|(now, before)| now.saturating_sub(*before)).collect())
    }

    /// To within a tenth; none without calls.
    pub fn latency(&self) -> Option<Latency> {
        Some(Latency { p50: self.percentile(0.5)?, p99: self.percentile(0.99)? })
    }

    fn percentile(&self, share: f64) -> Option<f64> {
        let rank = share * self.0.iter().sum::<u64>() as f64;
        let mut below = 0;
        let bucket = self.0.iter().position(|count| {
            below += count;
            *count > 0 && below as f64 >= rank
        })?;
        Some(FIRST_MS * GROWTH.powf(bucket as f64 - 0.5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: &[u64]) -> Times {
        let mut times = Times::default();
        millis.iter().for_each(|millis| times.add(Duration::from_millis(*millis)));
        times
    }

    #[test]
    fn percentiles_are_told_to_within_a_tenth() {
        assert_eq!(Times::default().latency(), None);
        let mut all = times(&[3; 98]);
        all.add(Duration::from_millis(40));
        all.add(Duration::from_secs(60));
        let Latency { p50, p99 } = all.latency().unwrap();
        assert!((p50 - 3.0).abs() < 0.3 && (p99 - 40.0).abs() < 4.0, "{p50} {p99}");
        all.add(Duration::ZERO);
        assert_eq!(all.0.iter().sum::<u64>(), 101, "nothing is too short or too long");
    }

    #[test]
    fn what_was_before_is_taken_off() {
        let earlier = times(&[3, 3, 3]);
        assert_eq!(earlier.since(&earlier).latency(), None);
        let now = times(&[3, 3, 3, 50]);
        assert!((now.since(&earlier).latency().unwrap().p50 - 50.0).abs() < 5.0);
        assert_eq!(now.since(&Times::default()), now);
    }
}
