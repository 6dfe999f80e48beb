//! Replicas of an installed control plane, under the rights that the chart gives them.

mod caller;
mod identity;
mod injector;
mod issuer;
mod lease;
mod outage;
mod policies;
mod routes;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    kubernetes::{ApiServer, Audited, gateway_crds},
    objects::Pod,
    replica::Replica,
    sidecar::Sidecar,
    wait::until,
};
use serde_json::Value;

use self::caller::{Caller, Signed};
use super::source::{run, runs};

const SYSTEM: &str = "byrnie-system";
const CONTROL_PLANE: &str = "byrnie-control-plane";
/// What workloads' tokens are for.
const AUDIENCE: &str = "byrnie.io/ca";
const ROUTES: &str = "httproutes.gateway.networking.k8s.io/status";

/// Replicas over an API server of their own, and a namespace in the mesh.
struct Stage {
    server: ApiServer,
    replicas: Vec<Replica>,
    namespace: String,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

impl Stage {
    /// Starts an API server with the chart's objects, and two replicas at the same time.
    async fn start() -> Result<Self> {
        let mut stage = Self::prepare(&[]).await?;
        stage.launch(2, &[]).await?;
        for replica in &stage.replicas {
            replica.ready().await?;
        }
        Ok(stage)
    }

    /// Starts an API server with the objects of the chart that has these options.
    async fn prepare(options: &[&str]) -> Result<Self> {
        let server = ApiServer::start().await?;
        server.apply_crds(&gateway_crds()?).await?;
        let kubeconfig = server.install_with(SYSTEM, options).await?;
        let namespace = server.namespace("shop").await?;
        server.kubectl(&["label", "namespace", &namespace, "byrnie.io/inject=enabled"]).await?;
        Ok(Self { server, replicas: Vec::new(), namespace, kubeconfig, folder: tempfile::tempdir()? })
    }

    /// Starts so many replicas at the same time, and does not wait for them.
    async fn launch(&mut self, count: usize, arguments: &[&str]) -> Result<()> {
        for number in 1..=count {
            let name = format!("replica-{number}");
            self.replicas.push(Replica::start(self.kubeconfig.clone(), SYSTEM, &name, arguments)?);
        }
        self.tell_peers().await
    }

    /// Makes the Pods of the replicas, by which they find each other, and says what their kubelets would.
    async fn tell_peers(&self) -> Result<()> {
        for replica in &self.replicas {
            let (name, ip) = (replica.name(), replica.xds().ip());
            let pod = format!(
                "apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: {SYSTEM}
  labels: {{app.kubernetes.io/name: {CONTROL_PLANE}, app.kubernetes.io/instance: byrnie}}
spec:
  serviceAccountName: {CONTROL_PLANE}
  containers: [{{name: control-plane, image: none, ports: [{{name: grpc-xds, containerPort: 15012}}]}}]
"
            );
            self.server.apply(&pod).await?;
            runs(&self.server, SYSTEM, name, ip).await?;
        }
        Ok(())
    }

    /// The trust bundle of a namespace.
    async fn roots(&self, namespace: &str) -> Result<Option<String>> {
        let found = self.find("configmap", "byrnie-trust", namespace).await?;
        Ok(found["data"]["root.crt"].as_str().map(str::to_owned))
    }

    /// Waits until a namespace has this trust bundle.
    async fn until_roots(&self, namespace: &str, roots: &str) -> Result<()> {
        let what = format!("the trust bundle is in {namespace}");
        let held = until(&what, async || Ok(self.roots(namespace).await?.as_deref() == Some(roots))).await;
        held.with_context(|| self.logs())
    }

    /// Waits until the namespace in the mesh has a trust bundle, and returns it.
    async fn any_roots(&self) -> Result<String> {
        until("the roots are in the namespace", async || Ok(self.roots(&self.namespace).await?.is_some())).await?;
        self.roots(&self.namespace).await?.context("they are there")
    }

