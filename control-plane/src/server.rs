use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use byrnie_ads::{Ads, Hub};
use byrnie_ca::{Authority, Clock, SigningService, State as CaState};
use byrnie_identity::{Account, TrustDomain};
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
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tracing::info;

use crate::{
    admin as pages,
    current::Current,
    gate::TokenGate,
    metrics,
    pipeline::Pipeline,
    secrets::IssuedSecrets,
    settings::{Settings, StartError},
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
}

/// Everything that answers.
struct Services {
    server: Server,
    ads: Ads,
    signing: SigningService,
    hub: Arc<Hub>,
    current: Current,
}

impl ControlPlane {
    /// Binds, reads and verifies everything; serves nothing yet.
    pub async fn build(settings: Settings) -> Result<Self, StartError> {
        let signals = Signals::register()?;
        let xds = listen::bind("xDS", "--xds-address", settings.xds_address).await?;
        let admin = listen::bind("admin", "--admin-address", settings.admin_address).await?;
        let (directory, first) = Directory::open(&settings.config)?;
        let clock: Clock = Arc::new(SystemTime::now);
        let trust_domain = trust_domain(&first);
        let authority = Arc::new(Authority::new(CaState::open(&settings.state, &trust_domain, clock())?));
        let (hub, current) = (Hub::new(Snapshot::default()), Current::default());
        let loopback = settings.xds_address.ip().is_loopback();
        let gate = TokenGate::new(current.clone(), Arc::clone(&authority), Arc::clone(&clock), loopback);
        let secrets = IssuedSecrets::new(Arc::clone(&authority), Arc::clone(&clock));
        let caller = gate.clone();
        let account = move |metadata: &tonic::metadata::MetadataMap| caller.account(metadata);
        let signing = SigningService::new(Arc::clone(&authority), account, Arc::clone(&clock));
        let ads = Ads::new(Arc::clone(&hub), gate, secrets);
        let server = transport(&authority, &settings, clock())?;
        let pipeline = Pipeline::new(trust_domain, current.clone(), Arc::clone(&hub));
        let services = Services { server, ads, signing, hub, current };
        Ok(Self { xds, admin, directory, first, pipeline, services, authority, clock, signals })
    }

    /// Where xDS is served.
    pub fn xds_address(&self) -> std::io::Result<SocketAddr> {
        self.xds.local_addr()
    }

    /// Serves until a signal comes, then ends in order.
    pub async fn serve(mut self) -> Result<(), StartError> {
        let Services { mut server, ads, signing, hub, current } = self.services;
        let (drain, readiness, measured) = (Drain::new(), Readiness::new(), Metrics::new());
        let loaded = readiness.gate("configuration");
        metrics::register(&measured, Arc::clone(&hub), current.clone());
        let mut routes = Routes::new(readiness, measured);
        pages::add_pages(&mut routes, &current, &hub);
        let (stop_admin, admin_stopped) = oneshot::channel::<()>();
        let admin_task = tokio::spawn(admin::serve(self.admin, routes, Limits::default(), admin_stopped));

        self.pipeline.step(self.first);
        info!(
            xds = %self.xds.local_addr()?,
            services = current.load().world.services().count(),
            workloads = current.load().world.workloads().count(),
            "serving"
        );
        drop(drain.spawn(self.pipeline.follow(self.directory, drain.watch())));
        let (authority, issuer_watch) = (Arc::clone(&self.authority).keep_issuer(self.clock), drain.watch());
        drop(drain.spawn(async move {
            tokio::select! { () = authority => (), () = issuer_watch.draining() => () }
        }));
        let (draining, forced) = (drain.watch(), drain.watch());
        let incoming = TcpListenerStream::new(self.xds);
        let serving = server
            .add_routes(ads.routes())
            .add_service(signing.into_server())
            .serve_with_incoming_shutdown(incoming, async move { draining.draining().await });
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

/// The trust domain that the objects ask for.
fn trust_domain(first: &Batch) -> TrustDomain {
    let asked = first.updates.iter().find_map(|update| match update {
        Update::Mesh(mesh) => Some(mesh.trust_domain.clone()),
        _ => None,
    });
    asked.unwrap_or_default()
}

/// Plain text on loopback, TLS anywhere else.
fn transport(authority: &Authority, settings: &Settings, now: SystemTime) -> Result<Server, StartError> {
    let server = byrnie_ads::tuned(Server::builder());
    let address = settings.xds_address.ip();
    if address.is_loopback() {
        return Ok(server);
    }
    let id = Account::new("byrnie-system", "byrnie-control-plane").in_domain(authority.trust_domain());
    let leaf = authority.server_leaf(&id, &server_names(address), now)?;
    let identity = Identity::from_pem(leaf.issued.chain_pem(), leaf.key.pem());
    Ok(server.tls_config(ServerTlsConfig::new().identity(identity))?)
}

/// The names under which clients reach the server: its address and this machine's name.
fn server_names(address: IpAddr) -> Vec<rustls_pki_types::ServerName<'static>> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.and_then(|name| rustls_pki_types::ServerName::try_from(name.trim().to_owned()).ok());
    let address = (!address.is_unspecified()).then(|| rustls_pki_types::ServerName::IpAddress(address.into()));
    let local = rustls_pki_types::ServerName::try_from("localhost").ok();
    [address, host, local].into_iter().flatten().collect()
}
