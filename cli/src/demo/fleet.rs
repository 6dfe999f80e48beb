//! Everything that runs: the control plane, the applications, the sidecars; started in order, and waited for.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use http::StatusCode;
use tokio::{task::JoinSet, time::Instant};

use super::{
    apps::COUNTS_PATH,
    counts::Counts,
    http_client::HttpClient,
    kind::Kind,
    mesh::{APPLICATIONS, CLIENT, Objects},
    process::{self, Child},
    sidecar::{Origin, Sidecar},
    standing::{self, Answers},
};

const READY_LIMIT: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(50);
const ADMIN_LIMIT: Duration = Duration::from_secs(1);

/// The running processes.
pub struct Fleet {
    children: Vec<Child>,
    sidecars: Vec<Sidecar>,
    client: HttpClient,
    directory: PathBuf,
}

impl Fleet {
    /// Nothing runs yet. Bootstraps, keys and logs go to `directory`.
    pub fn new(directory: &Path) -> Self {
        let client = HttpClient::new(ADMIN_LIMIT);
        Self { children: Vec::new(), sidecars: Vec::new(), client, directory: directory.to_owned() }
    }

    /// The log of the control plane.
    pub fn control_plane_log(&self) -> PathBuf {
        self.directory.join("control-plane.log")
    }

    /// The sidecars.
    pub fn sidecars(&self) -> &[Sidecar] {
        &self.sidecars
    }

    /// Starts the control plane, and returns when it serves.
    pub async fn start_control_plane(&mut self, objects: &Objects) -> anyhow::Result<()> {
        let admin = objects.net.control_plane_admin();
        let arguments: Vec<OsString> = [
            "run".into(),
            "--config".into(),
            objects.path.clone().into(),
            "--state".into(),
            self.state().into(),
            "--xds-address".into(),
            objects.net.xds().to_string().into(),
            "--admin-address".into(),
            admin.to_string().into(),
        ]
        .into();
        let own = std::env::current_exe().context("the path of the running program is unknown")?;
        self.children.push(Child::start("control plane", &own, &arguments, self.control_plane_log())?);
        let client = self.client.clone();
        self.wait("the control plane", move || {
            let client = client.clone();
            async move { matches!(client.get(admin, "/healthz/ready", &[]).await, Ok((StatusCode::OK, _))) }
        })
        .await
    }

    /// Starts the applications.
    pub fn start_applications(&mut self, objects: &Objects) -> anyhow::Result<()> {
        let own = std::env::current_exe().context("the path of the running program is unknown")?;
        for pod in APPLICATIONS {
            let mut arguments: Vec<OsString> =
                ["demo-app", "serve", "--pod", pod.name, "--listen"].map(Into::into).into();
            arguments.push(objects.net.application(pod).to_string().into());
            for (name, address) in objects.net.calls(pod) {
                arguments.extend(["--calls".into(), format!("{name}={address}").into()]);
            }
            arguments.extend(pod.failing.then(|| "--failing".into()));
            let log = self.directory.join(format!("{}.log", pod.name));
            self.children.push(Child::start(&format!("application of {}", pod.name), &own, &arguments, log)?);
        }
        Ok(())
    }

    /// Starts the sidecars, and returns when all are ready.
    ///
    /// Who is called is ready before who calls: an Envoy repeats a health check that failed only after a minute where
    /// there was no traffic yet (`no_traffic_interval`).
    pub async fn start_sidecars(
        &mut self,
        envoy: Option<&Path>,
        kinds: &BTreeMap<&'static str, Kind>,
        objects: &Objects,
    ) -> anyhow::Result<()> {
        let state = self.state();
        let directory = self.directory.clone();
        let origin = Origin { envoy, state: &state, directory: &directory, net: &objects.net };
        for pod in APPLICATIONS.into_iter().rev().chain([CLIENT]) {
            if pod.calls_others() {
                self.wait_for_sidecars().await?;
            }
            let kind = *kinds.get(pod.name).with_context(|| format!("{} has no kind of sidecar", pod.name))?;
            let (child, sidecar) = origin.start(pod, kind, &self.client).await?;
            self.children.push(child);
            self.sidecars.push(sidecar);
        }
        self.wait_for_sidecars().await
    }

    /// How each process that ended by itself ended.
    pub fn ended(&mut self) -> Vec<String> {
        self.children.iter_mut().filter_map(Child::ended).collect()
    }

    /// What each application counts; one that does not answer is left out.
    ///
    /// Who is called is asked before who calls, so that a request on its way is one that was sent and did not arrive.
    pub async fn counts(&self, objects: &Objects) -> BTreeMap<&'static str, Counts> {
        let mut counts = BTreeMap::new();
        for callers in [false, true] {
            let mut asked = JoinSet::new();
            for pod in APPLICATIONS.into_iter().filter(|pod| pod.calls_others() == callers) {
                let (client, address) = (self.client.clone(), objects.net.application(pod));
                asked.spawn(async move {
                    let (_, body) = client.get(address, COUNTS_PATH, &[]).await.ok()?;
                    Some((pod.name, serde_json::from_slice(&body).ok()?))
                });
            }
            counts.extend(asked.join_all().await.into_iter().flatten());
        }
        counts
    }

    /// What each proxy answered to its configuration; empty where the control plane does not say.
    pub async fn answers(&self, objects: &Objects) -> BTreeMap<String, Answers> {
        let page = self.client.get(objects.net.control_plane_admin(), standing::PATH, &[]).await;
        page.ok().and_then(|(_, body)| standing::read(&body).ok()).unwrap_or_default()
    }

    /// Ends all processes.
    pub async fn stop(&mut self) {
        process::stop(&mut self.children).await;
    }

    fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    async fn wait_for_sidecars(&mut self) -> anyhow::Result<()> {
        for sidecar in self.sidecars.clone() {
            let name = format!("the sidecar of {}", sidecar.pod);
            self.wait(&name, move || {
                let sidecar = sidecar.clone();
                async move { sidecar.is_ready().await }
            })
            .await?;
        }
        Ok(())
    }

    async fn wait<F: Future<Output = bool>>(&mut self, what: &str, is_ready: impl Fn() -> F) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        while !is_ready().await {
            if let Some(end) = self.ended().into_iter().next() {
                bail!("{end}");
            }
            if Instant::now() >= deadline {
                bail!("{what} was not ready within {READY_LIMIT:?}{}", self.last_words());
            }
            tokio::time::sleep(READY_POLL).await;
        }
        Ok(())
    }

    /// What the control plane said last: the likeliest reason why something is not ready.
    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.control_plane_log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(8).collect();
        let lines: Vec<String> = lines.into_iter().rev().map(|line| format!("\n    {line}")).collect();
        format!("; the control plane's log ends with:{}", lines.concat())
    }
}