    /// Runs a Pod as a ServiceAccount, and returns a token that is bound to it.
    async fn workload(&self, pod: &Pod, account: &str) -> Result<String> {
        let namespace = &self.namespace;
        let made =
            format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {account}, namespace: {namespace}}}\n");
        self.server.apply(&made).await?;
        run(&self.server, namespace, pod).await?;
        let workload = pod.workload();
        let name = workload.rsplit('/').next().context("a workload has a name")?;
        self.server.token(namespace, account, AUDIENCE, Some(["Pod", name])).await
    }

    /// Runs a Pod with a micro-proxy that is served by a replica.
    async fn sidecar(&self, pod: &Pod, account: &str, replica: &Replica) -> Result<Sidecar> {
        let token = self.workload(pod, account).await?;
        let (roots, folder) = (self.any_roots().await?, self.folder.path());
        let mut sidecar = Sidecar::launch_micro_at(replica.xds(), Some(&roots), folder, &pod.workload(), &token)?;
        sidecar.until_ready().await?;
        Ok(sidecar)
    }

    /// A certificate that a replica issues for a token, as soon as it knows the Pod.
    async fn sign(&self, replica: &Replica, roots: &str, token: &str) -> Result<Signed> {
        let caller = Caller::connect(replica.xds(), roots, Some(token), None).await?;
        let mut signed = None;
        replica
            .until("a certificate is issued", async |_| {
                signed = Some(caller.sign().await??);
                Ok(true)
            })
            .await?;
        signed.context("it is issued")
    }

    /// An object of the namespace, as JSON.
    async fn object(&self, kind: &str, name: &str) -> Result<Value> {
        let found = self.find(kind, name, &self.namespace).await?;
        ensure!(!found.is_null(), "no {kind} {name}");
        Ok(found)
    }

    /// An object, as JSON; null where there is none.
    async fn find(&self, kind: &str, name: &str, namespace: &str) -> Result<Value> {
        let asked = ["get", kind, name, "--namespace", namespace, "--ignore-not-found", "--output", "json"];
        let text = self.server.kubectl(&asked).await?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits until a condition of an object is as `wanted`; see [`condition`].
    async fn until_condition(&self, object: [&str; 2], kind: &str, wanted: &str) -> Result<Value> {
        let [of, name] = object;
        let (what, mut said) = (format!("{of}/{name}: {kind} is {wanted}"), Value::Null);
        let held = until(&what, async || {
            said = self.object(of, name).await?;
            Ok(condition(&said, kind).starts_with(wanted))
        })
        .await;
        held.with_context(|| format!("{}\n{}", said["status"], self.logs()))?;
        Ok(said)
    }

    /// What the control plane has asked of the API server so far, but for what the Lease needs.
    fn asked(&self) -> Result<Vec<Audited>> {
        let asked = self.server.requests_of(SYSTEM, CONTROL_PLANE)?;
        Ok(asked.into_iter().filter(|asked| !asked.resource.starts_with("leases.")).collect())
    }

    /// How often it has written the status of a kind; of all objects, or of one.
    fn writes(&self, resource: &str, name: &str) -> Result<usize> {
        let is_it = |asked: &&Audited| {
            asked.verb == "patch" && asked.resource == resource && (name.is_empty() || asked.name == name)
        };
        Ok(self.asked()?.iter().filter(is_it).count())
    }

    /// The index of the replica that holds the Lease, by its own word. An error where none does, or several.
    async fn holder(&self) -> Result<usize> {
        let mut holders = Vec::new();
        for (index, replica) in self.replicas.iter().enumerate() {
            // One that was killed answers nothing.
            if replica.metric("byrnie_lease_held").await.is_ok_and(|held| held == 1) {
                holders.push(index);
            }
        }
        match holders[..] {
            [holder] => Ok(holder),
            _ => anyhow::bail!("{holders:?} hold the Lease"),
        }
    }

    /// Waits until one replica holds the Lease.
    async fn until_held(&self) -> Result<usize> {
        until("one replica holds the Lease", async || {
            self.holder().await?;
            Ok(true)
        })
        .await?;
        self.holder().await
    }

    /// How often the replicas have said this in their logs.
    fn said(&self, words: &str) -> usize {
        self.replicas.iter().map(|replica| replica.log().matches(words).count()).sum()
    }

    fn logs(&self) -> String {
        self.replicas.iter().map(|replica| format!("log of {}:\n{}", replica.name(), replica.log())).collect()
    }

    /// What the chart does not grant, of what was asked for so far.
    fn refused(&self) -> Result<Vec<Audited>> {
        let asked = self.server.requests_of(SYSTEM, CONTROL_PLANE)?;
        Ok(asked.into_iter().filter(|asked| asked.code == 403).collect())
    }

    /// The chart grants all that was asked for.
    fn finish(self) -> Result<()> {
        let refused = self.refused()?;
        ensure!(refused.is_empty(), "{refused:#?}");
        Ok(())
    }
}

/// `True Programmed 2/2 proxies` of a condition, of the first parent that is ours or of the object itself.
fn condition(object: &Value, kind: &str) -> String {
    let field = |field: &str| conditions(object, kind).map(|found| found[field].as_str().unwrap_or_default());
    let text = |name| field(name).unwrap_or_default();
    format!("{} {} {}", text("status"), text("reason"), text("message"))
}

/// The condition itself.
fn conditions<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let parents = object["status"]["parents"].as_array().into_iter().flatten();
    let ours =
        parents.filter(|parent| parent["controllerName"] == "byrnie.io/mesh").map(|parent| &parent["conditions"]);
    let all = ours.chain([&object["status"]["conditions"]]).filter_map(Value::as_array);
    all.flatten().find(|condition| condition["type"] == kind)
}
