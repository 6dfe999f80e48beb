//! What was measured, in tables for people and as JSON.

mod json;
mod tables;

use std::time::Duration;

use anyhow::{Error, Result};

use crate::{
    case::Case,
    measure::{Round, Times},
    peers::Peer,
    syscalls::Tool,
    workers::Scaling,
};

/// Resident memory of the client's sidecar and of the server's.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub idle: [u64; 2],
    pub connected: [u64; 2],
    /// When all cases were over.
    pub after: Option<[u64; 2]>,
}

/// A case of one peer.
#[derive(Debug)]
struct Entry {
    case: &'static Case,
    peer: Peer,
    /// What became of it: the rounds so far, or why there are none.
    result: Result<Vec<Round>, String>,
    system_calls: Option<f64>,
}

/// All that a run found out.
#[derive(Debug)]
pub struct Report {
    peers: Vec<Peer>,
    cases: Vec<&'static Case>,
    rounds: usize,
    times: Times,
    cores: usize,
    entries: Vec<Entry>,
    versions: Vec<String>,
    starts: Vec<(Peer, Vec<Duration>)>,
    memory: Vec<(Peer, Memory)>,
    workers: Vec<(Peer, Scaling)>,
    /// How system calls were counted.
    tool: Option<Tool>,
    /// What went wrong, and what else is to be said.
    notes: Vec<String>,
}

impl Report {
    pub fn new(peers: &[Peer], cases: &[&'static Case], rounds: usize, times: Times, cores: usize) -> Self {
        let entry = |case, peer| Entry { case, peer, result: Ok(Vec::new()), system_calls: None };
        let entries = cases.iter().flat_map(|&case| peers.iter().map(move |&peer| entry(case, peer))).collect();
        let (peers, cases) = (peers.to_vec(), cases.to_vec());
        let (starts, memory, workers, notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self {
            peers,
            cases,
            rounds,
            times,
            cores,
            entries,
            starts,
            memory,
            workers,
            versions: Vec::new(),
            tool: None,
            notes,
        }
    }

    /// A peer that is not there.
    pub fn absent(&mut self, peer: Peer, why: &Error) {
        self.notes.push(format!("{} is left out: {why:#}", peer.title()));
        self.peers.retain(|&known| known != peer);
        self.entries.retain(|entry| entry.peer != peer);
    }

    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub fn counted_by(&mut self, tool: Tool) {
        self.tool = Some(tool);
    }

    pub fn started(&mut self, peer: Peer, version: &str, times: &[Duration]) {
        self.versions.push(format!("{} {version}", peer.title()));
        self.starts.push((peer, times.to_vec()));
    }

    pub fn memory(&mut self, peer: Peer, memory: Result<Memory>) {
        match memory {
            Ok(memory) => self.memory.push((peer, memory)),
            Err(error) => self.notes.push(format!("{}, memory: {error:#}", peer.title())),
        }
    }

    pub fn memory_after(&mut self, peer: Peer, bytes: [u64; 2]) {
        let known = self.memory.iter_mut().find(|(known, _)| *known == peer);
        known.into_iter().for_each(|(_, memory)| memory.after = Some(bytes));
    }

    /// A round, or nothing where the peer cannot do that, or a failure, which stands instead of all rounds.
    pub fn round(&mut self, case: &Case, peer: Peer, round: Result<Option<Round>>) {
        let Some(entry) = self.entry_mut(case, peer) else { return };
        match (round, &mut entry.result) {
            (Ok(Some(round)), Ok(rounds)) => rounds.push(round),
            (Ok(_), _) => {}
            (Err(error), result) => *result = Err(format!("{error:#}")),
        }
    }

    pub fn has_failed(&self, case: &Case, peer: Peer) -> bool {
        self.entry(case, peer).is_none_or(|entry| entry.result.is_err())
    }

    pub fn system_calls(&mut self, case: &Case, peer: Peer, calls: Result<Option<f64>>) {
        match calls {
            Ok(calls) => self.entry_mut(case, peer).into_iter().for_each(|entry| entry.system_calls = calls),
            Err(error) => self.notes.push(format!("{}, {}, system calls: {error:#}", peer.title(), case.name)),
        }
    }

    pub fn workers(&mut self, peer: Peer, result: Result<Vec<Scaling>>) {
        match result {
            Ok(scalings) => self.workers.extend(scalings.into_iter().map(|scaling| (peer, scaling))),
            Err(error) => self.notes.push(format!("{}, two workers: {error:#}", peer.title())),
        }
    }

    fn entry(&self, case: &Case, peer: Peer) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.case.name == case.name && entry.peer == peer)
    }

    fn entry_mut(&mut self, case: &Case, peer: Peer) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.case.name == case.name && entry.peer == peer)
    }
}

impl Entry {
    fn rounds(&self) -> &[Round] {
        self.result.as_deref().unwrap_or_default()
    }

    /// A figure of each round, in rising order.
    fn values(&self, of: impl Fn(&Round) -> f64) -> Vec<f64> {
        sorted(self.rounds().iter().map(of))
    }

    fn errors(&self) -> u64 {
        self.rounds().iter().map(|round| round.tally.errors).sum()
    }

    fn first_error(&self) -> Option<&str> {
        self.rounds().iter().find_map(|round| round.tally.first_error.as_deref())
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Of values in rising order.
fn median(values: &[f64]) -> Option<f64> {
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        even if even % 2 == 0 => Some((values[half - 1] + values[half]) / 2.0),
        _ => Some(values[half]),
    }
}
