//! Ejection of hosts that fail (`Cluster.outlier_detection`).

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use crate::{
    cluster::Census,
    host::{Flags, Host},
    hosts::Hosts,
};

/// When a host is ejected and for how long. The judge is [`report`](Self::report) after each request and
/// [`sweep`](Self::sweep) at each interval; the state is in the hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// So many errors in a row eject (`consecutive_5xx`, default 5; none where `enforcing_consecutive_5xx` is 0).
    pub consecutive_errors: Option<u32>,
    /// Between sweeps (`interval`, default 10 s).
    pub interval: Duration,
    /// How long the first ejection lasts; each further one lasts longer by that (`base_ejection_time`, default 30 s).
    pub base_time: Duration,
    /// The longest (`max_ejection_time`, default 300 s or the base time, whichever is longer).
    pub max_time: Duration,
    /// Of all hosts (`max_ejection_percent`, default 10).
    pub max_percent: u32,
    /// Whether one may be ejected even where that is more than the percentage (`always_eject_one_host`).
    pub always_one: bool,
    /// A share of errors that ejects; none where `enforcing_failure_percentage` is 0, as by default.
    pub failure_share: Option<FailureShare>,
}

/// Judged in each sweep, by the answers since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureShare {
    /// This percentage of errors or more ejects (`failure_percentage_threshold`, default 85).
    pub percent: u32,
    /// Nobody is judged unless so many hosts had enough answers (`failure_percentage_minimum_hosts`, default 5).
    pub minimum_hosts: u32,
    /// Enough answers (`failure_percentage_request_volume`, default 50).
    pub request_volume: u32,
}

/// How a request to a host, or a connection of bytes, went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The status of a response head. 500 to 599 are errors, as Envoy counts with
    /// `split_external_local_origin_errors` off.
    Status(u16),
    /// `grpc-status` in a head without body or message (Trailers-Only): counts instead of the HTTP status. One that
    /// comes in trailers does not count.
    GrpcStatus(u32),
    /// A connection of bytes was made. (One for requests counts only by their outcome.)
    Connected,
    /// No connection, or its handshake failed: once for each request that waited for it.
    ConnectFailure,
    /// The stream or connection broke; counts after the head as well. Not so where a limit of ours was the cause.
    Reset,
    /// No head came in time.
    Timeout,
}

/// What an outcome led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Kept,
    /// The host is ejected as of now (`ejections_enforced_total`).
    Ejected,
    /// It would be, but enough are already (`ejections_overflow`).
    Spared,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Hosts whose time was over.
    pub returned: u32,
    /// Hosts ejected for their share of errors.
    pub ejected: u32,
    /// Hosts that would have been, but enough were already.
    pub spared: u32,
}

impl Ejection {
    /// `max_ejection_time` where none is given, unless the base time is longer.
    pub const DEFAULT_MAX_TIME: Duration = Duration::from_secs(300);

    /// Counts an outcome. The host is ejected at once where it was one error too many; otherwise the count goes on.
    pub fn report(&self, host: &Host, outcome: Outcome, now: Instant) -> Verdict {
        let tally = &host.tally;
        let failed = outcome.is_error();
        if self.failure_share.is_some() {
            tally.answers.fetch_add(1, Relaxed);
            if failed {
                tally.errors.fetch_add(1, Relaxed);
            }
        }
        if !failed {
            // Read first: the cache line of a host that works stays shared.
            if tally.consecutive.load(Relaxed) != 0 {
                tally.consecutive.store(0, Relaxed);
            }
            return Verdict::Kept;
        }
        let count = tally.consecutive.fetch_add(1, Relaxed).saturating_add(1);
        if Some(count) != self.consecutive_errors {
            return Verdict::Kept;
        }
        let mut census = host.cluster.census();
        if host.flags().has(Flags::EJECTED | Flags::REMOVED) {
            return Verdict::Kept;
        }
        let verdict = self.eject(host, &mut census, now);
        // Counts anew, so that a spared host is judged again after as many errors.
        tally.consecutive.store(0, Relaxed);
        verdict
    }

