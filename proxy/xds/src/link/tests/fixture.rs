//! A control plane that says what the test tells it to, at the other end of a pipe: no socket, so that a paused clock
//! stands still as long as anything moves.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use byrnie_proto::{
    Kind,
    envoy::envoy::service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
        aggregated_discovery_service_server::{AggregatedDiscoveryService, AggregatedDiscoveryServiceServer},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::DuplexStream,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    codegen::{Service, http::Uri},
    transport::{Identity, Server, ServerTlsConfig},
};

use crate::{
    Handle, Link, Listeners, Resources, Settings,
    testing::{To, body, resource, text},
};

/// By the paused clock, so that it costs nothing: whoever meets it waits for what never comes.
const PATIENCE: Duration = Duration::from_secs(3600);

type Responses = mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>;

/// The control plane.
pub struct Plane {
    network: Network,
    streams: mpsc::Receiver<Stream>,
    server: JoinHandle<()>,
}

/// Between the proxy and the control plane.
#[derive(Clone)]
struct Network {
    pipes: mpsc::Sender<io::Result<DuplexStream>>,
    /// Whether connections are refused.
    cut: Arc<Mutex<bool>>,
    dialled: Arc<Mutex<Vec<Instant>>>,
}

/// One stream, at the server's end.
pub struct Stream {
    pub authorization: Option<String>,
    requests: Streaming<DeltaDiscoveryRequest>,
    responses: Responses,
    nonce: u32,
}

struct Script {
    streams: mpsc::Sender<Stream>,
}

/// A running client.
pub struct Proxy {
    pub handle: Handle,
    pub resources: watch::Receiver<Arc<Resources>>,
    task: JoinHandle<()>,
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn settings() -> Settings {
    Settings {
        node: "shop/cart-1".to_owned(),
        address: "control-plane:15010".to_owned(),
        roots: None,
        token: None,
        state: None,
        listeners: Listeners::All,
    }
}

impl Plane {
    pub fn start() -> Self {
        Self::serve(Server::builder())
    }

    /// One that proves itself by a certificate and its key, PEM.
    pub fn with_tls(certificate: &str, key: &str) -> Self {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        Self::serve(Server::builder().tls_config(tls).unwrap())
    }

    fn serve(mut server: Server) -> Self {
        let (pipes, incoming) = mpsc::channel(16);
        let (sender, streams) = mpsc::channel(16);
        let service = AggregatedDiscoveryServiceServer::new(Script { streams: sender });
        let server = tokio::spawn(async move {
            let router = server.add_service(service);
            router.serve_with_incoming(ReceiverStream::new(incoming)).await.unwrap();
        });
        let network = Network { pipes, cut: Arc::default(), dialled: Arc::default() };
        Self { network, streams, server }
    }

    /// A proxy that connects to it.
    pub fn proxy(&self, settings: Settings) -> Proxy {
        let network = self.network.clone();
        let dial = Box::new(move |endpoint: tonic::transport::Endpoint| {
            let network = network.clone();
            Box::pin(async move { endpoint.connect_with_connector(network).await }) as super::super::Dialling
        });
        let (link, handle) = Link::dialling(settings, dial).unwrap();
        let resources = handle.resources();
        let task = tokio::spawn(async move {
            link.run().await;
        });
        Proxy { handle, resources, task }
    }

    pub fn cut(&self, cut: bool) {
        *self.network.cut.lock().unwrap() = cut;
    }

    /// When the proxy tried to connect.
    pub fn dialled(&self) -> Vec<Instant> {
        self.network.dialled.lock().unwrap().clone()
    }

    /// The next stream that is opened.
    pub async fn stream(&mut self) -> Stream {
        timeout(PATIENCE, self.streams.recv()).await.expect("no stream").unwrap()
    }

    /// The next stream, on which nothing was said yet but what a client without anything says.
    pub async fn first_stream(&mut self) -> Stream {
        let mut stream = self.stream().await;
        assert_eq!(stream.request().await, "LDS node +*");
        stream
    }
}

impl Stream {
    /// The next request, in short.
    pub async fn request(&mut self) -> String {
        let next = timeout(PATIENCE, self.requests.message()).await.expect("no request");
        text(&next.unwrap().expect("the client closed"))
    }

    /// Sends good resources: name, version, references.
    pub async fn good(&mut self, kind: Kind, resources: &[(&str, &str, To<'_>)]) {
        let bodies = resources.iter().map(|(name, version, to)| resource(kind, name, version, body(kind, name, to)));
        let resources = bodies.collect();
        self.send(DeltaDiscoveryResponse { type_url: kind.type_url().into(), resources, ..Default::default() }).await;
    }

    pub async fn removed(&mut self, kind: Kind, name: &str) {
        let removed_resources = vec![name.to_owned()];
        let type_url = kind.type_url().into();
        self.send(DeltaDiscoveryResponse { type_url, removed_resources, ..Default::default() }).await;
    }

    pub async fn send(&mut self, response: DeltaDiscoveryResponse) {
        self.nonce += 1;
        let response = DeltaDiscoveryResponse { nonce: self.nonce.to_string(), ..response };
        self.responses.send(Ok(response)).await.unwrap();
    }

    /// Ends the stream with an error.
    pub async fn fail(self, status: Status) {
        self.responses.send(Err(status)).await.unwrap();
    }

    /// `out` with a cluster and its endpoints, asked for and accepted.
    pub async fn serve_shop(&mut self) {
        self.good(Kind::Listener, &[("out", "1", &[(Kind::Cluster, "a")])]).await;
        assert_eq!(self.request().await, "CDS +a");
        assert_eq!(self.request().await, "LDS ack 1");
        self.good(Kind::Cluster, &[("a", "1", &[(Kind::Endpoints, "a")])]).await;
        assert_eq!(self.request().await, "EDS +a");
        assert_eq!(self.request().await, "CDS ack 2");
        self.good(Kind::Endpoints, &[("a", "1", &[])]).await;
        assert_eq!(self.request().await, "EDS ack 3");
    }
}

impl Proxy {
    /// Waits until what serves is as it should be.
    pub async fn until(&mut self, done: impl FnMut(&Arc<Resources>) -> bool) -> Arc<Resources> {
        let waited = timeout(PATIENCE, self.resources.wait_for(done)).await.expect("it never comes so far");
        waited.unwrap().clone()
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Script {
    type StreamAggregatedResourcesStream = ReceiverStream<Result<DiscoveryResponse, Status>>;
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("delta only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let authorization = request.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let (responses, receiver) = mpsc::channel(16);
        let requests = request.into_inner();
        self.streams.send(Stream { authorization, requests, responses, nonce: 0 }).await.unwrap();
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl Service<Uri> for Network {
    type Response = TokioIo<DuplexStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        self.dialled.lock().unwrap().push(Instant::now());
        let network = self.clone();
        Box::pin(async move {
            if *network.cut.lock().unwrap() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            network.pipes.send(Ok(theirs)).await.unwrap();
            Ok(TokioIo::new(ours))
        })
    }
}
