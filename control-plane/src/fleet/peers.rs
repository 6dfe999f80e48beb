//! The replicas, as they come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use byrnie_proto::fleet::{TalliesRequest, fleet_client::FleetClient};
use byrnie_runtime::backoff::{self, Backoff};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{error::Elapsed, sleep, timeout},
};
use tokio_stream::StreamExt;
use tonic::{
    Status, async_trait,
    transport::{Channel, Endpoint},
};
use tracing::{debug, warn};

use super::{
    Book,
    sums::{Replica, Shared},
    wire,
};

/// For the connection, and for the answer to the call.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// For each message of the first list.
const LIST_LIMIT: Duration = Duration::from_secs(15);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often a replica that is silent is asked whether it lives, and how long it may take to say so.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// From which failure on it is no hiccup.
const WORTH_A_WARNING: u32 = 4;

/// Why there is no connection.
pub type DialError = Box<dyn Error + Send + Sync>;

/// Connects to replicas: over TLS, showing the certificate of the control plane and demanding it.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// A connection to the replica at this address. See [`tuned`].
    async fn dial(&self, peer: SocketAddr) -> Result<Channel, DialError>;
}

/// Sets what a long-lived stream needs: a replica that died is found by pings.
pub fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(ANSWER_LIMIT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
}

/// Listens to one replica.
#[derive(Clone)]
pub struct Follower {
    shared: Arc<Shared>,
    own: Arc<str>,
    dial: Arc<dyn Dial>,
}

/// Why a replica is not heard any more.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("no connection: {0}")]
    Dial(DialError),
    #[error("{0}")]
    Status(#[from] Status),
    #[error("no answer in time")]
    Silent(#[from] Elapsed),
    #[error("it ended the stream")]
    Ended,
}

/// How a connection ended.
enum End {
    Lost(Lost),
    /// The replica is this process.
    Ourselves,
}

/// Takes over what this replica counts.
pub async fn follow_own(book: Arc<Book>, shared: Arc<Shared>) {
    loop {
        let mut reader = book.read();
        while let Some(Ok(batch)) = reader.next().await {
            shared.change(|sums| sums.tell(Replica::Own, batch));
        }
        shared.change(|sums| sums.lose(Replica::Own));
    }
}

/// Listens to all peers as they come and go.
pub async fn follow_all(follower: Follower, mut peers: watch::Receiver<BTreeSet<SocketAddr>>) {
    let mut tasks = JoinSet::new();
    let mut known: BTreeMap<SocketAddr, AbortHandle> = BTreeMap::new();
    loop {
        let wanted = peers.borrow_and_update().clone();
        let gone: Vec<_> = known.keys().filter(|peer| !wanted.contains(peer)).copied().collect();
        for peer in gone {
            known.remove(&peer).inspect(AbortHandle::abort);
            follower.shared.change(|sums| sums.forget(Replica::Peer(peer)));
        }
        for peer in wanted {
            known.entry(peer).or_insert_with(|| {
                follower.shared.change(|sums| sums.expect(Replica::Peer(peer)));
                tasks.spawn(follower.clone().follow(peer))
            });
        }
        tokio::select! {
            moved = peers.changed() => {
                if moved.is_err() {
                    // Nobody says any more who is there: those that are known stay.
                    while tasks.join_next().await.is_some() {}
                    return;
                }
            }
            Some(_) = tasks.join_next() => {}
        }
    }
}

impl Follower {
    pub fn new(shared: Arc<Shared>, own: Arc<str>, dial: impl Dial) -> Self {
        Self { shared, own, dial: Arc::new(dial) }
    }

    /// Listens to the replica at `peer` until that proves to be this process.
    async fn follow(self, peer: SocketAddr) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            match self.listen(peer, &mut backoff).await {
                End::Ourselves => {
                    debug!(%peer, "this replica itself");
                    return self.shared.change(|sums| sums.forget(Replica::Peer(peer)));
                }
                End::Lost(error) if backoff.failures() == WORTH_A_WARNING => {
                    warn!(%peer, %error, "a replica of the control plane is not heard");
                }
                End::Lost(error) => debug!(%peer, %error, "a replica of the control plane is not heard"),
            }
            self.shared.change(|sums| sums.lose(Replica::Peer(peer)));
            sleep(backoff.next_delay(backoff::random())).await;
        }
    }

    async fn listen(&self, peer: SocketAddr, backoff: &mut Backoff) -> End {
        match self.hear(peer, backoff).await {
            Ok(end) => end,
            Err(lost) => End::Lost(lost),
        }
    }

    async fn hear(&self, peer: SocketAddr, backoff: &mut Backoff) -> Result<End, Lost> {
        let channel = timeout(ANSWER_LIMIT, self.dial.dial(peer)).await?.map_err(Lost::Dial)?;
        let mut client = FleetClient::new(channel);
        let mut updates = timeout(ANSWER_LIMIT, client.tallies(TalliesRequest {})).await??.into_inner();
        let replica = Replica::Peer(peer);
        let mut complete = false;
        loop {
            // Later it may be silent for as long as nothing happens; pings tell whether it lives.
            let update = match complete {
                false => timeout(LIST_LIMIT, updates.message()).await??,
                true => updates.message().await?,
            };
            let Some(update) = update else { return Ok(End::Lost(Lost::Ended)) };
            if update.replica == *self.own {
                return Ok(End::Ourselves);
            }
            if update.complete && !complete {
                complete = true;
                backoff.reset();
                debug!(%peer, replica = update.replica, "a replica of the control plane is heard");
            }
            self.shared.change(|sums| {
                sums.name(replica, &update.replica);
                sums.tell(replica, wire::read(update));
            });
        }
    }
}
