//! One stream: it moves messages between the wire, the hub and the session, and decides nothing.
//!
//! It is the body of the gRPC response and works only when polled, which the HTTP/2 layer does when the client has room
//! for more. So there is no task and no queue of its own: a client that does not read stops it, and its mailbox
//! coalesces; a client that goes away drops it.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::{Duration, Instant, SystemTime},
};

use byrnie_identity::Account;
use byrnie_proto::Kind;
use byrnie_snapshot::names::{TRUST_SECRET, WORKLOAD_SECRET};
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::Status;

use crate::{
    connection::Connection,
    entrance::{Door, Entering, Guest, Knock, enter},
    hub::Hub,
    incoming::{self, Incoming},
    requests::Requests,
    secret,
    session::{Nack, Outcome, Response, Session, TypeUrl},
    shared::Shared,
};

/// How many requests are read before a response gets its turn.
const REQUESTS_AT_ONCE: usize = 16;
/// A request or response from this size on is followed by a turn for others.
const LONG: usize = 4096;
/// How many names a stream may subscribe to: a bound on what one client can cost.
const NAMES_LIMIT: usize = 1_000_000;
/// When a secret that could not be made is tried again.
const SECRET_RETRY: Duration = Duration::from_secs(5);
/// No certificate is renewed more often, whatever its dates say.
const SECRET_PAUSE: Duration = Duration::from_secs(1);

/// One stream.
pub(crate) struct DiscoveryStream<R> {
    shared: Arc<Shared>,
    requests: Requests<R>,
    /// The only kind of a per-type service; `None` on an aggregated stream.
    only: Option<Kind>,
    stage: Stage<R>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Others get a turn first.
    rest: bool,
}

enum Stage<R> {
    /// The first request is awaited.
    Knocking(Box<Door>),
    /// The gate decides.
    Entering(Entering<(R, Option<Kind>)>),
    Live(Live),
    Over,
}

/// An admitted client. Dropping it takes it out of the hub.
struct Live {
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    account: Option<Account>,
    renewals: Vec<(&'static str, Instant)>,
    /// Since when the oldest change waits that no response was sent for.
    changed: Option<Instant>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.hub.close(&self.connection);
        tracing::debug!(client = %self.connection.client.workload, stream = self.connection.id, "stream closed");
    }
}

impl<R: Incoming> DiscoveryStream<R> {
    pub fn new(shared: Arc<Shared>, requests: Requests<R>, only: Option<Kind>, door: Door) -> Self {
        Self { shared, requests, only, stage: Stage::Knocking(Box::new(door)), timer: None, rest: false }
    }

