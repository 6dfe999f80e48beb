//! An Envoy that has its certificate and its configuration of an agent.

use std::{collections::BTreeSet, fs, mem};

use anyhow::{Context, Result};
use byrnie_proto::{
    ca::{SignRequest, certificate_authority_client::CertificateAuthorityClient},
    envoy::envoy::service::{
        discovery::v3::DeltaDiscoveryRequest, secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient,
    },
};
use byrnie_tests::{
    agent::Agent,
    app::App,
    http,
    load::Load,
    mesh::Mesh,
    objects::{Pod, peer_policy, service},
    pair::CART,
    sidecar::{Proxy, Sidecar},
};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, transport::Endpoint};

/// `shop/web-1` calls `shop/cart-1`, one of them by a micro-proxy, the other by an Envoy with its agent; there is nothing
/// but mutual TLS.
struct Shop {
    mesh: Mesh,
    agent: Agent,
    envoy: Sidecar,
    micro: Sidecar,
    web: Pod,
}

impl Shop {
    async fn start(app: &App, envoys: &str, arguments: &[&str]) -> Result<Self> {
        let web = Pod::new("shop", "web-1", "web").calling(CART);
        let cart = Pod::new("shop", "cart-1", "cart").serving(8080, app.address());
        let files = [
            ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
            ("strict.yaml", peer_policy("shop", "strict", "mtls: {mode: Strict}")),
            (&*web.file(), web.yaml()),
            (&*cart.file(), cart.yaml()),
        ];
        let mesh = Mesh::with_arguments(arguments, &files).await?;
        let agent = Agent::start(&mesh, envoys).await?;
        let other = [&web, &cart].map(Pod::workload).into_iter().find(|workload| workload != envoys);
        let micro = Sidecar::of(Proxy::Micro, &mesh, &other.context("two workloads")?).await?;
        let envoy = agent.envoy().await?;
        Ok(Self { mesh, agent, envoy, micro, web })
    }

    /// The serial numbers of the leaves that Envoy has at this moment.
    async fn leaves(&self) -> Result<BTreeSet<String>> {
        let page: Value = serde_json::from_str(&http::get(self.envoy.admin(), "localhost", "/certs").await?.body)?;
        let held = page["certificates"].as_array().context("a list")?;
        let leaves = held.iter().filter_map(|one| one["cert_chain"][0]["serial_number"].as_str());
        Ok(leaves.map(str::to_owned).collect())
    }

    async fn until_connected(&self, is_connected: bool) -> Result<()> {
        let what = if is_connected { "envoy has a stream" } else { "envoy has noticed" };
        let wanted = u64::from(is_connected);
        let connected = self
            .mesh
            .until(what, async |_| Ok(self.envoy.counter(&["control_plane.connected_state"]).await? == wanted))
            .await;
        connected.with_context(|| self.agent.log())
    }

    /// Waits until Envoy has taken up a change.
    async fn until_changed(&self, name: &str) -> Result<()> {
        self.mesh.write(&format!("{name}.yaml"), &service("shop", name, "http", 80, 8080))?;
        let cluster = format!("shop/{name}:80");
        self.mesh
            .until("the new cluster has come", async |_| {
                let clusters = self.envoy.versions("dynamic_active_clusters").await?;
                Ok(clusters.iter().any(|(name, _)| *name == cluster))
            })
            .await
    }

    async fn get(&self) -> Result<(u16, String)> {
        let answer = http::get(self.web.upstream(CART), "cart.shop", "/").await?;
        Ok((answer.status, answer.body))
    }

