use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use byrnie_model::{ObjectRef, World};
use byrnie_snapshot::{Built, Snapshot};
use byrnie_source::Finding;
use tokio::sync::watch;

/// What is in force now: written by the pipeline alone, read by everyone.
#[derive(Clone, Debug)]
pub struct Current {
    state: Arc<ArcSwap<State>>,
    moved: watch::Sender<()>,
}

/// One moment of it.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The mesh.
    pub world: World,
    /// Its resources.
    pub snapshot: Snapshot,
    /// What is wrong with the desired state.
    pub findings: Arc<[Finding]>,
    /// Objects that cannot be read, and why. One that could be before is in the World as it was then.
    pub unreadable: Arc<BTreeMap<ObjectRef, Unreadable>>,
    /// Another number whenever something may have changed that an object's status says; endpoints and workloads come
    /// and go without it.
    pub meaning: u64,
    /// What was built so far.
    pub built: Built,
}

/// An object that cannot be taken as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// At which generation.
    pub generation: i64,
    /// What is wrong, by field.
    pub why: String,
}

impl Current {
    /// The present moment.
    pub fn load(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// The next moment.
    pub fn store(&self, state: State) {
        self.state.store(Arc::new(state));
        self.moved.send_replace(());
    }

    /// Tells when there is a next moment.
    pub fn moves(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }
}

impl Default for Current {
    fn default() -> Self {
        Self { state: Arc::default(), moved: watch::Sender::new(()) }
    }
}
