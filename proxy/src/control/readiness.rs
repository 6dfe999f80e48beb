//! Whether the proxy may be sent traffic, and what it still waits for.

use std::fmt;

use crate::{
    config::Config,
    shared::{BindFailure, Bound},
};

/// Warm once, warm for ever: what fails later is told by logs and metrics, and does not take the workload out of service.
#[derive(Debug)]
pub struct Readiness {
    workers: usize,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// No configuration serves everything that was asked for at the start.
    Cold,
    /// That of this generation does, once its listeners are bound.
    Binding(u64),
    Warm,
}

/// Something that is not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Of the control plane, or of the disk.
    Configuration,
    /// Of the control plane, or of the disk.
    Certificate,
    /// Listeners, of so many workers.
    Listeners(usize),
    /// A listener that cannot be had.
    Bind(BindFailure),
    /// The first check of each endpoint.
    HealthChecks,
}

impl Readiness {
    /// Waiting for everything.
    pub fn new(workers: usize) -> Self {
        Self { workers, state: State::Cold }
    }

    /// What is waited for; empty once warm. `is_checked`: every endpoint with active checks was checked once.
    pub fn look(&mut self, config: &Config, bound: &[Bound], is_checked: bool) -> Vec<Waiting> {
        if matches!(self.state, State::Cold) && config.warm && config.has_identity {
            self.state = State::Binding(config.generation);
        }
        match self.state {
            State::Cold => {
                let missing = [(config.warm, Waiting::Configuration), (config.has_identity, Waiting::Certificate)];
                missing.into_iter().filter(|(is_there, _)| !is_there).map(|(_, waiting)| waiting).collect()
            }
            State::Binding(generation) => {
                let mut waiting = self.listeners(generation, bound);
                waiting.extend((!is_checked).then_some(Waiting::HealthChecks));
                if waiting.is_empty() {
                    self.state = State::Warm;
                }
                waiting
            }
            State::Warm => Vec::new(),
        }
    }

    fn listeners(&self, generation: u64, bound: &[Bound]) -> Vec<Waiting> {
        let done = bound.iter().filter(|bound| bound.generation >= generation);
        let late = self.workers.saturating_sub(done.clone().count());
        let mut waiting: Vec<_> = (late > 0).then_some(Waiting::Listeners(late)).into_iter().collect();
        for failure in done.flat_map(|bound| &bound.failures) {
            // Workers share their addresses, and so their failures.
            let failure = Waiting::Bind(failure.clone());
            if !waiting.contains(&failure) {
                waiting.push(failure);
            }
        }
        waiting
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration => f.write_str("configuration"),
            Self::Certificate => f.write_str("certificate"),
            Self::Listeners(workers) => write!(f, "listeners ({workers} workers)"),
            Self::Bind(BindFailure { listener, address, error }) => {
                write!(f, "listener {listener} on {address}: {error}")
            }
            Self::HealthChecks => f.write_str("first health checks"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(generation: u64, warm: bool, has_identity: bool) -> Config {
        Config { generation, warm, has_identity, ..Config::default() }
    }

    fn bound(generation: u64) -> Bound {
        Bound { generation, failures: Vec::new() }
    }

    fn told(waiting: &[Waiting]) -> String {
        waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn configuration_and_certificate_are_waited_for_together() {
        let mut readiness = Readiness::new(1);
        assert_eq!(told(&readiness.look(&config(0, false, false), &[], true)), "configuration, certificate");
        assert_eq!(told(&readiness.look(&config(1, false, true), &[bound(1)], true)), "configuration");
        assert_eq!(told(&readiness.look(&config(2, true, false), &[bound(2)], true)), "certificate");
    }

    #[test]
    fn every_worker_has_to_listen_by_the_first_whole_configuration() {
        let mut readiness = Readiness::new(2);
        let whole = config(3, true, true);
        assert_eq!(readiness.look(&whole, &[bound(2)], true), [Waiting::Listeners(2)]);
        assert_eq!(readiness.look(&whole, &[bound(3), bound(2)], true), [Waiting::Listeners(1)]);
        // A later configuration does not start the wait anew.
        assert_eq!(readiness.look(&config(4, true, true), &[bound(3), bound(3)], true), []);
    }

    #[test]
    fn what_cannot_be_bound_is_told_once_and_waited_for() {
        let mut readiness = Readiness::new(2);
        let failure = BindFailure {
            listener: "in/127.0.1.10:8080".into(),
            address: "127.0.1.10:8080".parse().unwrap(),
            error: "in use".to_owned(),
        };
        let failed = Bound { generation: 1, failures: vec![failure] };
        let told = told(&readiness.look(&config(1, true, true), &[failed.clone(), failed], true));
        assert_eq!(told, "listener in/127.0.1.10:8080 on 127.0.1.10:8080: in use");
        assert_eq!(readiness.look(&config(1, true, true), &[bound(2), bound(2)], true), []);
    }

    #[test]
    fn it_stays_warm() {
        let mut readiness = Readiness::new(1);
        let whole = config(1, true, true);
        assert_eq!(readiness.look(&whole, &[bound(1)], false), [Waiting::HealthChecks]);
        assert_eq!(readiness.look(&whole, &[bound(1)], true), []);
        assert_eq!(readiness.look(&whole, &[], false), []);
    }
}
