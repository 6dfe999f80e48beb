//! The control half: one thread that learns what is to be done, decides who may be called, and ends the process.
//!
//! [`Proxy::build`] binds and reads all that a bad start can fail on. Then one loop waits for whatever comes: resources
//! and certificates are [assembled](assemble) to a configuration that the workers take over; checks and sweeps judge
//! endpoints; [`readiness`] is told on the admin port; a signal begins the end.

pub mod assemble;
pub mod checks;
mod follow;
mod load;
pub mod readiness;
#[cfg(test)]
pub(crate) mod resources;
pub mod sweeps;

use std::{
    future::ready,
    io, iter,
    sync::Arc,
    time::{Duration, SystemTime},
};

use byrnie_runtime::{
    admin::{self as server, Limits},
    heap,
    listen::{self, BindError},
    logs::Levels,
    metrics::Metrics,
    shutdown::Signals,
};
use byrnie_xds::{Handle, Link, Listeners};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{Instant, interval, sleep_until, timeout},
};
use tracing::{field::display, info, warn};

use self::{follow::Control, load::Reports};
use crate::{
    admin::{self, Asks, Pages, figures::Figures},
    config::Config,
    identity::{Current, Keeper, Stored},
    pod::Port,
    settings::{AccessLog, Settings, Sidecar},
    shared::{Shared, Stage},
    telemetry::{Form, Telemetry},
    tls::Contexts,
    worker::Worker,
};

/// How often it is looked whether the workers have ended.
const LOOK: Duration = Duration::from_millis(20);
/// For workers to end once nothing is waited for any more.
const ENDING_LIMIT: Duration = Duration::from_secs(2);

/// A proxy that is ready to serve: the admin port is bound, workers wait for a configuration.
pub struct Proxy {
    settings: Settings,
    started: SystemTime,
    levels: Levels,
    signals: Signals,
    admin: TcpListener,
    health: Option<TcpListener>,
    probes: Option<TcpListener>,
    link: Link,
    xds: Handle,
    keeper: Keeper,
    identity: Arc<Current>,
    shared: Arc<Shared>,
    workers: Vec<Worker>,
}

