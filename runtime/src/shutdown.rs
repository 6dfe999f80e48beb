//! Ending a process in two stages: first nothing new is accepted, then what still runs is ended.
//!
//! Accept loops stop when draining starts; connections finish what they do and end at once when it is forced. The
//! owner holds the [`Drain`]; every task holds a [`DrainWatch`] and is spawned through it, so that the end can be waited for.

use std::{future::Future, io, time::Duration};

use tokio::{
    signal::unix::{self, SignalKind},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::task::TaskTracker;

/// How long tasks get to return once the drain is forced. They are dropped with the runtime after that.
const FORCED_GRACE: Duration = Duration::from_secs(1);

/// Where a process stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Working.
    Running,
    /// Accepts nothing new and finishes what runs.
    Draining,
    /// Ends what still runs.
    Forced,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// All tasks finished by themselves.
    Finished,
    /// The time was over or someone was in a hurry; `left` tasks had not returned even after that.
    Forced {
        /// Tasks that still run.
        left: usize,
    },
}

/// The owner's side: owns the tasks and says when to stop. Dropping it forces the end.
#[derive(Debug)]
pub struct Drain {
    stage: watch::Sender<Stage>,
    tasks: TaskTracker,
}

/// A task's side: tells it when to stop, and spawns further tasks with the same owner.
#[derive(Clone, Debug)]
pub struct DrainWatch {
    stage: watch::Receiver<Stage>,
    tasks: TaskTracker,
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// A process that runs.
    pub fn new() -> Self {
        Self { stage: watch::Sender::new(Stage::Running), tasks: TaskTracker::new() }
    }

    /// For the tasks.
    pub fn watch(&self) -> DrainWatch {
        DrainWatch { stage: self.stage.subscribe(), tasks: self.tasks.clone() }
    }

    /// Runs `task`, and waits for it in [`finish`](Self::finish).
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Starts draining, waits for all tasks up to `limit` or until `hurry` is ready (a second signal), and then forces.
    pub async fn finish(self, limit: Duration, hurry: impl Future) -> Drained {
        self.stage.send_replace(Stage::Draining);
        self.tasks.close();
        let finished = async {
            tokio::select! {
                _ = hurry => false,
                done = timeout(limit, self.tasks.wait()) => done.is_ok(),
            }
        };
        if finished.await {
            return Drained::Finished;
        }
        tracing::info!(tasks = self.tasks.len(), "ending what still runs");
        self.stage.send_replace(Stage::Forced);
        // The count below tells whether this was enough.
        let _ = timeout(FORCED_GRACE, self.tasks.wait()).await;
        Drained::Forced { left: self.tasks.len() }
    }
}

impl DrainWatch {
    /// The present stage.
    pub fn stage(&self) -> Stage {
        if self.stage.has_changed().is_err() { Stage::Forced } else { *self.stage.borrow() }
    }

    /// Ready once draining has started (or is forced). Cancel-safe.
    pub async fn draining(&self) {
        self.reached(Stage::Draining).await;
    }

    /// Ready once the drain is forced. Cancel-safe.
    pub async fn forced(&self) {
        self.reached(Stage::Forced).await;
    }

    /// Runs `task` until it is done or the drain is forced, and has the owner wait for it.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let watch = self.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                output = task => Some(output),
                () = watch.forced() => None,
            }
        })
    }

    async fn reached(&self, wanted: Stage) {
        // An error means that the owner is gone, which is as good as forced.
        let _ = self.stage.clone().wait_for(|stage| *stage >= wanted).await;
    }
}

/// SIGTERM and SIGINT of this process. Once registered they no longer end it by themselves.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// Takes the signals over; needs a tokio runtime.
    pub fn register() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next signal. Cancel-safe.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests;
