//! What the proxy tells of its traffic: metrics, the access log, load reports.
//!
//! A worker owns a [`Local`] and says what is over by [`facts`]. Series are looked up by a compact `key` and written
//! as plain numbers (`cells`); `labels` are made once a series. [`Telemetry`] is what all workers have in common and
//! what the control half reads: the scrape, the sweep that forgets idle series, and load reports.

mod cells;
pub mod facts;
mod key;
mod labels;
mod log;
mod registry;
mod scrape;
mod series;

use std::{
    borrow::Cow,
    collections::HashMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_config::Direction;
use foldhash::fast::RandomState;

pub use self::{
    cells::CallCounts,
    log::Form,
    scrape::{counter, gauge},
};
use self::{
    cells::{Calls, Connections, DURATIONS, Requests, SIZES, micros},
    facts::{Closed, Connection, Failure, Request},
    key::{Found, Key},
    labels::Labels,
    log::{Log, Sink},
    registry::{Limits, Registry},
    series::Series,
};
use crate::identity::Current;

/// Idle series are looked for so often.
const SWEEP: Duration = Duration::from_secs(60);

/// What all workers count, and where their log goes. One of a process.
#[derive(Debug)]
pub struct Telemetry {
    own: Own,
    requests: Registry<Labels, Requests>,
    connections: Registry<Labels, Connections>,
    /// By cluster.
    calls: Registry<Arc<str>, Calls>,
    log: Option<(Form, Arc<Sink>)>,
}

/// Whose telemetry it is.
#[derive(Debug)]
struct Own {
    namespace: String,
    workload: String,
    identity: Arc<Current>,
}

impl Own {
    fn principal(&self) -> Cow<'static, str> {
        match self.identity.load() {
            Some(identity) => identity.uri().to_string().into(),
            None => "unknown".into(),
        }
    }
}

impl Telemetry {
    /// Of the Pod `workload` in `namespace`. `log` is the form of the access log on standard output; none is off.
    ///
    /// # Errors
    /// Where there is no standard output to write a log to.
    pub fn new(namespace: &str, workload: &str, identity: Arc<Current>, log: Option<Form>) -> io::Result<Self> {
        let log = log.map(|form| Ok::<_, io::Error>((form, Arc::new(Sink::stdout()?)))).transpose()?;
        Ok(Self::with(namespace, workload, identity, log, Limits::default()))
    }

    fn with(
        namespace: &str,
        workload: &str,
        identity: Arc<Current>,
        log: Option<(Form, Arc<Sink>)>,
        limits: Limits,
    ) -> Self {
        let own = Own { namespace: namespace.to_owned(), workload: workload.to_owned(), identity };
        Self {
            own,
            requests: Registry::new(limits),
            connections: Registry::new(limits),
            calls: Registry::new(limits),
            log,
        }
    }

    /// Forgets series in which nothing was counted for long, for ever.
    pub async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.sweep(Instant::now());
        }
    }

    /// Shows what was called since it was first called, by cluster.
    pub fn each_cluster(&self, mut show: impl FnMut(&Arc<str>, CallCounts)) {
        self.calls.each(|cluster, cells| {
            let mut counts = CallCounts::default();
            cells.iter().for_each(|calls| calls.add_to(&mut counts));
            show(cluster, counts);
        });
    }

    fn sweep(&self, now: Instant) {
        self.requests.sweep(now);
        self.connections.sweep(now);
        self.calls.sweep(now);
    }
}

/// A worker's own side.
#[derive(Debug)]
pub struct Local {
    common: Arc<Telemetry>,
    requests: Series<Requests, RequestSeries>,
    connections: Series<Connections, Arc<Connections>>,
    calls: HashMap<Arc<str>, Arc<Calls>, RandomState>,
    log: Option<Log>,
}

#[derive(Clone, Debug)]
struct RequestSeries {
    cells: Arc<Requests>,
    calls: Option<Arc<Calls>>,
}

/// A connection that is counted as open.
#[derive(Debug)]
pub struct Carried(Arc<Connections>);

impl Carried {
    /// Octets of the client.
    #[inline]
    pub fn received(&self, octets: u64) {
        self.0.received.add(octets);
    }

    /// Octets to the client.
    #[inline]
    pub fn sent(&self, octets: u64) {
        self.0.sent.add(octets);
    }
}

impl Local {
    /// Of one worker; nobody else may have it.
    pub fn new(common: &Arc<Telemetry>) -> Self {
        Self {
            common: Arc::clone(common),
            requests: Series::new(),
            connections: Series::new(),
            calls: HashMap::default(),
            log: common.log.as_ref().map(|(form, sink)| Log::new(*form, Arc::clone(sink))),
        }
    }

