//! What a replica does beside serving that is installed in a cluster: it competes for the Lease, tells the other
//! replicas how its proxies are, and, while it holds the Lease, keeps what lies in the cluster.

use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use byrnie_ca::{Authority, Clock};
use byrnie_model::ServiceName;
use byrnie_runtime::{
    metrics::{Collector, ConstCounter, ConstGauge, DescriptorEncoder, EncodeMetric},
    shutdown::Drain,
};
use byrnie_source::{Candidate, Cluster, Leadership, Turn};
use rustls_pki_types::ServerName;
use tokio::sync::watch;
use tracing::warn;

use crate::{
    cluster_names::{CONTROL_PLANE, PEERS},
    current::Current,
    fleet::{self, Book, Fleet, FleetService},
    gate::TokenGate,
    services::{Shared, account, names, until_draining},
    settings::Installed,
    status::{Figures, StatusWriter},
    tls::ReplicaDial,
    trust::TrustBundles,
};

/// Of the Service by which replicas find each other.
const PEERS_PORT: u16 = 15012;

/// One replica.
pub struct Replica {
    cluster: Cluster,
    installed: Installed,
    leadership: Leadership,
    book: Arc<Book>,
    figures: Arc<Figures>,
}

/// The figures of a replica, as metrics.
pub struct ReplicaFigures {
    turn: watch::Receiver<Turn>,
    figures: Arc<Figures>,
}

impl Replica {
    /// Starts to compete for the Lease.
    pub fn start(cluster: Cluster, installed: Installed) -> Self {
        let Installed { namespace, pod, .. } = &installed;
        let candidate = Candidate { namespace: namespace.clone(), name: CONTROL_PLANE.into(), identity: pod.clone() };
        let leadership = cluster.compete(candidate);
        Self { cluster, installed, leadership, book: Arc::default(), figures: Arc::default() }
    }

    /// Who holds the Lease.
    pub fn turns(&self) -> watch::Receiver<Turn> {
        self.leadership.turns()
    }

    /// What there is to count.
    pub fn figures(&self) -> ReplicaFigures {
        ReplicaFigures { turn: self.turns(), figures: Arc::clone(&self.figures) }
    }

    /// The service that tells the holder of the Lease how the proxies of this replica are.
    pub fn service(&self, gate: TokenGate) -> FleetService {
        let may_ask = move |extensions: &tonic::Extensions| gate.is_control_plane(extensions);
        FleetService::new(Arc::clone(&self.book), &self.installed.pod, may_ask)
    }

    /// Does all of it until draining starts.
    pub fn run(&self, drain: &Drain, shared: &Shared, authority: &Arc<Authority>, clock: &Clock) {
        let Shared { hub, current, .. } = shared;
        let present = {
            let current = current.clone();
            move || {
                let state = current.load();
                (state.world.clone(), state.snapshot.clone())
            }
        };
        until_draining(drain, fleet::count(Arc::clone(hub), Arc::clone(&self.book), present));
        let (found, peers) = watch::channel(BTreeSet::new());
        let service = ServiceName::new(self.installed.namespace.clone(), PEERS);
        until_draining(drain, find_peers(current.clone(), service, found));
        let namespace = self.installed.namespace.clone();
        let (roots, turn) = (authority.follow_roots(), self.turns());
        let bundles = TrustBundles::follow(&self.cluster, namespace, current.clone(), roots, turn);
        until_draining(drain, bundles.keep());
        let (calls, turn, pod) = (self.cluster.calls(), self.turns(), self.installed.pod.clone());
        let writer = StatusWriter::new(calls, current.clone(), turn, pod, Arc::clone(&self.figures));
        let follow = {
            let (book, installed) = (Arc::clone(&self.book), self.installed.clone());
            let (authority, clock) = (Arc::clone(authority), Arc::clone(clock));
            move || Fleet::start(&book, &installed.pod, peers.clone(), dial(&installed, &authority, &clock))
        };
        until_draining(drain, writer.run(follow));
    }

    /// Lets go of the Lease, so that another replica need not wait for its end.
    pub async fn end(self) {
        if let Err(error) = self.leadership.release().await {
            warn!(%error, "the Lease was not released; it ends by itself");
        }
    }
}

fn dial(installed: &Installed, authority: &Arc<Authority>, clock: &Clock) -> ReplicaDial {
    let [_, _, name, _] = names(installed, "");
    let name = ServerName::try_from(name).expect("a Service's name is a DNS name");
    ReplicaDial::new(Arc::clone(authority), Arc::clone(clock), account(Some(installed)), name)
}

/// Tells where the other replicas are, by the endpoints of their Service.
async fn find_peers(current: Current, service: ServiceName, found: watch::Sender<BTreeSet<SocketAddr>>) {
    let mut moves = current.moves();
    loop {
        let state = current.load();
        let endpoints = state.world.endpoints(&service);
        let now =
            endpoints.map(|endpoints| endpoints.port(PEERS_PORT).iter().map(|endpoint| endpoint.address).collect());
        let now: BTreeSet<SocketAddr> = now.unwrap_or_default();
        found.send_if_modified(|known| {
            let is_news = *known != now;
            *known = now;
            is_news
        });
        if moves.changed().await.is_err() {
            return;
        }
    }
}

impl Collector for ReplicaFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let held = ConstGauge::new(u64::from(self.turn.borrow().is_mine()));
        held.encode(encoder.encode_descriptor(
            "byrnie_lease_held",
            "1 where this replica holds the Lease",
            None,
            held.metric_type(),
        )?)?;
        let counters = [
            ("byrnie_status_writes", "status documents written", &self.figures.written),
            ("byrnie_status_write_failures", "status documents that could not be written", &self.figures.failed),
        ];
        for (name, help, value) in counters {
            let metric = ConstCounter::new(value.load(Relaxed));
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ReplicaFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaFigures").finish_non_exhaustive()
    }
}
