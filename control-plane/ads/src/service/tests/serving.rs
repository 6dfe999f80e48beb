use byrnie_proto::{
    Kind::{self, Cluster, Endpoints, Listener, Route},
    envoy::{
        envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
        google::rpc,
    },
};
use byrnie_snapshot::{Dialect, Snapshot};
use tonic::Code;

use super::fixture::{Delta, Fixture, Sotw, delta_request, names, node, put, sotw_request};
use crate::{Sync, session::Protocol};

fn world() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for kind in [Cluster, Endpoints, Listener, Route] {
        put(&mut snapshot, kind, "a", "1");
    }
    snapshot
}

#[tokio::test]
async fn a_delta_client_is_served_and_its_state_is_shown() {
    let fixture = Fixture::start(world()).await;
    let mut line = fixture.delta().await;
    line.enter(Cluster, &[]).await;
    let first = line.hear().await.unwrap();
    assert_eq!(names(&first), ["a"]);
    line.ack(&first).await;
    fixture.until("the ACK", |hub| hub.clients()[0].kinds[0].sync == Sync::Synced).await;
    let status = fixture.hub.clients().remove(0);
    assert_eq!((status.workload.to_string().as_str(), status.dialect), ("shop/cart-1", Dialect::Envoy));
    assert_eq!((status.protocol, &*status.user_agent), (Protocol::Delta, "envoy"));
    assert_eq!((status.kinds[0].kind, status.kinds[0].wildcard, status.kinds[0].acks), (Cluster, true, 1));
    assert_eq!(status.kinds[0].last_nonce.as_deref(), Some(first.nonce.as_str()));

    fixture.publish(|snapshot| put(snapshot, Cluster, "b", "1"));
    let second = line.hear().await.unwrap();
    assert_eq!(names(&second), ["b"]);
    let dump = fixture.hub.dump("shop/cart-1");
    let dumped: Vec<_> = dump[0].resources.iter().map(|resource| &*resource.name).collect();
    assert_eq!(dumped, ["a", "b"]);
    let figures = fixture.hub.figures();
    assert_eq!((figures.open_streams, figures.responses[0], figures.acks[0]), (1, 2, 1));
    assert_eq!(figures.push_delay.iter().sum::<u64>(), 1);
}

#[tokio::test]
async fn a_sotw_client_is_served() {
    let fixture = Fixture::start(world()).await;
    let mut line = fixture.sotw().await;
    line.enter(Route, &["a", "b"]).await;
    let first = line.hear().await.unwrap();
    assert_eq!((first.resources.len(), first.resource_errors.len()), (1, 1));
    assert_eq!(first.resource_errors[0].error_detail.as_ref().unwrap().code, Code::NotFound as i32);
    // Only the first request needs a node.
    let ack = DiscoveryRequest { response_nonce: first.nonce, ..sotw_request(Route, &["a", "b"]) };
    line.say(ack).await;
    fixture.publish(|snapshot| put(snapshot, Route, "b", "1"));
    assert_eq!(line.hear().await.unwrap().resources.len(), 1);
}

#[tokio::test]
async fn every_type_has_its_own_service_in_both_protocols() {
    let services = [
        (Cluster, "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters", false),
        (Cluster, "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters", true),
        (Endpoints, "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints", false),
        (Endpoints, "/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints", true),
        (Listener, "/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners", false),
        (Listener, "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners", true),
        (Route, "/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes", false),
        (Route, "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes", true),
    ];
    let fixture = Fixture::start(world()).await;
    for (kind, path, delta) in services {
        let channel = fixture.channel().await;
        let type_url = if delta {
            let mut line = Delta::open(channel, path, None).await;
            // On such a stream the type goes without saying.
            let request = DeltaDiscoveryRequest { type_url: String::new(), ..delta_request(kind, &["a"]) };
            line.say(DeltaDiscoveryRequest { node: node("shop/cart-1"), ..request }).await;
            let response = line.hear().await.unwrap();
            assert_eq!(names(&response), ["a"]);
            line.say(delta_request(if kind == Route { Cluster } else { Route }, &["a"])).await;
            let status = line.hear().await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            assert!(status.message().contains(kind.type_url()), "{status:?}");
            response.type_url
        } else {
            let mut line = Sotw::open(channel, path, None).await;
            line.enter(kind, &["a"]).await;
            line.hear().await.unwrap().type_url
        };
        assert_eq!(type_url, kind.type_url());
    }
}

#[tokio::test]
async fn polling_is_not_served_and_says_so() {
    let fixture = Fixture::start(world()).await;
    let channel = fixture.channel().await;
    let path = "/envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters";
    let (_send, requests) = tokio::sync::mpsc::channel::<DiscoveryRequest>(1);
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<DiscoveryRequest, DiscoveryRequest>::default();
    let request = tonic::Request::new(tokio_stream::wrappers::ReceiverStream::new(requests));
    let status = grpc.streaming(request, path.parse().unwrap(), codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("StreamClusters"), "{status:?}");
}

