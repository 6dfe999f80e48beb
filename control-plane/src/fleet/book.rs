//! What this replica counted, for any number of readers at their own pace: each is told the present state first, then
//! what changed since, in the state of that moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use byrnie_ads::Tally;
use byrnie_model::ObjectRef;
use tokio::sync::watch;
use tokio_stream::{Stream, wrappers::WatchStream};

/// How many objects are told at once.
pub const BATCH: usize = 256;
/// How many objects that are gone are remembered for readers that were told of them.
const GONE: usize = 1024;

/// The tallies of one replica.
#[derive(Debug)]
pub struct Book {
    pages: Mutex<Pages>,
    moved: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Pages {
    entries: BTreeMap<ObjectRef, Entry>,
    /// Each object once, by its last change.
    order: BTreeMap<u64, ObjectRef>,
    last: u64,
    /// Those of the entries that stand for what is gone.
    gone: BTreeSet<u64>,
    /// Up to where objects that are gone were forgotten.
    forgotten: u64,
    /// Whether all objects were counted once.
    complete: bool,
}

#[derive(Debug)]
struct Entry {
    at: u64,
    tally: Option<Tally>,
}

/// Some of what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// `None`: the object is gone.
    pub tallies: Vec<(ObjectRef, Option<Tally>)>,
    /// Whether that was all there is at this moment; once true it stays so.
    pub complete: bool,
}

/// A reader fell so far behind that it may have missed that an object went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more objects went than are remembered since this was read last: read it anew")]
pub struct Behind;

/// One reader.
pub struct Reader {
    book: Arc<Book>,
    moved: WatchStream<()>,
    seen: u64,
    /// Where it began to read.
    since: u64,
    complete: bool,
}

impl Default for Book {
    fn default() -> Self {
        Self { pages: Mutex::default(), moved: watch::Sender::new(()) }
    }
}

impl Book {
    /// Notes what changed; `complete`: all objects were counted once.
    pub fn write(&self, changed: Vec<(ObjectRef, Option<Tally>)>, complete: bool) {
        let mut pages = self.pages();
        let news = !changed.is_empty() || complete && !pages.complete;
        changed.into_iter().for_each(|(object, tally)| pages.write(object, tally));
        pages.complete |= complete;
        pages.forget();
        drop(pages);
        if news {
            self.moved.send_replace(());
        }
    }

    /// Reads from the beginning, without end.
    pub fn read(self: &Arc<Self>) -> Reader {
        let moved = WatchStream::new(self.moved.subscribe());
        let since = self.pages().forgotten;
        Reader { book: Arc::clone(self), moved, seen: 0, since, complete: false }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn write(&mut self, object: ObjectRef, tally: Option<Tally>) {
        self.last += 1;
        let at = self.last;
        if tally.is_none() {
            self.gone.insert(at);
        }
        if let Some(before) = self.entries.insert(object.clone(), Entry { at, tally }) {
            self.order.remove(&before.at);
            self.gone.remove(&before.at);
        }
        self.order.insert(at, object);
    }

    fn forget(&mut self) {
        while self.gone.len() > GONE
            && let Some(at) = self.gone.pop_first()
        {
            self.forgotten = at;
            if let Some(object) = self.order.remove(&at) {
                self.entries.remove(&object);
            }
        }
    }
}

impl Reader {
    fn next(&mut self) -> Result<Option<Batch>, Behind> {
        let pages = self.book.pages();
        if pages.forgotten > self.since && pages.forgotten > self.seen {
            return Err(Behind);
        }
        let after = (Bound::Excluded(self.seen), Bound::Unbounded);
        let mut tallies = Vec::new();
        for (at, object) in pages.order.range(after).take(BATCH) {
            self.seen = *at;
            tallies.push((object.clone(), pages.entries.get(object).and_then(|entry| entry.tally.clone())));
        }
        let became_complete = !self.complete && pages.complete && self.seen == pages.last;
        self.complete |= became_complete;
        let batch = Batch { tallies, complete: self.complete };
        Ok((!batch.tallies.is_empty() || became_complete).then_some(batch))
    }
}

impl Stream for Reader {
    type Item = Result<Batch, Behind>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(next) = self.next().transpose() {
                return Poll::Ready(Some(next));
            }
            if ready!(Pin::new(&mut self.moved).poll_next(cx)).is_none() {
                return Poll::Ready(None);
            }
        }
    }
}
