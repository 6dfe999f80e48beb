//! Failing on purpose: in bursts, in two ways, counted.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use serde::{Deserialize, Serialize};

const PERIOD: Duration = Duration::from_secs(6);
const BURST: Range<Duration> = Duration::from_secs(2)..Duration::from_secs(4);

/// What an application failed on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// All such requests.
    pub sum: u64,
    /// The most of them with no good answer between them, by the Pod that called.
    pub longest_series: BTreeMap<String, u64>,
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
    series: BTreeMap<String, u64>,
}

impl Faults {
    /// The next request of `caller`, so long after the first of all.
    pub fn next(&mut self, caller: &str, age: Duration) -> Turn {
        if !burst(age) {
            self.series.clear();
            return Turn::Answer;
        }
        let series = self.series.entry(caller.to_owned()).or_default();
        *series += 1;
        let longest = self.counted.longest_series.entry(caller.to_owned()).or_default();
        *longest = (*longest).max(*series);
        self.counted.sum += 1;
        if self.counted.sum.is_multiple_of(3) { Turn::Close } else { Turn::Refuse }
    }

    /// What was failed so far.
    pub fn counted(&self) -> &Failing {
        &self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_in_bursts_and_never_at_the_start() {
        let turn = |seconds| Faults::default().next("web-1", Duration::from_secs_f64(seconds));
        assert_eq!([0.0, 1.9, 4.0, 7.9].map(turn), [Turn::Answer; 4]);
        assert_eq!([2.0, 3.9, 8.5].map(turn), [Turn::Refuse; 3]);
    }

    #[test]
    fn every_third_failure_closes_and_a_good_answer_ends_the_series() {
        let mut faults = Faults::default();
        let turns = [3, 3, 3, 5, 8, 9].map(|second| faults.next("web-1", Duration::from_secs(second)));
        let (refuse, close) = (Turn::Refuse, Turn::Close);
        assert_eq!(turns, [refuse, refuse, close, Turn::Answer, refuse, refuse]);
        faults.next("web-2", Duration::from_secs(9));
        let longest_series = [("web-1".to_owned(), 3), ("web-2".to_owned(), 1)].into();
        assert_eq!(*faults.counted(), Failing { sum: 6, longest_series });
    }
}
