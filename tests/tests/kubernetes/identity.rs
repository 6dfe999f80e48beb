//! Workloads that prove themselves with tokens of a real API server.

use anyhow::{Context, Result};
use byrnie_proto::{
    Kind,
    ca::{SignRequest, certificate_authority_client::CertificateAuthorityClient},
    envoy::envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest, aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
        },
    },
};
use byrnie_tests::{
    app::App,
    http,
    kubernetes::ApiServer,
    mesh::Mesh,
    objects::{Pod, service},
    sidecar::Sidecar,
    wait::until,
};
use rcgen::{CertificateParams, KeyPair};
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};

use super::source::run;

/// What workloads' tokens are for.
const AUDIENCE: &str = "byrnie.io/ca";

/// A control plane over an API server with a namespace of its own.
struct Stage {
    server: ApiServer,
    mesh: Mesh,
    namespace: String,
}

impl Stage {
    async fn start(server: ApiServer) -> Result<Self> {
        let namespace = server.namespace("shop").await?;
        let mesh = Mesh::of_cluster(server.reader(&namespace).await?).await?;
        Ok(Self { server, mesh, namespace })
    }

    /// Runs a Pod of an app, as the ServiceAccount of that name.
    async fn run(&self, pod: &Pod, app: &str) -> Result<()> {
        self.server.kubectl(&["create", "serviceaccount", app, "--namespace", &self.namespace]).await?;
        run(&self.server, &self.namespace, pod).await
    }

    /// A token of the audience for a ServiceAccount, bound to a Pod where one is named.
    async fn token(&self, account: &str, pod: Option<&str>) -> Result<String> {
        self.server.token(&self.namespace, account, AUDIENCE, pod.map(|pod| ["Pod", pod])).await
    }

    async fn channel(&self) -> Result<Channel> {
        Ok(Endpoint::from_shared(format!("http://{}", self.mesh.xds()))?.connect().await?)
    }

    /// The account of the certificate that a token buys.
    async fn sign(&self, token: &str) -> Result<Result<String, Status>> {
        let key = KeyPair::generate()?;
        let csr_der = CertificateParams::default().serialize_request(&key)?.der().to_vec();
        let request = with(token, SignRequest { csr_der, ttl_seconds: 0 })?;
        Ok(match CertificateAuthorityClient::new(self.channel().await?).sign(request).await {
            Ok(response) => Ok(byrnie_identity::peer_identity(&response.into_inner().chain_der[0])?.to_string()),
            Err(status) => Err(status),
        })
    }

    /// What discovery says to a Pod that shows a token.
    async fn discover(&self, pod: &str, token: &str) -> Result<Result<(), Status>> {
        let request = DeltaDiscoveryRequest {
            node: Some(Node { id: format!("{}/{pod}", self.namespace), ..Node::default() }),
            type_url: Kind::Listener.type_url().to_owned(),
            resource_names_subscribe: vec!["*".to_owned()],
            ..DeltaDiscoveryRequest::default()
        };
        let request = with(token, tokio_stream::once(request))?;
        let mut client = AggregatedDiscoveryServiceClient::new(self.channel().await?);
        let said = match client.delta_aggregated_resources(request).await {
            Ok(stream) => stream.into_inner().message().await,
            Err(status) => Err(status),
        };
        Ok(said.map(drop))
    }

    /// Waits until a token is refused so.
    async fn until_refused(&self, token: &str, code: Code, words: &str) -> Result<()> {
        let mut last = None;
        let what = format!("{code:?}: {words}");
        let refused = until(&what, async || {
            last = self.sign(token).await?.err();
            Ok(last.as_ref().is_some_and(|status| status.code() == code && status.message().contains(words)))
        });
        refused.await.with_context(|| format!("{last:?}"))
    }
}

fn with<T>(token: &str, message: T) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}

