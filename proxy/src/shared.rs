//! What the control thread and the workers have in common.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::{config::Config, telemetry::Telemetry, tls::Contexts};

/// One of a process. The control thread writes, then wakes the workers; workers read when they are woken.
pub struct Shared {
    /// What is in force.
    pub config: ArcSwap<Config>,
    /// TLS by the identity in force.
    pub tls: Arc<Contexts>,
    /// Asks the control plane for a listener by its name, `out/10.96.0.5:80`; from any thread, without waiting.
    pub want: Box<dyn Fn(&str) + Send + Sync>,
    /// What workers tell of traffic.
    pub telemetry: Arc<Telemetry>,
    stage: AtomicU8,
    /// Connections that are open, of all workers.
    pub connections: AtomicUsize,
    /// By worker: what it listens on.
    bound: Mutex<Vec<Bound>>,
    /// A worker has reported what it listens on.
    pub reported: Notify,
}

/// What one worker listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Of the configuration whose listeners were bound; 0 is none.
    pub generation: u64,
    /// Those that could not be.
    pub failures: Vec<BindFailure>,
}

/// A socket that a worker could not listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFailure {
    /// The listener that asks for it.
    pub listener: Arc<str>,
    /// Where.
    pub address: SocketAddr,
    /// What the operating system said.
    pub error: String,
}

/// Where the process stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Serving.
    Running,
    /// Sending callers elsewhere: GOAWAY, `connection: close`. New connections are still taken, since not all callers
    /// know yet.
    Draining,
    /// The same, and each worker ends as soon as nothing runs any more.
    Finishing,
    /// Ending at once.
    Ending,
}

impl Shared {
    /// Serving `config`.
    pub fn new(
        config: Config,
        tls: Arc<Contexts>,
        want: Box<dyn Fn(&str) + Send + Sync>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Self {
            config: ArcSwap::new(Arc::new(config)),
            tls,
            want,
            telemetry,
            stage: AtomicU8::new(0),
            connections: AtomicUsize::new(0),
            bound: Mutex::default(),
            reported: Notify::new(),
        }
    }

    /// Where the process stands.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Relaxed) {
            0 => Stage::Running,
            1 => Stage::Draining,
            2 => Stage::Finishing,
            _ => Stage::Ending,
        }
    }

    /// Goes on to `stage`; never back.
    pub fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Relaxed);
    }

    /// Connections that are open at this moment.
    pub fn open_connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// A worker now listens by the configuration of `generation`, except for `failures`. To be told of each
    /// configuration, whether or not its listeners differ from the last.
    pub fn report_bound(&self, worker: usize, generation: u64, failures: Vec<BindFailure>) {
        let mut bound = self.bound_mut();
        if bound.len() <= worker {
            bound.resize(worker + 1, Bound::default());
        }
        bound[worker] = Bound { generation, failures };
        drop(bound);
        self.reported.notify_one();
    }

    /// What each worker listens on; workers that have not reported yet may be missing.
    pub fn bound(&self) -> Vec<Bound> {
        self.bound_mut().clone()
    }

    fn bound_mut(&self) -> MutexGuard<'_, Vec<Bound>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
