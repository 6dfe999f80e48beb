//! A real Kubernetes API: etcd and kube-apiserver as processes on loopback, with RBAC on, and the controller manager
//! where a test needs it. `scripts/kubernetes` provides the programs.
//!
//! Tests that only use it share one, each in namespaces of its own ([`ApiServer::shared`]); a test that kills it starts
//! its own. There are no nodes: nothing runs Pods, and without the controller manager nothing writes EndpointSlices,
//! default ServiceAccounts, or ends a namespace that is deleted.

mod audit;
mod authority;
mod chart;
mod etcd;
mod https;
mod kubectl;
mod objects;
mod programs;
mod reader;
mod server;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tokio::{sync::OnceCell, time::Instant};

pub use self::{
    audit::Audited,
    authority::{Authority, Certificate},
    chart::{INJECTOR, printed},
    objects::ObjectPath,
};
use self::{
    https::Client,
    programs::Programs,
    server::{CONTROLLERS, SERVER},
};
use crate::{http::Answer, objects::free_address};

/// No part takes longer to start, however busy the machine is.
const START: Duration = Duration::from_secs(60);

/// A Kubernetes API server with an etcd of its own. All ends and goes when this is dropped, or when the test is killed.
#[derive(Debug)]
pub struct ApiServer {
    programs: Programs,
    etcd: SocketAddr,
    address: SocketAddr,
    authority: Authority,
    client: Client,
}

impl ApiServer {
    /// Starts etcd and the API server, and waits until it is ready: about 3 s on an idle machine.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("byrnie-kubernetes-").tempdir()?;
        let (etcd, address) = (free_address(2379), free_address(6443));
        let authority = Authority::new()?;
        server::write_files(folder.path(), &authority, address)?;
        let client = Client::new(address, &authority, &authority.client("admin", "system:masters")?)?;
        let programs = Programs::in_folder(folder)?;
        let mut started = Self { programs, etcd, address, authority, client };
        let command = etcd::command(started.folder(), etcd)?;
        started.programs.start(etcd::NAME, command)?;
        started.restart().await?;
        Ok(started)
    }

    /// Starts as [`Self::start`] does, and the controller manager too: there are default ServiceAccounts, EndpointSlices
    /// follow Services and the Pods of Nodes that exist, and what is deleted goes with what it owns.
    pub async fn with_controllers() -> Result<Self> {
        let mut started = Self::start().await?;
        started.programs.start(CONTROLLERS, server::controllers(started.folder())?)?;
        let path = "/api/v1/namespaces/default/serviceaccounts/default";
        started.wait("the controllers have made the first ServiceAccount", path).await?;
        Ok(started)
    }

    /// The one that the tests of this process share, until it ends. It has no controllers, and nobody kills it.
    pub async fn shared() -> Result<&'static Self> {
        // No static is ever dropped, but what watches over the processes ends them when this process has gone.
        static SHARED: OnceCell<ApiServer> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Where it serves HTTPS.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://` and its address.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// What signed its certificate, and signs clients: another user of any group, or the server of a webhook.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A folder that goes with it; the kubeconfigs, certificates and logs stand there.
    pub fn folder(&self) -> &Path {
        self.programs.folder()
    }

    /// The file by which one is the administrator, who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder().join("admin.kubeconfig")
    }

    /// `GET path` as the administrator.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.client.get(path).await
    }

    /// Ends the API server as a crash would. etcd stays, and keeps everything.
    pub fn kill(&mut self) -> Result<()> {
        self.programs.end(SERVER)
    }

    /// Starts the API server (again) on the same address and etcd, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.programs.start(SERVER, server::command(self.folder(), self.address, self.etcd)?)?;
        self.wait("the API server is ready", "/readyz").await
    }

    /// Stops the API server where it stands: connections stay, and nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.programs.signal(SERVER, Signal::STOP)
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&self) -> Result<()> {
        self.programs.signal(SERVER, Signal::CONT)
    }

    /// Makes etcd forget all history, and says up to which revision. A running API server still serves watches from its
    /// own cache; one that was away meanwhile answers a watch from an older revision with 410.
    pub async fn compact(&self) -> Result<u64> {
        etcd::compact(self.etcd).await
    }

    /// What the API server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.programs.log(SERVER)).unwrap_or_default()
    }

    /// Waits until `path` is there.
    async fn wait(&mut self, what: &str, path: &str) -> Result<()> {
        let limit = Instant::now() + START;
        loop {
            let last = match self.get(path).await {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => format!("{} {}", answer.status, answer.body),
                Err(error) => format!("{error:#}"),
            };
            self.programs.check()?;
            if Instant::now() > limit {
                bail!("not within {START:?}: {what}; {last}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The folder of the Gateway API's own CRDs of its standard channel, for [`ApiServer::apply_crds`].
pub fn gateway_crds() -> Result<PathBuf> {
    let folder = crate::tools::gateway_crds()?.join("config/crd/standard");
    fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    Ok(folder)
}
