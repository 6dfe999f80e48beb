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
    entrance::{Door, Entering, Guest, Knock, enter},
    incoming,
    requests::Requests,
    session::Protocol,
    shared::Shared,
    stream::now,
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
    /// The gate decides.
    Entering(Entering<LoadStatsRequest>),
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

    /// Takes in a request: the first is kept until the gate has decided.
    fn on_request(&mut self, request: LoadStatsRequest) {
        match &mut self.stage {
            Stage::Knocking(door) => {
                let knock = Knock {
                    door: std::mem::take(&mut **door),
                    node: request.node.as_ref().map(|node| node.id.clone()).unwrap_or_default(),
                    client: incoming::client(request.node.as_ref(), Protocol::Delta),
                    only_secrets: false,
                    stream: "load stream",
                    message: request,
                };
                self.stage = Stage::Entering(enter(Arc::clone(&self.shared), knock));
            }
            Stage::Live(reporting) => {
                self.shared.hub.counters.load_reports.fetch_add(1, Relaxed);
                reporting.loads.book().report(reporting.stream, counts::read(&request), now());
            }
            Stage::Entering(_) | Stage::Over => {}
        }
    }

    /// Takes in the first request of a client that was let in, and answers it.
    fn on_guest(&mut self, guest: Guest<LoadStatsRequest>) -> LoadStatsResponse {
        let (loads, stream) = (Arc::clone(&self.loads), self.shared.hub.stream_id());
        loads.book().open(stream, guest.client, now());
        self.stage = Stage::Live(Reporting { loads, stream });
        self.on_request(guest.message);
        wanted()
    }

    /// The answer to what comes next, if it is answered; `None` where nothing comes any more.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Option<LoadStatsResponse>, Status>>> {
        if let Stage::Entering(entering) = &mut self.stage {
            let guest = ready!(entering.as_mut().poll(cx));
            return Poll::Ready(Some(guest.map(|guest| Some(self.on_guest(guest)))));
        }
        let next = ready!(Pin::new(&mut self.requests).poll_next(cx));
        Poll::Ready(next.map(|request| {
            self.on_request(request?);
            Ok(None)
        }))
    }
}

impl Stream for LoadStream {
    type Item = Result<LoadStatsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.stage, Stage::Over) {
            return Poll::Ready(None);
        }
        for _ in 0..REPORTS_AT_ONCE {
            match ready!(self.poll_step(cx)) {
                Some(Ok(None)) => {}
                Some(Ok(Some(answer))) => return Poll::Ready(Some(Ok(answer))),
                end => {
                    self.stage = Stage::Over;
                    return Poll::Ready(end.and_then(Result::err).map(Err));
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
