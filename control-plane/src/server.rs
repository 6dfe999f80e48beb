use std::{
    future::Future,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use byrnie_ads::Hub;
use byrnie_ca::{Authority, Clock, TOKEN_AUDIENCE};
use byrnie_identity::TrustDomain;
use byrnie_model::Update;
use byrnie_runtime::{
    admin::{self, Limits, Readiness, Routes},
    heap, listen,
    metrics::Metrics,
    shutdown::{Drain, Signals},
};
use byrnie_snapshot::Snapshot;
use byrnie_source::{Batch, Cluster, Turn};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinSet,
};
use tracing::info;

use crate::{
    admin as pages,
    current::Current,
    gate::Accepted,
    installed::Replica,
    keys, metrics,
    pipeline::Pipeline,
    reviews::{ReviewFigures, Reviews},
    services::{Services, Shared, until_draining},
    settings::{Mode, Settings, StartError},
    source::{Source, WatchFigures},
};

/// How long what runs gets once a signal came. Discovery streams never end by themselves, so this is only for short
/// calls and for the GOAWAY to leave; proxies keep serving and connect again.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// How long an API server that is away holds up the end.
const RELEASE_LIMIT: Duration = Duration::from_secs(3);

/// A control plane that can serve: ports are bound, the source is open.
pub struct ControlPlane {
    settings: Settings,
    xds: TcpListener,
    admin: TcpListener,
    probes: Option<TcpListener>,
    source: Source,
    signals: Signals,
}

impl ControlPlane {
    /// Binds every port and opens the source; serves nothing yet.
    pub async fn build(settings: Settings) -> Result<Self, StartError> {
        let signals = Signals::register()?;
        let xds = listen::bind("xDS", "--xds-address", settings.xds_address).await?;
        let admin = listen::bind("admin", "--admin-address", settings.admin_address).await?;
        let probes = match settings.probe_address {
            Some(address) => Some(listen::bind("probe", "--probe-address", address).await?),
            None => None,
        };
        let source = Source::open(&settings.mode).await?;
        if let Mode::Directory { config, state } = &settings.mode
            && is_within(state, config)
        {
            return Err(StartError::StateInConfig { state: state.clone(), config: config.clone() });
        }
        Ok(Self { settings, xds, admin, probes, source, signals })
    }

    /// Waits for all that is there at first, serves until a signal comes, then ends in order.
    pub async fn serve(self) -> Result<(), StartError> {
        let Self { settings, xds, admin, probes, mut source, mut signals } = self;
        let (drain, readiness, measured) = (Drain::new(), Readiness::new(), Metrics::new());
        let shared = Shared { hub: Hub::new(Snapshot::default()), loads: Arc::default(), current: Current::default() };
        let clock: Clock = Arc::new(SystemTime::now);
        let loaded = readiness.gate("configuration");
        let keyed = readiness.gate("keys");
        register(&measured, &shared, &source);
        let pages = Pages::serve(admin, probes, readiness, measured.clone(), &shared)?;

        let Some(first) = unless_ended(&mut signals, source.first()).await else { return Ok(()) };
        let asked = trust_domain(&first);
        let place = place(&settings.mode, &source);
        let Some(opened) = unless_ended(&mut signals, place.open(&asked, &clock)).await else { return Ok(()) };
        let (kept, keys) = opened?;
        let trust_domain = keys.trust_domain().clone();
        let first = speaking_of(first, trust_domain == asked);
        keyed.open();
        // Who cannot serve is not to hold the Lease.
        let replica = replica(&settings.mode, &source, &measured);
        let authority = Arc::new(Authority::new(keys).with_lifetime(settings.leaf_lifetime));
        let mut pipeline = Pipeline::new(trust_domain, shared.current.clone(), Arc::clone(&shared.hub));
        pipeline.step(first);
        let accepted = accepted(&settings.mode, source.cluster(), &clock);
        if let Accepted::Bound { reviews, .. } = &accepted {
            measured.collect(ReviewFigures(Arc::clone(reviews)));
        }
        let fleet = replica.as_ref().map(|replica| |gate| replica.service(gate));
        let services = Services::new(&settings, &shared, &authority, &clock, accepted, fleet)?;
        tell_start(&xds, &pages, &shared)?;
        drop(drain.spawn(pipeline.follow(source, drain.watch())));
        until_draining(&drain, Arc::clone(&shared.loads).keep());
        // The first list of a large cluster passes through much more memory than what is kept of it.
        until_draining(&drain, heap::keep());
        until_draining(&drain, kept.keep(Arc::clone(&authority), Arc::clone(&clock), turns(replica.as_ref())));
        until_draining(&drain, Arc::clone(&authority).keep_roots(Arc::clone(&clock)));
        until_draining(&drain, tell_roots(Arc::clone(&authority), Arc::clone(&shared.hub)));
        if let Some(replica) = &replica {
            replica.run(&drain, &shared, &authority, &clock);
        }
        let serving = services.serve(xds, &drain)?;
        loaded.open();

        let signal = signals.next().await;
        info!(signal, "draining");
        tokio::join!(drain.finish(DRAIN_LIMIT, signals.next()), release(replica)).0;
        pages.end().await;
        match serving.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Ok(()),
        }
    }
}

