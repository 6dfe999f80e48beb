//! The control half: one thread that learns what is to be done, decides who may be called, and ends the process.
//!
//! [`Proxy::build`] binds and reads all that a bad start can fail on. Then one loop waits for whatever comes: resources
//! and certificates are [assembled](assemble) to a configuration that the workers take over; checks and sweeps judge
//! endpoints; [`readiness`] is told on the admin port; a signal begins the end.

pub mod admin;
pub mod assemble;
pub mod checks;
mod follow;
pub mod readiness;
#[cfg(test)]
mod resources;
pub mod sweeps;

use std::{io, sync::Arc, time::Duration};

use byrnie_runtime::{
    admin::{self as server, Limits, Routes},
    listen::{self, BindError},
    shutdown::Signals,
};
use byrnie_xds::{Handle, Link, Listeners};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use self::{admin::Asks, follow::Control};
use crate::{
    config::Config,
    identity::{Current, Keeper, Source, Stored},
    settings::{AccessLog, Settings},
    shared::Shared,
    telemetry::{Form, Telemetry},
    tls::Contexts,
    worker::Worker,
};

/// Connections are looked at so often while draining, and have to be gone so many times in a row: whoever calls comes
/// back at once when it was told to.
const LOOK: Duration = Duration::from_millis(50);
const CALM_LOOKS: u32 = 5;
/// For workers to end once nothing is waited for any more.
const ENDING_LIMIT: Duration = Duration::from_secs(2);

/// A proxy that is ready to serve: the admin port is bound, workers wait for a configuration.
pub struct Proxy {
    settings: Settings,
    signals: Signals,
    admin: TcpListener,
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
    pub async fn build(settings: Settings) -> Result<Self, StartError> {
        let signals = Signals::register()?;
        let admin = listen::bind("admin", "--admin-address", settings.admin).await?;
        let (link, xds) = Link::new(xds_settings(&settings))?;
        let identity = Arc::new(Current::new());
        let keeper = Keeper::new(source(&settings), settings.state.as_deref().map(Stored::new), Arc::clone(&identity));
        let wanting = xds.clone();
        let want = Box::new(move |name: &str| wanting.want(name));
        let contexts = Arc::new(Contexts::new(Arc::clone(&identity)));
        let telemetry = Arc::new(telemetry(&settings, &identity)?);
        let shared = Arc::new(Shared::new(Config::default(), contexts, want, telemetry));
        let start = |index| Worker::start(index, Arc::clone(&shared));
        let workers = (0..usize::from(settings.workers)).map(start).collect::<Result<_, _>>()?;
        Ok(Self { settings, signals, admin, link, xds, keeper, identity, shared, workers })
    }

    /// Serves until a signal comes, then ends in order.
    pub async fn serve(mut self) -> Result<(), StartError> {
        let asks = Asks::default();
        let mut control =
            Control::new(Arc::clone(&self.shared), self.workers, self.xds.resources(), self.identity.watch());
        let mut routes = Routes::default();
        admin::add_pages(&mut routes, &self.shared, control.waiting(), &asks);
        let (stop_admin, admin_stopped) = oneshot::channel::<()>();
        info!(workload = %self.settings.workload, xds = %self.settings.xds, admin = %self.admin.local_addr()?, "starting");
        let mut tasks = JoinSet::new();
        tasks.spawn(server::serve(self.admin, routes, Limits::default(), admin_stopped));
        tasks.spawn(async { match self.link.run().await {} });
        tasks.spawn(self.keeper.run());
        tasks.spawn(Arc::clone(&self.shared.telemetry).keep());

        control.follow();
        let reason = loop {
            tokio::select! {
                signal = self.signals.next() => break signal,
                () = asks.quit.notified() => break "/quitquitquit",
                () = asks.drain.notified() => control.drain(),
                () = control.step() => {}
            }
        };
        info!(reason, connections = self.shared.open_connections(), "draining");
        control.drain();
        let drained = async {
            tokio::select! {
                () = calm(&self.shared) => {}
                () = sleep(self.settings.drain_time) => warn!(left = self.shared.open_connections(), "drain time is over"),
                signal = self.signals.next() => info!(signal, left = self.shared.open_connections(), "ending at once"),
            }
        };
        tokio::pin!(drained);
        loop {
            tokio::select! {
                () = &mut drained => break,
                () = control.step() => {}
            }
        }
        end(control.end()).await;
        drop(stop_admin);
        tasks.shutdown().await;
        Ok(())
    }
}

fn telemetry(settings: &Settings, identity: &Arc<Current>) -> io::Result<Telemetry> {
    let form = match settings.access_log {
        AccessLog::Text => Some(Form::Text),
        AccessLog::Json => Some(Form::Json),
        AccessLog::Off => None,
    };
    let workload = &settings.workload;
    Telemetry::new(workload.namespace(), workload.pod(), Arc::clone(identity), form)
}

fn source(settings: &Settings) -> Source {
    Source {
        workload: settings.workload.to_string(),
        address: settings.xds.to_string(),
        roots_file: settings.roots_file.clone(),
        token_file: settings.token_file.clone(),
    }
}

fn xds_settings(settings: &Settings) -> byrnie_xds::Settings {
    byrnie_xds::Settings {
        node: settings.workload.to_string(),
        address: settings.xds.to_string(),
        roots: settings.roots_file.clone(),
        token: Some(settings.token_file.clone()),
        state: settings.state.clone(),
        listeners: Listeners::All,
    }
}

/// Ready once no connection is left.
async fn calm(shared: &Shared) {
    let mut calm = 0;
    while calm < CALM_LOOKS {
        sleep(LOOK).await;
        calm = if shared.open_connections() == 0 { calm + 1 } else { 0 };
    }
}

/// Waits for the threads, which have been told.
async fn end(workers: Vec<Worker>) {
    let joined = tokio::task::spawn_blocking(move || workers.into_iter().for_each(Worker::join));
    if timeout(ENDING_LIMIT, joined).await.is_err() {
        warn!("a worker did not end");
    }
}
