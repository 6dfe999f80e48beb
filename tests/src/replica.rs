//! One replica of an installed control plane as a real process, as the user of a kubeconfig.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    http,
    objects::free_address,
    process::{Process, program},
    wait::until,
};

/// `byrnie-control-plane`, which keeps nothing on this machine.
#[derive(Debug)]
pub struct Replica {
    folder: TempDir,
    kubeconfig: PathBuf,
    namespace: String,
    name: String,
    xds: SocketAddr,
    admin: SocketAddr,
    probes: SocketAddr,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Replica {
    /// Starts one, and does not wait for it.
    pub fn start(kubeconfig: PathBuf, namespace: &str, name: &str, arguments: &[&str]) -> Result<Self> {
        let mut replica = Self {
            folder: tempfile::tempdir()?,
            kubeconfig,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            xds: free_address(15012),
            admin: free_address(15015),
            probes: free_address(15014),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            process: None,
        };
        replica.restart()?;
        Ok(replica)
    }

    /// Ends it, as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends it as a kubelet does, and waits until it has ended.
    pub async fn terminate(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.terminate()?;
            process.ended().await?;
        }
        Ok(())
    }

    /// Starts it (again) on the same ports, and does not wait for it.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut command = Command::new(program("byrnie-control-plane")?);
        command.args(["--namespace", &self.namespace, "--pod", &self.name, "--log-format", "text"]);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.args(["--xds-address", &self.xds.to_string(), "--admin-address", &self.admin.to_string()]);
        command.args(["--probe-address", &self.probes.to_string()]).args(&self.arguments);
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(Process::start(&self.name, &mut command)?);
        Ok(())
    }

    /// Waits until it is ready.
    pub async fn ready(&self) -> Result<()> {
        self.until("it is ready", async |replica| {
            Ok(http::get(replica.probes, "localhost", "/healthz/ready").await?.status == 200)
        })
        .await
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where xDS is served.
    pub fn xds(&self) -> SocketAddr {
        self.xds
    }

    /// Where the debug pages are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Where health and metrics are.
    pub fn probes(&self) -> SocketAddr {
        self.probes
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the test did not kill it")
    }

    /// What it has logged so far, over all its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A JSON document of the admin port.
    pub async fn debug(&self, path: &str) -> Result<Value> {
        let answer = http::get(self.admin, "localhost", path).await?;
        serde_json::from_str(&answer.body).with_context(|| format!("{path}: {} {}", answer.status, answer.body))
    }

    /// The value of a counter or gauge without labels.
    pub async fn metric(&self, name: &str) -> Result<u64> {
        let answer = http::get(self.probes, "localhost", "/metrics").await?;
        let value = answer.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no metric {name}:\n{}", answer.body))?.trim().parse()?)
    }

    /// Waits until a condition holds; the log is told where it never does.
    pub async fn until(&self, what: &str, mut look: impl AsyncFnMut(&Self) -> Result<bool>) -> Result<()> {
        let held = until(&format!("{}: {what}", self.name), async || look(self).await).await;
        held.with_context(|| format!("log of {}:\n{}", self.name, self.log()))
    }
}
