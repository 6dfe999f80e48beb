//! Failing on purpose: in bursts, in two ways, counted.

use std::{ops::Range, time::Duration};

use serde::{Deserialize, Serialize};

const PERIOD: Duration = Duration::from_secs(6);
const BURST: Range<Duration> = Duration::from_secs(2)..Duration::from_secs(4);

/// What an application failed on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// All such requests.
    pub sum: u64,
    /// The most of them with no good answer between them.
    pub longest_series: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is answered.
    Answer,
    /// It gets 503.
    Refuse,
    /// Its connection is closed.
    Close,
}

/// Whether there is a burst of failures so long after the first call. Nothing fails before it, so that an endpoint is
/// not out of use before anybody saw it in use.
pub fn burst(age: Duration) -> bool {
    let millis = u64::try_from(age.as_millis() % PERIOD.as_millis()).unwrap_or_default();
    BURST.contains(&Duration::from_millis(millis))
}

/// Decides, and counts.
#[derive(Debug, Default)]
pub struct Faults {
    counted: Failing,
    series: u64,
}

impl Faults {
    /// The next request, so long after the first.
    pub fn next(&mut self, age: Duration) -> Turn {
        if !burst(age) {
            self.series = 0;
            return Turn::Answer;
        }
        self.series += 1;
        self.counted.sum += 1;
        self.counted.longest_series = self.counted.longest_series.max(self.series);
        if self.counted.sum.is_multiple_of(3) { Turn::Close } else { Turn::Refuse }
    }

    /// What was failed so far.
    pub fn counted(&self) -> Failing {
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_in_bursts_and_never_at_the_start() {
        let turn = |seconds| Faults::default().next(Duration::from_secs_f64(seconds));
        assert_eq!([0.0, 1.9, 4.0, 7.9].map(turn), [Turn::Answer; 4]);
        assert_eq!([2.0, 3.9, 8.5].map(turn), [Turn::Refuse; 3]);
    }

    #[test]
    fn every_third_failure_closes_and_a_good_answer_ends_the_series() {
        let mut faults = Faults::default();
        let turns = [3, 3, 3, 5, 8, 9].map(|second| faults.next(Duration::from_secs(second)));
        let (refuse, close) = (Turn::Refuse, Turn::Close);
        assert_eq!(turns, [refuse, refuse, close, Turn::Answer, refuse, refuse]);
        assert_eq!(faults.counted(), Failing { sum: 5, longest_series: 3 });
    }
}
