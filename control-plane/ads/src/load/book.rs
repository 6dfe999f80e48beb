//! A minute of what clients reported. Pure: events and the time in, figures out.
//!
//! Memory is bounded by what clients do and not by how long they do it: a client keeps one set of counts a report of the
//! last minute and cluster that it called, for so many clusters at most; reports that come too often are added up; of the
//! streams that ended one set is kept a workload, until it is out of date.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_model::WorkloadName;
use byrnie_snapshot::{Client, Dialect};

use super::counts::{Counts, Tally};

/// How far back figures go.
pub const WINDOW: Duration = Duration::from_secs(60);
/// A report that begins sooner after the last one began is added to it.
const STEP: Duration = Duration::from_millis(2500);
/// How many clusters of one client are counted.
const CLUSTERS_LIMIT: usize = 1000;

/// What one client called within the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Whose.
    pub client: WorkloadName,
    /// What kind of proxy it is.
    pub dialect: Dialect,
    /// What it called.
    pub cluster: Arc<str>,
    /// What ended.
    pub counts: Counts,
    /// How many requests ended in a second.
    pub per_second: f64,
    /// How many run now.
    pub active: u64,
}

/// All clients that reported.
#[derive(Debug, Default)]
pub(super) struct Book {
    open: BTreeMap<u64, Pages>,
    /// What is left of streams that ended, by workload.
    ended: BTreeMap<WorkloadName, Pages>,
}

/// One client's reports of the window, the oldest first.
#[derive(Debug)]
struct Pages {
    client: Client,
    reports: VecDeque<Report>,
    /// The clusters of these reports, and how many requests run there.
    active: HashMap<Arc<str>, u64>,
    /// When the last report ended.
    seen: Instant,
}

/// What ended in a span of time.
#[derive(Debug)]
struct Report {
    from: Instant,
    until: Instant,
    counts: HashMap<Arc<str>, Counts>,
}

impl Book {
    /// A client will report; what it says first counts from now.
    pub fn open(&mut self, stream: u64, client: Client, now: Instant) {
        let pages = Pages { client, reports: VecDeque::new(), active: HashMap::new(), seen: now };
        self.open.insert(stream, pages);
    }

    /// A client reported what ended since its last report.
    pub fn report<'a>(&mut self, stream: u64, tallies: impl IntoIterator<Item = Tally<'a>>, now: Instant) {
        if let Some(pages) = self.open.get_mut(&stream) {
            pages.report(tallies, now);
        }
    }

    /// A client went. What it reported stays until it is out of date.
    pub fn close(&mut self, stream: u64, now: Instant) {
        let Some(mut pages) = self.open.remove(&stream) else { return };
        pages.active.values_mut().for_each(|active| *active = 0);
        if let Some(mut earlier) = self.ended.remove(&pages.client.workload) {
            earlier.continue_with(pages);
            pages = earlier;
        }
        pages.forget(now);
        if !pages.reports.is_empty() {
            self.ended.insert(pages.client.workload.clone(), pages);
        }
    }

    /// Throws away what is out of date.
    pub fn sweep(&mut self, now: Instant) {
        self.open.values_mut().for_each(|pages| pages.forget(now));
        self.ended.retain(|_, pages| {
            pages.forget(now);
            !pages.reports.is_empty()
        });
    }

    /// What each client called, by client and cluster. A client with several streams has several entries.
    pub fn loads(&mut self, now: Instant) -> Vec<Load> {
        self.sweep(now);
        let open = self.open.values().flat_map(|pages| pages.loads(pages.seen));
        // One that is gone calls less and less.
        let ended = self.ended.values().flat_map(|pages| pages.loads(now));
        let mut loads: Vec<_> = open.chain(ended).collect();
        loads.sort_by(|a, b| (&a.client, &a.cluster).cmp(&(&b.client, &b.cluster)));
        loads
    }
}

impl Pages {
    fn report<'a>(&mut self, tallies: impl IntoIterator<Item = Tally<'a>>, now: Instant) {
        self.forget(now);
        self.active.values_mut().for_each(|active| *active = 0);
        let from = std::mem::replace(&mut self.seen, now);
        let mut report = Report { from, until: now, counts: HashMap::new() };
        for tally in tallies {
            let Some(cluster) = self.admit(tally.cluster) else { continue };
            let active = self.active.entry(cluster.clone()).or_default();
            *active = active.saturating_add(tally.active);
            if !tally.counts.is_empty() {
                *report.counts.entry(cluster).or_default() += &tally.counts;
            }
        }
        self.add(report);
    }

    fn add(&mut self, report: Report) {
        match self.reports.back_mut().filter(|last| report.from.saturating_duration_since(last.from) < STEP) {
            Some(last) => {
                last.until = last.until.max(report.until);
                for (cluster, counts) in report.counts {
                    *last.counts.entry(cluster).or_default() += &counts;
                }
            }
            None => self.reports.push_back(report),
        }
    }

    /// The shared text of a cluster's name, unless there are too many clusters.
    fn admit(&self, cluster: &str) -> Option<Arc<str>> {
        match self.active.get_key_value(cluster) {
            Some((known, _)) => Some(known.clone()),
            None => (self.active.len() < CLUSTERS_LIMIT).then(|| cluster.into()),
        }
    }

    fn forget(&mut self, now: Instant) {
        let before = self.reports.len();
        while self.reports.front().is_some_and(|report| now.saturating_duration_since(report.until) >= WINDOW) {
            self.reports.pop_front();
        }
        if self.reports.len() < before {
            let Self { active, reports, .. } = self;
            active.retain(|cluster, active| {
                *active > 0 || reports.iter().any(|report| report.counts.contains_key(cluster))
            });
        }
    }

    /// Goes on with what a later stream of the same workload reported.
    fn continue_with(&mut self, later: Self) {
        for mut report in later.reports {
            report.counts.retain(|cluster, _| self.admit(cluster).is_some());
            for cluster in report.counts.keys() {
                self.active.entry(cluster.clone()).or_default();
            }
            self.add(report);
        }
    }

    /// The figures up to `until`.
    fn loads(&self, until: Instant) -> impl Iterator<Item = Load> {
        let from = self.reports.front().map_or(until, |report| report.from);
        let seconds = until.saturating_duration_since(from).as_secs_f64();
        self.active.iter().map(move |(cluster, active)| {
            let mut counts = Counts::default();
            self.reports.iter().filter_map(|report| report.counts.get(cluster)).for_each(|more| counts += more);
            let ended = counts.successes.saturating_add(counts.errors);
            Load {
                client: self.client.workload.clone(),
                dialect: self.client.dialect,
                cluster: cluster.clone(),
                per_second: if seconds > 0.0 { ended as f64 / seconds } else { 0.0 },
                active: *active,
                counts,
            }
        })
    }
}

#[cfg(test)]
mod tests;
