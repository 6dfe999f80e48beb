//! The agent beside an Envoy: it is to the mesh what the micro-proxy is, and leaves the traffic to Envoy.
//!
//! It makes the key and has it signed, as the micro-proxy does, writes a bootstrap to start Envoy with, and serves Envoy's
//! streams at a Unix socket. What they say is passed on to the control plane and back as it is, but
//! for secrets: those the agent answers, and the control plane is not asked for any. A page of health tells a kubelet how
//! far both are, and the [port](crate::pod) of probes and metrics stands beside it.

mod codec;
mod files;
mod health;
mod message;
mod metrics;
mod relay;
mod secrets;
mod settings;
mod socket;
mod upstream;

use std::{future::pending, io, path::PathBuf, sync::Arc};

use byrnie_proto::bootstrap::{self, Bootstrap, Server};
use byrnie_runtime::{
    admin::{self, Limits},
    heap,
    listen::{self, BindError},
    shutdown::Signals,
};
use tokio::{
    net::{TcpListener, UnixListener},
    task::JoinSet,
};
use tracing::{field::display, info};

pub use self::settings::{Arguments, Settings};
use self::{health::Health, relay::Relay};
use crate::{
    identity::{Current, Keeper, Stored},
    pod::Port,
};

/// An agent that is ready to serve: the socket is bound, and the bootstrap is written where one is wanted.
pub struct Agent {
    settings: Settings,
    signals: Signals,
    socket: UnixListener,
    health: Option<TcpListener>,
    probes: Option<TcpListener>,
}

/// A start that failed; nothing was served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port that cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// No socket for Envoy.
    #[error(
        "--socket {}: {source}; a path of at most {} octets in a directory that this user may write to is accepted",
        path.display(), files::SOCKET_PATH_LIMIT
    )]
    Socket {
        /// Where it was to be.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// No bootstrap for Envoy.
    #[error("--bootstrap {}: {source}; a file in a directory that this user may write to is accepted", path.display())]
    Bootstrap {
        /// Where it was to be.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

impl Agent {
    /// Binds and writes everything; serves nothing yet.
    ///
    /// # Errors
    /// Where a port, the socket or the bootstrap cannot be had.
    pub async fn build(settings: Settings) -> Result<Self, StartError> {
        let signals = Signals::register()?;
        let health = listen::bind_given("health", "--health-port", settings.sidecar.health).await?;
        let probes = listen::bind_given("probes", "--probe-port", settings.sidecar.probes).await?;
        let socket = files::bind(&settings.socket)
            .map_err(|source| StartError::Socket { path: settings.socket.clone(), source })?;
        if let Some(path) = &settings.bootstrap {
            files::replace(path, &envoy_bootstrap(&settings))
                .map_err(|source| StartError::Bootstrap { path: path.clone(), source })?;
        }
        Ok(Self { settings, signals, socket, health, probes })
    }

    /// Serves until a signal comes. Envoy ends before its agent, and goes on by what it has when that is gone.
    ///
    /// # Errors
    /// Where the operating system does not tell what it gave.
    pub async fn serve(mut self) -> Result<(), StartError> {
        let sidecar = &self.settings.sidecar;
        let identity = Arc::new(Current::new());
        let keeper = Keeper::new(sidecar.source(), sidecar.state.as_deref().map(Stored::new), Arc::clone(&identity));
        let relay = Arc::new(Relay::new(sidecar.source(), Arc::clone(&identity)));
        let health = self.health.as_ref().map(TcpListener::local_addr).transpose()?.map(display);
        let (workload, xds, socket) = (&sidecar.workload, &sidecar.xds, self.settings.socket.display());
        let probes = self.probes.as_ref().map(TcpListener::local_addr).transpose()?.map(display);
        info!(%workload, %xds, %socket, health, probes, "starting");
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper.run());
        tasks.spawn(async move { match socket::serve(&self.socket, &relay).await {} });
        let envoy = self.settings.envoy_admin;
        if let Some(listener) = self.health {
            let pages = Health { identity, envoy }.routes();
            tasks.spawn(admin::serve(listener, pages, Limits::default(), pending::<()>()));
        }
        if let Some(listener) = self.probes {
            let port = Port::new(sidecar.served.clone(), Arc::new(move || Box::pin(metrics::metrics(envoy))));
            tasks.spawn(port.serve(listener, pending::<()>()));
        }
        tasks.spawn(heap::keep());
        let reason = self.signals.next().await;
        info!(reason, "ended");
        tasks.shutdown().await;
        Ok(())
    }
}

/// What Envoy is started with: nothing of it is secret.
fn envoy_bootstrap(settings: &Settings) -> String {
    let server = Server::Agent(settings.socket.display().to_string());
    let usual = Bootstrap::new(&settings.sidecar.workload, server);
    bootstrap::envoy(&Bootstrap { admin: settings.envoy_admin, ..usual })
}