    /// Reads what came in. `Ready` when the stream is over.
    fn poll_requests(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        for _ in 0..REQUESTS_AT_ONCE {
            if let Stage::Entering(entering) = &mut self.stage {
                let guest = ready!(entering.as_mut().poll(cx));
                if let Err(status) = guest.and_then(|guest| self.on_guest(guest)) {
                    return Poll::Ready(Err(status));
                }
                continue;
            }
            match ready!(Pin::new(&mut self.requests).poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(status)) => return Poll::Ready(Err(status)),
                Some(Ok(message)) => {
                    self.rest |= message.names_count() >= LONG;
                    if let Err(status) = self.on_message(message) {
                        return Poll::Ready(Err(status));
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn on_message(&mut self, message: R) -> Result<(), Status> {
        self.shared.hub.counters.requests.fetch_add(1, Relaxed);
        let kind = self.kind_of(&message)?;
        match &mut self.stage {
            Stage::Knocking(door) => {
                let knock = Knock {
                    door: std::mem::take(&mut **door),
                    node: message.node().map(|node| node.id.clone()).unwrap_or_default(),
                    client: incoming::client(message.node(), R::PROTOCOL),
                    only_secrets: self.only == Some(Kind::Secret),
                    stream: "stream",
                    message: (message, kind),
                };
                self.stage = Stage::Entering(enter(Arc::clone(&self.shared), knock));
                Ok(())
            }
            Stage::Live(live) => live.on_message(message, kind, &self.shared),
            Stage::Entering(_) | Stage::Over => Ok(()),
        }
    }

    /// The kind that is asked for; `None` for one that is not served, which ends no aggregated stream.
    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn kind_of(&self, message: &R) -> Result<Option<Kind>, Status> {
        match (self.only, message.type_url()) {
            (Some(only), "") => Ok(Some(only)),
            (Some(only), type_url) if type_url == only.type_url() => Ok(Some(only)),
            (Some(only), type_url) => Err(Status::invalid_argument(format!(
                "type_url {type_url:?} on a stream of {only}: {:?} is accepted",
                only.type_url()
            ))),
            (None, type_url) => Ok(type_url.parse().ok()),
        }
    }

    /// Makes a client that was let in known to the hub, and takes in its first request.
    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn on_guest(&mut self, guest: Guest<(R, Option<Kind>)>) -> Result<(), Status> {
        let Guest { client, admission, peer, message: (message, kind) } = guest;
        let (account, denial) = match admission.secrets {
            Ok(account) => (Some(account), None),
            Err(denial) => (None, Some(denial)),
        };
        let hub = &self.shared.hub;
        let id = hub.stream_id();
        let user_agent = message.node().map(incoming::user_agent).unwrap_or_default();
        tracing::debug!(client = %client.workload, stream = id, ?peer, %user_agent, "stream opened");
        let session = Session::new(client, R::PROTOCOL, self.only.is_none(), id, denial);
        let connection = Arc::new(Connection::new(id, session, peer, user_agent.into(), now()));
        hub.open(&connection);
        let mut live = Live { hub: hub.clone(), connection, account, renewals: Vec::new(), changed: None };
        let taken = live.on_message(message, kind, &self.shared);
        self.stage = Stage::Live(live);
        taken
    }

    /// Wakes the task when there may be more to say though nothing happens.
    fn arm(&mut self, at: Option<Instant>, cx: &mut Context<'_>) {
        let Some(at) = at else {
            self.timer = None;
            return;
        };
        let at = tokio::time::Instant::from_std(at);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

impl<R: Incoming> Stream for DiscoveryStream<R> {
    type Item = Result<Response, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if matches!(this.stage, Stage::Over) {
            return Poll::Ready(None);
        }
        if std::mem::take(&mut this.rest) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Poll::Ready(end) = this.poll_requests(cx) {
            this.stage = Stage::Over;
            return Poll::Ready(end.err().map(Err));
        }
        if std::mem::take(&mut this.rest) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Stage::Live(live) = &mut this.stage else { return Poll::Pending };
        match live.next_response(&this.shared, cx) {
            Ok(response) => {
                this.rest = response.resources.len() + response.removed.len() >= LONG;
                Poll::Ready(Some(Ok(response)))
            }
            Err(deadline) => {
                this.arm(deadline, cx);
                Poll::Pending
            }
        }
    }
}

impl Live {
    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn on_message<R: Incoming>(&mut self, message: R, kind: Option<Kind>, shared: &Shared) -> Result<(), Status> {
        match kind {
            Some(kind) => self.on_request(message, kind, shared),
            None => {
                self.on_unknown(message);
                Ok(())
            }
        }
    }

    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn on_request<R: Incoming>(&mut self, message: R, kind: Kind, shared: &Shared) -> Result<(), Status> {
        let request = message.into_request(kind);
        let hub = &self.hub;
        let before = hub.generation();
        let mut session = self.connection.session();
        let outcome = session.on_request(request, &hub.snapshot(), now());
        hub.unsubscribe(&self.connection, kind, &outcome.unsubscribed);
        hub.subscribe(&self.connection, kind, &outcome.subscribed);
        hub.set_wildcard(&self.connection, kind, outcome.wildcard);
        // What was published before the index knew of this subscription told it nothing.
        if hub.generation() != before {
            session.look_again(kind);
        }
        let names = session.names_count();
        drop(session);
        if kind == Kind::Secret {
            outcome.subscribed.iter().for_each(|name| self.fetch(name, shared));
        }
        self.note(kind, outcome);
        if names > NAMES_LIMIT {
            let error = format!("the stream subscribed to {names} names: up to {NAMES_LIMIT} are accepted");
            tracing::warn!(client = %self.connection.client.workload, names, "too many names");
            return Err(Status::resource_exhausted(error));
        }
        Ok(())
    }

    fn note(&self, kind: Kind, outcome: Outcome) {
        let counters = &self.hub.counters;
        self.hub.answers.note_refused(&outcome.refused);
        self.hub.answers.note();
        if outcome.acked {
            counters.acks[kind as usize].fetch_add(1, Relaxed);
        }
        if let Some(Nack { text, blamed, .. }) = outcome.nack {
            counters.nacks[kind as usize].fetch_add(1, Relaxed);
            let client = &self.connection.client.workload;
            let resources: Vec<_> = blamed.iter().map(|blamed| &*blamed.name).collect();
            let origins: Vec<_> = blamed.iter().flat_map(|blamed| &blamed.origins).map(ToString::to_string).collect();
            tracing::warn!(%client, %kind, ?resources, ?origins, error = text, "client refused an update");
        }
    }

    fn on_unknown<R: Incoming>(&mut self, message: R) {
        let (type_url, is_answer) = (message.type_url().to_owned(), message.is_answer());
        if !is_answer {
            tracing::debug!(client = %self.connection.client.workload, %type_url, "type is not served");
        }
        self.connection.session().on_unknown(&type_url, is_answer, message.into_names());
    }

    /// The next response, or else when to look again.
    fn next_response(&mut self, shared: &Shared, cx: &Context<'_>) -> Result<Response, Option<Instant>> {
        let now = now();
        if let Some((dirty, since)) = self.connection.mailbox.take(cx) {
            self.changed = Some(self.changed.map_or(since, |earlier| earlier.min(since)));
            let secrets: Vec<_> = dirty.names.iter().filter(|(kind, _)| *kind == Kind::Secret).cloned().collect();
            self.connection.session().on_dirty(dirty);
            secrets.iter().for_each(|(_, name)| self.fetch(name, shared));
        }
        let due: Vec<_> = self.renewals.iter().filter(|(_, at)| *at <= now).map(|(name, _)| *name).collect();
        due.iter().for_each(|name| self.fetch(name, shared));
        let snapshot = self.hub.snapshot();
        let mut session = self.connection.session();
        match session.next_response(&snapshot, now) {
            Some(response) => {
                drop(session);
                self.count(&response);
                Ok(response)
            }
            None => {
                let deadline = session.deadline(now);
                if deadline.is_none() {
                    self.changed = None;
                }
                Err(self.renewals.iter().map(|(_, at)| *at).chain(deadline).min())
            }
        }
    }

    fn count(&mut self, response: &Response) {
        let counters = &self.hub.counters;
        if let TypeUrl::Known(kind) = response.type_url {
            let bytes: usize = response.resources.iter().map(|resource| resource.body().len()).sum();
            counters.responses[kind as usize].fetch_add(1, Relaxed);
            counters.resources[kind as usize].fetch_add(response.resources.len() as u64, Relaxed);
            counters.bytes[kind as usize].fetch_add(bytes as u64, Relaxed);
        }
        if let Some(since) = self.changed.take() {
            counters.pushed_after(Instant::now().saturating_duration_since(since));
        }
    }

    /// Makes or renews a secret that the client subscribed to.
    fn fetch(&mut self, name: &str, shared: &Shared) {
        let Some(account) = &self.account else { return };
        if !self.connection.session().wants_secret(name) {
            self.renewals.retain(|(renewed, _)| *renewed != name);
            return;
        }
        if name == TRUST_SECRET {
            self.connection.session().on_secret(secret::trust(&shared.secrets.trust()));
        } else if name == WORKLOAD_SECRET {
            let renew_in = match shared.secrets.leaf(&self.connection.client.workload, account) {
                Ok(leaf) => {
                    self.connection.session().on_secret(leaf.resource());
                    let left = leaf.renew_at.duration_since(SystemTime::now()).unwrap_or_default();
                    left.max(SECRET_PAUSE)
                }
                Err(error) => {
                    tracing::warn!(client = %self.connection.client.workload, %error, "no certificate was issued");
                    SECRET_RETRY
                }
            };
            self.renewals.retain(|(renewed, _)| *renewed != WORKLOAD_SECRET);
            self.renewals.push((WORKLOAD_SECRET, now() + renew_in));
        }
    }
}

/// The time, by the clock that tests may pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
