//! When each resource that serves came.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use byrnie_proto::Kind;
use byrnie_xds::{Resources, Version};
use tokio::sync::watch;

/// By kind and name: which version, and since when.
#[derive(Debug, Default)]
pub struct Updated(Mutex<Times>);

type Times = HashMap<(Kind, Arc<str>), (Version, SystemTime)>;

impl Updated {
    /// Follows what serves, as long as somebody says it.
    pub async fn follow(self: Arc<Self>, mut resources: watch::Receiver<Arc<Resources>>) {
        loop {
            let now = Arc::clone(&resources.borrow_and_update());
            self.note(&now, SystemTime::now());
            if resources.changed().await.is_err() {
                return;
            }
        }
    }

    /// When the version of `name` that serves came.
    pub fn at(&self, kind: Kind, name: &Arc<str>) -> Option<SystemTime> {
        self.held().get(&(kind, Arc::clone(name))).map(|(_, at)| *at)
    }

    pub(super) fn note(&self, resources: &Resources, now: SystemTime) {
        let mut held = self.held();
        held.retain(|(kind, name), _| resources.version(*kind, name).is_some());
        for kind in Kind::ALL {
            for (name, version) in resources.versions(kind) {
                let entry = held.entry((kind, Arc::clone(name))).or_insert_with(|| (version.clone(), now));
                if entry.0 != *version {
                    *entry = (version.clone(), now);
                }
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