#[tokio::test]
async fn an_unknown_type_does_not_end_the_stream() {
    let fixture = Fixture::start(world()).await;
    let mut line = fixture.delta().await;
    let unknown = DeltaDiscoveryRequest {
        node: node("shop/cart-1"),
        type_url: "type.googleapis.com/envoy.service.runtime.v3.Runtime".into(),
        resource_names_subscribe: vec!["rtds".into()],
        ..DeltaDiscoveryRequest::default()
    };
    line.say(unknown).await;
    let answer = line.hear().await.unwrap();
    assert_eq!(answer.removed_resources, ["rtds"]);
    line.ack(&answer).await;
    line.say(delta_request(Cluster, &[])).await;
    assert_eq!(names(&line.hear().await.unwrap()), ["a"]);
}

#[tokio::test]
async fn a_first_request_that_names_nobody_gets_a_status_that_says_what_is_wrong() {
    let fixture = Fixture::start(world()).await;
    for (node, code, says) in [
        (None, Code::InvalidArgument, "no node"),
        (node("cart"), Code::InvalidArgument, "NAMESPACE/POD"),
        (node("nowhere/cart"), Code::PermissionDenied, "there is no Pod nowhere/cart"),
    ] {
        let mut line = fixture.delta().await;
        line.say(DeltaDiscoveryRequest { node, ..delta_request(Cluster, &[]) }).await;
        let status = line.hear().await.unwrap_err();
        assert_eq!(status.code(), code);
        assert!(status.message().contains(says), "{status:?}");
    }
    assert_eq!((fixture.hub.figures().refused_streams, fixture.hub.figures().open_streams), (3, 0));
}

#[tokio::test]
async fn bytes_that_are_no_request_end_their_stream_with_a_reason() {
    use byrnie_proto::envoy::google::protobuf::StringValue;
    let fixture = Fixture::start(world()).await;
    let mut line =
        super::fixture::Line::<StringValue, StringValue>::open(fixture.channel().await, super::fixture::DELTA, None)
            .await;
    // Field 1 is a node, and this is none.
    line.say(StringValue { value: "\u{7f}\u{7f}\u{7f}".into() }).await;
    let status = line.hear().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}

#[tokio::test]
async fn a_nack_is_shown_on_its_object_and_blocks_nothing() {
    let fixture = Fixture::start(world()).await;
    let mut line = fixture.delta().await;
    line.enter(Cluster, &[]).await;
    let first = line.hear().await.unwrap();
    let nack = DeltaDiscoveryRequest {
        response_nonce: first.nonce,
        error_detail: Some(rpc::Status { code: 13, message: "cluster a: no".into(), details: vec![] }),
        ..delta_request(Cluster, &[])
    };
    line.say(nack).await;
    fixture.until("the NACK", |hub| hub.clients()[0].kinds[0].nacks == 1).await;
    let status = fixture.hub.clients().remove(0).kinds.remove(0);
    assert_eq!(status.sync, Sync::Refused);
    let nack = status.nack.unwrap();
    assert_eq!(nack.blamed[0].origins[0].to_string(), "Service/shop/a");
    assert!(!nack.cured);
    fixture.publish(|snapshot| put(snapshot, Cluster, "b", "1"));
    assert_eq!(names(&line.hear().await.unwrap()), ["b"]);
}

#[tokio::test]
async fn a_restarted_server_with_the_same_world_sends_nothing_again() {
    let fixture = Fixture::start(world()).await;
    let mut line = fixture.delta().await;
    line.enter(Cluster, &[]).await;
    let first = line.hear().await.unwrap();
    let versions = first.resources.into_iter().map(|resource| (resource.name, resource.version));
    let restarted = Fixture::start(world()).await;
    let mut line = restarted.delta().await;
    let again = DeltaDiscoveryRequest {
        node: node("shop/cart-1"),
        initial_resource_versions: versions.collect(),
        ..delta_request(Cluster, &[])
    };
    line.say(again).await;
    let answer = line.hear().await.unwrap();
    assert_eq!((answer.resources.len(), answer.removed_resources.len()), (0, 0));
    restarted.publish(|snapshot| put(snapshot, Cluster, "b", "1"));
    assert_eq!(names(&line.hear().await.unwrap()), ["b"]);
}

#[tokio::test]
async fn a_change_wakes_only_those_that_subscribed_to_it() {
    let fixture = Fixture::start(world()).await;
    let mut one = fixture.delta().await;
    one.enter(Endpoints, &["a"]).await;
    one.hear().await.unwrap();
    let mut two = fixture.delta().await;
    two.enter(Endpoints, &["b"]).await;
    two.hear().await.unwrap();
    fixture.publish(|snapshot| put(snapshot, Endpoints, "b", "1"));
    assert_eq!(names(&two.hear().await.unwrap()), ["b"]);
    let sent = |at: usize| fixture.hub.clients()[at].kinds[0].responses;
    assert_eq!((sent(0), sent(1)), (1, 2));
    assert_eq!(fixture.hub.version(&client(), Endpoints), fixture.hub.version(&client(), Endpoints));
    assert_ne!(fixture.hub.version(&client(), Endpoints), fixture.hub.version(&client(), Kind::Cluster));
}

fn client() -> byrnie_snapshot::Client {
    byrnie_snapshot::Client { workload: "shop/cart-1".parse().unwrap(), dialect: Dialect::Envoy }
}
