//! The sidecar beside each Pod: what it is started with, its start, and what it says of itself while it runs.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use http::StatusCode;

use super::{
    endpoints::{self, Endpoints},
    http_client::HttpClient,
    kind::Kind,
    mesh::{NAMESPACE, Net, Pod},
    process::Child,
};

const COMMAND_LIMIT: Duration = Duration::from_secs(20);

/// What all sidecars are started with.
pub struct Origin<'a> {
    /// The Envoy program; none where no Pod has an Envoy.
    pub envoy: Option<&'a Path>,
    /// Where the control plane keeps its keys.
    pub state: &'a Path,
    /// Where bootstraps, tokens and logs go.
    pub directory: &'a Path,
    /// The addresses.
    pub net: &'a Net,
}

/// One running sidecar.
#[derive(Clone)]
pub struct Sidecar {
    /// The name of its Pod.
    pub pod: &'static str,
    /// What it is.
    pub kind: Kind,
    admin: SocketAddr,
    client: HttpClient,
}

impl Origin<'_> {
    /// Starts the sidecar of a Pod.
    pub async fn start(&self, pod: Pod, kind: Kind, client: &HttpClient) -> anyhow::Result<(Child, Sidecar)> {
        let admin = self.net.admin(pod);
        let (program, arguments) = match kind {
            Kind::Micro => self.micro(pod.name, admin).await?,
            Kind::Envoy => self.envoy(pod.name, admin).await?,
        };
        let log = self.directory.join(format!("{}.sidecar.log", pod.name));
        let child = Child::start(&format!("sidecar of {}", pod.name), &program, &arguments, log)?;
        Ok((child, Sidecar { pod: pod.name, kind, admin, client: client.clone() }))
    }

    /// This program once more, with the options of `byrnie-proxy`.
    async fn micro(&self, pod: &str, admin: SocketAddr) -> anyhow::Result<(PathBuf, Vec<OsString>)> {
        let workload = format!("{NAMESPACE}/{pod}");
        let mut mint = own_command()?;
        mint.args(["token", "--workload", &workload]);
        let token = self.printed(mint, &format!("{pod}.token")).await?;
        let mut arguments: Vec<OsString> = ["demo-app", "proxy", "--workload", &workload].map(Into::into).into();
        arguments.extend(["--xds-address".into(), self.net.xds().to_string().into()]);
        arguments.extend(["--admin-address".into(), admin.to_string().into()]);
        arguments.extend(["--token-file".into(), token.into(), "--log".into(), "warn".into()]);
        Ok((std::env::current_exe()?, arguments))
    }

    async fn envoy(&self, pod: &str, admin: SocketAddr) -> anyhow::Result<(PathBuf, Vec<OsString>)> {
        let program = self.envoy.with_context(|| format!("there is no Envoy for {pod}"))?;
        let mut bootstrap = own_command()?;
        bootstrap
            .args(["bootstrap", "envoy", "--workload", &format!("{NAMESPACE}/{pod}")])
            .args(["--xds-address", &self.net.xds().to_string()])
            .args(["--envoy-admin-address", &admin.to_string()]);
        let file = self.printed(bootstrap, &format!("{pod}.bootstrap.json")).await?;
        let mut arguments: Vec<OsString> = ["-c".into(), file.into()].into();
        arguments.extend(["--use-dynamic-base-id", "--disable-hot-restart", "--concurrency", "1"].map(Into::into));
        arguments.extend(["-l", "warn"].map(Into::into));
        Ok((program.to_owned(), arguments))
    }

    /// Runs a verb of this program that needs the keys, and keeps what it prints.
    async fn printed(&self, mut command: tokio::process::Command, file: &str) -> anyhow::Result<PathBuf> {
        command.arg("--state").arg(self.state).stdin(std::process::Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(COMMAND_LIMIT, command.output()).await;
        let output = output.with_context(|| format!("no {file} within {COMMAND_LIMIT:?}"))??;
        if !output.status.success() {
            bail!("there is no {file}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let file = self.directory.join(file);
        std::fs::write(&file, output.stdout).with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(file)
    }
}

impl Sidecar {
    /// Whether it has its configuration and listens: `/ready`.
    pub async fn is_ready(&self) -> bool {
        matches!(self.client.get(self.admin, "/ready", &[]).await, Ok((StatusCode::OK, _)))
    }

    /// What it says of its endpoints.
    pub async fn endpoints(&self) -> anyhow::Result<Endpoints> {
        match self.client.get(self.admin, endpoints::PATH, &[]).await? {
            (StatusCode::OK, page) => {
                Endpoints::read(&page).with_context(|| format!("the endpoints of {} cannot be read", self.pod))
            }
            (status, _) => bail!("the sidecar of {} answers {status} to {}", self.pod, endpoints::PATH),
        }
    }
}

fn own_command() -> anyhow::Result<tokio::process::Command> {
    let own = std::env::current_exe().context("the path of the running program is unknown")?;
    Ok(tokio::process::Command::new(own))
}
