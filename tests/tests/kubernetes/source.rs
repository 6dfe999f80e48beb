//! The control plane over a real API server, under no more rights than it is said to need.

use std::net::IpAddr;

use anyhow::{Context, Result};
use byrnie_tests::{
    app::{App, reply},
    http,
    kubernetes::{ApiServer, gateway_crds},
    mesh::Mesh,
    objects::{Pod, http_route, service},
    sidecar::Sidecar,
};

const OUTAGE: &str = "the API server does not answer";

/// A namespace with a client in the mesh and a Service whose Pod stands outside it.
struct Stage {
    mesh: Mesh,
    namespace: String,
    web: Pod,
    _sidecar: Sidecar,
    _app: App,
}

impl Stage {
    async fn start(server: &ApiServer) -> Result<Self> {
        let namespace = server.namespace("shop").await?;
        let mesh = Mesh::of_cluster(server.reader(&namespace).await?).await?;
        let cart = Pod::new(&namespace, "cart-1", "cart");
        let app = App::at((cart.ip(), 8080).into(), |_| reply(200, "cart")).await?;
        let web = Pod::new(&namespace, "web-1", "web").calling(&format!("cart.{namespace}:80"));
        server.apply(&service(&namespace, "cart", "http", 80, 8080)).await?;
        for pod in [&web, &cart] {
            run(server, &namespace, pod).await?;
        }
        let sidecar = Sidecar::start(&mesh, &web.workload()).await?;
        Ok(Self { mesh, namespace, web, _sidecar: sidecar, _app: app })
    }

    /// The status and the body of `GET path` of the Service.
    async fn get(&self, path: &str) -> Result<(u16, String)> {
        let host = format!("cart.{}", self.namespace);
        let answer = http::get(self.web.upstream(&format!("{host}:80")), &host, path).await?;
        Ok((answer.status, answer.body.to_string()))
    }

    async fn until_status(&self, what: &str, path: &str, status: u16) -> Result<()> {
        self.mesh.until(what, async |_| Ok(self.get(path).await?.0 == status)).await
    }
}

/// Makes a Pod, and says what its kubelet would.
pub async fn run(server: &ApiServer, namespace: &str, pod: &Pod) -> Result<()> {
    let containers = "spec: {containers: [{name: app, image: none}], ";
    server.apply(&pod.yaml().replace("spec: {", containers)).await?;
    let name = pod.workload();
    runs(server, namespace, name.rsplit('/').next().context("a workload has a name")?, pod.ip()).await
}

/// Says of a Pod that is there what its kubelet would.
pub async fn runs(server: &ApiServer, namespace: &str, name: &str, ip: IpAddr) -> Result<()> {
    let status = format!(
        r#"{{"status": {{"phase": "Running", "podIP": "{ip}", "podIPs": [{{"ip": "{ip}"}}],
            "conditions": [{{"type": "Ready", "status": "True"}}]}}}}"#
    );
    let patch = ["patch", "pod", name, "--namespace", namespace, "--subresource=status", "--patch", &status];
    server.kubectl(&patch).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_is_served_and_follows_what_is_applied() -> Result<()> {
    let server = ApiServer::start().await?;
    let stage = Stage::start(&server).await?;
    stage.until_status("the Service is served", "/", 200).await?;
    // No definition of routes is installed yet, and the control plane is ready all the same.
    server.apply_crds(&gateway_crds()?).await?;
    let rules = "- matches: [{path: {value: /basket}}]\n  backendRefs: [{name: cart, port: 80}]";
    let route = http_route(&stage.namespace, "cart", "{kind: Service, name: cart}", rules);
    server.apply(&route).await?;
    stage.until_status("the route is followed", "/", 404).await?;
    assert_eq!(stage.get("/basket").await?, (200, "cart".to_owned()));
    server.kubectl(&["delete", "crd", "httproutes.gateway.networking.k8s.io"]).await?;
    stage.until_status("a kind that is removed is empty", "/", 200).await?;
    server.kubectl(&["delete", "pod", "cart-1", "--namespace", &stage.namespace, "--force"]).await?;
    stage.until_status("no Pod is left", "/", 503).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_api_server_takes_nothing_away() -> Result<()> {
    let mut server = ApiServer::start().await?;
    let stage = Stage::start(&server).await?;
    stage.until_status("the Service is served", "/", 200).await?;
    server.kill()?;
    server.compact().await?;
    let told = async |mesh: &Mesh| Ok(mesh.debug("/debug/findings").await?.to_string().contains(OUTAGE));
    stage.mesh.until("the outage is told", told).await?;
    assert_eq!(stage.get("/").await?, (200, "cart".to_owned()));
    server.restart().await?;
    server.kubectl(&["delete", "pod", "cart-1", "--namespace", &stage.namespace, "--force"]).await?;
    stage.until_status("what is said afterwards is followed", "/", 503).await?;
    stage.mesh.until("the outage is over", async |mesh| Ok(!told(mesh).await?)).await?;
    let log = stage.mesh.log();
    assert_eq!(log.matches(OUTAGE).count(), 1, "{log}");
    Ok(())
}
