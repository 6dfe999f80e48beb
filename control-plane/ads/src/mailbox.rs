//! What a stream has to look at again: a set, not a queue, so a slow reader costs at most its subscriptions.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Waker},
    time::Instant,
};

use byrnie_proto::Kind;

use crate::session::Dirty;

/// One stream's set of what changed, filled by the hub, emptied by the stream.
#[derive(Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
}

/// What changed, and since when the oldest of it waits.
#[derive(Default)]
pub(crate) struct Letters {
    pub dirty: Dirty,
    pub since: Option<Instant>,
    waker: Option<Waker>,
}

/// One thing that changed.
pub(crate) enum Mark<'a> {
    /// A name that the stream subscribed to.
    Name(Kind, &'a Arc<str>),
    /// Something that its wildcard sees.
    Wildcard(Kind),
    /// All that it is shown of a kind.
    View(Kind),
}

impl Mailbox {
    /// Notes a change. Returned is whom to wake, which is the caller's part, after it gave up its locks.
    pub fn mark(&self, mark: &Mark<'_>, now: Instant) -> Option<Waker> {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        match mark {
            Mark::Name(kind, name) => letters.dirty.names.insert((*kind, Arc::clone(name))),
            Mark::Wildcard(kind) => letters.dirty.wildcards.insert(*kind),
            Mark::View(kind) => letters.dirty.views.insert(*kind),
        };
        letters.since.get_or_insert(now);
        letters.waker.take()
    }

    /// Takes all that changed, if anything did; the task is woken at the next change.
    pub fn take(&self, cx: &Context<'_>) -> Option<(Dirty, Instant)> {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.waker = Some(cx.waker().clone());
        let since = letters.since.take()?;
        Some((std::mem::take(&mut letters.dirty), since))
    }
}
