//! When requests begin, and what became of them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// More errors than this are no measurement.
const TOO_MANY: u64 = 1_000;

/// What became of the requests of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answered well within the window.
    pub requests: u64,
    /// Answered well in the whole run.
    pub all: u64,
    /// Bytes of bodies within the window.
    pub bytes: u64,
    /// Errors of the whole run.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
    /// Of those within the window, in nanoseconds, sorted in the end.
    pub latencies: Vec<u32>,
}

impl Tally {
    /// The latency that so many of a hundred did not exceed, in microseconds.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let last = self.latencies.len().checked_sub(1)?;
        let at = (self.latencies.len() as f64 * share / 100.0) as usize;
        Some(f64::from(self.latencies[at.min(last)]) / 1e3)
    }
}

/// Which requests are due, and which connections may take one.
#[derive(Debug)]
pub struct Pace {
    pub tally: Tally,
    /// Between requests of an open loop, and when the next is due.
    interval: Option<(Duration, Instant)>,
    /// Requests that were due while no connection was free.
    waiting: VecDeque<Instant>,
    /// Connections that may take a request, once for each that they may take.
    idle: VecDeque<usize>,
    outstanding: usize,
    measuring: bool,
    stopped: bool,
}

impl Pace {
    pub fn new(rate: Option<u32>) -> Self {
        let interval = rate.map(|rate| (Duration::from_secs(1) / rate, Instant::now()));
        let (waiting, idle) = (VecDeque::new(), VecDeque::new());
        Self { tally: Tally::default(), interval, waiting, idle, outstanding: 0, measuring: false, stopped: false }
    }

    /// Whether new requests still begin.
    pub fn is_running(&self) -> bool {
        !self.stopped
    }

    /// Whether answers are awaited.
    pub fn is_drained(&self) -> bool {
        self.outstanding == 0
    }

    /// From now on, or no longer, answers count.
    pub fn measure(&mut self, on: bool) {
        self.measuring = on;
    }

    /// No more requests begin.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.waiting.clear();
    }

    /// A connection may take one request more: when that was due, if one begins now.
    pub fn next(&mut self, token: usize, now: Instant) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let due = if self.interval.is_some() { self.waiting.pop_front() } else { Some(now) };
        match due {
            Some(_) => self.outstanding += 1,
            None => self.idle.push_back(token),
        }
        due
    }

    /// How long until the next request of an open loop is due.
    pub fn until_due(&self, now: Instant) -> Option<Duration> {
        let (_, next) = self.interval?;
        (!self.stopped).then(|| next.saturating_duration_since(now))
    }

    /// The next request that is due by now, and the connection that takes it. Where none is free it waits.
    pub fn due(&mut self, now: Instant) -> Option<(usize, Instant)> {
        loop {
            let (interval, next) = self.interval.as_mut()?;
            if self.stopped || *next > now {
                return None;
            }
            let due = *next;
            *next += *interval;
            match self.idle.pop_front() {
                Some(token) => {
                    self.outstanding += 1;
                    return Some((token, due));
                }
                None => self.waiting.push_back(due),
            }
        }
    }

    /// A connection is gone, which takes no more requests.
    pub fn forget(&mut self, token: usize) {
        self.idle.retain(|&idle| idle != token);
    }

    /// A request was answered as it should be.
    pub fn answered(&mut self, since: Instant, now: Instant) {
        self.outstanding -= 1;
        self.tally.all += 1;
        if self.measuring {
            self.tally.requests += 1;
            let latency = now.saturating_duration_since(since).as_nanos();
            self.tally.latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
        }
    }

    /// Bytes of a body went through.
    pub fn carried(&mut self, bytes: usize) {
        if self.measuring {
            self.tally.bytes += bytes as u64;
        }
    }

    /// Something went wrong, which ended so many requests; too many of these end the run.
    pub fn failed(&mut self, requests: usize, why: &str) -> Result<()> {
        self.outstanding = self.outstanding.saturating_sub(requests);
        self.tally.errors += requests.max(1) as u64;
        let first = self.tally.first_error.get_or_insert_with(|| why.to_owned());
        if self.tally.errors > TOO_MANY {
            bail!("{} errors, the first: {first}", self.tally.errors);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_waits_for_a_connection_counts_from_when_it_was_due() {
        let mut pace = Pace::new(Some(1_000));
        let start = Instant::now();
        assert_eq!(pace.next(7, start), None, "nothing is due yet, so the connection is idle");
        let late = Instant::now() + Duration::from_millis(10);
        let (token, first) = pace.due(late).unwrap();
        assert_eq!((token, pace.due(late)), (7, None), "one connection takes one request");
        pace.measure(true);
        pace.answered(first, late);
        let second = pace.next(7, late).unwrap();
        assert_eq!(second - first, Duration::from_millis(1), "the next was due a millisecond later, not now");
        pace.answered(second, late);
        assert!(pace.tally.latencies.iter().all(|&latency| latency >= 8_000_000), "{:?}", pace.tally.latencies);
        assert!(pace.is_drained());
    }

    #[test]
    fn errors_end_a_run_in_the_end() {
        let mut pace = Pace::new(None);
        let failed = (0..2 * TOO_MANY).position(|_| pace.failed(1, "no").is_err());
        assert_eq!(failed, Some(TOO_MANY as usize));
        assert_eq!(pace.tally.first_error.as_deref(), Some("no"));
    }
}
