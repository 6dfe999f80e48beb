//! Replicas of an installed control plane, under the rights that the chart gives them.

use anyhow::{Context, Result};
use byrnie_tests::{
    app::{App, reply},
    http,
    kubernetes::{ApiServer, gateway_crds},
    objects::{Pod, http_route, service},
    replica::Replica,
    sidecar::Sidecar,
    wait::until,
};
use serde_json::Value;

use super::source::{run, runs};

const SYSTEM: &str = "byrnie-system";
/// What workloads' tokens are for.
const AUDIENCE: &str = "byrnie.io/ca";

/// Replicas over an API server of their own, and a namespace in the mesh.
pub struct Stage {
    pub server: ApiServer,
    pub replicas: Vec<Replica>,
    pub namespace: String,
    pub folder: tempfile::TempDir,
}

impl Stage {
    /// Starts an API server with the chart's objects, and `count` replicas at the same time.
    pub async fn start(count: usize) -> Result<Self> {
        let server = ApiServer::start().await?;
        server.apply_crds(&gateway_crds()?).await?;
        let kubeconfig = server.install(SYSTEM).await?;
        let namespace = server.namespace("shop").await?;
        server.kubectl(&["label", "namespace", &namespace, "byrnie.io/inject=enabled"]).await?;
        let start = |number| Replica::start(kubeconfig.clone(), SYSTEM, &format!("replica-{number}"), &[]);
        let replicas = (1..=count).map(start).collect::<Result<Vec<_>>>()?;
        let stage = Self { server, replicas, namespace, folder: tempfile::tempdir()? };
        stage.tell_peers().await?;
        for replica in &stage.replicas {
            replica.ready().await?;
        }
        Ok(stage)
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
  labels: {{app.kubernetes.io/name: byrnie-control-plane, app.kubernetes.io/instance: byrnie}}
spec:
  serviceAccountName: byrnie-control-plane
  containers: [{{name: control-plane, image: none, ports: [{{name: grpc-xds, containerPort: 15012}}]}}]
"
            );
            self.server.apply(&pod).await?;
            runs(&self.server, SYSTEM, name, ip).await?;
        }
        Ok(())
    }

    /// The trust bundle of a namespace.
    pub async fn roots(&self, namespace: &str) -> Result<Option<String>> {
        let asked =
            ["get", "configmap", "byrnie-trust", "--namespace", namespace, "--ignore-not-found", "--output", "json"];
        let text = self.server.kubectl(&asked).await?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let found: Value = serde_json::from_str(&text)?;
        Ok(found["data"]["root.crt"].as_str().map(str::to_owned))
    }

    /// Runs a Pod with a micro-proxy that is served by a replica.
    pub async fn sidecar(&self, pod: &Pod, account: &str, replica: &Replica) -> Result<Sidecar> {
        let namespace = &self.namespace;
        let made =
            format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {account}, namespace: {namespace}}}\n");
        self.server.apply(&made).await?;
        run(&self.server, &self.namespace, pod).await?;
        let workload = pod.workload();
        let name = workload.rsplit('/').next().context("a workload has a name")?;
        let token = self.server.token(&self.namespace, account, AUDIENCE, Some(["Pod", name])).await?;
        let roots = self.roots(&self.namespace).await?.context("the namespace is in the mesh")?;
        let mut sidecar = Sidecar::launch_micro_at(replica.xds(), Some(&roots), self.folder.path(), &workload, &token)?;
        sidecar.until_ready().await?;
        Ok(sidecar)
    }

    /// An object, as JSON.
    pub async fn object(&self, kind: &str, name: &str) -> Result<Value> {
        let asked = ["get", kind, name, "--namespace", &self.namespace, "--output", "json"];
        Ok(serde_json::from_str(&self.server.kubectl(&asked).await?)?)
    }
}

/// `True Programmed 2/2 proxies` of a condition.
pub fn condition(conditions: &Value, kind: &str) -> String {
    let found = conditions.as_array().into_iter().flatten().find(|condition| condition["type"] == kind);
    let text = |field: &str| found.and_then(|found| found[field].as_str()).unwrap_or_default();
    format!("{} {} {}", text("status"), text("reason"), text("message"))
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_share_one_root_and_tell_how_all_their_proxies_are() -> Result<()> {
    let stage = Stage::start(2).await?;
    let Stage { server, namespace, replicas, .. } = &stage;
    until("the roots are in the namespace", async || Ok(stage.roots(namespace).await?.is_some())).await?;
    assert_eq!(stage.roots(namespace).await?, stage.roots(SYSTEM).await?);
    let made: usize = replicas.iter().map(|replica| replica.log().matches("made a new root").count()).sum();
    assert_eq!(made, 1);

    let cart = Pod::new(namespace, "cart-1", "cart");
    let app = App::at((cart.ip(), 8080).into(), |_| reply(200, "cart")).await?;
    server.apply(&service(namespace, "cart", "http", 80, 8080)).await?;
    run(server, namespace, &cart).await?;
    let host = format!("cart.{namespace}");
    let mut sidecars = Vec::new();
    for (number, replica) in replicas.iter().enumerate() {
        let name = format!("web-{number}");
        let web = Pod::new(namespace, &name, "web").calling(&format!("{host}:80"));
        sidecars.push((stage.sidecar(&web, "web", replica).await?, web));
    }
    let rules = "- matches: [{path: {value: /basket}}]\n  backendRefs: [{name: cart, port: 80}]";
    server.apply(&http_route(namespace, "cart", "{group: '', kind: Service, name: cart}", rules)).await?;
    until("the route is programmed", async || {
        let route = stage.object("httproute", "cart").await?;
        let said = condition(&route["status"]["parents"][0]["conditions"], "Programmed");
        Ok(said == "True Programmed 2/2 proxies")
    })
    .await?;
    for (_, web) in &sidecars {
        let answer = http::get(web.upstream(&format!("{host}:80")), &host, "/basket").await?;
        assert_eq!((answer.status, &*answer.body), (200, "cart"));
    }
    drop(app);
    Ok(())
}
