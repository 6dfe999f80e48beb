//! Callers of the xDS port that a test writes by hand: over TLS, with a token, a certificate, both or nothing.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use byrnie_proto::{
    Kind,
    ca::{SignRequest, certificate_authority_client::CertificateAuthorityClient},
    envoy::{
        envoy::{
            config::core::v3::Node,
            service::discovery::v3::{
                DeltaDiscoveryRequest, DeltaDiscoveryResponse,
                aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
            },
        },
        google::rpc,
    },
    fleet::{TalliesRequest, fleet_client::FleetClient},
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{
    Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

/// A name that the certificate of the xDS port has, whatever its address.
const NAME: &str = "byrnie-control-plane";

/// No answer takes longer, or the test fails.
const LIMIT: Duration = Duration::from_secs(10);

/// One connection, and what is shown on it.
pub struct Caller {
    channel: Channel,
    token: Option<String>,
}

/// What the authority issued.
pub struct Signed {
    pub chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

/// A proxy that subscribes to all listeners and clusters and to one route, and refuses what it is told to.
pub struct Proxy {
    refusing: watch::Sender<bool>,
    _task: JoinSet<Result<()>>,
}

impl Caller {
    /// Connects to whoever these roots (PEM) vouch for.
    pub async fn connect(
        address: SocketAddr,
        roots: &str,
        token: Option<&str>,
        shown: Option<&Signed>,
    ) -> Result<Self> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(roots)).domain_name(NAME);
        if let Some(shown) = shown {
            tls = tls.identity(Identity::from_pem(shown.chain_pem(), shown.key.serialize_pem()));
        }
        let channel = Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?.connect_timeout(LIMIT);
        Ok(Self { channel: channel.connect().await?, token: token.map(str::to_owned) })
    }

    /// A certificate for whoever this is.
    pub async fn sign(&self) -> Result<Result<Signed, Status>> {
        let key = KeyPair::generate()?;
        let csr_der = CertificateParams::default().serialize_request(&key)?.der().to_vec();
        let request = self.with(SignRequest { csr_der, ttl_seconds: 0 })?;
        let mut client = CertificateAuthorityClient::new(self.channel.clone());
        let said = timeout(LIMIT, client.sign(request)).await?;
        Ok(said.map(|said| {
            let chain = said.into_inner().chain_der.into_iter().map(CertificateDer::from).collect();
            Signed { chain, key }
        }))
    }

    /// What discovery says to a Pod, as `NAMESPACE/NAME`.
    pub async fn discover(&self, pod: &str) -> Result<Result<DeltaDiscoveryResponse, Status>> {
        // One who says no more would get no answer.
        let said = tokio_stream::once(subscribe(pod, Kind::Listener, "*")).chain(tokio_stream::pending());
        let request = self.with(said)?;
        let mut client = AggregatedDiscoveryServiceClient::new(self.channel.clone());
        let said = match client.delta_aggregated_resources(request).await {
            Ok(stream) => timeout(LIMIT, stream.into_inner().message()).await?,
            Err(status) => Err(status),
        };
        Ok(said.and_then(|said| said.ok_or_else(|| Status::internal("the stream ended without a word"))))
    }

    /// What replicas tell each other.
    pub async fn tallies(&self) -> Result<Result<(), Status>> {
        let request = self.with(TalliesRequest {})?;
        let mut client = FleetClient::new(self.channel.clone());
        Ok(timeout(LIMIT, client.tallies(request)).await?.map(drop))
    }

    /// Becomes the proxy of a Pod, as `NAMESPACE/NAME`, that refuses this route where it is told to.
    pub fn proxy(self, pod: &str, route: &str, refusing: bool) -> Proxy {
        let (sender, told) = watch::channel(refusing);
        let mut task = JoinSet::new();
        task.spawn(follow(self, pod.to_owned(), route.to_owned(), told));
        Proxy { refusing: sender, _task: task }
    }

    fn with<T>(&self, message: T) -> Result<Request<T>> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
        }
        Ok(request)
    }
}

impl Signed {
    /// Whose certificate it is.
    pub fn id(&self) -> Result<String> {
        Ok(byrnie_identity::peer_identity(&self.chain[0])?.to_string())
    }

    /// The certificate that signed it.
    pub fn issuer(&self) -> Result<&CertificateDer<'static>> {
        self.chain.get(1).context("a chain has its issuer")
    }

    /// An error where none of these roots (PEM) vouches for it.
    pub fn verify(&self, roots: &str) -> Result<()> {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
            store.add(root?)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build()?;
        let now = UnixTime::since_unix_epoch(SystemTime::now().duration_since(UNIX_EPOCH)?);
        verifier.verify_client_cert(&self.chain[0], &self.chain[1..], now)?;
        Ok(())
    }

    fn chain_pem(&self) -> String {
        byrnie_identity::certificates_pem(&self.chain)
    }
}

impl Proxy {
    /// Takes what comes from now on.
    pub fn accept(&self) {
        self.refusing.send_replace(false);
    }
}

/// The text of each refusal.
pub const REFUSAL: &str = "this proxy takes no such route";

async fn follow(caller: Caller, pod: String, route: String, refusing: watch::Receiver<bool>) -> Result<()> {
    let (requests, outgoing) = mpsc::channel(16);
    for (kind, name) in [(Kind::Cluster, "*"), (Kind::Listener, "*"), (Kind::Route, &*route)] {
        requests.send(subscribe(&pod, kind, name)).await?;
    }
    let mut client = AggregatedDiscoveryServiceClient::new(caller.channel.clone());
    let request = caller.with(ReceiverStream::new(outgoing))?;
    let mut responses = client.delta_aggregated_resources(request).await?.into_inner();
    while let Some(response) = responses.message().await? {
        let is_route = response.type_url == Kind::Route.type_url();
        let error_detail = (is_route && *refusing.borrow()).then(|| rpc::Status {
            code: 3,
            message: REFUSAL.to_owned(),
            ..rpc::Status::default()
        });
        let answer = DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            error_detail,
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(answer).await?;
    }
    Ok(())
}

fn subscribe(pod: &str, kind: Kind, name: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        node: Some(Node { id: pod.to_owned(), user_agent_name: "envoy".to_owned(), ..Node::default() }),
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: vec![name.to_owned()],
        ..DeltaDiscoveryRequest::default()
    }
}
