use std::sync::Arc;

use tokio::sync::watch;

use super::Identity;

/// The identity in force. One of a process: the keeper writes, all others read.
#[derive(Debug)]
pub struct Current {
    identity: watch::Sender<Option<Arc<Identity>>>,
}

impl Current {
    /// None yet.
    pub fn new() -> Self {
        Self { identity: watch::Sender::new(None) }
    }

    /// What is in force; none before the first certificate was issued.
    pub fn load(&self) -> Option<Arc<Identity>> {
        self.identity.borrow().clone()
    }

    /// Tells of changes.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Identity>>> {
        self.identity.subscribe()
    }

    /// Puts `identity` in force, with the next generation.
    pub fn publish(&self, mut identity: Identity) {
        self.identity.send_modify(|held| {
            identity.generation = held.as_ref().map_or(0, |held| held.generation) + 1;
            *held = Some(Arc::new(identity));
        });
    }
}

impl Default for Current {
    fn default() -> Self {
        Self::new()
    }
}
