//! A schedule by weight: earliest deadline first, as Envoy's `EdfScheduler`.

use std::{cmp::Ordering, collections::BinaryHeap};

/// More turns than this before the first pick would only cost rounding.
const MOST_TURNS_BEFORE: u64 = 1 << 20;

/// Each entry has its turn once every 1 / weight. A pick costs O(log n) and allocates nothing.
#[derive(Debug)]
pub(crate) struct Schedule {
    next_order: u64,
    turns: BinaryHeap<Turn>,
}

#[derive(Debug)]
struct Turn {
    deadline: f64,
    /// First come, first served, among equal deadlines.
    order: u64,
    entry: u32,
}

impl Schedule {
    /// As after `before` picks of entries `0..entries`, so that pickers do not all begin with the same one. Weights
    /// are greater than 0.
    pub fn new(entries: u32, before: u64, weight: impl Fn(u32) -> f64) -> Self {
        let before = before % MOST_TURNS_BEFORE;
        let sum: f64 = (0..entries).map(&weight).sum();
        let mut done = 0;
        let turns = (0..entries)
            .map(|entry| {
                let weight = weight(entry);
                // What it had for certain; the few turns that are left are then taken one by one.
                let had = (weight * before as f64 / sum).floor();
                done += had as u64;
                Turn { deadline: (had + 1.0) / weight, order: entry.into(), entry }
            })
            .collect();
        let mut schedule = Self { next_order: entries.into(), turns };
        for _ in done..before {
            schedule.pick(&weight);
        }
        schedule
    }

    /// The entry whose turn it is. Its next turn comes by the weight that it has now.
    pub fn pick(&mut self, weight: impl Fn(u32) -> f64) -> Option<u32> {
        let mut turn = self.turns.peek_mut()?;
        let entry = turn.entry;
        turn.deadline += 1.0 / weight(entry);
        turn.order = self.next_order;
        self.next_order += 1;
        Some(entry)
    }
}

/// The greatest is the first to come.
impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(schedule: &mut Schedule, weights: &[f64], picks: usize) -> Vec<u32> {
        (0..picks).map(|_| schedule.pick(|entry| weights[entry as usize]).unwrap()).collect()
    }

    #[test]
    fn equal_deadlines_are_served_in_their_order() {
        let weights = [2.0, 2.0, 1.0];
        let mut schedule = Schedule::new(3, 0, |entry| weights[entry as usize]);
        assert_eq!(picks(&mut schedule, &weights, 10), [0, 1, 2, 0, 1, 0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_late_start_is_as_after_so_many_picks() {
        let weights = [3.0, 7.0, 11.0, 1.0];
        for before in 0..100 {
            let mut early = Schedule::new(4, 0, |entry| weights[entry as usize]);
            let mut late = Schedule::new(4, before, |entry| weights[entry as usize]);
            picks(&mut early, &weights, before as usize);
            let (early, late) = (picks(&mut early, &weights, 30), picks(&mut late, &weights, 30));
            // Turns that rounding sets apart may change places.
            for (entry, until) in (0..4).flat_map(|entry| (0..30).map(move |until| (entry, until))) {
                let count = |picks: &[u32]| picks[..until].iter().filter(|picked| **picked == entry).count();
                assert!(count(&early).abs_diff(count(&late)) <= 1, "{before}: {early:?} {late:?}");
            }
        }
    }

    #[test]
    fn the_weight_at_the_pick_sets_the_next_turn() {
        let mut schedule = Schedule::new(2, 0, |_| 1.0);
        let order: Vec<_> = (0..6).filter_map(|_| schedule.pick(|entry| [0.25, 1.0][entry as usize])).collect();
        assert_eq!(order, [0, 1, 1, 1, 1, 0]);
        assert_eq!(Schedule::new(0, 9, |_| 1.0).pick(|_| 1.0), None);
    }
}
