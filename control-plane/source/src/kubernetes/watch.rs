//! One watch: carries what the protocol asks to the API server, and what it answers to a reader.

use std::time::{Duration, Instant};

use byrnie_model::ObjectKind;
use byrnie_runtime::backoff::{Backoff, random};
use http::{Request, header::ACCEPT};
use kube::Client;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::StreamExt;
use tracing::{Dispatch, instrument::WithSubscriber};

use super::{
    definitions::Definition,
    document::{Document, Page},
    follow::{Ask, Closed, Event, Failure, Follow, Reader},
    mirror::Seen,
    resources::Scope,
};

/// For the head of an answer, and for a page.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The server ends a watch after so many seconds, spread so that not all come back at once.
const WATCH_SECONDS: std::ops::Range<u64> = 240..300;

/// A stream that is silent for so long may be dead: where nothing changes there is a bookmark about once a minute.
const LONGEST_SILENCE: Duration = Duration::from_secs(150);

/// A stream that ends sooner without a word is no use of the server's.
const SHORTEST_STREAM: Duration = Duration::from_secs(1);

/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Objects a page; a page is in memory as a whole.
const PAGE: usize = 250;

/// Reads the objects of a kind and hands them on.
pub struct Objects {
    kind: ObjectKind,
    events: mpsc::Sender<(ObjectKind, Event<Seen>)>,
}

/// A watch of one collection.
pub struct Watch<R> {
    client: Client,
    scope: Scope,
    definition: Option<Definition>,
    follow: Follow,
    backoff: Backoff,
    reader: R,
}

/// Why an attempt ended without a result.
enum Ended {
    Closed,
    Failed(Failure),
}

impl Objects {
    /// Hands on to `events`.
    pub fn new(kind: ObjectKind, events: mpsc::Sender<(ObjectKind, Event<Seen>)>) -> Self {
        Self { kind, events }
    }
}

impl Reader for Objects {
    async fn take(&mut self, event: Event<Document>) -> Result<(), Closed> {
        // A document without a name is none that the server stores.
        let Some(event) = event.map(|document| Seen::of(self.kind, &document)) else { return Ok(()) };
        self.events.send((self.kind, event)).await.map_err(|_| Closed)
    }
}

impl<R: Reader> Watch<R> {
    /// A watch that starts when it runs. A kind that may not be there has a definition.
    pub fn new(client: Client, scope: Scope, definition: Option<Definition>, reader: R) -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        Self { client, scope, definition, follow: Follow::default(), backoff, reader }
    }

    /// Watches until nobody wants to know any more.
    pub async fn run(mut self) {
        loop {
            let outcome = match self.follow.ask() {
                Ask::Page { after } => self.page(after).await,
                ask => self.stream(&ask).await,
            };
            let paused = match outcome {
                Ok(()) => Ok(()),
                Err(Ended::Closed) => Err(Closed),
                Err(Ended::Failed(failure)) => self.recover(failure).await,
            };
            if paused.is_err() {
                return;
            }
        }
    }

    /// Tells of a failure where it is one, and waits as long as it takes.
    async fn recover(&mut self, failure: Failure) -> Result<(), Closed> {
        if self.follow.failed(&failure) {
            return Ok(());
        }
        match (&failure, &mut self.definition) {
            (Failure::Unknown(_), Some(definition)) if !definition.is_installed() => {
                self.reader.take(Event::Absent).await?;
                definition.appears().await;
                self.backoff.reset();
                return Ok(());
            }
            // A list anew is no failure, but where the server forgets again and again it is not asked without a pause.
            (Failure::Expired(_), _) => {}
            _ => self.reader.take(Event::Failing(failure)).await?,
        }
        sleep(self.backoff.next_delay(random())).await;
        Ok(())
    }

    async fn page(&mut self, after: Option<String>) -> Result<(), Ended> {
        let after = after.map(|after| format!("&continue={after}")).unwrap_or_default();
        let request = self.request(&format!("limit={PAGE}{after}"))?;
        let page: Page = answer(self.client.request(request)).await?;
        for event in self.follow.page(page) {
            self.reader.take(event).await?;
        }
        Ok(())
    }

    async fn stream(&mut self, ask: &Ask) -> Result<(), Ended> {
        let seconds = WATCH_SECONDS.start + random() % (WATCH_SECONDS.end - WATCH_SECONDS.start);
        let from = match ask {
            Ask::Changes { since } => format!("resourceVersion={since}"),
            _ => "sendInitialEvents=true&resourceVersionMatch=NotOlderThan".to_owned(),
        };
        let query = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&{from}");
        let request = self.request(&query)?;
        let started = Instant::now();
        let elements = answer(self.client.request_events::<Document>(request)).await?;
        let mut elements = std::pin::pin!(elements);
        self.reader.take(self.follow.opened()).await?;
        let mut is_silent = true;
        while let Ok(Some(element)) = timeout(LONGEST_SILENCE, unlogged(elements.next())).await {
            if let Some(event) = self.follow.take(element?)? {
                self.reader.take(event).await?;
            }
            if self.follow.is_following() {
                self.backoff.reset();
            }
            is_silent = false;
        }
        self.follow.ended();
        if is_silent && started.elapsed() < SHORTEST_STREAM {
            sleep(self.backoff.next_delay(random())).await;
        }
        Ok(())
    }

    fn request(&self, query: &str) -> Result<Request<Vec<u8>>, Ended> {
        let request = Request::get(format!("{}{query}", self.scope.path()));
        let request = match (self.scope.is_metadata_only(), query.starts_with("watch")) {
            (false, _) => request,
            (true, true) => request.header(ACCEPT, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
            (true, false) => request.header(ACCEPT, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
        };
        request.body(Vec::new()).map_err(|error| Ended::Failed(Failure::Invalid(error.to_string())))
    }
}

async fn answer<T>(answer: impl Future<Output = kube::Result<T>>) -> Result<T, Ended> {
    match timeout(ANSWER_LIMIT, unlogged(answer)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Ended::Failed(Failure::Unreachable(format!("no answer within {ANSWER_LIMIT:?}")))),
    }
}

/// The client logs each failure of each request as an error of this process. What fails is told by the reader, once.
fn unlogged<F: Future>(asked: F) -> impl Future<Output = F::Output> {
    asked.with_subscriber(Dispatch::none())
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<kube::Error> for Ended {
    fn from(error: kube::Error) -> Self {
        Self::Failed(error.into())
    }
}
