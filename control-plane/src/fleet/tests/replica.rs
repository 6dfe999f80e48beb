//! Replicas over loopback.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use byrnie_ads::{Refusal, Tally};
use byrnie_model::{ObjectKind, ObjectRef, Origin, WorkloadName};
use byrnie_proto::Kind;
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
};
use tonic::{
    async_trait,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

use crate::fleet::{Book, Dial, DialError, Fleet, FleetService, Sum, tuned};

/// Long enough for a slow machine; a test that meets it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A replica that answers others. Dropping it is the death of its process.
pub struct Replica {
    pub book: Arc<Book>,
    pub address: SocketAddr,
    /// A runtime of its own, so that its connections end with it.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Replica {
    pub async fn start(name: &str) -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into(), name, true).await
    }

    pub async fn at(at: SocketAddr, name: &str, lets_in: bool) -> Self {
        let book = Arc::new(Book::default());
        let service = FleetService::new(Arc::clone(&book), name, move |_| lets_in).into_server();
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = oneshot::channel();
        let serve = async move {
            let listener = TcpListener::bind(at).await.unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            let serving = Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener));
            tokio::select! { served = serving => served.unwrap(), _ = stopped => () }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || runtime.block_on(serve));
        let address = address.await.unwrap();
        Self { book, address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().into_iter().for_each(|thread| thread.join().unwrap());
    }
}

struct Plain;

#[async_trait]
impl Dial for Plain {
    async fn dial(&self, peer: SocketAddr) -> Result<Channel, DialError> {
        Ok(tuned(Endpoint::from_shared(format!("http://{peer}"))?).connect().await?)
    }
}

/// The one that adds up, called `own`.
pub struct Holder {
    pub book: Arc<Book>,
    pub peers: watch::Sender<BTreeSet<SocketAddr>>,
    fleet: Fleet,
}

impl Holder {
    pub fn start(peers: &[SocketAddr]) -> Self {
        let book = Arc::new(Book::default());
        let peers = watch::Sender::new(peers.iter().copied().collect());
        let fleet = Fleet::start(&book, "own", peers.subscribe(), Plain);
        Self { book, peers, fleet }
    }

    pub fn sum(&self, name: &str, generation: i64) -> String {
        text(&self.fleet.sum(&route(name), generation))
    }

    /// Waits until an object stands as said; what changes is waited for, not looked for.
    pub async fn until(&mut self, name: &str, generation: i64, expected: &str) {
        let wait = async {
            while self.sum(name, generation) != expected {
                self.fleet.changed().await;
            }
        };
        let done = tokio::time::timeout(PATIENCE, wait).await.is_ok();
        assert!(done, "never {expected:?}, but {:?}", self.sum(name, generation));
    }
}

pub fn route(name: &str) -> ObjectRef {
    Origin::of(ObjectKind::HTTPRoute, "shop", name).object
}

pub fn tally(generation: i64, accepted: u32, needing: u32) -> Tally {
    Tally { generation, needing, accepted, refusals: Box::default() }
}

pub fn refused(generation: i64, client: &str) -> Tally {
    let refusal = Refusal {
        client: WorkloadName::new("shop", client),
        kind: Kind::Route,
        resource: "a".into(),
        text: "no".into(),
    };
    Tally { refusals: [refusal].into(), ..tally(generation, 0, 1) }
}

/// `3/4`, `3/4 without own`, `3/4 refused by shop/cart-1`
fn text(sum: &Sum) -> String {
    let mut text = format!("{}/{}", sum.accepted, sum.needing);
    if !sum.missing.is_empty() {
        text += &format!(" without {}", sum.missing.join(", "));
    }
    for refusal in &sum.refusals {
        text += &format!(" refused by {}", refusal.client);
    }
    text
}
