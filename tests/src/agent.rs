//! An Envoy with its agent, started with the very arguments that are injected.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    http,
    mesh::Mesh,
    objects::free_address,
    process::{Process, byrnie, program},
    sidecar::{Proxy, Sidecar, health_port, join_token},
    tools,
    wait::until,
    yaml,
};

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    process: Option<Process>,
    /// Of Envoy.
    admin: SocketAddr,
    arguments: Vec<String>,
    envoy_arguments: Vec<String>,
    folder: PathBuf,
}

impl Agent {
    /// Starts one with a join token, and waits until an Envoy may be started.
    pub async fn start(mesh: &Mesh, workload: &str) -> Result<Self> {
        let folder = mesh.folder().join(workload.replace('/', "-"));
        fs::create_dir(&folder)?;
        fs::write(folder.join("token"), join_token(mesh, workload)?)?;
        let admin = free_address(15000);
        let place = folder.to_str().context("a test's path is text")?;
        let xds = mesh.xds().to_string();
        // What is the test's own, in place of what is there in a Pod. Ports of all addresses are any that are free.
        let (namespace, _) = workload.split_once('/').context("NAMESPACE/POD")?;
        let (listens, own_admin) = [SocketAddr::from(([127, 0, 0, 1], 15000)), admin]
            .map(|at| format!("{{\"address\":\"{}\",\"port_value\":{}}}", at.ip(), at.port()))
            .into();
        let here = [
            ("$(POD_NAMESPACE)/$(POD_NAME)", workload),
            ("$(POD_NAMESPACE)", namespace),
            (&listens, &own_admin),
            ("byrnie-control-plane.byrnie-system.svc:15012", &xds),
            ("/var/run/secrets/byrnie", place),
            ("/etc/byrnie", place),
            ("/var/lib/byrnie", place),
            ("=15020", "=0"),
            ("=15021", "=0"),
        ];
        let injected = injected(&folder, Proxy::Envoy)?;
        let mut arguments = arguments(&injected, "byrnie-agent", &here)?;
        arguments.push(format!("--envoy-admin-address={admin}"));
        arguments.push(format!("--bootstrap={place}/envoy.json"));
        let envoy_arguments = self::arguments(&injected, "byrnie-proxy", &here)?;
        let mut agent = Self { process: None, admin, arguments, envoy_arguments, folder };
        agent.restart().await?;
        Ok(agent)
    }

    /// Ends it as a crash would, and starts it anew with what it has kept.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = None;
        let mut command = Command::new(program("byrnie-proxy")?);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(self.folder.join("agent.log"))?);
        self.process = Some(Process::start("byrnie-proxy agent", &mut command)?);
        let ready = until("an Envoy may be started", async || Ok(self.health("/healthz/agent").await?.0 == 200));
        ready.await.with_context(|| self.log())
    }

    /// What its Envoys are started by from now on.
    pub fn envoy_arguments(&mut self) -> &mut Vec<String> {
        &mut self.envoy_arguments
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
        let log = self.folder.join("envoy.log");
        let mut command = Command::new(tools::path("envoy")?);
        command.args(&self.envoy_arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        Ok(Sidecar::of_envoy(Process::start("envoy", &mut command)?, self.admin, log))
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

    /// The folder of its files: `xds.sock`, `envoy.json`, `identity.json`.
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }
}

/// The Pod that `byrnie inject` makes of one that asks for such a sidecar.
pub fn injected(folder: &Path, proxy: Proxy) -> Result<Value> {
    let file = folder.join("pod.yaml");
    let proxy = if proxy == Proxy::Envoy { "envoy" } else { "micro" };
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: a, annotations: {{byrnie.io/proxy: {proxy}}}}},
        spec: {{containers: [{{name: a, image: a}}]}}}}"
    );
    fs::write(&file, pod)?;
    let output = Command::new(byrnie()?).arg("inject").arg("-f").arg(&file).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    yaml::documents(str::from_utf8(&output.stdout)?)?.pop().context("a Pod")
}

/// The arguments of an init container, with what is the test's own (right) in place of what is there in a Pod (left).
pub fn arguments(pod: &Value, container: &str, here: &[(&str, &str)]) -> Result<Vec<String>> {
    let containers = pod["spec"]["initContainers"].as_array().context("init containers")?;
    let found = containers.iter().find(|one| one["name"] == container).with_context(|| format!("no {container}"))?;
    let arguments = found["args"].as_array().context("arguments")?.iter().filter_map(Value::as_str);
    let replaced = |text: &str| here.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here));
    Ok(arguments.map(replaced).collect())
}
