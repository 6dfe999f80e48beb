//! A real data plane beside a Pod: an Envoy, started as the README says, or a micro-proxy.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    http,
    mesh::Mesh,
    objects::{Pod, free_address},
    process::{Process, Usage, byrnie, program},
    tools,
    wait::until,
};

/// A running data plane.
#[derive(Debug)]
pub struct Sidecar {
    proxy: Proxy,
    process: Process,
    admin: SocketAddr,
    log: PathBuf,
}

/// A kind of data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Envoy, with the bootstrap that `byrnie bootstrap envoy` printed.
    Envoy,
    /// `byrnie-proxy`, with a token of `byrnie token`.
    Micro,
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
    /// Starts an Envoy and waits until it is ready.
    pub async fn start(mesh: &Mesh, workload: &str) -> Result<Self> {
        Self::speaking(Variant::Delta, mesh, workload).await
    }

    /// Starts an Envoy with this variant of the protocol and waits until it is ready.
    pub async fn speaking(variant: Variant, mesh: &Mesh, workload: &str) -> Result<Self> {
        let mut sidecar = Self::launch(variant, mesh, workload)?;
        sidecar.until_ready().await?;
        Ok(sidecar)
    }

    /// Starts a data plane of a kind and waits until it is ready.
    pub async fn of(proxy: Proxy, mesh: &Mesh, workload: &str) -> Result<Self> {
        let mut sidecar = match proxy {
            Proxy::Envoy => Self::launch(Variant::Delta, mesh, workload)?,
            Proxy::Micro => Self::launch_micro(mesh, workload)?,
        };
        sidecar.until_ready().await?;
        Ok(sidecar)
    }

    /// Starts an Envoy without waiting.
    pub fn launch(variant: Variant, mesh: &Mesh, workload: &str) -> Result<Self> {
        let admin = free_address(15000);
        let mut bootstrap = Command::new(byrnie()?);
        bootstrap.args(["bootstrap", "envoy", "--workload", workload, "--xds-address", &mesh.xds().to_string()]);
        bootstrap.args(["--envoy-admin-address", &admin.to_string()]).arg("--state").arg(mesh.state());
        bootstrap.args(["--protocol", if variant == Variant::Delta { "delta" } else { "sotw" }]);
        Self::launch_envoy(&mut bootstrap, admin, mesh.folder(), workload)
    }

    /// Starts an Envoy without waiting that reads its token and the roots, by which the control plane is proven, from
    /// these files. Its own stand in `folder`.
    pub fn launch_envoy_at(xds: SocketAddr, [token, roots]: [&Path; 2], folder: &Path, workload: &str) -> Result<Self> {
        let admin = free_address(15000);
        let mut bootstrap = Command::new(byrnie()?);
        bootstrap.args(["bootstrap", "envoy", "--workload", workload, "--xds-address", &xds.to_string()]);
        bootstrap.args(["--envoy-admin-address", &admin.to_string()]);
        bootstrap.arg("--token-file").arg(token).arg("--roots-file").arg(roots);
        Self::launch_envoy(&mut bootstrap, admin, folder, workload)
    }

    /// Starts an Envoy with what `bootstrap` prints.
    fn launch_envoy(bootstrap: &mut Command, admin: SocketAddr, folder: &Path, workload: &str) -> Result<Self> {
        let output = succeeded(bootstrap)?;
        let stem = workload.replace('/', "-");
        let file = folder.join(format!("{stem}.bootstrap.yaml"));
        fs::write(&file, output.stdout)?;
        let log = folder.join(format!("{stem}.envoy.log"));
        let mut command = Command::new(tools::path("envoy")?);
        command.arg("-c").arg(&file).args(["--use-dynamic-base-id", "--disable-hot-restart", "--concurrency", "1"]);
        command
            .args(["-l", "info", "--log-path"])
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self::of_envoy(Process::start("envoy", &mut command)?, admin, log))
    }

    /// An Envoy that was started elsewhere.
    pub(crate) fn of_envoy(process: Process, admin: SocketAddr, log: PathBuf) -> Self {
        Self { proxy: Proxy::Envoy, process, admin, log }
    }

    /// Starts a micro-proxy without waiting, with a join token.
    pub fn launch_micro(mesh: &Mesh, workload: &str) -> Result<Self> {
        Self::launch_micro_with(mesh, workload, &join_token(mesh, workload)?)
    }

    /// Starts a micro-proxy without waiting, with this token.
    pub fn launch_micro_with(mesh: &Mesh, workload: &str, token: &str) -> Result<Self> {
        Self::launch_micro_at(mesh.xds(), None, mesh.folder(), workload, token)
    }

    /// Starts a micro-proxy without waiting, with this token, that speaks TLS to the control plane where there are roots
    /// (PEM) to prove it by. Its files stand in `folder`.
    pub fn launch_micro_at(
        xds: SocketAddr,
        roots: Option<&str>,
        folder: &Path,
        workload: &str,
        token: &str,
    ) -> Result<Self> {
        let admin = free_address(15000);
        let stem = workload.replace('/', "-");
        let file = folder.join(format!("{stem}.token"));
        fs::write(&file, token)?;
        let log = folder.join(format!("{stem}.proxy.log"));
        let mut command = Command::new(program("byrnie-proxy")?);
        command.args(["--workload", workload, "--xds-address", &xds.to_string()]);
        command
            .args(["--admin-address", &admin.to_string(), "--access-log", "json", "--health-port", "0"])
            .arg("--token-file")
            .arg(&file);
        if let Some(roots) = roots {
            let file = folder.join(format!("{stem}.roots.pem"));
            fs::write(&file, roots)?;
            command.arg("--xds-tls").arg("--roots-file").arg(&file);
        }
        let told = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(told.try_clone()?).stderr(told);
        Ok(Self { proxy: Proxy::Micro, process: Process::start("byrnie-proxy", &mut command)?, admin, log })
    }

    /// Waits until `/ready` says so.
    pub async fn until_ready(&mut self) -> Result<()> {
        let ready = until("the sidecar is ready", async || {
            self.process.check()?;
            Ok(http::get(self.admin, "localhost", "/ready").await?.status == 200)
        });
        ready.await.with_context(|| format!("{:?} log:\n{}", self.proxy, self.log()))
    }

    /// Which kind it is.
    pub fn proxy(&self) -> Proxy {
        self.proxy
    }

    /// An error where it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.process.check().with_context(|| format!("{:?} log:\n{}", self.proxy, self.log()))
    }

    /// SIGTERM, and how it ended; it has as long as `until` waits.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.terminate()?;
        self.process.ended().await
    }

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage> {
        self.process.usage()
    }

    /// Its admin address.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Where a kubelet would ask a micro-proxy for its health: a port of all addresses.
    pub fn health(&self) -> Result<SocketAddr> {
        health_port(&self.log())
    }

    /// Its log.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A part of its configuration as it is in force: what `/config_dump?resource=` of Envoy calls it.
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

    /// The sum of all counters and gauges of an Envoy whose name contains every part; in names of clusters it writes
    /// `_` for `:`. An error for a micro-proxy, whose numbers have other names: 0 would look like an answer.
    pub async fn counter(&self, parts: &[&str]) -> Result<u64> {
        self.is_envoy("its counters")?;
        let stats = http::get(self.admin, "localhost", "/stats").await?.body;
        let lines = stats.lines().filter_map(|line| line.rsplit_once(": "));
        let wanted = lines.filter(|(name, _)| parts.iter().all(|part| name.contains(part)));
        Ok(wanted.filter_map(|(_, value)| value.parse::<u64>().ok()).sum())
    }

    fn is_envoy(&self, asked: &str) -> Result<()> {
        ensure!(self.proxy == Proxy::Envoy, "{asked} are Envoy's own pages, and this is a {:?}", self.proxy);
        Ok(())
    }
}

/// The port for a kubelet, as a log tells it.
pub(crate) fn health_port(log: &str) -> Result<SocketAddr> {
    let told = log.split_whitespace().find_map(|word| word.strip_prefix("health="));
    let address: SocketAddr = told.with_context(|| format!("no health port in {log}"))?.parse()?;
    Ok((Ipv4Addr::LOCALHOST, address.port()).into())
}

/// A join token, as `byrnie token` prints it.
pub fn join_token(mesh: &Mesh, workload: &str) -> Result<String> {
    let mut token = Command::new(byrnie()?);
    token.args(["token", "--workload", workload]).arg("--state").arg(mesh.state());
    Ok(String::from_utf8(succeeded(&mut token)?.stdout)?)
}

fn succeeded(command: &mut Command) -> Result<Output> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}
