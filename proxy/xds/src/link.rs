//! The task: it connects, moves messages between the stream and the [`Client`], and decides nothing.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    io,
    path::PathBuf,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use byrnie_proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use byrnie_runtime::backoff::{self, Backoff};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

mod keeper;
mod stream;

use self::{keeper::Keeper, stream::Responses};
use crate::{
    client::{Client, Received},
    handle::{Handle, Shared},
    resources::Resources,
    settings::{Settings, SettingsError},
};

/// The ceiling of the first pause between tries, and of all.
const BACKOFF_BASE: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A stream that lasted so long was a good one, even if it had nothing to say.
const GOOD_STREAM: Duration = Duration::from_secs(30);
/// How often it is looked for names that are idle.
const IDLE_INTERVAL: Duration = Duration::from_secs(60);
/// Requests on their way to the HTTP/2 layer.
const REQUESTS: usize = 8;

/// The connection to the control plane, to be run for as long as the process serves.
pub struct Link {
    settings: Settings,
    endpoint: Endpoint,
    dial: Dial,
    client: Client,
    shared: Arc<Shared>,
    publisher: watch::Sender<Arc<Resources>>,
    idle_at: Instant,
    keeper: Option<Keeper>,
}

/// Makes a connection: TCP and TLS, or what a test puts in their place.
type Dial = Box<dyn Fn(Endpoint) -> Dialling + Send + Sync>;
type Dialling = Pin<Box<dyn Future<Output = Result<Channel, tonic::transport::Error>> + Send>>;

/// Why there is no stream (any more).
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{path} cannot be read: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} holds no token: {what}")]
    Token { path: PathBuf, what: &'static str },
    #[error("{path} holds no usable roots: {}", chain(.source))]
    Roots { path: PathBuf, source: tonic::transport::Error },
    #[error("no connection to {address}: {}", chain(.source))]
    Connect { address: String, source: tonic::transport::Error },
    #[error("no connection to {address} within {limit:?}")]
    TooSlow { address: String, limit: Duration },
    #[error("{code:?}: {message}", code = .0.code(), message = .0.message())]
    Stream(Status),
    #[error("the control plane ended the stream")]
    Ended,
}

/// Something that does not come from the stream.
enum Wake {
    /// Names are wanted, or some may be idle.
    Demand,
    /// An answer is overdue.
    Overdue,
    /// The state is to be written.
    Save,
    /// It was.
    Saved(io::Result<()>),
}

impl Link {
    /// Reads what was kept, so that [`Handle::resources`] holds it already; connects to nothing yet.
    ///
    /// # Errors
    /// Where the settings cannot work. A state that cannot be used is none.
    pub fn new(settings: Settings) -> Result<(Self, Handle), SettingsError> {
        Self::dialling(settings, Box::new(|endpoint| Box::pin(async move { endpoint.connect().await })))
    }

    fn dialling(settings: Settings, dial: Dial) -> Result<(Self, Handle), SettingsError> {
        let endpoint = settings.endpoint()?;
        let mut client = Client::new(settings.node()?, &settings.listeners, settings.state.is_some());
        let shared = Arc::new(Shared::default());
        let now = Instant::now();
        let keeper = settings.state.clone().map(|directory| {
            let keeper = Keeper::new(directory, settings.node.clone());
            keeper.restore(&mut client, &settings.listeners, &shared, now);
            keeper
        });
        let (publisher, resources) = watch::channel(client.resources().clone());
        let handle = Handle::new(shared.clone(), resources);
        let idle_at = now + IDLE_INTERVAL;
        Ok((Self { settings, endpoint, dial, client, shared, publisher, idle_at, keeper }, handle))
    }

    /// Connects, and comes back whenever the stream ends. What serves goes on serving meanwhile. It never ends; whoever
    /// drops it ends the stream.
    pub async fn run(mut self) -> Infallible {
        let mut backoff = Backoff::new(BACKOFF_BASE, BACKOFF_MAX);
        loop {
            let Err(error) = self.follow_stream(&mut backoff).await;
            self.shared.counters.disconnected();
            self.client.on_disconnected();
            self.publish();
            let pause = backoff.next_delay(backoff::random());
            tracing::warn!(%error, ?pause, "no stream from the control plane");
            let until = Instant::now() + pause;
            self.meanwhile(sleep_until(until)).await;
        }
    }

