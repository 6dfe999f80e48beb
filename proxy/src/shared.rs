//! What the control thread and the workers have in common.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed},
};

use arc_swap::ArcSwap;

use crate::config::Config;

/// One of a process. The control thread writes, then wakes the workers; workers read when they are woken.
pub struct Shared {
    /// What is in force.
    pub config: ArcSwap<Config>,
    /// Asks the control plane for a listener by its name, `out/10.96.0.5:80`; from any thread, without waiting.
    pub want: Box<dyn Fn(&str) + Send + Sync>,
    stage: AtomicU8,
    /// Connections that are open, of all workers.
    pub connections: AtomicUsize,
}

/// Where the process stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Serving.
    Running,
    /// Finishing what runs: GOAWAY, `connection: close`; new connections are still taken, since whoever calls does not know yet.
    Draining,
    /// Ending at once.
    Ending,
}

impl Shared {
    /// Serving `config`.
    pub fn new(config: Config, want: Box<dyn Fn(&str) + Send + Sync>) -> Self {
        let config = ArcSwap::new(Arc::new(config));
        Self { config, want, stage: AtomicU8::new(0), connections: AtomicUsize::new(0) }
    }

    /// Where the process stands.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Relaxed) {
            0 => Stage::Running,
            1 => Stage::Draining,
            _ => Stage::Ending,
        }
    }

    /// Goes on to `stage`; never back.
    pub fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Relaxed);
    }
}
