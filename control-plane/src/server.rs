use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use byrnie_ads::{Ads, Hub, Loads};
use byrnie_ca::{Authority, Clock, SigningService, State as CaState};
use byrnie_identity::{Account, TrustDomain};
use byrnie_model::Update;
use byrnie_runtime::{
    admin::{self, Limits, Readiness, Routes},
    heap, listen,
    metrics::Metrics,
    shutdown::{Drain, Signals},
};
use byrnie_snapshot::Snapshot;
use byrnie_source::{Batch, TokenReviews};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::transport::{Server, server::TcpIncoming};
use tracing::info;

use crate::{
    admin as pages,
    current::Current,
    gate::{Accepted, TokenGate},
    metrics,
    pipeline::Pipeline,
    reviews::Reviews,
    secrets::IssuedSecrets,
    settings::{Settings, SourceSettings, StartError},
    source::{Source, WatchFigures},
    tls::ServerCertificate,
};

/// How long what runs gets once a signal came. Discovery streams never end by themselves, so this is only for short
/// calls and for the GOAWAY to leave; proxies keep serving and connect again.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// A control plane that can serve: ports are bound, the source is open.
pub struct ControlPlane {
    settings: Settings,
    xds: TcpListener,
    admin: TcpListener,
    source: Source,
    signals: Signals,
}

type Serving = Pin<Box<dyn Future<Output = Result<(), tonic::transport::Error>> + Send>>;

/// What streams and pages share.
#[derive(Clone)]
struct Shared {
    hub: Arc<Hub>,
    loads: Arc<Loads>,
    current: Current,
}

/// Everything that answers proxies, and what it needs.
struct Services {
    ads: Ads,
    signing: SigningService,
    state: CaState,
    authority: Arc<Authority>,
    clock: Clock,
    /// Beyond loopback, with when to renew it.
    certificate: Option<(Arc<ServerCertificate>, SystemTime)>,
}

impl ControlPlane {
    /// Binds every port and opens the source; serves nothing yet.
    pub async fn build(settings: Settings) -> Result<Self, StartError> {
        let signals = Signals::register()?;
        let xds = listen::bind("xDS", "--xds-address", settings.xds_address).await?;
        let admin = listen::bind("admin", "--admin-address", settings.admin_address).await?;
        let source = Source::open(&settings.source).await?;
        if let SourceSettings::Directory(config) = &settings.source
            && is_within(&settings.state, config)
        {
            return Err(StartError::StateInConfig { state: settings.state, config: config.clone() });
        }
        Ok(Self { settings, xds, admin, source, signals })
    }

    /// Waits for all that is there at first, serves until a signal comes, then ends in order.
    pub async fn serve(mut self) -> Result<(), StartError> {
        let (drain, readiness, measured) = (Drain::new(), Readiness::new(), Metrics::new());
        let shared = Shared { hub: Hub::new(Snapshot::default()), loads: Arc::default(), current: Current::default() };
        let loaded = readiness.gate("configuration");
        metrics::register(&measured, Arc::clone(&shared.hub), shared.current.clone());
        if let Some(watches) = self.source.watches() {
            measured.collect(WatchFigures(watches));
        }
        let mut routes = Routes::new(readiness, measured);
        pages::add_pages(&mut routes, &shared.current, &shared.hub, &shared.loads);
        let (stop_admin, admin_stopped) = oneshot::channel::<()>();
        let admin_address = self.admin.local_addr()?;
        let admin_task = tokio::spawn(admin::serve(self.admin, routes, Limits::default(), admin_stopped));

        let first = tokio::select! {
            first = self.source.first() => first,
            signal = self.signals.next() => {
                info!(signal, "ended before all objects were known");
                return Ok(());
            }
        };
        let trust_domain = trust_domain(&first);
        let services = Services::new(&self.settings, &trust_domain, &shared, self.source.token_reviews())?;
        let Shared { hub, loads, current } = shared;
        let mut pipeline = Pipeline::new(trust_domain, current.clone(), hub);
        pipeline.step(first);
        info!(
            xds = %self.xds.local_addr()?,
            admin = %admin_address,
            services = current.load().world.services().count(),
            workloads = current.load().world.workloads().count(),
            "serving"
        );
        drop(drain.spawn(pipeline.follow(self.source, drain.watch())));
        until_draining(&drain, loads.keep());
        // The first list of a large cluster passes through much more memory than what is kept of it.
        until_draining(&drain, heap::keep());
        let xds_task = services.serve(self.xds, &drain)?;
        loaded.open();

        let signal = self.signals.next().await;
        info!(signal, "draining");
        drain.finish(DRAIN_LIMIT, self.signals.next()).await;
        drop(stop_admin);
        // The admin task ends by its stop; the xDS task's outcome is what a user must hear of.
        let _ = admin_task.await;
        match xds_task.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Ok(()),
        }
    }
}