    /// One stream, from connecting to its end.
    async fn follow_stream(&mut self, backoff: &mut Backoff) -> Result<Infallible, LinkError> {
        let credentials = stream::credentials(&self.settings, &self.endpoint)?;
        let address = self.settings.address.clone();
        let channel = self.meanwhile(stream::connect((self.dial)(credentials.endpoint), address)).await?;
        let opened = Instant::now();
        self.client.on_connected(opened.into_std());
        let (sender, receiver) = mpsc::channel(REQUESTS);
        // A server may say nothing, not even that it accepts the stream, before it heard something.
        self.fill(&sender);
        let mut responses = Responses::open(channel, receiver, credentials.authorization);
        let shared = self.shared.clone();
        loop {
            // A server that took back the requests goes on to end the stream, and says why.
            let sends = self.client.has_request() && !sender.is_closed();
            let receives = !self.client.is_congested() || sender.is_closed();
            tokio::select! {
                biased;
                Ok(permit) = sender.reserve(), if sends => {
                    if let Some(request) = self.client.next_request() {
                        permit.send(request);
                    }
                }
                response = responses.next(&shared.counters), if receives => {
                    let response = response?;
                    backoff.reset();
                    let received = self.client.on_response(response, Instant::now().into_std());
                    self.count(&received);
                    self.publish();
                }
                wake = self.wake() => {
                    if opened.elapsed() >= GOOD_STREAM {
                        backoff.reset();
                    }
                    self.on_wake(wake);
                }
            }
        }
    }

    fn fill(&mut self, sender: &mpsc::Sender<DeltaDiscoveryRequest>) {
        while let Ok(permit) = sender.try_reserve()
            && let Some(request) = self.client.next_request()
        {
            permit.send(request);
        }
    }

    /// Waits, and does what is to be done without a stream.
    async fn meanwhile<T>(&mut self, wait: impl Future<Output = T>) -> T {
        let mut wait = pin!(wait);
        loop {
            tokio::select! {
                biased;
                done = &mut wait => return done,
                wake = self.wake() => self.on_wake(wake),
            }
        }
    }

    /// The next thing that does not come from the stream. May be dropped at any time.
    async fn wake(&mut self) -> Wake {
        let overdue = self.client.deadline().map(Instant::from_std);
        let idle_at = self.idle_at;
        tokio::select! {
            () = self.shared.news.notified() => Wake::Demand,
            () = sleep_until(idle_at) => Wake::Demand,
            () = until(overdue) => Wake::Overdue,
            wake = Keeper::wake(self.keeper.as_mut()) => wake,
        }
    }

    fn on_wake(&mut self, wake: Wake) {
        let now = Instant::now();
        match wake {
            Wake::Demand => {
                let (added, dropped) = {
                    let mut demand = self.shared.demand();
                    if self.idle_at <= now {
                        self.idle_at = now + IDLE_INTERVAL;
                        demand.expire(now.into_std());
                    }
                    demand.changes()
                };
                if !(added.is_empty() && dropped.is_empty()) {
                    self.client.on_demand(&added, &dropped, now.into_std());
                }
            }
            Wake::Overdue => self.client.on_time(now.into_std()),
            Wake::Save => {
                if let Some(keeper) = &mut self.keeper {
                    keeper.start(&self.client);
                }
            }
            Wake::Saved(Ok(())) => drop(self.shared.counters.saves.fetch_add(1, Relaxed)),
            Wake::Saved(Err(error)) => tracing::warn!(%error, "what serves was not written to the state directory"),
        }
        self.publish();
    }

    fn publish(&mut self) {
        if Arc::ptr_eq(&self.publisher.borrow(), self.client.resources()) {
            return;
        }
        self.publisher.send_replace(self.client.resources().clone());
        if let Some(keeper) = &mut self.keeper {
            keeper.on_change(Instant::now());
        }
    }

    fn count(&self, received: &Received) {
        let counters = &self.shared.counters;
        counters.responses.fetch_add(1, Relaxed);
        counters.updates.fetch_add(received.updated as u64, Relaxed);
        counters.removals.fetch_add(received.removed as u64, Relaxed);
        let Some(kind) = received.kind else { return };
        let answered = if received.refused.is_empty() { &counters.acks } else { &counters.nacks };
        answered.fetch_add(1, Relaxed);
        tracing::debug!(%kind, updated = received.updated, removed = received.removed, "response");
        for (name, rejection) in &received.refused {
            tracing::warn!(%kind, %name, version = %rejection.version, error = %rejection, "resource refused");
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// An error with its causes, which tonic keeps to itself.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
