//! Active health checks: what an answer means, and when to ask again. Whoever asks is elsewhere.

use std::time::{Duration, Instant};

use crate::{
    ejection,
    host::{Flags, Host},
};

/// How the hosts of a cluster are checked (`HealthCheck`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Passed checks in a row until a failed host is healthy. The first check of a new host suffices.
    pub healthy_threshold: u32,
    /// Checks in a row without an answer until a healthy host is failed. An answer that says no suffices.
    pub unhealthy_threshold: u32,
    /// From the end of a check to the next.
    pub interval: Duration,
    /// Up to this percentage of the interval is added.
    pub interval_jitter_percent: u32,
    /// The interval while the cluster has had no traffic (default 60 s)...
    pub no_traffic_interval: Duration,
    /// ...and after a passed check (default: `no_traffic_interval`).
    pub no_traffic_healthy_interval: Duration,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The host is well.
    Passed,
    /// It is, but asks to be spared (`x-envoy-degraded`).
    Degraded,
    /// It answered, and not as expected: it is failed at once, whatever the threshold.
    Refused,
    /// No connection, it broke, or the answer made no sense as a protocol (and statuses that are `retriable_statuses`).
    Unreachable,
    /// No answer in time.
    TimedOut,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Nothing.
    Unchanged,
    /// Nothing yet: the threshold is not reached.
    Pending,
    /// Whether or how the host takes traffic.
    Changed,
}

/// The checks of one host. To be dropped with the host.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    first: bool,
    passed: u32,
    failed: u32,
}

impl Check {
    /// Before the first check, which is due at once.
    pub fn new() -> Self {
        Self { first: true, passed: 0, failed: 0 }
    }

    /// Takes an answer in. A passed check also ends an ejection
    /// (`OutlierDetection.successful_active_health_check_uneject_host`, default).
    pub fn observe(&mut self, checks: &Checks, host: &Host, answer: Answer, now: Instant) -> Transition {
        let before = host.flags();
        let transition =
            if answer.is_pass() { self.pass(checks, host, answer) } else { self.fail(checks, host, answer) };
        self.first = false;
        let after = host.flags();
        if answer.is_pass() && after.has(Flags::EJECTED) && !after.has(Flags::FAILED_CHECK) {
            return_early(host, now);
        }
        // The first result counts the host in, though its health may be the same.
        if before.has(Flags::UNSEEN) { Transition::Changed } else { transition }
    }

    fn pass(&mut self, checks: &Checks, host: &Host, answer: Answer) -> Transition {
        self.failed = 0;
        let before = host.flags();
        let degraded = answer == Answer::Degraded;
        let (set, clear) = if degraded { (Flags::DEGRADED_CHECK, 0) } else { (0, Flags::DEGRADED_CHECK) };
        let mut clear = clear | Flags::UNSEEN;
        let mut transition = Transition::Unchanged;
        if before.has(Flags::FAILED_CHECK) {
            self.passed += u32::from(!self.first);
            transition = Transition::Pending;
            if self.first || self.passed == checks.healthy_threshold {
                clear |= Flags::FAILED_CHECK | Flags::CHECK_TIMED_OUT;
                transition = Transition::Changed;
            }
        }
        host.change(set, clear);
        let turned = degraded != before.has(Flags::DEGRADED_CHECK);
        if turned && transition == Transition::Unchanged { Transition::Changed } else { transition }
    }

    fn fail(&mut self, checks: &Checks, host: &Host, answer: Answer) -> Transition {
        self.passed = 0;
        let mut failed = host.flags().has(Flags::FAILED_CHECK);
        let mut transition = Transition::Unchanged;
        if !failed {
            let answered = answer == Answer::Refused;
            self.failed += u32::from(!answered);
            failed = answered || self.failed == checks.unhealthy_threshold;
            transition = if failed { Transition::Changed } else { Transition::Pending };
        }
        let set = if failed { Flags::FAILED_CHECK } else { 0 };
        if failed && answer == Answer::TimedOut {
            host.change(set | Flags::CHECK_TIMED_OUT, Flags::UNSEEN);
        } else {
            host.change(set, Flags::UNSEEN | Flags::CHECK_TIMED_OUT);
        }
        transition
    }
}

impl Default for Check {
    fn default() -> Self {
        Self::new()
    }
}

/// The lock is taken first, so that no sweep ends the same ejection.
fn return_early(host: &Host, now: Instant) {
    let mut census = host.cluster.census();
    if host.is_ejected() {
        ejection::give_back(host, &mut census, now);
    }
}

impl Checks {
    /// From the end of a check to the next, at least 1 ms. `used`: whether the cluster ever had traffic.
    pub fn delay(&self, answer: Answer, transition: Transition, used: bool, random: u64) -> Duration {
        let base = match used {
            true => self.interval,
            false if answer.is_pass() && transition != Transition::Pending => self.no_traffic_healthy_interval,
            false => self.no_traffic_interval,
        };
        let base = u64::try_from(base.as_millis()).unwrap_or(u64::MAX);
        let spread = base.saturating_mul(self.interval_jitter_percent.into()) / 100;
        let jitter = random.checked_rem(spread).unwrap_or(0);
        Duration::from_millis(base.saturating_add(jitter).max(1))
    }
}

impl Answer {
    /// Whether the host is well enough to be called.
    pub fn is_pass(self) -> bool {
        matches!(self, Self::Passed | Self::Degraded)
    }
}

#[cfg(test)]
mod tests;
