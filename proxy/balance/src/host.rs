//! One endpoint as a balancer sees it: how busy it is, and whether it may be called.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::*},
    },
    time::Instant,
};

use crate::cluster::{Cluster, FirstCheck};

/// The state of one endpoint, shared by all threads and kept as long as the endpoint stays in its cluster. What it is
/// called and where it listens is the key in [`Hosts`](crate::Hosts).
#[derive(Debug)]
pub struct Host {
    pub(crate) cluster: Arc<Cluster>,
    flags: AtomicU32,
    requests: AtomicU32,
    connections: AtomicU32,
    pub(crate) tally: Tally,
    history: Mutex<History>,
}

/// What ejection counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Errors since the last success.
    pub consecutive: AtomicU32,
    /// Answers since the last sweep.
    pub answers: AtomicU32,
    /// Of those, the errors.
    pub errors: AtomicU32,
}

/// Past ejections; read and written rarely.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub ejected_at: Option<Instant>,
    pub returned_at: Option<Instant>,
    /// By how many times the base time an ejection lasts.
    pub multiplier: u32,
    pub ejections: u32,
}

/// What the control plane says of an endpoint (`LbEndpoint.health_status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reported {
    /// `UNKNOWN` and `HEALTHY`.
    #[default]
    Healthy,
    /// `DEGRADED`: called where too few are healthy.
    Degraded,
    /// `DRAINING`: not called, and left out of the share of healthy hosts.
    Draining,
    /// `UNHEALTHY` and `TIMEOUT`.
    Unhealthy,
}

/// All findings together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Called.
    Healthy,
    /// Called where too few are healthy.
    Degraded,
    /// Called only in panic.
    Unhealthy,
}

/// The findings about one host. Displayed as Envoy's `/clusters` does: `/failed_active_hc/failed_outlier_check`, or
/// `healthy`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags(u32);

impl Host {
    pub(crate) fn new(cluster: Arc<Cluster>, reported: Reported) -> Self {
        let unseen = match cluster.first_check {
            FirstCheck::NotNeeded => 0,
            FirstCheck::Awaited => Flags::FAILED_CHECK,
            FirstCheck::AwaitedApart => Flags::FAILED_CHECK | Flags::UNSEEN,
        };
        Self {
            cluster,
            flags: AtomicU32::new(unseen | Flags::of(reported)),
            requests: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            tally: Tally::default(),
            history: Mutex::default(),
        }
    }

    /// All findings together.
    pub fn health(&self) -> Health {
        self.flags().health()
    }

    /// The findings one by one.
    pub fn flags(&self) -> Flags {
        Flags(self.flags.load(Acquire))
    }

    /// Whether it is ejected at this moment.
    pub fn is_ejected(&self) -> bool {
        self.flags().has(Flags::EJECTED)
    }

    /// How often it was ejected since it joined.
    pub fn ejections(&self) -> u32 {
        self.history().ejections
    }

    /// Requests that were begun and have not ended.
    pub fn active_requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    /// Connections that are open or being opened.
    pub fn active_connections(&self) -> u32 {
        self.connections.load(Relaxed)
    }