/// A start that failed; nothing was served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port that cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The control plane.
    #[error(transparent)]
    Xds(#[from] byrnie_xds::SettingsError),
    /// The operating system refused.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

impl Proxy {
    /// Binds and reads everything; serves nothing yet.
    pub async fn build(settings: Settings, levels: Levels) -> Result<Self, StartError> {
        let started = SystemTime::now();
        let signals = Signals::register()?;
        let admin = listen::bind("admin", "--admin-address", settings.admin).await?;
        let health = listen::bind_given("health", "--health-port", settings.sidecar.health).await?;
        let probes = listen::bind_given("probes", "--probe-port", settings.sidecar.probes).await?;
        let (link, xds) = Link::new(xds_settings(&settings.sidecar))?;
        let identity = Arc::new(Current::new());
        let sidecar = &settings.sidecar;
        let keeper = Keeper::new(sidecar.source(), sidecar.state.as_deref().map(Stored::new), Arc::clone(&identity));
        let wanting = xds.clone();
        let want = Box::new(move |name: &str| wanting.want(name));
        let contexts = Arc::new(Contexts::new(Arc::clone(&identity)));
        let telemetry = Arc::new(telemetry(&settings, &identity)?);
        let shared = Arc::new(Shared::new(Config::default(), contexts, want, telemetry));
        let start = |index| Worker::start(index, Arc::clone(&shared));
        let workers = (0..usize::from(settings.workers)).map(start).collect::<Result<_, _>>()?;
        Ok(Self {
            settings,
            started,
            levels,
            signals,
            admin,
            health,
            probes,
            link,
            xds,
            keeper,
            identity,
            shared,
            workers,
        })
    }

    /// Serves until a signal comes, then ends in order.
    pub async fn serve(mut self) -> Result<(), StartError> {
        let asks = Asks::default();
        let mut control =
            Control::new(Arc::clone(&self.shared), self.workers, self.xds.resources(), self.identity.watch());
        let waiting = control.waiting();
        let pages = Pages {
            node: self.settings.sidecar.workload.as_str().into(),
            started: self.started,
            shared: Arc::clone(&self.shared),
            xds: self.xds.clone(),
            updated: Arc::default(),
            identity: Arc::clone(&self.identity),
            waits: Arc::new(move || waiting.borrow().iter().map(ToString::to_string).collect()),
            asks: asks.clone(),
            metrics: metrics(&self.shared, &self.xds, &self.identity),
            levels: self.levels,
        };
        let (stop, stopped) = watch::channel(());
        let (workload, xds) = (&self.settings.sidecar.workload, &self.settings.sidecar.xds);
        let health = self.health.as_ref().map(TcpListener::local_addr).transpose()?.map(display);
        let probes = self.probes.as_ref().map(TcpListener::local_addr).transpose()?.map(display);
        info!(%workload, %xds, admin = %self.admin.local_addr()?, health, probes, "starting");
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&pages.updated).follow(self.xds.resources()));
        let served = iter::once((self.admin, admin::routes(&pages)))
            .chain(self.health.map(|listener| (listener, admin::health(&pages))));
        for (listener, routes) in served {
            let mut stopped = stopped.clone();
            tasks.spawn(server::serve(
                listener,
                routes,
                Limits::default(),
                async move { stopped.changed().await.ok() },
            ));
        }
        if let Some(listener) = self.probes {
            let (metrics, mut stopped) = (pages.metrics.clone(), stopped.clone());
            let port =
                Port::new(self.settings.sidecar.served.clone(), Arc::new(move || Box::pin(ready(metrics.encode()))));
            tasks.spawn(port.serve(listener, async move { stopped.changed().await.ok() }));
        }
        tasks.spawn(async { match self.link.run().await {} });
        tasks.spawn(self.keeper.run());
        tasks.spawn(Arc::clone(&self.shared.telemetry).keep());
        tasks.spawn(heap::keep());
        let reports = Reports::new(self.settings.sidecar.source(), Arc::clone(&self.shared));
        tasks.spawn(async { match reports.run().await {} });

        control.follow();
        let reason = loop {
            tokio::select! {
                signal = self.signals.next() => break signal,
                () = asks.quit.notified() => break "/quitquitquit",
                () = asks.drain.notified() => control.advance(Stage::Draining),
                () = control.step() => {}
            }
        };
        info!(reason, connections = self.shared.open_connections(), "draining");
        match finish(&mut control, self.settings.drain_time, &mut self.signals).await {
            Ok(()) => {}
            Err(hurry) => warn!(%hurry, connections = self.shared.open_connections(), "ending at once"),
        }
        end(control.end()).await;
        info!("ended");
        drop(stop);
        tasks.shutdown().await;
        Ok(())
    }
}

fn metrics(shared: &Arc<Shared>, xds: &Handle, identity: &Arc<Current>) -> Metrics {
    let metrics = Metrics::new();
    metrics.collect(Arc::clone(&shared.telemetry));
    let (shared, xds, identity) = (Arc::clone(shared), xds.clone(), Arc::clone(identity));
    metrics.collect(Figures { shared, xds, identity });
    metrics
}

fn telemetry(settings: &Settings, identity: &Arc<Current>) -> io::Result<Telemetry> {
    let form = match settings.access_log {
        AccessLog::Text => Some(Form::Text),
        AccessLog::Json => Some(Form::Json),
        AccessLog::Off => None,
    };
    let workload = &settings.sidecar.workload;
    Telemetry::new(workload.namespace(), workload.pod(), Arc::clone(identity), form)
}

fn xds_settings(sidecar: &Sidecar) -> byrnie_xds::Settings {
    byrnie_xds::Settings {
        node: sidecar.workload.to_string(),
        address: sidecar.xds.to_string(),
        roots: sidecar.roots_file.clone(),
        token: Some(sidecar.token_file.clone()),
        state: sidecar.state.clone(),
        listeners: Listeners::All,
    }
}

/// Has the workers finish what runs. An error says why that was not waited for.
async fn finish(control: &mut Control, limit: Duration, signals: &mut Signals) -> Result<(), &'static str> {
    control.advance(Stage::Finishing);
    let (late, mut looks) = (Instant::now() + limit, interval(LOOK));
    while !control.has_ended() {
        tokio::select! {
            _ = looks.tick() => {}
            () = control.step() => {}
            () = sleep_until(late) => return Err("drain time is over"),
            signal = signals.next() => return Err(signal),
        }
    }
    Ok(())
}

/// Waits for the threads, which have been told.
async fn end(workers: Vec<Worker>) {
    let joined = tokio::task::spawn_blocking(move || workers.into_iter().for_each(Worker::join));
    if timeout(ENDING_LIMIT, joined).await.is_err() {
        warn!("a worker did not end");
    }
}
