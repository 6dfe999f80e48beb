use std::{fs, path::Path, time::Duration};

use byrnie_proto::{
    Kind,
    envoy::envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
            aggregated_discovery_service_server::{AggregatedDiscoveryService, AggregatedDiscoveryServiceServer},
        },
    },
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Code,
    transport::{Endpoint, server::Server},
};

use super::*;
use crate::{
    agent::{files, socket},
    identity::testing::{Authority, CART},
};

/// What the control plane of these tests does.
#[derive(Clone)]
struct ControlPlane {
    heard: mpsc::Sender<(DeltaDiscoveryRequest, String)>,
    /// Refuses everybody.
    refusal: Option<Status>,
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for ControlPlane {
    type StreamAggregatedResourcesStream = ReceiverStream<Result<DiscoveryResponse, Status>>;
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented(""))
    }

    /// Answers each request with its type.
    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let token = request.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
        let (heard, mut requests) = (self.heard.clone(), request.into_inner());
        let (answers, answered) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let type_url = request.type_url.clone();
                // It ends the stream once the test hears nothing any more.
                if heard.send((request, token.clone())).await.is_err() {
                    return;
                }
                answers.send(Ok(DeltaDiscoveryResponse { type_url, ..Default::default() })).await.unwrap();
            }
        });
        Ok(Response::new(ReceiverStream::new(answered)))
    }
}

/// An agent between a client and a control plane.
struct Between {
    client: AggregatedDiscoveryServiceClient<tonic::transport::Channel>,
    heard: mpsc::Receiver<(DeltaDiscoveryRequest, String)>,
    _tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl Between {
    async fn start(refusal: Option<Status>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, heard) = mpsc::channel(8);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut tasks = JoinSet::new();
        let service = AggregatedDiscoveryServiceServer::new(ControlPlane { heard: sender, refusal });
        tasks.spawn(async move {
            let serving = Server::builder().add_service(service);
            serving.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        let token_file = folder.path().join("token");
        fs::write(&token_file, "t0ken\n").unwrap();
        let source = Source { workload: "shop/cart-1".to_owned(), address, roots_file: None, token_file };
        let client = serve(&mut tasks, source, folder.path()).await;
        Self { client, heard, _tasks: tasks, _folder: folder }
    }

    /// A stream, with what it asks first.
    async fn ask(
        &mut self,
        first: DeltaDiscoveryRequest,
    ) -> (mpsc::Sender<DeltaDiscoveryRequest>, Streaming<DeltaDiscoveryResponse>) {
        let (asking, asked) = mpsc::channel(1);
        asking.send(first).await.unwrap();
        let answers = self.client.delta_aggregated_resources(ReceiverStream::new(asked)).await.unwrap();
        (asking, answers.into_inner())
    }
}

async fn serve(
    tasks: &mut JoinSet<()>,
    source: Source,
    folder: &Path,
) -> AggregatedDiscoveryServiceClient<tonic::transport::Channel> {
    let identity = Arc::new(Current::new());
    identity.publish(Authority::new().identity(CART, Duration::from_secs(3600)));
    let path = folder.join("xds.sock");
    let listener = files::bind(&path).unwrap();
    let relay = Arc::new(Relay::new(source, identity));
    tasks.spawn(async move { match socket::serve(&listener, &relay).await {} });
    let endpoint = Endpoint::from_shared(format!("unix:{}", path.display())).unwrap();
    AggregatedDiscoveryServiceClient::new(endpoint.connect().await.unwrap())
}

fn request(kind: Kind, name: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: vec![name.to_owned()],
        ..DeltaDiscoveryRequest::default()
    }
}

#[tokio::test]
async fn secrets_are_answered_here_and_all_else_goes_both_ways_with_the_token() {
    let mut between = Between::start(None).await;
    let node = Some(Node { id: "shop/cart-1".to_owned(), ..Node::default() });
    let first = DeltaDiscoveryRequest { node: node.clone(), ..request(Kind::Secret, "workload") };
    let (asking, mut answers) = between.ask(first).await;
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!((&*answer.type_url, &*answer.resources[0].name), (Kind::Secret.type_url(), "workload"));

    asking.send(request(Kind::Cluster, "*")).await.unwrap();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!(answer.type_url, Kind::Cluster.type_url());
    let (heard, token) = between.heard.recv().await.unwrap();
    assert_eq!(heard, DeltaDiscoveryRequest { node, ..request(Kind::Cluster, "*") }, "the first that it hears of");
    assert_eq!(token, "Bearer t0ken");
}

#[tokio::test]
async fn the_word_of_the_control_plane_reaches_envoy() {
    let mut between = Between::start(Some(Status::permission_denied("another account"))).await;
    let (_asking, mut answers) = between.ask(request(Kind::Cluster, "*")).await;
    let status = answers.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "another account"));
}

#[tokio::test]
async fn without_a_control_plane_a_stream_ends_and_is_to_be_tried_again() {
    let mut between = Between::start(None).await;
    let (asking, mut answers) = between.ask(request(Kind::Cluster, "*")).await;
    assert!(answers.message().await.unwrap().is_some());
    drop(between.heard);
    asking.send(request(Kind::Listener, "*")).await.unwrap();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::Unavailable);

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    fs::write(&token_file, "t0ken").unwrap();
    let source = Source { workload: "shop/cart-1".to_owned(), address: nobody, roots_file: None, token_file };
    let mut agent = JoinSet::new();
    let mut client = serve(&mut agent, source, folder.path()).await;
    let (asking, asked) = mpsc::channel(1);
    asking.send(request(Kind::Cluster, "*")).await.unwrap();
    let mut answers = client.delta_aggregated_resources(ReceiverStream::new(asked)).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::Unavailable);
}