    /// A request is sent on a connection of this host (Envoy: `rq_active`; one that waits for a connection is not yet
    /// active). Each is followed by one [`end_request`](Self::end_request).
    pub fn begin_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// A request is over, whatever its outcome.
    pub fn end_request(&self) {
        let before = self.requests.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "a request ended that was not begun");
    }

    /// A connection for traffic (not for a check) is being opened. Each is followed by one
    /// [`close_connection`](Self::close_connection).
    pub fn open_connection(&self) {
        self.connections.fetch_add(1, Relaxed);
        self.cluster.note_use();
    }

    /// A connection is gone, or could not be made.
    pub fn close_connection(&self) {
        let before = self.connections.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "a connection closed that was not opened");
    }

    /// Whether its cluster ever had traffic, which decides how often it is checked.
    pub fn cluster_is_used(&self) -> bool {
        self.cluster.is_used()
    }

    pub(crate) fn report(&self, reported: Reported) {
        self.change(Flags::of(reported), Flags::REPORTED);
    }

    /// Sets and clears flags; pickers learn of it where that changes anything.
    pub(crate) fn change(&self, set: u32, clear: u32) {
        let changed = |old: u32| (old & !clear) | set;
        let before = self.flags.fetch_update(AcqRel, Acquire, |old| Some(changed(old))).unwrap_or_else(|same| same);
        if changed(before) != before {
            self.cluster.note_change();
        }
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bits as in Envoy's `Host::HealthFlag`, except the last.
impl Flags {
    pub(crate) const FAILED_CHECK: u32 = 0x1;
    pub(crate) const EJECTED: u32 = 0x2;
    pub(crate) const UNHEALTHY: u32 = 0x4;
    pub(crate) const DEGRADED_CHECK: u32 = 0x8;
    pub(crate) const DEGRADED: u32 = 0x10;
    pub(crate) const UNSEEN: u32 = 0x40;
    pub(crate) const CHECK_TIMED_OUT: u32 = 0x100;
    pub(crate) const DRAINING: u32 = 0x200;
    /// No longer in its cluster: late reports about it count for nothing.
    pub(crate) const REMOVED: u32 = 0x8000_0000;
    const REPORTED: u32 = Self::UNHEALTHY | Self::DEGRADED | Self::DRAINING;
    const NAMES: [(u32, &str); 8] = [
        (Self::FAILED_CHECK, "failed_active_hc"),
        (Self::EJECTED, "failed_outlier_check"),
        (Self::UNHEALTHY, "failed_eds_health"),
        (Self::DEGRADED_CHECK, "degraded_active_hc"),
        (Self::DEGRADED, "degraded_eds_health"),
        (Self::UNSEEN, "pending_active_hc"),
        (Self::CHECK_TIMED_OUT, "active_hc_timeout"),
        (Self::DRAINING, "eds_status_draining"),
    ];

    const fn of(reported: Reported) -> u32 {
        match reported {
            Reported::Healthy => 0,
            Reported::Degraded => Self::DEGRADED,
            Reported::Draining => Self::DRAINING,
            Reported::Unhealthy => Self::UNHEALTHY,
        }
    }

    pub(crate) const fn has(self, any: u32) -> bool {
        self.0 & any != 0
    }

    /// All findings together: one bad finding is enough.
    pub const fn health(self) -> Health {
        if self.has(Self::FAILED_CHECK | Self::EJECTED | Self::UNHEALTHY | Self::DRAINING) {
            Health::Unhealthy
        } else if self.has(Self::DEGRADED_CHECK | Self::DEGRADED) {
            Health::Degraded
        } else {
            Health::Healthy
        }
    }

    /// Whether the share of healthy hosts leaves it out: draining, or not yet checked.
    pub const fn is_apart(self) -> bool {
        self.has(Self::UNSEEN | Self::DRAINING)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = Self::NAMES.iter().filter(|(flag, _)| self.has(*flag)).peekable();
        if set.peek().is_none() {
            return f.write_str("healthy");
        }
        set.try_for_each(|(_, name)| write!(f, "/{name}"))
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_read_as_envoys() {
        assert_eq!(Flags(0).to_string(), "healthy");
        assert_eq!(Flags(Flags::REMOVED).to_string(), "healthy");
        assert_eq!(Flags(Flags::EJECTED | Flags::FAILED_CHECK).to_string(), "/failed_active_hc/failed_outlier_check");
        assert_eq!(Flags(Flags::DRAINING).to_string(), "/eds_status_draining");
    }

    #[test]
    fn one_bad_finding_is_enough() {
        for bad in [Flags::FAILED_CHECK, Flags::EJECTED, Flags::UNHEALTHY, Flags::DRAINING] {
            assert_eq!(Flags(bad | Flags::DEGRADED).health(), Health::Unhealthy);
        }
        assert_eq!(Flags(Flags::DEGRADED_CHECK).health(), Health::Degraded);
        assert_eq!(Flags(Flags::CHECK_TIMED_OUT).health(), Health::Healthy);
    }

    #[test]
    fn a_change_is_announced_once() {
        let cluster = Arc::new(Cluster::new(FirstCheck::NotNeeded));
        let host = Host::new(cluster.clone(), Reported::Healthy);
        let before = cluster.generation();
        host.report(Reported::Draining);
        host.report(Reported::Draining);
        assert_eq!(cluster.generation(), before + 1);
        host.report(Reported::Healthy);
        assert_eq!((host.health(), cluster.generation()), (Health::Healthy, before + 2));
    }
}