    /// To be called at each interval, by one thread of the process: ends ejections, judges shares of errors, forgives.
    pub fn sweep<K>(&self, hosts: &Hosts<K>, now: Instant) -> Swept {
        let mut swept = Swept::default();
        let mut census = hosts.slots.cluster.census();
        let members =
            || hosts.slots.list.iter().map(|slot| &*slot.host).filter(|host| !host.flags().has(Flags::REMOVED));
        for host in members().filter(|host| self.is_over(host, now)) {
            give_back(host, &mut census, now);
            swept.returned += 1;
        }
        if let Some(share) = self.failure_share {
            for host in share.failing(members()) {
                match self.eject(host, &mut census, now) {
                    Verdict::Ejected => swept.ejected += 1,
                    Verdict::Spared => swept.spared += 1,
                    Verdict::Kept => {}
                }
            }
        }
        for host in members().filter(|host| !host.is_ejected()) {
            let mut history = host.history();
            let behaved = |at: Instant| now.saturating_duration_since(at) >= self.interval;
            if history.returned_at.is_some_and(behaved) {
                history.multiplier = history.multiplier.saturating_sub(1);
            }
        }
        swept
    }

    fn eject(&self, host: &Host, census: &mut Census, now: Instant) -> Verdict {
        let within = 100 * (census.ejected + 1) <= self.max_percent.min(100) as usize * census.members;
        let is_the_one = self.always_one && census.ejected == 0;
        if !within && !is_the_one {
            return Verdict::Spared;
        }
        census.ejected += 1;
        let mut history = host.history();
        history.ejected_at = Some(now);
        history.ejections = history.ejections.saturating_add(1);
        // Not beyond what the longest time can show, so that good behaviour tells soon.
        if self.base_time.saturating_mul(history.multiplier) < self.max_time.saturating_add(self.base_time) {
            history.multiplier = history.multiplier.saturating_add(1);
        }
        drop(history);
        host.change(Flags::EJECTED, 0);
        Verdict::Ejected
    }

    fn is_over(&self, host: &Host, now: Instant) -> bool {
        if !host.is_ejected() {
            return false;
        }
        let history = host.history();
        let lasts = self.base_time.saturating_mul(history.multiplier).min(self.max_time);
        history.ejected_at.is_none_or(|at| now.saturating_duration_since(at) >= lasts)
    }
}

/// Ends an ejection. The count of errors begins anew.
pub(crate) fn give_back(host: &Host, census: &mut Census, now: Instant) {
    census.ejected -= 1;
    host.tally.consecutive.store(0, Relaxed);
    host.history().returned_at = Some(now);
    host.change(0, Flags::EJECTED);
}

impl FailureShare {
    /// Begins a new interval for all, and judges the one that ends.
    fn failing<'a>(self, members: impl Iterator<Item = &'a Host>) -> Vec<&'a Host> {
        let counted = members.map(|host| {
            // The errors first: an answer that comes between counts as one success too many, not as an error.
            let errors = host.tally.errors.swap(0, Relaxed);
            (host, errors, host.tally.answers.swap(0, Relaxed))
        });
        let judged: Vec<_> = counted
            .filter(|(host, _, answers)| !host.is_ejected() && *answers > 0 && *answers >= self.request_volume)
            .collect();
        if judged.len() < self.minimum_hosts as usize {
            return Vec::new();
        }
        let fails = |errors: u32, answers: u32| 100 * u64::from(errors) >= u64::from(self.percent) * u64::from(answers);
        judged.into_iter().filter(|(_, errors, answers)| fails(*errors, *answers)).map(|(host, ..)| host).collect()
    }
}

impl Outcome {
    /// Whether it counts against the host.
    pub fn is_error(self) -> bool {
        match self {
            Self::Status(status) => (500..600).contains(&status),
            // Envoy's mapping to HTTP; what is no known code maps to 500.
            Self::GrpcStatus(status) => matches!(status, 2 | 4 | 12..=15 | 17..),
            Self::Connected => false,
            Self::ConnectFailure | Self::Reset | Self::Timeout => true,
        }
    }
}

#[cfg(test)]
mod tests;
