//! A directory of Kubernetes objects as a source: files, documents, objects, and what changes of them.
//!
//! One thread reads and parses; it waits for the file system's events and hands over [`Batch`]es, one at a time. What
//! happens while nobody takes a batch is gathered, not queued.

mod catalog;
mod documents;
mod files;
mod lines;
mod loader;
mod parse;
mod watch;
pub(crate) mod yaml;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use self::{
    loader::Loader,
    watch::{Pending, Watch},
};
use crate::{batch::Batch, findings::Finding};

/// How often all files are looked at without an event: for file systems that tell of no changes of other machines.
const SWEEP: Duration = Duration::from_secs(30);

/// How often where some directory cannot be watched.
const SWEEP_UNWATCHED: Duration = Duration::from_millis(500);

/// Why a directory cannot be a source.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory itself cannot be read.
    #[error("cannot read the directory {}: {source}", path.display())]
    Unreadable {
        /// The directory, as it was given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gives no watch or no thread.
    #[error("cannot watch the directory {}: {why}", path.display())]
    Unwatchable {
        /// The directory, as it was given.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// A directory that is watched.
#[derive(Debug)]
pub struct Directory {
    batches: mpsc::Receiver<Batch>,
    pending: Arc<Pending>,
    thread: Option<JoinHandle<()>>,
}

impl Directory {
    /// Reads all that is there, and watches it from then on.
    pub fn open(path: impl Into<PathBuf>) -> Result<(Self, Batch), OpenError> {
        let path = path.into();
        let unwatchable = |why: String| OpenError::Unwatchable { path: path.clone(), why };
        let pending = Arc::new(Pending::default());
        let watch = Watch::new(pending.clone()).map_err(|error| unwatchable(error.to_string()))?;
        let mut loader = Loader::new(&path, Some(watch));
        let since = Instant::now();
        loader.open().map_err(|source| OpenError::Unreadable { path: path.clone(), source })?;
        let first = loader.batch(since);
        // One batch waits at most; the next is made when it is taken.
        let (sender, batches) = mpsc::channel(1);
        let events = pending.clone();
        let thread = thread::Builder::new()
            .name("byrnie-source".to_owned())
            .spawn(move || run(loader, &events, &sender))
            .map_err(|error| unwatchable(error.to_string()))?;
        Ok((Self { batches, pending, thread: Some(thread) }, first))
    }

    /// The next change. Cancel-safe: a batch that was not returned is returned by the next call.
    ///
    /// # Panics
    /// Where the reading thread panicked, with its panic.
    pub async fn next(&mut self) -> Batch {
        match self.batches.recv().await {
            Some(batch) => batch,
            None => match self.thread.take().map(JoinHandle::join) {
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                // The thread ends only when this value is dropped.
                _ => std::future::pending().await,
            },
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.batches.close();
        self.pending.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that read the directory had panicked");
        }
    }
}

/// Reads a directory once, without watching it.
pub fn read_once(path: impl Into<PathBuf>) -> Result<Batch, OpenError> {
    let path = path.into();
    let since = Instant::now();
    let mut loader = Loader::new(&path, None);
    loader.open().map_err(|source| OpenError::Unreadable { path: path.clone(), source })?;
    Ok(loader.batch(since))
}

/// What is to be told of a text as if it were a file of a directory, by the code that reads files.
pub fn check_text(name: impl AsRef<Path>, bytes: &[u8]) -> Vec<Finding> {
    read_texts(name, [bytes]).pop().map(|batch| batch.findings).unwrap_or_default()
}

/// What a file makes of a directory while it holds these texts one after the other: a batch for each. It takes any
/// bytes and returns, which is fuzzed.
pub fn read_texts<'a>(name: impl AsRef<Path>, texts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Batch> {
    let mut loader = Loader::new(Path::new("."), None);
    let name = name.as_ref().into();
    let take = |text| {
        loader.take_bytes(&name, text);
        loader.batch(Instant::now())
    };
    texts.into_iter().map(take).collect()
}

fn run(mut loader: Loader, pending: &Pending, batches: &mpsc::Sender<Batch>) {
    let mut swept = Instant::now();
    loop {
        let sweep = if loader.is_blind() { SWEEP_UNWATCHED } else { SWEEP };
        let due = pending.next(swept + sweep);
        if due.stopped || batches.is_closed() {
            return;
        }
        let now = Instant::now();
        if due.everything || loader.concerns_everything(&due.paths) {
            loader.rescan(pending);
            swept = Instant::now();
        } else {
            loader.look_at(&due.paths, pending);
        }
        let batch = loader.batch_of_change(due.since.unwrap_or(now));
        if let Some(batch) = batch
            && batches.blocking_send(batch).is_err()
        {
            return;
        }
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}
