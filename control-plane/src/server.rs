use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use byrnie_ads::{Ads, Hub, Loads};
use byrnie_ca::{Authority, Clock, SigningService, State as CaState};
use byrnie_identity::TrustDomain;
use byrnie_model::Update;
use byrnie_runtime::{
    admin::{self, Limits, Readiness, Routes},
    listen,
    metrics::Metrics,
    shutdown::{Drain, Signals},
};
use byrnie_snapshot::Snapshot;
use byrnie_source::{Batch, Directory};
use tokio::{net::TcpListener, sync::oneshot};
use tonic::transport::{Server, server::TcpIncoming};
use tracing::info;

use crate::{
    admin as pages,
    current::Current,
    gate::TokenGate,
    metrics,
    pipeline::Pipeline,
    secrets::IssuedSecrets,
    settings::{Settings, StartError},
    tls::ServerCertificate,
};

/// How long what runs gets once a signal came. Discovery streams never end by themselves, so this is only for short
/// calls and for the GOAWAY to leave; proxies keep serving and connect again.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// A control plane that is ready to serve: ports are bound, objects are read, keys are there.
pub struct ControlPlane {
    xds: TcpListener,
    admin: TcpListener,
    directory: Directory,
    first: Batch,
    pipeline: Pipeline,
    services: Services,
    authority: Arc<Authority>,
    clock: Clock,
    signals: Signals,
    /// Beyond loopback, with when to renew it.
    certificate: Option<(Arc<ServerCertificate>, SystemTime)>,
}

type Serving = Pin<Box<dyn Future<Output = Result<(), tonic::transport::Error>> + Send>>;

/// Everything that answers.
struct Services {
    ads: Ads,
    signing: SigningService,
    hub: Arc<Hub>,
    loads: Arc<Loads>,
    current: Current,
}

impl ControlPlane {
    /// Binds, reads and verifies everything; serves nothing yet.
    pub async fn build(settings: Settings) -> Result<Self, StartError> {
        let signals = Signals::register()?;
        let xds = listen::bind("xDS", "--xds-address", settings.xds_address).await?;
        let admin = listen::bind("admin", "--admin-address", settings.admin_address).await?;
        let (directory, first) = Directory::open(&settings.config)?;
        if is_within(&settings.state, &settings.config) {
            return Err(StartError::StateInConfig { state: settings.state, config: settings.config });
        }
        let clock: Clock = Arc::new(SystemTime::now);
        let trust_domain = trust_domain(&first);
        let authority = Authority::new(CaState::open(&settings.state, &trust_domain, clock())?);
        let authority = Arc::new(authority.with_lifetime(settings.leaf_lifetime));
        let (hub, current) = (Hub::new(Snapshot::default()), Current::default());
        let loopback = settings.xds_address.ip().is_loopback();
        let gate = TokenGate::new(current.clone(), Arc::clone(&authority), Arc::clone(&clock), loopback);
        let secrets = IssuedSecrets::new(current.clone(), Arc::clone(&authority), Arc::clone(&clock));
        let caller = gate.clone();
        let account = move |metadata: &tonic::metadata::MetadataMap| caller.account(metadata);
        let signing = SigningService::new(Arc::clone(&authority), account, Arc::clone(&clock));
        let loads = Arc::<Loads>::default();
        let ads = Ads::new(Arc::clone(&hub), Arc::clone(&loads), gate, secrets);
        // Plain text never leaves the machine.
        let certificate = if loopback {
            None
        } else {
            let address = settings.xds_address.ip();
            Some(ServerCertificate::issue(Arc::clone(&authority), Arc::clone(&clock), address)?)
        };
        let pipeline = Pipeline::new(trust_domain, current.clone(), Arc::clone(&hub));
        let services = Services { ads, signing, hub, loads, current };
        Ok(Self { xds, admin, directory, first, pipeline, services, authority, clock, signals, certificate })
    }

    /// Serves until a signal comes, then ends in order.
    pub async fn serve(mut self) -> Result<(), StartError> {
        let Services { ads, signing, hub, loads, current } = self.services;
        let (drain, readiness, measured) = (Drain::new(), Readiness::new(), Metrics::new());
        let loaded = readiness.gate("configuration");
        metrics::register(&measured, Arc::clone(&hub), current.clone());
        let mut routes = Routes::new(readiness, measured);
        pages::add_pages(&mut routes, &current, &hub, &loads);
        let (stop_admin, admin_stopped) = oneshot::channel::<()>();
        let admin_address = self.admin.local_addr()?;
        let admin_task = tokio::spawn(admin::serve(self.admin, routes, Limits::default(), admin_stopped));

        self.pipeline.step(self.first);
        info!(
            xds = %self.xds.local_addr()?,
            admin = %admin_address,
            services = current.load().world.services().count(),
            workloads = current.load().world.workloads().count(),
            "serving"
        );
        drop(drain.spawn(self.pipeline.follow(self.directory, drain.watch())));
        let (forgetting, loads_watch) = (loads.keep(), drain.watch());
        drop(drain.spawn(async move {
            tokio::select! { () = forgetting => (), () = loads_watch.draining() => () }
        }));
        let (authority, issuer_watch) = (Arc::clone(&self.authority).keep_issuer(self.clock), drain.watch());
        drop(drain.spawn(async move {
            tokio::select! { () = authority => (), () = issuer_watch.draining() => () }
        }));
        let router = byrnie_ads::tuned(Server::builder()).add_routes(ads.routes()).add_service(signing.into_server());
        let (draining, forced) = (drain.watch(), drain.watch());
        let stop = async move { draining.draining().await };
        let serving: Serving = match self.certificate {
            None => {
                // A response that waits for the ACK of the one before would come 40 ms late.
                let incoming = TcpIncoming::from(self.xds).with_nodelay(Some(true));
                Box::pin(router.serve_with_incoming_shutdown(incoming, stop))
            }
            Some((certificate, renew_at)) => {
                let incoming = certificate.accept(self.xds, &drain.watch())?;
                let watch = drain.watch();
                drop(drain.spawn(async move {
                    tokio::select! { () = certificate.keep(renew_at) => (), () = watch.draining() => () }
                }));
                Box::pin(router.serve_with_incoming_shutdown(incoming, stop))
            }
        };
        let xds_task = drain.spawn(async move {
            tokio::select! { done = serving => done, () = forced.forced() => Ok(()) }
        });
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
