//! The injector as a real process, as the ServiceAccount that the chart gives it, and registered at an API server.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    http,
    kubernetes::{ApiServer, INJECTOR, printed},
    objects::free_address,
    process::{Process, program},
    wait::until,
    yaml,
};

/// What workloads' tokens are for.
const AUDIENCE: &str = "byrnie.io/ca";

/// `byrnie-injector`, with a Pod at the API server that it is.
#[derive(Debug)]
pub struct Injector {
    folder: TempDir,
    namespace: String,
    address: SocketAddr,
    probes: SocketAddr,
    command: Command,
    process: Process,
}

impl Injector {
    /// Starts one in the namespace of a control plane that serves xDS at `xds` and is proven by `roots`, and does not wait
    /// for it.
    pub async fn start(
        server: &ApiServer,
        namespace: &str,
        xds: SocketAddr,
        roots: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        let (address, probes) = (free_address(15017), free_address(15014));
        let name = format!("injector-{}", address.ip()).replace('.', "-");
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"serviceAccountName": INJECTOR, "containers": [{"name": "injector", "image": "none"}]},
        });
        server.apply(&pod.to_string()).await?;
        let ip = address.ip();
        let status = json!({"status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}],
        }});
        let patch = ["patch", "pod", &name, "--namespace", namespace, "--subresource=status", "--patch"];
        server.kubectl(&[&patch[..], &[&status.to_string()]].concat()).await?;

        let folder = tempfile::tempdir()?;
        let file = |name: &str| folder.path().join(name);
        fs::write(file("token"), server.token(namespace, INJECTOR, AUDIENCE, Some(["Pod", &name])).await?)?;
        fs::write(file("roots"), roots)?;
        let mut command = Command::new(program("byrnie-injector")?);
        command.args(["--namespace", namespace, "--workload", &format!("{namespace}/{name}")]);
        command.args(["--xds-address", &xds.to_string(), "--log-format", "text", "--drain-delay", "0"]);
        command.arg("--token-file").arg(file("token")).arg("--roots-file").arg(file("roots"));
        command.arg("--kubeconfig").arg(server.kubeconfig_of(namespace, INJECTOR).await?);
        command.args(["--address", &address.to_string(), "--probe-address", &probes.to_string()]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(file("log"))?);
        let process = Process::start(&name, &mut command)?;
        Ok(Self { namespace: namespace.to_owned(), folder, address, probes, command, process })
    }

    /// Ends it and starts it again, as a kubelet restarts a container.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.terminate()?;
        self.process.ended().await?;
        self.process = Process::start("byrnie-injector", &mut self.command)?;
        Ok(())
    }

    /// Has the API server call this one by the chart's configuration.
    pub async fn register(&self, server: &ApiServer) -> Result<()> {
        let (name, namespace) = (INJECTOR, self.namespace.as_str());
        // Nothing here carries what is sent to the address of a Service. The name of another host is called as it is.
        server.kubectl(&["delete", "service", name, "--namespace", namespace, "--ignore-not-found"]).await?;
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"type": "ExternalName", "externalName": self.address.ip()},
        });
        let mut configuration = configuration(namespace).await?;
        for webhook in configuration["webhooks"].as_array_mut().context("a list of webhooks")? {
            webhook["clientConfig"]["service"]["port"] = self.address.port().into();
        }
        server.apply(&format!("{service}\n---\n{configuration}")).await
    }

    /// Waits until it is ready.
    pub async fn ready(&self) -> Result<()> {
        self.until("it is ready", async |injector| Ok(injector.readiness().await? == (200, "ready\n".to_owned()))).await
    }

    /// Whether it is ready, by status and text.
    pub async fn readiness(&self) -> Result<(u16, String)> {
        let answer = http::get(self.probes, "localhost", "/readyz").await?;
        Ok((answer.status, answer.body))
    }

    /// The value of a counter or gauge; `name` holds the labels too.
    pub async fn metric(&self, name: &str) -> Result<u64> {
        let answer = http::get(self.probes, "localhost", "/metrics").await?;
        let value = answer.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no metric {name}:\n{}", answer.body))?.trim().parse()?)
    }

    /// Where reviews are answered.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until a condition holds; the log is told where it never does.
    pub async fn until(&self, what: &str, mut look: impl AsyncFnMut(&Self) -> Result<bool>) -> Result<()> {
        let held = until(what, async || look(self).await).await;
        held.with_context(|| format!("log of the injector:\n{}", self.log()))
    }
}

/// The MutatingWebhookConfiguration of the chart.
async fn configuration(namespace: &str) -> Result<Value> {
    let printed = yaml::documents(&printed(&["--skip-crds", "--namespace", namespace]).await?)?;
    let found = printed.into_iter().find(|one| one["kind"] == "MutatingWebhookConfiguration");
    found.context("byrnie install prints no MutatingWebhookConfiguration")
}