    /// How many resources of this kind the control plane has sent since it started.
    async fn sent(&self, kind: &str) -> Result<u64> {
        let metrics = http::get(self.mesh.admin(), "localhost", "/metrics").await?.body;
        let wanted = format!("byrnie_xds_resources_total{{kind=\"{kind}\"}} ");
        let counted = metrics.lines().find_map(|line| line.strip_prefix(&wanted));
        Ok(counted.map_or(Ok(0), str::parse)?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_called_and_calls_by_mutual_tls_and_the_control_plane_knows_no_key() -> Result<()> {
    let app = App::named("cart").await?;
    for envoys in ["shop/cart-1", "shop/web-1"] {
        let shop = Shop::start(&app, envoys, &[]).await?;
        assert_eq!(shop.get().await?, (200, "cart".to_owned()), "{envoys}");
        let caller = app.asked().pop().context("the application was asked")?;
        let caller = caller.header("x-forwarded-client-cert").map(str::to_owned);
        assert!(caller.as_ref().is_some_and(|text| text.contains("sa/web")), "{caller:?}");
        assert_eq!(shop.sent("SDS").await?, 0, "no secret comes from the control plane");
        assert!(shop.sent("LDS").await? > 0);
        assert_eq!(shop.micro.proxy(), Proxy::Micro);
        let reports = "its load reports are passed on";
        shop.mesh.until(reports, async |_| Ok(shop.envoy.counter(&["load_reporter.responses"]).await? > 0)).await?;
        assert_eq!(shop.agent.health("/config_dump").await?.0, 404);
        assert!(!shop.agent.log().contains("PRIVATE"), "{}", shop.agent.log());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_under_way() -> Result<()> {
    let app = App::named("cart").await?;
    let shop = Shop::start(&app, "shop/cart-1", &["--leaf-lifetime", "10s"]).await?;
    let load = Load::start(shop.web.upstream(CART), "cart.shop");
    let first = shop.leaves().await?;
    assert_eq!(first.len(), 1);
    shop.mesh.until("envoy has the next leaf alone", async |_| Ok(shop.leaves().await?.is_disjoint(&first))).await?;
    assert_eq!(shop.leaves().await?.len(), 1);
    load.served(100).await?;
    load.finish().await.with_context(|| shop.envoy.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_an_outage_of_the_control_plane_nor_a_restart_of_the_agent_disturbs_traffic() -> Result<()> {
    let app = App::named("cart").await?;
    let mut shop = Shop::start(&app, "shop/web-1", &[]).await?;
    let load = Load::start(shop.web.upstream(CART), "cart.shop");
    shop.mesh.kill();
    shop.until_connected(false).await?;
    load.served(100).await?;
    // It has its certificate of its state, and so may Envoy be started while nobody signs.
    shop.agent.restart().await?;
    assert_eq!(shop.agent.health("/healthz/ready").await?, (200, "LIVE\n".to_owned()));
    load.served(100).await?;
    shop.mesh.restart().await?;
    shop.until_connected(true).await?;
    shop.until_changed("later").await?;
    shop.agent.restart().await?;
    shop.until_changed("latest").await?;
    load.served(100).await?;
    load.finish().await.with_context(|| shop.envoy.log())?;
    assert_eq!(shop.sent("SDS").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_starts_while_the_control_plane_is_away_is_ready_when_it_is_back() -> Result<()> {
    let app = App::named("cart").await?;
    let mut shop = Shop::start(&app, "shop/web-1", &[]).await?;
    shop.envoy.terminate().await?;
    assert_eq!(shop.agent.health("/healthz/ready").await?.0, 503);
    shop.mesh.kill();
    shop.envoy = shop.agent.launch_envoy()?;
    shop.mesh
        .until("envoy runs and has tried", async |_| {
            Ok(shop.envoy.counter(&["cluster.xds", "upstream_rq_total"]).await? > 1)
        })
        .await?;
    let (status, told) = shop.agent.health("/healthz/ready").await?;
    assert!(status == 503 && told.contains("which answers 503"), "{told}");
    shop.mesh.restart().await?;
    shop.mesh.until("both are ready", async |_| Ok(shop.agent.health("/healthz/ready").await?.0 == 200)).await?;
    assert_eq!(shop.get().await?, (200, "cart".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bootstrap_that_is_written_is_the_one_that_is_injected() -> Result<()> {
    let pod = Pod::new("shop", "web-1", "web");
    let mesh = Mesh::start(&[("pod.yaml", pod.yaml())]).await?;
    let mut agent = Agent::start(&mesh, &pod.workload()).await?;
    let written: Value = serde_json::from_str(&fs::read_to_string(agent.folder().join("envoy.json"))?)?;
    let injected = agent.envoy_arguments().iter().skip_while(|argument| *argument != "--config-yaml").nth(1);
    assert_eq!(written, serde_json::from_str::<Value>(injected.context("an argument")?)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_the_world_is_passed_on_too() -> Result<()> {
    let app = App::named("cart").await?;
    let mut shop = Shop::start(&app, "shop/web-1", &[]).await?;
    shop.envoy.terminate().await?;
    let states = |argument: &mut String| {
        let states = argument.replace("\"DELTA_GRPC\"", "\"GRPC\"");
        mem::replace(argument, states.clone()) != states
    };
    assert!(shop.agent.envoy_arguments().iter_mut().any(states));
    shop.envoy = shop.agent.envoy().await?;
    assert_eq!(shop.get().await?, (200, "cart".to_owned()));
    shop.until_changed("later").await?;
    assert_eq!(shop.sent("SDS").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_served_by_themselves_and_nothing_else_is_passed_on() -> Result<()> {
    let pod = Pod::new("shop", "web-1", "web");
    let mesh = Mesh::start(&[("pod.yaml", pod.yaml())]).await?;
    let agent = Agent::start(&mesh, &pod.workload()).await?;
    let socket = format!("unix:{}", agent.folder().join("xds.sock").display());
    let channel = Endpoint::from_shared(socket)?.connect().await?;
    let (asking, asked) = mpsc::channel(1);
    asking
        .send(DeltaDiscoveryRequest { resource_names_subscribe: vec!["trust".to_owned()], ..Default::default() })
        .await?;
    let mut secrets = SecretDiscoveryServiceClient::new(channel.clone());
    let mut answers = secrets.delta_secrets(ReceiverStream::new(asked)).await?.into_inner();
    let answer = answers.message().await?.context("an answer")?;
    assert_eq!(answer.resources.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["trust"]);

    let token = "the token of the Pod is not for whoever reaches the socket";
    let signed = CertificateAuthorityClient::new(channel).sign(SignRequest::default()).await;
    assert_eq!(signed.expect_err(token).code(), Code::Unimplemented);
    Ok(())
}
