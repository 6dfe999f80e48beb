//! That clients answered, subscribed or went away: whoever counts how they stand looks again.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use byrnie_model::ObjectRef;
use byrnie_snapshot::Resource;
use tokio::sync::Notify;

/// What happened since somebody looked last; it coalesces.
#[derive(Default)]
pub(crate) struct Answers {
    /// Whether anybody looks.
    watched: AtomicBool,
    came: Notify,
    refused: Mutex<BTreeSet<ObjectRef>>,
}

impl Answers {
    /// From now on, what happens is kept for who looks. One at a time may.
    pub fn watch(&self) {
        self.watched.store(true, Relaxed);
    }

    /// Something happened.
    pub fn note(&self) {
        self.came.notify_one();
    }

    /// A client refused these.
    pub fn note_refused(&self, resources: &[Arc<Resource>]) {
        if resources.is_empty() || !self.watched.load(Relaxed) {
            return;
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for object in resources.iter().flat_map(|resource| resource.objects()) {
            if !refused.contains(object) {
                refused.insert(object.clone());
            }
        }
    }

    /// Waits until something happens, or has since this was called last.
    pub async fn wait(&self) {
        self.came.notified().await;
    }

    /// The objects whose resources were refused since this was called last.
    pub fn take_refused(&self) -> BTreeSet<ObjectRef> {
        std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
