//! An Envoy with its agent, as they are injected.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    http,
    mesh::Mesh,
    objects::free_address,
    process::{Process, program},
    sidecar::{Sidecar, health_port, join_token},
    wait::until,
};

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    process: Option<Process>,
    xds: SocketAddr,
    admin: SocketAddr,
    workload: String,
    folder: PathBuf,
}

impl Agent {
    /// Starts one with a join token, and waits until an Envoy may be started.
    pub async fn start(mesh: &Mesh, workload: &str) -> Result<Self> {
        let folder = mesh.folder().join(workload.replace('/', "-"));
        fs::create_dir(&folder)?;
        fs::write(folder.join("token"), join_token(mesh, workload)?)?;
        let (xds, admin) = (mesh.xds(), free_address(15000));
        let mut agent = Self { process: None, xds, admin, workload: workload.to_owned(), folder };
        agent.restart().await?;
        Ok(agent)
    }

    /// Ends it as a crash would, and starts it anew with what it has kept.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = None;
        let place = |name: &str| self.folder.join(name);
        let mut command = Command::new(program("byrnie-proxy")?);
        command.args(["agent", "--workload", &self.workload, "--xds-address", &self.xds.to_string()]);
        command.arg("--token-file").arg(place("token")).arg("--state").arg(place("state"));
        command.arg("--socket").arg(place("xds.sock")).arg("--bootstrap").arg(place("envoy.json"));
        command.args(["--envoy-admin-address", &self.admin.to_string(), "--health-port", "0"]);
        command.args(["--probe-port", "0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(place("agent.log"))?);
        self.process = Some(Process::start("byrnie-proxy agent", &mut command)?);
        let ready = until("an Envoy may be started", async || Ok(self.health("/healthz/agent").await?.0 == 200));
        ready.await.with_context(|| self.log())
    }

    /// Starts the Envoy that it is for, and waits until a kubelet would find both ready.
    pub async fn envoy(&self) -> Result<Sidecar> {
        let envoy = self.launch_envoy()?;
        let ready = until("both are ready", async || Ok(self.health("/healthz/ready").await?.0 == 200));
        ready.await.with_context(|| format!("{}\n{}", self.log(), envoy.log()))?;
        Ok(envoy)
    }

    /// Starts the Envoy that it is for without waiting.
    pub fn launch_envoy(&self) -> Result<Sidecar> {
        Sidecar::launch_envoy_by(&self.folder.join("envoy.json"), self.admin, self.folder.join("envoy.log"))
    }

    /// What a kubelet is told: status and text.
    pub async fn health(&self, path: &str) -> Result<(u16, String)> {
        let answer = http::get(health_port(&self.log())?, "localhost", path).await?;
        Ok((answer.status, answer.body))
    }

    /// Its log since it was started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("agent.log")).unwrap_or_default()
    }

    /// The folder of its files: `xds.sock`, `envoy.json`, `state`.
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }
}
