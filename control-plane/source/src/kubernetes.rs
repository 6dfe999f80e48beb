//! An API server as a source: a watch of each kind, a mirror of what it holds, and what changes of it.
//!
//! Each watch is a task that reads objects as they come and drops what the mesh has no use for; one more task folds them
//! into the mirror and hands over [`Batch`]es, one at a time. What happens while nobody takes a batch is gathered, not
//! queued. While the server is away all that it said last stays in force.

mod access;
mod call;
mod cluster;
mod definitions;
mod document;
mod few;
mod follow;
mod forward;
mod lease;
mod mirror;
pub mod moment;
mod questions;
mod resources;
mod reviews;
pub mod secret;
mod watch;

use std::{fmt, sync::Arc, time::Instant};

use byrnie_model::ObjectKind;
use kube::Client;
use tokio::{
    sync::{mpsc, watch as latest},
    task::JoinSet,
    time::sleep_until,
};

pub use self::{
    access::{Access, AccessError},
    call::{CallError, Calls},
    cluster::Cluster,
    few::{Few, Held},
    forward::Forward,
    lease::{Candidate, Leadership, Turn},
    mirror::{Standing, WatchState},
    resources::{ObjectPath, Scope},
    reviews::{ReviewError, Reviewed, TokenReviews},
};
use self::{
    definitions::Definitions,
    follow::Event,
    mirror::{Mirror, Seen},
    resources::{DEFINITIONS, WATCHED},
    watch::{Objects, Watch},
};
use crate::batch::{Batch, LONGEST_SETTLE, SETTLE};

/// Events that wait to be folded; a watch that is faster waits.
const MOST_WAITING: usize = 256;

/// An API server that is watched.
pub struct Kubernetes {
    batches: mpsc::Receiver<Batch>,
    standings: latest::Receiver<Arc<[Standing]>>,
    tasks: JoinSet<()>,
}

/// How the watches stand at any time, for readiness and metrics.
#[derive(Clone, Debug)]
pub struct Watches(latest::Receiver<Arc<[Standing]>>);

impl Kubernetes {
    /// Starts to watch; a server that does not answer is waited for.
    pub(self) fn start(client: &Client) -> Self {
        let mut tasks = JoinSet::new();
        let (sender, events) = mpsc::channel(MOST_WAITING);
        let definitions = Definitions::new();
        for watched in WATCHED {
            let definition = watched.collection.definition().map(|name| definitions.follow(name));
            let reader = Objects::new(watched.kind, sender.clone());
            tasks.spawn(Watch::new(client.clone(), watched.collection.into(), definition, reader).run());
        }
        tasks.spawn(Watch::new(client.clone(), DEFINITIONS.into(), None, definitions).run());
        let mirror = Mirror::new(WATCHED.map(|watched| watched.kind));
        // One batch waits at most; the next is made when it is taken.
        let (taken, batches) = mpsc::channel(1);
        let (told, standings) = latest::channel(mirror.standings().collect());
        tasks.spawn(Fold { mirror, events, batches: taken, standings: told }.run());
        Self { batches, standings, tasks }
    }

    /// The next change; the first one is all that is there, when every kind was listed. Cancel-safe: a batch that was
    /// not returned is returned by the next call.
    ///
    /// # Panics
    /// Where a task that watches panicked, with its panic.
    pub async fn next(&mut self) -> Batch {
        tokio::select! {
            biased;
            Some(batch) = self.batches.recv() => batch,
            Some(ended) = self.tasks.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
                // A task ends only when this value is dropped.
                std::future::pending().await
            }
            else => std::future::pending().await,
        }
    }

    /// How the watches stand, at any later time.
    pub fn watches(&self) -> Watches {
        Watches(self.standings.clone())
    }
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes").field("standings", &*self.standings.borrow()).finish_non_exhaustive()
    }
}

impl Watches {
    /// How they stand now, by kind.
    pub fn now(&self) -> Arc<[Standing]> {
        self.0.borrow().clone()
    }

    /// Waits until something has changed since the last call, or nothing will any more.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// Folds events into the mirror, and makes batches.
struct Fold {
    mirror: Mirror,
    events: mpsc::Receiver<(ObjectKind, Event<Seen>)>,
    batches: mpsc::Sender<Batch>,
    standings: latest::Sender<Arc<[Standing]>>,
}

impl Fold {
    async fn run(mut self) {
        loop {
            let due = self.mirror.due();
            let since = tokio::select! {
                event = self.events.recv() => {
                    if !self.take(event) {
                        return;
                    }
                    let since = Instant::now();
                    self.settle(since).await;
                    since
                }
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => Instant::now(),
            };
            self.tell_standings();
            if self.hand_over(since).await.is_none() {
                return;
            }
        }
    }

    /// Takes what comes together with what has come.
    async fn settle(&mut self, since: Instant) {
        let mut until = since + SETTLE;
        loop {
            tokio::select! {
                event = self.events.recv() => {
                    if !self.take(event) {
                        return;
                    }
                    until = (Instant::now() + SETTLE).min(since + LONGEST_SETTLE);
                }
                () = sleep_until(until.into()) => return,
            }
            if Instant::now() >= until {
                return;
            }
        }
    }

    /// Hands over what changed, and takes what comes while nobody takes it; `None` where nobody ever will.
    async fn hand_over(&mut self, since: Instant) -> Option<()> {
        let batches = self.batches.clone();
        loop {
            tokio::select! {
                permit = batches.reserve() => {
                    let permit = permit.ok()?;
                    if let Some(batch) = self.mirror.batch(since, Instant::now()) {
                        permit.send(batch);
                    }
                    return Some(());
                }
                event = self.events.recv() => {
                    if !self.take(event) {
                        return None;
                    }
                }
            }
        }
    }

    /// Whether there was an event.
    fn take(&mut self, event: Option<(ObjectKind, Event<Seen>)>) -> bool {
        let Some((kind, event)) = event else { return false };
        self.mirror.take(kind, event, Instant::now());
        true
    }

    fn tell_standings(&self) {
        self.standings.send_if_modified(|told| {
            let now: Arc<[Standing]> = self.mirror.standings().collect();
            let is_news = *told != now;
            *told = now;
            is_news
        });
    }
}
