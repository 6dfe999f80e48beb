//! The Envoy beside each Pod: its bootstrap, its start, and what it says of itself while it runs.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use http::StatusCode;

use super::{
    http_client::HttpClient,
    mesh::{NAMESPACE, Net, Pod},
    process::Child,
    stats::{CLUSTERS_PATH, STATS_PATH, Stats},
};

const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(20);

/// What all sidecars are started with.
pub struct Origin<'a> {
    /// The Envoy program.
    pub envoy: &'a Path,
    /// Where the control plane keeps its keys.
    pub state: &'a Path,
    /// Where bootstraps and logs go.
    pub directory: &'a Path,
    /// The addresses.
    pub net: &'a Net,
}

/// One running sidecar.
#[derive(Clone)]
pub struct Sidecar {
    /// The name of its Pod.
    pub pod: &'static str,
    admin: SocketAddr,
    client: HttpClient,
}

impl Origin<'_> {
    /// Starts the sidecar of a Pod.
    pub async fn start(&self, pod: Pod, client: &HttpClient) -> anyhow::Result<(Child, Sidecar)> {
        let admin = self.net.admin(pod);
        let bootstrap = self.bootstrap(pod.name, admin).await?;
        let log = self.directory.join(format!("{}.sidecar.log", pod.name));
        let arguments: Vec<OsString> = [
            "-c".into(),
            bootstrap.into(),
            "--use-dynamic-base-id".into(),
            "--disable-hot-restart".into(),
            "--concurrency".into(),
            "1".into(),
            "-l".into(),
            "warn".into(),
        ]
        .into();
        let child = Child::start(&format!("sidecar of {}", pod.name), self.envoy, &arguments, log)?;
        Ok((child, Sidecar { pod: pod.name, admin, client: client.clone() }))
    }

    async fn bootstrap(&self, pod: &str, admin: SocketAddr) -> anyhow::Result<PathBuf> {
        let mut command = tokio::process::Command::new(std::env::current_exe()?);
        command
            .args(["bootstrap", "envoy", "--workload", &format!("{NAMESPACE}/{pod}")])
            .args(["--xds-address", &self.net.xds().to_string()])
            .args(["--envoy-admin-address", &admin.to_string()])
            .arg("--state")
            .arg(self.state)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(BOOTSTRAP_LIMIT, command.output());
        let output = output.await.context("`byrnie bootstrap` did not end")??;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`byrnie bootstrap envoy --workload {NAMESPACE}/{pod}` failed: {}", said.trim());
        }
        let file = self.directory.join(format!("{pod}.bootstrap.json"));
        std::fs::write(&file, output.stdout).with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(file)
    }
}

impl Sidecar {
    /// Whether it has its configuration and listens: Envoy's `/ready`.
    pub async fn is_ready(&self) -> bool {
        matches!(self.client.get(self.admin, "/ready", None).await, Ok((StatusCode::OK, _)))
    }

    /// What it counts.
    pub async fn stats(&self) -> anyhow::Result<Stats> {
        let stats = self.page(STATS_PATH).await?;
        let clusters = self.page(CLUSTERS_PATH).await?;
        Stats::read(&stats, &clusters).with_context(|| format!("the statistics of {} cannot be read", self.pod))
    }

    async fn page(&self, path: &str) -> anyhow::Result<bytes::Bytes> {
        match self.client.get(self.admin, path, None).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => bail!("the sidecar of {} answers {status} to {path}", self.pod),
        }
    }
}