/// The servers of the debug pages and of the probes.
struct Pages {
    address: SocketAddr,
    stops: Vec<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

impl Pages {
    fn serve(
        admin: TcpListener,
        probes: Option<TcpListener>,
        readiness: Readiness,
        measured: Metrics,
        shared: &Shared,
    ) -> Result<Self, StartError> {
        let mut pages = Self { address: admin.local_addr()?, stops: Vec::new(), tasks: JoinSet::new() };
        if let Some(probes) = probes {
            pages.add(probes, Routes::new(readiness.clone(), measured.clone()));
        }
        let mut routes = Routes::new(readiness, measured);
        pages::add_pages(&mut routes, &shared.current, &shared.hub, &shared.loads);
        pages.add(admin, routes);
        Ok(pages)
    }

    fn add(&mut self, listener: TcpListener, routes: Routes) {
        let (stop, stopped) = oneshot::channel();
        self.stops.push(stop);
        self.tasks.spawn(admin::serve(listener, routes, Limits::default(), stopped));
    }

    async fn end(self) {
        drop(self.stops);
        // They end by their stop.
        self.tasks.join_all().await;
    }
}

/// What `waited` comes to, or nothing where a signal ends the process before.
async fn unless_ended<T>(signals: &mut Signals, waited: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = waited => Some(done),
        signal = signals.next() => {
            info!(signal, "ended before it served");
            None
        }
    }
}

/// Lets go of the Lease, so that another replica follows at once.
async fn release(replica: Option<Replica>) {
    if let Some(replica) = replica {
        // What was not released ends by its time.
        let _ = tokio::time::timeout(RELEASE_LIMIT, replica.end()).await;
    }
}

/// Starts to compete for the Lease, where there are replicas.
fn replica(mode: &Mode, source: &Source, measured: &Metrics) -> Option<Replica> {
    let replica = Replica::start(source.cluster()?.clone(), mode.installed()?.clone());
    measured.collect(replica.figures());
    Some(replica)
}

/// Who holds the Lease: never this process where there is none.
fn turns(replica: Option<&Replica>) -> watch::Receiver<Turn> {
    replica.map_or_else(|| watch::channel(Turn::default()).1, Replica::turns)
}

fn register(measured: &Metrics, shared: &Shared, source: &Source) {
    metrics::register(measured, Arc::clone(&shared.hub), shared.current.clone());
    if let Some(watches) = source.watches() {
        measured.collect(WatchFigures(watches));
    }
}

/// Where the keys are.
fn place(mode: &Mode, source: &Source) -> keys::Place {
    match (mode, source.cluster()) {
        (Mode::Installed { installed, .. }, Some(cluster)) => keys::Place::Secret(cluster.clone(), installed.clone()),
        (Mode::Directory { state, .. } | Mode::Following { state, .. }, _) => keys::Place::Directory(state.clone()),
        (Mode::Installed { .. }, None) => unreachable!("what is installed follows an API server"),
    }
}

fn tell_start(xds: &TcpListener, pages: &Pages, shared: &Shared) -> Result<(), StartError> {
    let state = shared.current.load();
    info!(
        xds = %xds.local_addr()?,
        admin = %pages.address,
        services = state.world.services().count(),
        workloads = state.world.workloads().count(),
        "serving"
    );
    Ok(())
}

/// Whoever subscribed to the roots gets them anew when they change.
async fn tell_roots(authority: Arc<Authority>, hub: Arc<Hub>) {
    let mut roots = authority.follow_roots();
    while roots.changed().await.is_ok() {
        hub.trust_changed();
    }
}

/// Which tokens prove a workload, by the source.
fn accepted(mode: &Mode, cluster: Option<&Cluster>, clock: &Clock) -> Accepted {
    let join = matches!(mode, Mode::Following { join_tokens: true, .. });
    match cluster {
        None => Accepted::Join,
        Some(cluster) => {
            let reviews = cluster.token_reviews(TOKEN_AUDIENCE);
            Accepted::Bound { reviews: Arc::new(Reviews::new(reviews, Arc::clone(clock))), join }
        }
    }
}

/// Whether `path`, which need not be there yet, is `folder` or lies in it.
fn is_within(path: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let standing = std::path::absolute(path).ok();
    let standing = standing.iter().flat_map(|path| path.ancestors()).find_map(|path| path.canonicalize().ok());
    standing.is_some_and(|path| path.starts_with(folder))
}

/// Where the keys are of another trust domain than the objects ask for, be it by saying nothing, the pipeline is to hold to
/// the keys, and to tell so.
fn speaking_of(mut first: Batch, is_same: bool) -> Batch {
    if !is_same && !first.updates.iter().any(|update| matches!(update, Update::Mesh(_))) {
        first.updates.push(Update::Mesh(Arc::default()));
    }
    first
}

/// The trust domain that the objects ask for.
fn trust_domain(first: &Batch) -> TrustDomain {
    let asked = first.updates.iter().find_map(|update| match update {
        Update::Mesh(mesh) => Some(mesh.trust_domain.clone()),
        _ => None,
    });
    asked.unwrap_or_default()
}
