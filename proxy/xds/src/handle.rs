//! What the rest of the process holds of the client.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    counters::{Counters, Figures},
    demand::Demand,
    resources::Resources,
};

/// Reads what serves and asks for more; cheap to clone, used from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    resources: watch::Receiver<Arc<Resources>>,
}

/// What handles and the link have in common.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    demand: Mutex<Demand>,
    pub news: Notify,
    pub counters: Counters,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>, resources: watch::Receiver<Arc<Resources>>) -> Self {
        Self { shared, resources }
    }

    /// What serves now, and a way to wait for what comes next.
    pub fn resources(&self) -> watch::Receiver<Arc<Resources>> {
        self.resources.clone()
    }

    /// The listener `name`, as `out/10.96.0.5:80`, is used now: it is asked for if it is not known, and stays for ten
    /// minutes more. Never waits; the answer is seen in [`Resources::answer`].
    pub fn want(&self, name: &str) {
        if self.shared.demand().want(name, Instant::now().into_std()) {
            self.shared.news.notify_one();
        }
    }

    /// The counts of this moment.
    pub fn figures(&self) -> Figures {
        self.shared.counters.read()
    }
}

impl Shared {
    /// Held for a few instructions, never across an `.await`.
    pub fn demand(&self) -> MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
