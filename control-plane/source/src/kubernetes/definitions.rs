//! Which CustomResourceDefinitions are installed, so that the watch of a kind starts when its definition appears.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use super::{
    document::Document,
    follow::{Closed, Event, Failure, Reader},
};

/// When a kind is tried again that the server did not have, while nothing tells of definitions: their watch may be
/// forbidden.
const BLIND_RETRY: Duration = Duration::from_secs(30);

/// The names of all definitions; `None` until they are known.
type Names = Option<Arc<BTreeSet<String>>>;

/// Reads the watch of definitions.
#[derive(Debug)]
pub struct Definitions {
    known: watch::Sender<Names>,
    list: BTreeSet<String>,
    is_failing: bool,
}

/// One definition, followed by the watch of the kind that it defines.
#[derive(Clone, Debug)]
pub struct Definition {
    name: String,
    known: watch::Receiver<Names>,
}

impl Definitions {
    /// None is known yet.
    pub fn new() -> Self {
        Self { known: watch::Sender::new(None), list: BTreeSet::new(), is_failing: false }
    }

    /// Follows one of them.
    pub fn follow(&self, name: String) -> Definition {
        Definition { name, known: self.known.subscribe() }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<String>)) {
        self.known.send_modify(|known| change(Arc::make_mut(known.get_or_insert_default())));
    }
}

impl Reader for Definitions {
    async fn take(&mut self, event: Event<Document>) -> Result<(), Closed> {
        let is_failing = matches!(event, Event::Failing(_));
        let name = |document: Document| document.name().map(str::to_owned);
        match event.map(name) {
            Some(Event::Begin) => self.list.clear(),
            Some(Event::Listed(name)) => drop(self.list.insert(name)),
            Some(Event::Complete) => drop(self.known.send_replace(Some(Arc::new(std::mem::take(&mut self.list))))),
            Some(Event::Put(name)) => self.change(|known| {
                known.insert(name);
            }),
            Some(Event::Deleted(name)) => self.change(|known| {
                known.remove(&name);
            }),
            Some(Event::Failing(error @ Failure::Refused(_))) if !self.is_failing => {
                let consequence = "whether a kind is installed is tried by time";
                tracing::warn!(%error, consequence, "no watch of CustomResourceDefinitions");
            }
            Some(Event::Absent | Event::Answering | Event::Failing(_)) | None => {}
        }
        self.is_failing = is_failing;
        Ok(())
    }
}

impl Definition {
    /// Whether it is installed, as far as is known.
    pub fn is_installed(&self) -> bool {
        self.known.borrow().as_ref().is_some_and(|known| known.contains(&self.name))
    }

    /// Waits until the server may have the kind that it had not.
    pub async fn appears(&mut self) {
        let is_known = self.known.borrow().is_some();
        let name = &self.name;
        let appears = self.known.wait_for(|known| known.as_ref().is_some_and(|known| known.contains(name)));
        if is_known {
            // An error tells that nobody follows definitions any more, which is the end of the process.
            drop(appears.await);
        } else {
            drop(timeout(BLIND_RETRY, appears).await);
        }
    }
}