#[tokio::test(flavor = "multi_thread")]
async fn sidecars_with_tokens_of_their_pods_speak_mesh_tls_for_one_review_each() -> Result<()> {
    let stage = Stage::start(ApiServer::start().await?).await?;
    let Stage { server, mesh, namespace } = &stage;
    let app = App::named("cart").await?;
    let cart = Pod::new(namespace, "cart-1", "cart").serving(8080, app.address());
    let host = format!("cart.{namespace}");
    let web = Pod::new(namespace, "web-1", "web").calling(&format!("{host}:80"));
    server.apply(&service(namespace, "cart", "http", 80, 8080)).await?;
    let mut sidecars = Vec::new();
    for (pod, app, name) in [(&cart, "cart", "cart-1"), (&web, "web", "web-1")] {
        stage.run(pod, app).await?;
        let token = stage.token(app, Some(name)).await?;
        let mut sidecar = Sidecar::launch_micro_with(mesh, &pod.workload(), &token)?;
        sidecar.until_ready().await?;
        sidecars.push(sidecar);
    }
    mesh.until("the Service is served", async |_| {
        Ok(http::get(web.upstream(&format!("{host}:80")), &host, "/").await?.status == 200)
    })
    .await?;
    let asked = app.asked();
    let caller = asked[0].header("x-forwarded-client-cert").context("the caller has an identity")?;
    assert!(caller.contains(&format!("spiffe://cluster.local/ns/{namespace}/sa/web")), "{caller}");
    let reviews = async || {
        let requests = server.requests_of(namespace, "byrnie")?;
        Ok::<_, anyhow::Error>(requests.iter().filter(|it| it.resource.starts_with("tokenreviews")).count())
    };
    until("the reviews are logged", async || Ok(reviews().await? > 1)).await?;
    assert_eq!(reviews().await?, 2, "a proxy's certificate, discovery and load reports share a review");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_own_pod_alone() -> Result<()> {
    let stage = Stage::start(ApiServer::start().await?).await?;
    let Stage { server, namespace, .. } = &stage;
    for (name, app) in [("cart-1", "cart"), ("web-1", "web")] {
        stage.run(&Pod::new(namespace, name, app).serving(8080, "127.0.0.1:9".parse()?), app).await?;
    }
    let web = stage.token("web", Some("web-1")).await?;
    stage.mesh.until("the Pod is known", async |_| Ok(stage.sign(&web).await?.is_ok())).await?;
    assert_eq!(stage.sign(&web).await?.ok(), Some(format!("spiffe://cluster.local/ns/{namespace}/sa/web")));
    assert!(stage.discover("web-1", &web).await?.is_ok());

    let other = stage.discover("cart-1", &web).await?.unwrap_err();
    let words = format!("the token speaks for {namespace}/web-1, node.id for {namespace}/cart-1");
    assert_eq!((other.code(), other.message().contains(&words)), (Code::PermissionDenied, true), "{other}");
    let elsewhere = server.token(namespace, "web", "elsewhere", Some(["Pod", "web-1"])).await?;
    let of_server = server.token(namespace, "web", "", Some(["Pod", "web-1"])).await?;
    for token in [&elsewhere, &of_server, "nonsense"] {
        let refused = stage.sign(token).await?.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        assert!(refused.message().contains("of the audience \"byrnie.io/ca\" that is bound to the Pod"), "{refused}");
        assert!(!refused.message().contains(token), "{refused}");
    }
    let unbound = stage.sign(&stage.token("web", None).await?).await?.unwrap_err();
    let words = format!("it is a token of {namespace}/web, bound to no Pod");
    assert_eq!((unbound.code(), unbound.message().contains(&words)), (Code::Unauthenticated, true), "{unbound}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_its_pod_and_no_outage_makes_one_good() -> Result<()> {
    let mut stage = Stage::start(ApiServer::start().await?).await?;
    let web = Pod::new(&stage.namespace, "web-1", "web").serving(8080, "127.0.0.1:9".parse()?);
    stage.run(&web, "web").await?;
    let (shown, unshown) = (stage.token("web", Some("web-1")).await?, stage.token("web", Some("web-1")).await?);
    stage.mesh.until("the Pod is known", async |_| Ok(stage.sign(&shown).await?.is_ok())).await?;

    let namespace = stage.namespace.clone();
    let delete = ["delete", "pod", "web-1", "--namespace", &namespace, "--force"];
    stage.server.kubectl(&delete).await?;
    stage.until_refused(&shown, Code::NotFound, &format!("the Pod {namespace}/web-1, which is not there")).await?;
    stage.until_refused(&unshown, Code::Unauthenticated, "the API server refuses it").await?;
    run(&stage.server, &namespace, &web).await?;
    stage.until_refused(&shown, Code::PermissionDenied, "the one that is there has").await?;
    let next = stage.token("web", Some("web-1")).await?;
    assert!(stage.sign(&next).await?.is_ok());

    let late = stage.token("web", Some("web-1")).await?;
    stage.server.kill()?;
    let refused = stage.sign(&late).await?.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(stage.sign(&next).await?.is_ok(), "what is known stays known for a minute");
    stage.server.restart().await?;
    assert!(stage.sign(&late).await?.is_ok());
    Ok(())
}
