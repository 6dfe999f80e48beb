use std::sync::Arc;

use arc_swap::ArcSwap;
use byrnie_model::World;
use byrnie_snapshot::{Built, Snapshot};
use byrnie_source::Finding;

/// What is in force now: written by the pipeline alone, read by everyone.
#[derive(Clone, Debug, Default)]
pub struct Current(Arc<ArcSwap<State>>);

/// One moment of it.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The mesh.
    pub world: World,
    /// Its resources.
    pub snapshot: Snapshot,
    /// What is wrong with the desired state.
    pub findings: Arc<[Finding]>,
    /// What was built so far.
    pub built: Built,
}

impl Current {
    /// The present moment.
    pub fn load(&self) -> Arc<State> {
        self.0.load_full()
    }

    /// The next moment.
    pub fn store(&self, state: State) {
        self.0.store(Arc::new(state));
    }
}
