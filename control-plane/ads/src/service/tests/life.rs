//! Clients that come, go, sleep and die.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use byrnie_proto::{
    Kind::{Cluster, Endpoints, Listener},
    envoy::envoy::service::discovery::v3::DeltaDiscoveryRequest,
};
use byrnie_snapshot::Snapshot;
use tokio::{io::copy_bidirectional, net::TcpListener, net::TcpStream, sync::oneshot};
use tonic::transport::Server;

use super::fixture::{DELTA, Delta, Fixture, TestSecrets, connect, delta_request, names, node, put};
use crate::tuned;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_clients_that_come_and_go_leave_nothing() {
    let mut snapshot = Snapshot::default();
    put(&mut snapshot, Cluster, "a", "1");
    let fixture = Fixture::start(snapshot).await;
    for _ in 0..40 {
        let channel = fixture.channel().await;
        let clients = (0..250).map(|at| {
            let channel = channel.clone();
            tokio::spawn(async move {
                let mut line = Delta::open(channel, DELTA, None).await;
                line.enter(Cluster, &[]).await;
                line.say(delta_request(Endpoints, &["a", "b", &at.to_string()])).await;
                line.hear().await.unwrap();
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
    }
    fixture.until("all streams closed", |hub| hub.figures().open_streams == 0).await;
    assert_eq!(fixture.hub.figures().streams, 10_000);
    assert_eq!((fixture.hub.subscribed_names(), fixture.hub.clients().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_holds_up_nobody_and_skips_states() {
    let mut snapshot = Snapshot::default();
    let big = "x".repeat(64 * 1024);
    for at in 0..64 {
        put(&mut snapshot, Listener, &format!("l{at}"), &big);
    }
    let fixture = Fixture::start(snapshot).await;
    let mut slow = fixture.delta().await;
    slow.enter(Listener, &[]).await;
    fixture.until("the slow client's first response", |hub| hub.figures().responses[3] > 0).await;
    let mut quick = fixture.delta().await;
    quick.enter(Listener, &["l7"]).await;
    let first = quick.hear().await.unwrap();
    quick.ack(&first).await;
    for round in 0..200 {
        fixture.publish(|snapshot| put(snapshot, Listener, "l7", &format!("{round}")));
        let pushed = quick.hear().await.unwrap();
        quick.ack(&pushed).await;
    }
    let last = quick.hub_version(&fixture);
    let mut responses = 0;
    loop {
        let response = slow.hear().await.unwrap();
        responses += 1;
        slow.ack(&response).await;
        if response.resources.iter().any(|resource| resource.name == "l7" && resource.version == last) {
            break;
        }
    }
    assert!(responses < 30, "{responses} responses for 16 pieces");
}

impl Delta {
    fn hub_version(&self, fixture: &Fixture) -> String {
        let client = fixture.hub.clients()[0].workload.clone();
        let client = byrnie_snapshot::Client { workload: client, dialect: byrnie_snapshot::Dialect::Envoy };
        fixture.hub.snapshot().find(&client, Listener, "l7").unwrap().version().to_string()
    }
}

/// A connection through `to` that falls silent when told to, without a FIN or RST.
async fn freezing_proxy(to: SocketAddr) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (freeze, frozen) = oneshot::channel();
    let task = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(to).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => {}
            _ = frozen => std::future::pending().await,
        }
    });
    (address, freeze, task)
}

#[tokio::test]
async fn a_client_that_died_without_a_word_is_found() {
    let short = Some(Duration::from_millis(100));
    let server = tuned(Server::builder()).http2_keepalive_interval(short).http2_keepalive_timeout(short);
    let fixture = Fixture::with(Snapshot::default(), TestSecrets::default(), server).await;
    let (address, freeze, proxy) = freezing_proxy(fixture.address).await;
    let mut line = Delta::open(connect(address).await, DELTA, None).await;
    line.enter(Cluster, &[]).await;
    line.hear().await.unwrap();
    assert_eq!(fixture.hub.figures().open_streams, 1);
    freeze.send(()).unwrap();
    fixture.until("the dead client is gone", |hub| hub.figures().open_streams == 0).await;
    proxy.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_100_000_names_is_answered_and_others_are_served_meanwhile() {
    let mut snapshot = Snapshot::default();
    put(&mut snapshot, Cluster, "a", "1");
    let fixture = Fixture::start(snapshot).await;
    let mut other = fixture.delta().await;
    other.enter(Cluster, &[]).await;
    let first = other.hear().await.unwrap();
    other.ack(&first).await;

    let mut line = fixture.delta().await;
    let subscribe = (0..100_000).map(|at| format!("namespace-{at}/service:80")).collect();
    let request = DeltaDiscoveryRequest {
        node: node("shop/cart-1"),
        resource_names_subscribe: subscribe,
        ..delta_request(Endpoints, &[])
    };
    line.say(request).await;
    fixture.publish(|snapshot| put(snapshot, Cluster, "b", "1"));
    assert_eq!(names(&other.hear().await.unwrap()), ["b"]);
    let mut answered = 0;
    while answered < 100_000 {
        answered += line.hear().await.unwrap().removed_resources.len();
    }
    assert_eq!(answered, 100_000);
    fixture.publish(|snapshot| put(snapshot, Endpoints, "namespace-77/service:80", "1"));
    assert_eq!(names(&line.hear().await.unwrap()), ["namespace-77/service:80"]);
}
