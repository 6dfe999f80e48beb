//! A schedule by weight: earliest deadline first, as Envoy's `EdfScheduler`.

use std::{cmp::Ordering, collections::BinaryHeap};

/// More turns than this before the first pick would only cost rounding.
const MOST_TURNS_BEFORE: u64 = 1 << 20;
/// Keeps weights that are multiples of each other from meeting at one deadline through rounding.
const EPSILON: f64 = 1e-13;

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
        let (wanted, augmented) = (before as f64, |entry| weight(entry) + EPSILON);
        let sum: f64 = (0..entries).map(augmented).sum();
        let mut done = 0;
        let turns = (0..entries)
            .map(|entry| {
                let weight = augmented(entry);
                // What it had for certain; the few turns that are left are then taken one by one.
                let mut had = (weight * wanted / sum).floor();
                if had > 0.0 && had / weight >= wanted / sum {
                    had -= 1.0;
                }
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
