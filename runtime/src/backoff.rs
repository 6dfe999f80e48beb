//! How long to wait before the next try: exponential with full jitter, so that a fleet that lost the same server does
//! not come back in step (AWS Architecture Blog, "Exponential Backoff and Jitter": full jitter does the least work).

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// The delays between tries. Pure: randomness is passed in.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// The ceiling of the first delay is `base`, doubled with each failure up to `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max: max.max(base), failures: 0 }
    }

    /// The delay after one more failure: evenly spread over zero to the present ceiling.
    ///
    /// `random` is any evenly distributed number, [`random`] for instance.
    pub fn next_delay(&mut self, random: u64) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        // The upper 53 bits are what an f64 holds exactly, so the share is below 1.
        let share = (random >> 11) as f64 / (1u64 << 53) as f64;
        ceiling.mul_f64(share)
    }

    /// The longest that the next delay can be.
    pub fn ceiling(&self) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }

    /// Failures since the start or the last [`reset`](Self::reset).
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A try succeeded: begin again at `base`.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A number that differs from call to call and between processes; good enough for jitter, not for secrets.
pub fn random() -> u64 {
    // Each `RandomState` has keys that the standard library seeds from the operating system.
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(5);

    #[test]
    fn the_ceiling_doubles_until_the_maximum_and_stays_there() {
        let mut backoff = Backoff::new(BASE, MAX);
        let ceilings: Vec<u128> = (0..8)
            .map(|_| {
                let ceiling = backoff.ceiling().as_millis();
                backoff.next_delay(0);
                ceiling
            })
            .collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        (0..200).for_each(|_| assert!(backoff.next_delay(u64::MAX) <= MAX));
        assert_eq!(backoff.ceiling(), MAX);
    }

    #[test]
    fn a_delay_is_spread_over_zero_to_the_ceiling() {
        assert_eq!(Backoff::new(BASE, MAX).next_delay(0), Duration::ZERO);
        assert_eq!(Backoff::new(BASE, MAX).next_delay(1 << 63), BASE / 2);
        let longest = Backoff::new(BASE, MAX).next_delay(u64::MAX);
        assert!(longest <= BASE && longest > BASE * 99 / 100, "{longest:?}");
    }

    #[test]
    fn a_success_begins_again_at_the_base() {
        let mut backoff = Backoff::new(BASE, MAX);
        (0..5).for_each(|_| assert!(backoff.next_delay(7) < MAX));
        assert_eq!(backoff.failures(), 5);
        backoff.reset();
        assert_eq!((backoff.ceiling(), backoff.failures()), (BASE, 0));
    }

    #[test]
    fn a_maximum_below_the_base_is_raised_to_it() {
        assert_eq!(Backoff::new(MAX, BASE).ceiling(), MAX);
    }

    #[test]
    fn random_numbers_differ() {
        assert_ne!(random(), random());
    }
}