    /// A request is over.
    pub fn request(&mut self, request: &Request<'_>) {
        let key = Key::of_request(request);
        match self.requests.find(&key) {
            Some(series) => series.count(request),
            None => self.enter_request(&key, request.ended).count(request),
        }
        if let Some(log) = &mut self.log {
            log.request(request);
        }
    }

    /// A connection is open, and its endpoint chosen. Each is followed by one [`closed`](Self::closed).
    pub fn opened(&mut self, connection: &Connection<'_>, now: Instant) -> Carried {
        let cells = self.connection_cells(&Key::of_connection(connection, ""), now);
        cells.opened.add(1);
        cells.open.add(1);
        Carried(cells)
    }

    /// A connection is over. `carried` is what [`opened`](Self::opened) gave, if it came to that.
    pub fn closed(&mut self, connection: &Connection<'_>, closed: &Closed, carried: Option<&Carried>) {
        match carried {
            Some(Carried(cells)) => cells.open.take_back(1),
            None => self.connection_cells(&Key::of_connection(connection, ""), closed.ended).opened.add(1),
        }
        let key = Key::of_connection(connection, Failure::flag_of(closed.failure));
        self.connection_cells(&key, closed.ended).closed.add(1);
        if let Some(calls) = self.calls_of(&key, closed.ended) {
            calls.add(closed.failure.is_some(), closed.ended.saturating_duration_since(closed.started));
        }
        if let Some(log) = &mut self.log {
            log.connection(connection, closed);
        }
    }

    /// Writes the lines of a turn. False where something is left, to be tried again soon.
    #[inline]
    pub fn flush(&mut self) -> bool {
        match &mut self.log {
            Some(log) => log.flush(),
            None => true,
        }
    }

    #[cold]
    fn enter_request(&mut self, key: &Key<'_>, now: Instant) -> RequestSeries {
        let (calls, common) = (self.calls_of(key, now), &self.common);
        let labels = || labels::of_request(&common.own, key);
        self.requests.enter(key, &common.requests, labels, now, |cells| RequestSeries { cells, calls })
    }

    fn connection_cells(&mut self, key: &Key<'_>, now: Instant) -> Arc<Connections> {
        if let Some(cells) = self.connections.find(key) {
            return Arc::clone(cells);
        }
        let common = &self.common;
        let labels = || labels::of_connection(&common.own, key);
        self.connections.enter(key, &common.connections, labels, now, |cells| cells)
    }

    /// The cells of the application's calls to a cluster; of others nobody wants reports.
    fn calls_of(&mut self, key: &Key<'_>, now: Instant) -> Option<Arc<Calls>> {
        let cluster = key.ends.cluster;
        if key.ends.direction == Direction::Inbound || cluster.is_empty() {
            return None;
        }
        if let Some(calls) = self.calls.get(cluster).filter(|calls| !calls.life.is_over()) {
            return Some(Arc::clone(calls));
        }
        self.calls.retain(|_, calls| !calls.life.is_over());
        let calls = self.common.calls.register(cluster.into(), now).ok()?;
        self.calls.insert(cluster.into(), Arc::clone(&calls));
        Some(calls)
    }
}

impl RequestSeries {
    #[inline]
    fn count(&self, request: &Request<'_>) {
        let took = request.ended.saturating_duration_since(request.started);
        self.cells.durations.observe(&DURATIONS, micros(took));
        self.cells.received.observe(&SIZES, request.received);
        self.cells.sent.observe(&SIZES, request.sent);
        if let Some(calls) = &self.calls {
            if let Some(failed) = has_failed(request) {
                calls.add(failed, took);
            }
            if request.retries > 0 {
                calls.retries.add(request.retries.into());
            }
        }
    }
}

impl Found for RequestSeries {
    #[inline]
    fn is_over(&self) -> bool {
        self.cells.life.is_over() || self.calls.as_ref().is_some_and(|calls| calls.life.is_over())
    }
}

impl Found for Arc<Connections> {
    #[inline]
    fn is_over(&self) -> bool {
        self.life.is_over()
    }
}

/// Whether a call counts as an error in load reports, as Envoy has it: 5xx, and what gRPC maps to that. None where the
/// client went away before there was an answer.
fn has_failed(request: &Request<'_>) -> Option<bool> {
    match (request.status, request.grpc_status) {
        (0, _) => request.failure.is_some_and(|failure| failure.flag != "DC").then_some(true),
        (500.., _) => Some(true),
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
        (_, Some(2 | 4 | 12 | 13 | 14 | 15)) => Some(true),
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests;
