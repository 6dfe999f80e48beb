//! Circuit breakers: how much a process asks of one cluster at a time (`Cluster.circuit_breakers`, default priority).

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The limits of a cluster. Envoy's defaults are 1,024 of each and 3 retries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Connections, idle ones too (`max_connections`).
    pub connections: u32,
    /// Requests that wait for a connection (`max_pending_requests`).
    pub pending: u32,
    /// Requests that were given a connection (`max_requests`).
    pub requests: u32,
    /// Retries, from the decision to retry until the outcome of that try.
    pub retries: Retries,
}

/// How many retries at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Retries {
    /// A number (`max_retries`).
    Number(u32),
    /// A share of what is active (`retry_budget`).
    Budget {
        /// Of requests and pending requests, rounded down (`budget_percent`, default 20).
        percent: f64,
        /// At least so many (`min_retry_concurrency`, default 3).
        minimum: u32,
    },
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `cx_open`
    Connections,
    /// `rq_pending_open`
    Pending,
    /// `rq_open`
    Requests,
    /// `rq_retry_open`
    Retries,
}

/// What a process has of one cluster at this moment, held to the limits. Shared by all threads; each acquisition that
/// succeeds is followed by one release.
#[derive(Debug)]
pub struct Breakers {
    limits: Limits,
    held: [AtomicU32; 4],
}

impl Breakers {
    /// With nothing held.
    pub fn new(limits: Limits) -> Self {
        Self { limits, held: Default::default() }
    }

    /// One more, if the limit allows it. The limit is never exceeded; where threads meet at the very limit, one may be
    /// refused the place that another has just failed to take.
    #[must_use = "what was acquired has to be released"]
    pub fn acquire(&self, resource: Resource) -> bool {
        let held = self.held(resource);
        let is_free = held.fetch_add(1, Relaxed) < self.limit(resource);
        if !is_free {
            held.fetch_sub(1, Relaxed);
        }
        is_free
    }

    /// One more, whatever the limit: a host without any connection gets one, or what waits for it would wait for ever.
    pub fn acquire_anyway(&self, resource: Resource) {
        self.held(resource).fetch_add(1, Relaxed);
    }

    /// One less.
    pub fn release(&self, resource: Resource) {
        let before = self.held(resource).fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "{resource:?} released that was not acquired");
    }

    /// How much is held.
    pub fn count(&self, resource: Resource) -> u32 {
        self.held(resource).load(Relaxed)
    }

    /// How much may be held at this moment.
    pub fn limit(&self, resource: Resource) -> u32 {
        match (resource, self.limits.retries) {
            (Resource::Connections, _) => self.limits.connections,
            (Resource::Pending, _) => self.limits.pending,
            (Resource::Requests, _) => self.limits.requests,
            (Resource::Retries, Retries::Number(number)) => number,
            (Resource::Retries, Retries::Budget { percent, minimum }) => {
                let active = f64::from(self.count(Resource::Requests)) + f64::from(self.count(Resource::Pending));
                // The cast rounds down and saturates.
                ((percent / 100.0 * active) as u32).max(minimum)
            }
        }
    }

    /// Whether the next acquisition would be refused (`circuit_breakers.default.*_open`).
    pub fn is_open(&self, resource: Resource) -> bool {
        self.count(resource) >= self.limit(resource)
    }

    fn held(&self, resource: Resource) -> &AtomicU32 {
        &self.held[resource as usize]
    }
}

#[cfg(test)]
mod tests;
