//! A real Envoy beside a Pod, started as the README says.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    http,
    mesh::Mesh,
    objects::{Pod, free_address},
    process::{Process, byrnie},
    tools,
    wait::until,
};

/// An Envoy with the bootstrap that `byrnie bootstrap envoy` printed.
#[derive(Debug)]
pub struct Sidecar {
    process: Process,
    admin: SocketAddr,
    log: std::path::PathBuf,
}

/// A variant of the discovery protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Only differences, as by default.
    Delta,
    /// State of the world.
    Sotw,
}

impl Mesh {
    /// Writes the Pod and starts its Envoy; ready when this returns.
    pub async fn sidecar(&self, pod: &Pod) -> Result<Sidecar> {
        self.write(&pod.file(), &pod.yaml())?;
        Sidecar::start(self, &pod.workload()).await
    }
}

impl Sidecar {
    /// Starts it and waits until it is ready.
    pub async fn start(mesh: &Mesh, workload: &str) -> Result<Self> {
        Self::speaking(Variant::Delta, mesh, workload).await
    }

    /// Starts it with this variant of the protocol and waits until it is ready.
    pub async fn speaking(variant: Variant, mesh: &Mesh, workload: &str) -> Result<Self> {
        let mut sidecar = Self::launch(variant, mesh, workload)?;
        sidecar.until_ready().await?;
        Ok(sidecar)
    }

    /// Starts it without waiting.
    pub fn launch(variant: Variant, mesh: &Mesh, workload: &str) -> Result<Self> {
        let admin = free_address(15000);
        let mut bootstrap = Command::new(byrnie()?);
        bootstrap.args(["bootstrap", "envoy", "--workload", workload, "--xds-address", &mesh.xds().to_string()]);
        bootstrap.args(["--envoy-admin-address", &admin.to_string()]).arg("--state").arg(mesh.state());
        bootstrap.args(["--protocol", if variant == Variant::Delta { "delta" } else { "sotw" }]);
        let output = bootstrap.output()?;
        ensure!(output.status.success(), "byrnie bootstrap: {}", String::from_utf8_lossy(&output.stderr));
        let stem = workload.replace('/', "-");
        let file = mesh.folder().join(format!("{stem}.bootstrap.yaml"));
        fs::write(&file, output.stdout)?;
        let log = mesh.folder().join(format!("{stem}.envoy.log"));
        let mut command = Command::new(tools::path("envoy")?);
        command.arg("-c").arg(&file).args(["--use-dynamic-base-id", "--disable-hot-restart", "--concurrency", "1"]);
        command
            .args(["-l", "info", "--log-path"])
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self { process: Process::start("envoy", &mut command)?, admin, log })
    }

    /// Waits until `/ready` says so.
    pub async fn until_ready(&mut self) -> Result<()> {
        let ready = until("envoy is ready", async || {
            self.process.check()?;
            Ok(http::get(self.admin, "localhost", "/ready").await?.status == 200)
        });
        ready.await.with_context(|| format!("envoy log:\n{}", self.log()))
    }

    /// Its admin address.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its log.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A part of its configuration as it is in force: what `/config_dump?resource=` calls it.
    pub async fn config(&self, resource: &str) -> Result<Vec<Value>> {
        let dump = http::get(self.admin, "localhost", &format!("/config_dump?resource={resource}")).await?;
        let mut dump: Value = serde_json::from_str(&dump.body).with_context(|| dump.body.clone())?;
        Ok(dump["configs"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// The names and versions of the resources it holds of a kind.
    pub async fn versions(&self, resource: &str) -> Result<Vec<(String, String)>> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |entry: &Value| {
            // Listeners stand a floor deeper than clusters and routes.
            let held = entry.get("active_state").unwrap_or(entry);
            let named = ["cluster", "route_config", "listener"].iter().find_map(|field| held.get(field));
            (text(&named.unwrap_or(entry)["name"]), text(&held["version_info"]))
        };
        let mut versions: Vec<_> = self.config(resource).await?.iter().map(one).collect();
        versions.sort();
        Ok(versions)
    }

    /// The sum of all counters and gauges whose name contains every part; in names of clusters Envoy writes `_` for `:`.
    pub async fn counter(&self, parts: &[&str]) -> Result<u64> {
        let stats = http::get(self.admin, "localhost", "/stats").await?.body;
        let lines = stats.lines().filter_map(|line| line.rsplit_once(": "));
        let wanted = lines.filter(|(name, _)| parts.iter().all(|part| name.contains(part)));
        Ok(wanted.filter_map(|(_, value)| value.parse::<u64>().ok()).sum())
    }
}