impl Services {
    fn new(
        settings: &Settings,
        trust_domain: &TrustDomain,
        shared: &Shared,
        reviews: Option<TokenReviews>,
    ) -> Result<Self, StartError> {
        let Shared { hub, loads, current } = shared;
        let clock: Clock = Arc::new(SystemTime::now);
        let state = CaState::open(&settings.state, trust_domain, clock())?;
        let authority = Arc::new(Authority::new(state.keys().clone()).with_lifetime(settings.leaf_lifetime));
        let loopback = settings.xds_address.ip().is_loopback();
        let accepted = accepted(&settings.source, reviews, &clock);
        let own = Account::new("byrnie-system", "byrnie-control-plane");
        let gate = TokenGate::new(
            current.clone(),
            Arc::clone(&authority),
            Arc::clone(&clock),
            own.clone(),
            accepted,
            loopback,
        );
        let secrets = IssuedSecrets::new(current.clone(), Arc::clone(&authority), Arc::clone(&clock));
        let signing = SigningService::new(Arc::clone(&authority), gate.clone(), Arc::clone(&clock));
        let ads = Ads::new(Arc::clone(hub), Arc::clone(loads), gate, secrets);
        // Plain text never leaves the machine.
        let certificate = if loopback {
            None
        } else {
            let address = settings.xds_address.ip();
            Some(ServerCertificate::issue(Arc::clone(&authority), Arc::clone(&clock), own, address, &[])?)
        };
        Ok(Self { ads, signing, state, authority, clock, certificate })
    }

    /// Answers proxies until draining ends.
    fn serve(
        self,
        xds: TcpListener,
        drain: &Drain,
    ) -> Result<JoinHandle<Result<(), tonic::transport::Error>>, StartError> {
        until_draining(drain, Arc::new(self.state).keep_issuer(self.authority, self.clock));
        let router = byrnie_ads::tuned(Server::builder()).add_routes(self.ads.routes());
        let router = router.add_service(self.signing.into_server());
        let (draining, forced) = (drain.watch(), drain.watch());
        let stop = async move { draining.draining().await };
        let serving: Serving = match self.certificate {
            None => {
                // A response that waits for the ACK of the one before would come 40 ms late.
                let incoming = TcpIncoming::from(xds).with_nodelay(Some(true));
                Box::pin(router.serve_with_incoming_shutdown(incoming, stop))
            }
            Some((certificate, renew_at)) => {
                let incoming = certificate.accept(xds, &drain.watch())?;
                until_draining(drain, certificate.keep(renew_at));
                Box::pin(router.serve_with_incoming_shutdown(incoming, stop))
            }
        };
        Ok(drain.spawn(async move {
            tokio::select! { done = serving => done, () = forced.forced() => Ok(()) }
        }))
    }
}

/// Which tokens prove a workload, by the source.
fn accepted(source: &SourceSettings, reviews: Option<TokenReviews>, clock: &Clock) -> Accepted {
    let join = match source {
        SourceSettings::Directory(_) => true,
        SourceSettings::Kubernetes { join_tokens, .. } => *join_tokens,
    };
    match reviews {
        None => Accepted::Join,
        Some(reviews) => Accepted::Bound { reviews: Arc::new(Reviews::new(reviews, Arc::clone(clock))), join },
    }
}

/// Runs what never ends by itself until draining starts.
fn until_draining(drain: &Drain, task: impl Future<Output = ()> + Send + 'static) {
    let watch = drain.watch();
    drop(drain.spawn(async move {
        tokio::select! { () = task => (), () = watch.draining() => () }
    }));
}

/// Whether `path`, which need not be there yet, is `folder` or lies in it.
fn is_within(path: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let standing = std::path::absolute(path).ok();
    let standing = standing.iter().flat_map(|path| path.ancestors()).find_map(|path| path.canonicalize().ok());
    standing.is_some_and(|path| path.starts_with(folder))
}

/// The trust domain that the objects ask for.
fn trust_domain(first: &Batch) -> TrustDomain {
    let asked = first.updates.iter().find_map(|update| match update {
        Update::Mesh(mesh) => Some(mesh.trust_domain.clone()),
        _ => None,
    });
    asked.unwrap_or_default()
}
