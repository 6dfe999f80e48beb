//! The loop of the control half, one event a step.

use std::sync::Arc;

use byrnie_xds::Resources;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    assemble::assemble,
    checks::Checks,
    readiness::{Readiness, Waiting},
    sweeps::Sweeps,
};
use crate::{
    identity::Identity,
    shared::{BindFailure, Shared, Stage},
    worker::Worker,
};

/// What follows the control plane, the identity, and the workers.
pub struct Control {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    resources: watch::Receiver<Arc<Resources>>,
    identity: watch::Receiver<Option<Arc<Identity>>>,
    checks: Checks,
    sweeps: Sweeps,
    readiness: Readiness,
    waiting: watch::Sender<Vec<Waiting>>,
    /// Told already.
    failures: Vec<BindFailure>,
    started: Instant,
}

impl Control {
    /// Nothing is in force yet.
    pub fn new(
        shared: Arc<Shared>,
        workers: Vec<Worker>,
        resources: watch::Receiver<Arc<Resources>>,
        identity: watch::Receiver<Option<Arc<Identity>>>,
    ) -> Self {
        Self {
            checks: Checks::new(Arc::clone(&shared.tls)),
            sweeps: Sweeps::default(),
            readiness: Readiness::new(workers.len()),
            waiting: watch::Sender::new(vec![Waiting::Configuration, Waiting::Certificate]),
            failures: Vec::new(),
            started: Instant::now(),
            shared,
            workers,
            resources,
            identity,
        }
    }

    /// What is waited for before the proxy is ready.
    pub fn waiting(&self) -> watch::Receiver<Vec<Waiting>> {
        self.waiting.subscribe()
    }

    /// Waits for one event and does what it asks for. Cancel-safe: nothing is awaited in between.
    pub async fn step(&mut self) {
        let sweep = self.sweeps.next();
        tokio::select! {
            // An error means that the sender is gone, which ends with the process.
            Ok(()) = self.resources.changed() => self.follow(),
            Ok(()) = self.identity.changed() => self.follow_identity(),
            () = self.shared.reported.notified() => self.look(),
            () = self.checks.news() => {
                self.wake();
                self.look();
            }
            () = until(sweep) => self.sweeps.run(&self.shared.config.load(), Instant::now().into_std()),
        }
    }

    /// Puts in force what is known by now.
    pub fn follow(&mut self) {
        let resources = Arc::clone(&self.resources.borrow_and_update());
        let has_identity = self.identity.borrow_and_update().is_some();
        let config = Arc::new(assemble(&self.shared.config.load(), &resources, has_identity));
        self.shared.config.store(Arc::clone(&config));
        self.wake();
        self.checks.follow(&config);
        self.sweeps.follow(&config, Instant::now().into_std());
        self.look();
    }

    /// The contexts of TLS follow a rotation by themselves; the first identity lets listeners serve.
    fn follow_identity(&mut self) {
        let has_identity = self.identity.borrow_and_update().is_some();
        if has_identity != self.shared.config.load().has_identity {
            self.follow();
        }
    }

    /// Looks at whether the proxy is ready, and tells what workers could not do.
    fn look(&mut self) {
        let bound = self.shared.bound();
        let mut failures = Vec::new();
        for failure in bound.iter().flat_map(|bound| &bound.failures) {
            if !self.failures.contains(failure) && !failures.contains(failure) {
                let BindFailure { listener, address, error } = failure;
                warn!(%listener, %address, %error, "cannot listen");
            }
            failures.push(failure.clone());
        }
        self.failures = failures;
        let waiting = self.readiness.look(&self.shared.config.load(), &bound, self.checks.are_settled());
        if waiting.is_empty() && !self.waiting.borrow().is_empty() {
            info!(after = ?self.started.elapsed(), "ready");
        }
        self.waiting.send_replace(waiting);
    }

    /// Has the workers go on to `stage`.
    pub fn advance(&self, stage: Stage) {
        self.shared.advance(stage);
        self.wake();
    }

    /// Whether no worker runs any more.
    pub fn has_ended(&self) -> bool {
        self.workers.iter().all(Worker::has_ended)
    }

    /// Tells the workers to end, and leaves them to be waited for.
    pub fn end(self) -> Vec<Worker> {
        self.advance(Stage::Ending);
        self.workers
    }

    fn wake(&self) {
        self.workers.iter().for_each(Worker::wake);
    }
}

async fn until(at: Option<std::time::Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
