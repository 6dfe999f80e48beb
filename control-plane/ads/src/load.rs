//! Load reports (LRS): one stream of each client says every few seconds what it called and how that went.
//!
//! The stream lives beside that of discovery, behind the same gate, and like it is the body of the response: it works
//! when it is polled. It puts what it reads into [`Loads`], which keeps a minute of it.

mod book;
mod counts;

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use byrnie_proto::envoy::{
    envoy::service::load_stats::v3::{LoadStatsRequest, LoadStatsResponse},
    google::protobuf,
};
use tokio_stream::Stream;
use tonic::Status;

use crate::{
    gate::Caller,
    incoming,
    requests::Requests,
    session::Protocol,
    stream::{Door, Shared, now},
};

pub use book::{Load, WINDOW};
pub use counts::Counts;

use book::Book;

/// How often clients report.
const INTERVAL: Duration = Duration::from_secs(5);
/// How often what is out of date is thrown away where nobody reports.
const SWEEP: Duration = Duration::from_secs(10);
/// How many reports are read before others get a turn.
const REPORTS_AT_ONCE: usize = 4;

/// What all clients reported within the last minute.
#[derive(Debug, Default)]
pub struct Loads {
    book: Mutex<Book>,
}

impl Loads {
    /// What each client called, one entry a client and cluster, by both.
    pub fn list(&self) -> Vec<Load> {
        self.book().loads(now())
    }

    /// Throws away what is out of date, for ever.
    pub async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.book().sweep(now());
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream of reports.
pub(crate) struct LoadStream {
    shared: Arc<Shared>,
    loads: Arc<Loads>,
    requests: Requests<LoadStatsRequest>,
    stage: Stage,
}

enum Stage {
    /// The first request is awaited.
    Knocking(Box<Door>),
    Live(Reporting),
    Over,
}

/// An admitted client. Dropping it lets its figures fade.
struct Reporting {
    loads: Arc<Loads>,
    stream: u64,
}

impl Drop for Reporting {
    fn drop(&mut self) {
        self.loads.book().close(self.stream, now());
    }
}

impl LoadStream {
    pub fn new(shared: Arc<Shared>, loads: Arc<Loads>, requests: Requests<LoadStatsRequest>, door: Door) -> Self {
        Self { shared, loads, requests, stage: Stage::Knocking(Box::new(door)) }
    }

    /// Takes in a request; the first is answered.
    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn on_request(&mut self, request: &LoadStatsRequest) -> Result<Option<LoadStatsResponse>, Status> {
        let mut answer = None;
        if let Stage::Knocking(door) = &self.stage {
            let reporting = self.enter(door, request).inspect_err(|status| {
                self.shared.hub.counters.refused_streams.fetch_add(1, Relaxed);
                let node = request.node.as_ref().map(|node| node.id.as_str()).unwrap_or_default();
                let peer = door.peer.map(tracing::field::display);
                tracing::warn!(node, peer, code = ?status.code(), error = status.message(), "load stream refused");
            })?;
            self.stage = Stage::Live(reporting);
            answer = Some(wanted());
        }
        if let Stage::Live(Reporting { loads, stream }) = &self.stage {
            self.shared.hub.counters.load_reports.fetch_add(1, Relaxed);
            loads.book().report(*stream, counts::read(request), now());
        }
        Ok(answer)
    }

    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn enter(&self, door: &Door, request: &LoadStatsRequest) -> Result<Reporting, Status> {
        let client = incoming::client(request.node.as_ref(), Protocol::Delta)?;
        let caller =
            Caller { metadata: &door.metadata, extensions: &door.extensions, peer: door.peer, client: &client };
        self.shared.gate.admit(&caller)?;
        let (loads, stream) = (Arc::clone(&self.loads), self.shared.hub.stream_id());
        loads.book().open(stream, client, now());
        Ok(Reporting { loads, stream })
    }
}

impl Stream for LoadStream {
    type Item = Result<LoadStatsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.stage, Stage::Over) {
            return Poll::Ready(None);
        }
        for _ in 0..REPORTS_AT_ONCE {
            let next = ready!(Pin::new(&mut self.requests).poll_next(cx));
            let outcome = match next {
                Some(Ok(request)) => self.on_request(&request),
                Some(Err(status)) => Err(status),
                None => {
                    self.stage = Stage::Over;
                    return Poll::Ready(None);
                }
            };
            match outcome {
                Ok(None) => {}
                Ok(Some(answer)) => return Poll::Ready(Some(Ok(answer))),
                Err(status) => {
                    self.stage = Stage::Over;
                    return Poll::Ready(Some(Err(status)));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What clients are asked for: everything, since a cluster without requests is left out of reports anyway.
fn wanted() -> LoadStatsResponse {
    let interval = protobuf::Duration { seconds: INTERVAL.as_secs().cast_signed(), nanos: 0 };
    LoadStatsResponse {
        send_all_clusters: true,
        load_reporting_interval: Some(interval),
        ..LoadStatsResponse::default()
    }
}
