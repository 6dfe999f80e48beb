use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use byrnie_identity::{Account, TrustBundle, TrustDomain};
use byrnie_model::{ObjectKind, Origin, WorkloadName};
use byrnie_proto::{
    Kind,
    envoy::{
        envoy::{
            config::core::v3::Node,
            service::discovery::v3::{
                DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
            },
        },
        google::protobuf::StringValue,
    },
};
use byrnie_snapshot::{Reference, Resource, Snapshot, View};
use rustls_pki_types::CertificateDer;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Status, Streaming, async_trait,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Server},
};
use tonic_prost::ProstCodec;

use crate::{Admission, Ads, Caller, Gate, Hub, LeafSecret, Loads, Secrets, tuned};

pub const SOTW: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
pub const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/// Long enough for a slow machine; a test that meets it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct TestGate;

#[async_trait]
impl Gate for TestGate {
    async fn admit(&self, caller: &Caller<'_>) -> Result<Admission, Status> {
        // A real one may have to ask somebody.
        tokio::task::yield_now().await;
        if caller.client.workload.namespace() == "nowhere" {
            return Err(Status::permission_denied(format!("there is no Pod {}", caller.client.workload)));
        }
        assert!(caller.peer.is_some());
        let secrets = match caller.metadata.get("authorization") {
            Some(_) => Ok(Account::new("shop", "cart")),
            None => Err("secrets need a token: byrnie token shop/cart-1".into()),
        };
        Ok(Admission { secrets })
    }
}

/// Certificates that say how many were made before.
#[derive(Clone, Default)]
pub struct TestSecrets {
    pub issued: Arc<AtomicU64>,
    pub roots: Arc<AtomicU64>,
    pub lifetime: Option<Duration>,
}

impl Secrets for TestSecrets {
    fn leaf(&self, _: &WorkloadName, account: &Account) -> Result<LeafSecret, String> {
        let number = self.issued.fetch_add(1, Ordering::SeqCst);
        Ok(LeafSecret {
            chain_pem: format!("certificate {number} of {}", account.name()),
            key_pem: format!("PRIVATE {number}"),
            renew_at: SystemTime::now() + self.lifetime.unwrap_or(Duration::from_secs(3600)),
        })
    }

    fn trust(&self) -> TrustBundle {
        let roots = u8::try_from(self.roots.load(Ordering::SeqCst)).unwrap();
        TrustBundle::new(TrustDomain::default(), vec![CertificateDer::from(vec![roots; 8])])
    }
}

pub struct Fixture {
    pub hub: Arc<Hub>,
    pub loads: Arc<Loads>,
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fixture {
    pub async fn start(snapshot: Snapshot) -> Self {
        Self::with(snapshot, TestSecrets::default(), tuned(Server::builder())).await
    }

    pub async fn with(snapshot: Snapshot, secrets: TestSecrets, mut server: Server) -> Self {
        let hub = Hub::new(snapshot);
        let loads = Arc::<Loads>::default();
        let ads = Ads::new(hub.clone(), loads.clone(), TestGate, secrets);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = server.add_routes(ads.routes());
        let server = tokio::spawn(async move {
            router.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        Self { hub, loads, address, server }
    }

    pub async fn channel(&self) -> Channel {
        connect(self.address).await
    }

    pub async fn delta(&self) -> Delta {
        Delta::open(self.channel().await, DELTA, None).await
    }

    pub async fn sotw(&self) -> Sotw {
        Sotw::open(self.channel().await, SOTW, None).await
    }

    pub fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = self.hub.snapshot();
        change(&mut snapshot);
        self.hub.publish(snapshot);
    }

    /// Waits until `done`.
    pub async fn until(&self, what: &str, done: impl Fn(&Hub) -> bool) {
        let wait = async {
            while !done(&self.hub) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
    }
}

pub async fn connect(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

pub fn put(snapshot: &mut Snapshot, kind: Kind, name: &str, content: &str) {
    let refers = (kind == Kind::Cluster).then(|| Reference { kind: Kind::Endpoints, name: name.into() });
    let message = StringValue { value: content.to_owned() };
    let resource = Resource::new(kind, name, &message).referring(refers).from_origins([Origin::of(
        ObjectKind::Service,
        "shop",
        name,
    )]);
    snapshot.put(View::Common, resource);
}

pub fn node(id: &str) -> Option<Node> {
    Some(Node { id: id.to_owned(), user_agent_name: "envoy".into(), ..Node::default() })
}

pub fn delta_request(kind: Kind, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

pub fn sotw_request(kind: Kind, names: &[&str]) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DiscoveryRequest::default()
    }
}

/// One stream of a client.
pub struct Line<Q, R> {
    pub send: mpsc::Sender<Q>,
    pub receive: Streaming<R>,
}

pub type Delta = Line<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;
pub type Sotw = Line<DiscoveryRequest, DiscoveryResponse>;

impl<Q: prost::Message + 'static, R: prost::Message + Default + 'static> Line<Q, R> {
    pub async fn open(channel: Channel, path: &'static str, token: Option<&str>) -> Self {
        let (send, requests) = mpsc::channel(64);
        let mut request = Request::new(ReceiverStream::new(requests));
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let mut grpc = Grpc::new(channel).max_decoding_message_size(usize::MAX);
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<Q, R>::default();
        let response = grpc.streaming(request, PathAndQuery::from_static(path), codec).await.unwrap();
        Self { send, receive: response.into_inner() }
    }

    pub async fn say(&self, request: Q) {
        self.send.send(request).await.unwrap();
    }

    pub async fn hear(&mut self) -> Result<R, Status> {
        let message = tokio::time::timeout(PATIENCE, self.receive.message()).await.expect("nothing comes");
        message.map(|message| message.expect("the stream ended"))
    }
}

impl Delta {
    /// Subscribes as `shop/cart-1` does in its first request.
    pub async fn enter(&self, kind: Kind, names: &[&str]) {
        self.say(DeltaDiscoveryRequest { node: node("shop/cart-1"), ..delta_request(kind, names) }).await;
    }

    pub async fn ack(&self, response: &DeltaDiscoveryResponse) {
        let ack = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        self.say(ack).await;
    }
}

impl Sotw {
    pub async fn enter(&self, kind: Kind, names: &[&str]) {
        self.say(DiscoveryRequest { node: node("shop/cart-1"), ..sotw_request(kind, names) }).await;
    }
}

pub fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    response.resources.iter().map(|resource| resource.name.as_str()).collect()
}
