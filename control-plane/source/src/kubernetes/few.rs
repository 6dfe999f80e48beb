//! A watch of few objects, which are held whole: a Secret, the ConfigMaps of one name.

use std::{collections::BTreeMap, sync::Arc};

use kube::Client;
use serde_json::Value;
use tokio::{sync::watch as latest, task::JoinSet};
use tracing::warn;

use super::{
    document::Document,
    follow::{Closed, Event, Reader},
    resources::Scope,
    watch::Watch,
};

/// Namespace (empty for a cluster-scoped kind) and name.
pub type Key = (Arc<str>, Arc<str>);

/// Objects by namespace and name.
pub type Held = BTreeMap<Key, Arc<Value>>;

/// Few objects, followed until this is dropped. While the server is away, what it said last stands.
#[derive(Debug)]
pub struct Few {
    held: latest::Receiver<Option<Arc<Held>>>,
    _task: JoinSet<()>,
}

struct Objects {
    what: String,
    list: Held,
    held: latest::Sender<Option<Arc<Held>>>,
    is_failing: bool,
}

impl Few {
    pub(super) fn start(client: &Client, scope: Scope) -> Self {
        let (sender, held) = latest::channel(None);
        let reader = Objects { what: scope.path(), list: Held::new(), held: sender, is_failing: false };
        let mut task = JoinSet::new();
        task.spawn(Watch::new(client.clone(), scope, None, reader).run());
        Self { held, _task: task }
    }

    /// What is there now; `None` before it is known.
    pub fn now(&self) -> Option<Arc<Held>> {
        self.held.borrow().clone()
    }

    /// Waits for news since the last call, and returns all that is there then. Cancel-safe.
    pub async fn changed(&mut self) -> Arc<Held> {
        loop {
            if self.held.changed().await.is_err() {
                // The watch ends only with this value.
                std::future::pending::<()>().await;
            }
            if let Some(held) = self.held.borrow_and_update().clone() {
                return held;
            }
        }
    }
}

impl Objects {
    fn change(&self, change: impl FnOnce(&mut Held)) {
        self.held.send_modify(|held| change(Arc::make_mut(held.get_or_insert_default())));
    }
}

impl Reader for Objects {
    async fn take(&mut self, event: Event<Document>) -> Result<(), Closed> {
        let is_failing = match &event {
            Event::Failing(error) => {
                if !self.is_failing {
                    warn!(%error, what = self.what, "no watch; what was known last stands");
                }
                true
            }
            _ => false,
        };
        self.is_failing = is_failing;
        let keyed = |document: Document| Some((document.key()?, Arc::new(document.0)));
        match event.map(keyed) {
            Some(Event::Begin) => self.list.clear(),
            Some(Event::Listed((key, object))) => drop(self.list.insert(key, object)),
            Some(Event::Complete) => {
                let list = Arc::new(std::mem::take(&mut self.list));
                self.held.send_if_modified(|held| {
                    let is_news = held.as_ref() != Some(&list);
                    *held = Some(list);
                    is_news
                });
            }
            Some(Event::Put((key, object))) => self.change(|held| drop(held.insert(key, object))),
            Some(Event::Deleted((key, _))) => self.change(|held| drop(held.remove(&key))),
            Some(Event::Absent | Event::Answering | Event::Failing(_)) | None => {}
        }
        Ok(())
    }
}
