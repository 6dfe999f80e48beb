//! What the control plane serves to a client that calls itself `byrnie-proxy`, and what operators see of it. The client
//! is scripted, so that each message is known; the real one is tested where it calls.

use anyhow::{Context, Result};
use byrnie_proto::{
    Kind,
    envoy::envoy::{
        config::{
            core::v3::{Node, node::UserAgentVersionType},
            endpoint::v3::{ClusterStats, EndpointLoadMetricStats, UpstreamLocalityStats},
        },
        service::{
            discovery::v3::{
                DeltaDiscoveryRequest, DeltaDiscoveryResponse,
                aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as Discovery,
            },
            load_stats::v3::{
                LoadStatsRequest, load_reporting_service_client::LoadReportingServiceClient as LoadReporting,
            },
        },
    },
};
use byrnie_tests::{
    mesh::Mesh,
    objects::{Pod, service},
};
use serde_json::Value;
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

fn node() -> Option<Node> {
    Some(Node {
        id: "shop/web-1".to_owned(),
        user_agent_name: "byrnie-proxy".to_owned(),
        user_agent_version_type: Some(UserAgentVersionType::UserAgentVersion("1.2.3".to_owned())),
        ..Default::default()
    })
}

/// A stream of discovery that accepts everything.
struct Client {
    requests: Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Client {
    async fn open(channel_to: Channel) -> Result<Self> {
        let (requests, receiver) = channel(16);
        requests.send(subscription(Kind::Listener, &["*"])).await?;
        let stream = ReceiverStream::new(receiver);
        let responses = Discovery::new(channel_to).delta_aggregated_resources(stream).await?.into_inner();
        Ok(Self { requests, responses })
    }

    async fn ask(&self, kind: Kind, names: &[&str]) -> Result<()> {
        Ok(self.requests.send(subscription(kind, names)).await?)
    }

    /// The names of the next response: what it holds, and what it says is not there.
    async fn hear(&mut self) -> Result<[Vec<String>; 2]> {
        let response = self.responses.message().await?.context("the stream ended")?;
        let ack = DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(ack).await?;
        Ok([response.resources.into_iter().map(|resource| resource.name).collect(), response.removed_resources])
    }
}

fn subscription(kind: Kind, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        node: node(),
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

/// `shop/web-1` calls `cart`, and stands beside a Service that it does not call.
async fn shop() -> Result<(Mesh, Pod, Pod)> {
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    let cart = Pod::new("shop", "cart-1", "cart").serving(8080, "127.0.0.1:9".parse()?);
    let other = service("shop", "other", "http", 80, 8080).replace("spec:", "spec:\n  clusterIP: 10.96.0.7");
    let mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
        ("other.yaml", other),
        (&web.file(), web.yaml()),
        (&cart.file(), cart.yaml()),
    ])
    .await?;
    Ok((mesh, web, cart))
}

async fn to(mesh: &Mesh) -> Result<Channel> {
    Ok(Channel::from_shared(format!("http://{}", mesh.xds()))?.connect().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_served_what_it_uses_and_shown_like_every_proxy() -> Result<()> {
    let (mesh, web, cart) = shop().await?;
    let mut client = Client::open(to(&mesh).await?).await?;
    let own = format!("out/{}", web.upstream("cart.shop:80"));
    assert_eq!(client.hear().await?, [vec![own.clone()], vec![]]);
    let (vip, pod) = ("out/10.96.0.7:80", format!("out/{}:8080", cart.ip()));
    client.ask(Kind::Listener, &[vip, &pod, "out/10.96.0.8:80"]).await?;
    let [mut shown, missing] = client.hear().await?;
    shown.sort();
    let mut wanted = vec![vip.to_owned(), pod.clone()];
    wanted.sort();
    assert_eq!((shown, missing), (wanted, vec!["out/10.96.0.8:80".to_owned()]));
    client.ask(Kind::Cluster, &["shop/cart:80", &pod]).await?;
    assert_eq!(client.hear().await?[0].len(), 2);

    mesh.until("all is accepted", async |mesh| {
        let clients: Value = serde_json::from_str(&mesh.cli(&["proxy-status", "-o", "json"])?)?;
        Ok(clients[0]["LDS"] == "synced" && clients[0]["CDS"] == "synced")
    })
    .await?;
    let status = mesh.cli(&["proxy-status", "shop/web-1"])?;
    for part in ["byrnie-proxy", "byrnie-proxy 1.2.3", "delta"] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let rows = |what: &str| -> Result<Vec<Value>> {
        Ok(serde_json::from_str(&mesh.cli(&["proxy-config", what, "shop/web-1", "-o", "json"])?)?)
    };
    let target = |name: &str| -> Result<Value> {
        let found = rows("listener")?.into_iter().find(|row| row["name"] == name);
        Ok(found.with_context(|| format!("no {name}"))?["target"][0].take())
    };
    assert_eq!(target(&own)?, "route/shop/cart:80");
    assert_eq!(target(vip)?, "route/shop/other:80");
    assert_eq!(target(&pod)?, pod.as_str());
    let clusters = rows("cluster")?;
    let direct = clusters.iter().find(|row| row["name"] == pod.as_str()).context("no cluster of the pod")?;
    assert_eq!(
        (&direct["type"], direct["accounts"][0].as_str()),
        (&"STATIC".into(), Some("spiffe://cluster.local/ns/shop/sa/cart"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn its_reports_bring_latencies_to_byrnie_stat() -> Result<()> {
    let (mesh, ..) = shop().await?;
    let bucket = |name: &str, count| EndpointLoadMetricStats {
        metric_name: name.to_owned(),
        num_requests_finished_with_metric: count,
        ..Default::default()
    };
    let locality = UpstreamLocalityStats {
        total_successful_requests: 99,
        total_error_requests: 1,
        total_requests_in_progress: 4,
        total_issued_requests: 104,
        load_metric_stats: vec![bucket("byrnie.latency.le.5", 90), bucket("byrnie.latency.le.inf", 10)],
        ..Default::default()
    };
    let cluster = ClusterStats {
        cluster_name: "shop/cart:80".to_owned(),
        upstream_locality_stats: vec![locality],
        ..Default::default()
    };
    let (requests, receiver) = channel(4);
    requests.send(LoadStatsRequest { node: node(), ..Default::default() }).await?;
    let stream = ReceiverStream::new(receiver);
    let mut answers = LoadReporting::new(to(&mesh).await?).stream_load_stats(stream).await?.into_inner();
    assert!(answers.message().await?.context("no answer")?.send_all_clusters);
    requests.send(LoadStatsRequest { cluster_stats: vec![cluster], ..Default::default() }).await?;
    mesh.until("the report is shown", async |mesh| Ok(mesh.cli(&["stat"])?.contains("shop/web-1"))).await?;
    let table = mesh.cli(&["stat"])?;
    let row: Vec<_> = table.lines().nth(1).context("no row")?.split_whitespace().collect();
    assert_eq!(row[..3], ["shop/web-1", "shop/cart:80", "99.00%"]);
    assert_eq!(row[4..], ["4", "3.7ms", ">10s", ">10s"], "{table}");
    Ok(())
}
