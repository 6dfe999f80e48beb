//! When what serves is written to the disk, and read from it.

use std::{io, path::PathBuf, time::Duration};

use byrnie_proto::Kind;
use tokio::{task::JoinHandle, time::Instant};

use super::{Wake, until};
use crate::{
    client::{Client, Listeners},
    handle::Shared,
    state::Store,
};

/// The state is written no more often.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes what serves to the disk.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Store,
    /// What serves differs from the file: when to write it.
    due: Option<Instant>,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl Keeper {
    pub fn new(directory: PathBuf, node: String) -> Self {
        Self { store: Store::new(directory, node), due: None, running: None }
    }

    /// Takes in what was kept, and takes those of its listeners for wanted that are not asked for anyway.
    pub fn restore(&self, client: &mut Client, listeners: &Listeners, shared: &Shared, now: Instant) {
        let kept = match self.store.load() {
            Ok(kept) => kept,
            Err(error) => return tracing::warn!(%error, "the state of an earlier start is not used"),
        };
        if let Listeners::Named(roots) = listeners {
            let mut demand = shared.demand();
            let wanted = kept.iter().filter(|kept| kept.kind == Kind::Listener).map(|kept| &*kept.name);
            for name in wanted.filter(|name| roots.iter().all(|root| **root != **name)) {
                demand.want(name, now.into_std());
            }
        }
        for (kind, name, error) in client.restore(kept, now.into_std()) {
            tracing::warn!(%kind, %name, %error, "a resource of an earlier start is not used");
        }
    }

    /// Something serves that is not in the file.
    pub fn on_change(&mut self, now: Instant) {
        self.due.get_or_insert(now + PAUSE);
    }

    /// Writes, beside the task, since a disk may be slow.
    pub fn start(&mut self, client: &Client) {
        self.due = None;
        let (store, serving) = (self.store.clone(), client.serving());
        self.running = Some(tokio::task::spawn_blocking(move || store.save(&serving)));
    }

    /// Waits for what is to be done next. May be dropped at any time.
    pub async fn wake(keeper: Option<&mut Self>) -> Wake {
        let Some(keeper) = keeper else { return std::future::pending().await };
        let Some(running) = &mut keeper.running else {
            until(keeper.due).await;
            return Wake::Save;
        };
        let done = running.await;
        keeper.running = None;
        Wake::Saved(done.unwrap_or_else(|error| Err(io::Error::other(error))))
    }
}
