//! Where snapshots come in and streams hang on.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
    task::Waker,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use byrnie_proto::Kind;
use byrnie_snapshot::{Client, Snapshot, Version, names::TRUST_SECRET};

use crate::{
    answers::Answers,
    client_status::{ClientStatus, Dump},
    connection::Connection,
    counters::{Counters, Figures},
    index::{By, Index},
};

/// How many names are put in the index before others get the lock.
const SLICE: usize = 1024;

/// The current snapshot and all streams. A publication wakes those streams alone that it concerns, and none of them can
/// hold it up.
#[derive(Default)]
pub struct Hub {
    snapshot: RwLock<Snapshot>,
    /// Counts publications, so that a stream notices one that came while it subscribed.
    generation: AtomicU64,
    publishing: Mutex<()>,
    index: Mutex<Index>,
    next_stream: AtomicU64,
    pub(crate) counters: Counters,
    pub(crate) answers: Answers,
}

impl Hub {
    /// A hub that shows `snapshot`.
    pub fn new(snapshot: Snapshot) -> Arc<Self> {
        // Nonces of a server that was restarted must not look like its earlier ones.
        let salt = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let next_stream = AtomicU64::new(u64::try_from(salt).unwrap_or_default());
        Arc::new(Self { snapshot: RwLock::new(snapshot), next_stream, ..Self::default() })
    }

    /// Shows `snapshot` from now on. Costs work in proportion to what changed and who subscribed to that.
    pub fn publish(&self, snapshot: Snapshot) {
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = snapshot.changes(&self.snapshot());
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        self.generation.fetch_add(1, SeqCst);
        self.counters.snapshots.fetch_add(1, Relaxed);
        if !changes.is_empty() {
            let wakers = self.index().tell_changes(&changes, Instant::now());
            wakers.into_iter().for_each(Waker::wake);
        }
        self.answers.note();
    }

    /// The roots changed: everyone who subscribed to them gets them anew.
    pub fn trust_changed(&self) {
        let wakers = self.index().tell(Kind::Secret, &TRUST_SECRET.into(), Instant::now());
        wakers.into_iter().for_each(Waker::wake);
    }

    /// What is shown now.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The figures of this moment.
    pub fn figures(&self) -> Figures {
        let open = self.index().streams().count();
        self.counters.read(u64::try_from(open).unwrap_or(u64::MAX))
    }

    /// All open streams, the oldest first. A client has one or several.
    pub fn clients(&self) -> Vec<ClientStatus> {
        let now = Instant::now();
        self.connections().iter().map(|connection| ClientStatus::of(connection, now)).collect()
    }

    /// What `NAMESPACE/POD` was sent, one entry a stream; without the bytes of secrets.
    pub fn dump(&self, node_id: &str) -> Vec<Dump> {
        let connections = self.connections();
        let of_node = connections.iter().filter(|connection| connection.client.workload.to_string() == node_id);
        of_node.map(|connection| Dump::of(connection)).collect()
    }

    /// The version of everything that `client` is shown of `kind`, to be compared between replicas and restarts.
    pub fn version(&self, client: &Client, kind: Kind) -> Version {
        crate::session::version(self.snapshot().sight(client, kind).iter())
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// An id that no stream had before.
    pub(crate) fn stream_id(&self) -> u64 {
        self.next_stream.fetch_add(1, Relaxed)
    }

    pub(crate) fn open(&self, connection: &Arc<Connection>) {
        self.counters.streams.fetch_add(1, Relaxed);
        self.index().open(connection.clone());
    }

    pub(crate) fn close(&self, connection: &Connection) {
        let names = {
            let session = connection.session();
            Kind::ALL.map(|kind| session.subscribed(kind))
        };
        for (kind, names) in Kind::ALL.into_iter().zip(names) {
            names.chunks(SLICE).for_each(|names| self.index().unsubscribe(connection.id, kind, names));
        }
        self.index().close(connection.id);
        self.answers.note();
    }

    pub(crate) fn subscribe(&self, connection: &Arc<Connection>, kind: Kind, names: &[Arc<str>]) {
        names.chunks(SLICE).for_each(|names| self.index().subscribe(connection, kind, names));
    }

    pub(crate) fn unsubscribe(&self, connection: &Connection, kind: Kind, names: &[Arc<str>]) {
        names.chunks(SLICE).for_each(|names| self.index().unsubscribe(connection.id, kind, names));
    }

    pub(crate) fn set_wildcard(&self, connection: &Arc<Connection>, kind: Kind, wildcard: bool) {
        self.index().set_wildcard(connection, kind, wildcard);
    }

    /// Who subscribed to a name, each once.
    pub(crate) fn subscribers(&self, kind: Kind, name: &str) -> Vec<(Arc<Connection>, By)> {
        self.index().subscribers(kind, name)
    }

    /// How many names somebody subscribed to.
    pub fn subscribed_names(&self) -> usize {
        self.index().names_count()
    }

    fn connections(&self) -> Vec<Arc<Connection>> {
        self.index().streams().cloned().collect()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
