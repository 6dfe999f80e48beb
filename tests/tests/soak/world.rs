//! A mesh that does not stand still: `shop/web-1` calls Service `shop/cart`, behind which `cart-1` stays, `cart-2` flips
//! between ready and not, and `cart-3` goes and comes with its sidecar. A route changes each second; certificates are
//! renewed each 20 s.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use byrnie_tests::{
    http,
    mesh::Mesh,
    objects::{Pod, http_route},
    process::Usage,
    sidecar::{Proxy, Sidecar},
    tcp::TcpApp,
};
use tokio::time::{Instant, sleep_until};

use crate::{application::Application, callers::Callers, lowest};

/// Two thirds of it are 20 s.
const LEAF_LIFETIME: &str = "30s";

/// Between changes of the route.
const ROUND: Duration = Duration::from_secs(1);

const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  selector: {app: cart}
  ports:
  - {name: http, port: 80, targetPort: 8080, appProtocol: http}
  - {name: grpc, port: 81, targetPort: 8081, appProtocol: grpc}
  - {name: bytes, port: 82, targetPort: 8082, appProtocol: tcp}
";

/// All that runs.
pub struct World {
    mesh: Mesh,
    web: Pod,
    pods: [Pod; 3],
    client: Sidecar,
    servers: [Sidecar; 2],
    /// None while it is gone.
    third: Option<Sidecar>,
    round: u64,
    goings: u64,
    _http: Application,
    _grpc: Application,
    _bytes: TcpApp,
}

impl World {
    /// All sidecars are ready when this returns.
    pub async fn start() -> Result<Self> {
        let (http, grpc, bytes) = (Application::http1().await?, Application::grpc().await?, TcpApp::echo("").await?);
        let web = Pod::new("shop", "web-1", "web");
        let web = web.calling("cart.shop:80").calling("cart.shop:81").calling("cart.shop:82");
        let pods = ["cart-1", "cart-2", "cart-3"].map(|name| {
            let pod = Pod::new("shop", name, "cart").serving(8080, http.address());
            pod.serving(8081, grpc.address()).serving(8082, bytes.address())
        });
        let mut files = vec![("cart.yaml".to_owned(), SERVICE.to_owned()), ("route.yaml".to_owned(), route(0))];
        files.extend(pods.iter().chain([&web]).map(|pod| (pod.file(), pod.yaml())));
        let files: Vec<_> = files.iter().map(|(name, text)| (&**name, text.clone())).collect();
        let mesh = Mesh::with_arguments(&["--leaf-lifetime", LEAF_LIFETIME], &files).await?;
        let server = async |pod: &Pod| Sidecar::of(Proxy::Micro, &mesh, &pod.workload()).await;
        let servers = [server(&pods[0]).await?, server(&pods[1]).await?];
        let third = Some(server(&pods[2]).await?);
        let client = server(&web).await?;
        let (round, goings) = (0, 0);
        Ok(Self { mesh, web, pods, client, servers, third, round, goings, _http: http, _grpc: grpc, _bytes: bytes })
    }

    /// Where the client's application calls HTTP/1.
    pub fn http(&self) -> SocketAddr {
        self.web.upstream("cart.shop:80")
    }

    /// Where it calls gRPC.
    pub fn grpc(&self) -> SocketAddr {
        self.web.upstream("cart.shop:81")
    }

    /// Where it calls TCP.
    pub fn bytes(&self) -> SocketAddr {
        self.web.upstream("cart.shop:82")
    }

    /// How often the route changed.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// How often `cart-3` went and came.
    pub fn goings(&self) -> u64 {
        self.goings
    }

    /// What the client's sidecar and the servers' had to say, but for requests that went well; the last of it.
    pub fn log(&self) -> String {
        let sidecars = [&self.client, &self.servers[0], &self.servers[1]];
        let last = |text: String| {
            text.lines()
                .rev()
                .filter(|line| !line.contains("\"response_flags\":\"-\""))
                .take(40)
                .collect::<Vec<_>>()
                .join("\n")
        };
        sidecars.map(|sidecar| last(sidecar.log())).join("\n\n")
    }

    /// What the sidecars that stay tell of their certificates: the client's, then the servers'.
    pub async fn certificates(&self) -> Result<Vec<String>> {
        let mut told = Vec::new();
        for sidecar in [&self.client, &self.servers[0], &self.servers[1]] {
            told.push(http::get(sidecar.admin(), "localhost", "/certs").await?.body);
        }
        Ok(told)
    }

    /// What the client's sidecar and one server's hold.
    pub async fn lowest_usage(&self) -> Result<Vec<Usage>> {
        lowest(&[&self.client, &self.servers[0]]).await
    }

    /// Changes something each second; ends early where a request has failed.
    pub async fn churn_until(&mut self, end: Instant, callers: &Callers) -> Result<()> {
        let mut next = Instant::now();
        while next < end {
            callers.check()?;
            self.change().await?;
            next = (next + ROUND).max(Instant::now());
            sleep_until(next).await;
        }
        self.client.check()?;
        self.servers[0].check()?;
        self.servers[1].check()
    }

    async fn change(&mut self) -> Result<()> {
        self.round += 1;
        self.mesh.write("route.yaml", &route(self.round))?;
        match self.round % 6 {
            1 => self.mesh.write(&self.pods[1].file(), &self.pods[1].clone().unready().yaml()),
            3 => self.mesh.write(&self.pods[1].file(), &self.pods[1].yaml()),
            4 => self.go_and_come().await,
            _ => Ok(()),
        }
    }

    /// `cart-3` ends as in Kubernetes: its endpoint first, then (in no time, which is harder than with a `preStop`) its
    /// sidecar by SIGTERM, at last the object; then it comes again.
    pub async fn go_and_come(&mut self) -> Result<()> {
        let pod = self.pods[2].clone();
        self.mesh.write(&pod.file(), &pod.clone().unready().yaml())?;
        if let Some(mut sidecar) = self.third.take() {
            let ended = sidecar.terminate().await?;
            ensure!(ended.success(), "{ended}: {}", sidecar.log());
        }
        self.mesh.remove(&pod.file())?;
        self.mesh.write(&pod.file(), &pod.clone().unready().yaml())?;
        self.third = Some(Sidecar::of(Proxy::Micro, &self.mesh, &pod.workload()).await?);
        self.goings += 1;
        self.mesh.write(&pod.file(), &pod.yaml())
    }
}

/// All answers of a round carry its number.
fn route(round: u64) -> String {
    let rules = format!(
        "- filters:
  - type: ResponseHeaderModifier
    responseHeaderModifier: {{set: [{{name: x-round, value: \"{round}\"}}]}}
  backendRefs: [{{name: cart, port: 80}}]"
    );
    http_route("shop", "cart", "{kind: Service, name: cart, port: 80}", &rules)
}
