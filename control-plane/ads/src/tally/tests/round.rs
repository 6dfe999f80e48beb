//! What is looked at, and when.

use byrnie_proto::Kind::Route;
use byrnie_snapshot::Snapshot;
use tonic::transport::Server;

use super::proxy::{Mesh, Proxy, route, table, text};
use crate::{
    Tallies,
    service::tests::fixture::{Fixture, PATIENCE, TestSecrets, delta_request},
    tuned,
};

#[test]
fn an_object_that_goes_is_told_once_and_one_that_was_never_told_is_not() {
    let mut mesh = Mesh::new();
    mesh.publish(&[("web", Some(1))], |snapshot| table(snapshot, "a", "1", &["web"]));
    assert_eq!(mesh.look(), ["web 1: 0/0"]);
    mesh.publish(&[("web", None), ("other", Some(1))], |snapshot| table(snapshot, "a", "1", &[]));
    mesh.publish(&[("other", None)], |_| ());
    assert_eq!(mesh.look(), ["web gone"]);
    assert_eq!(mesh.look(), [""; 0]);
}

#[test]
fn a_settled_object_is_looked_at_again_when_a_newcomer_refuses_it() {
    let mut mesh = Mesh::new();
    mesh.publish(&[("web", Some(1))], |snapshot| table(snapshot, "a", "1", &["web"]));
    assert_eq!(mesh.look(), ["web 1: 0/0"]);
    let one = Proxy::envoy(&mesh.hub, "shop/one");
    one.want(Route, &["a"]);
    let sent = one.hear();
    assert_eq!(mesh.look(), [""; 0], "those that come and go change nothing");
    one.answer(&sent[0], Some("no"));
    assert_eq!(mesh.look(), ["web 1: 0/1 shop/one refused RDS a: no"]);
}

#[test]
fn a_change_of_one_object_leaves_the_others_alone() {
    let mut mesh = Mesh::new();
    let names: Vec<String> = (0..100).map(|n| format!("r{n}")).collect();
    let objects: Vec<_> = names.iter().map(|name| (&**name, Some(1))).collect();
    mesh.publish(&objects, |snapshot| names.iter().for_each(|name| table(snapshot, name, "1", &[name])));
    mesh.look();
    assert_eq!(mesh.tallies.unsettled(), 0);
    mesh.publish(&[("r7", Some(2))], |snapshot| table(snapshot, "r7", "2", &["r7"]));
    assert_eq!(mesh.tallies.unsettled(), 1);
    assert_eq!(mesh.look(), ["r7 2: 0/0"]);
}

#[test]
fn a_long_round_is_cut_and_gone_on_with() {
    let mut mesh = Mesh::new();
    let names: Vec<String> = (0..100).map(|n| format!("r{n:02}")).collect();
    let objects: Vec<_> = names.iter().map(|name| (&**name, Some(1))).collect();
    mesh.publish(&objects, |snapshot| names.iter().for_each(|name| table(snapshot, name, "1", &[name])));
    let mut told = Vec::new();
    loop {
        let looked = mesh.tallies.look(30);
        assert!(looked.changed.len() <= 30);
        told.extend(looked.changed.into_iter().map(|(object, _)| object.name.to_string()));
        if looked.done {
            break;
        }
    }
    assert_eq!(told, names);
}

#[test]
fn long_words_of_a_client_are_cut() {
    let mut mesh = Mesh::new();
    let one = Proxy::envoy(&mesh.hub, "shop/one");
    one.want(Route, &["a"]);
    mesh.publish(&[("web", Some(1))], |snapshot| table(snapshot, "a", "1", &["web"]));
    one.answer(&one.hear()[0], Some(&"ü".repeat(2000)));
    let looked = mesh.tallies.look(usize::MAX);
    let tally = looked.changed[0].1.as_ref().unwrap();
    assert_eq!((looked.changed[0].0.clone(), tally.refusals[0].text.len()), (route("web"), 1024));
}

/// Looks whenever something moved, until an object stands as said.
async fn until(tallies: &mut Tallies, expected: &str) {
    let wait = async {
        loop {
            let looked = tallies.look(usize::MAX);
            if looked.changed.iter().any(|(object, tally)| text(object, tally.as_ref()) == expected) {
                return;
            }
            tallies.moved().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {expected}"));
}

#[tokio::test]
async fn real_streams_tell_that_they_moved() {
    let fixture = Fixture::with(Snapshot::default(), TestSecrets::default(), tuned(Server::builder())).await;
    let mut tallies = Tallies::new(fixture.hub.clone());
    let mut line = fixture.delta().await;
    line.enter(Route, &["a"]).await;
    let first = line.hear().await.unwrap();
    line.ack(&first).await;
    let publish = |tallies: &mut Tallies, generation| {
        let mut snapshot = fixture.hub.snapshot();
        table(&mut snapshot, "a", &format!("{generation}"), &["web"]);
        tallies.advance(&snapshot, [(route("web"), Some(generation))]);
        fixture.hub.publish(snapshot);
    };
    publish(&mut tallies, 1);
    until(&mut tallies, "web 1: 0/1").await;
    let sent = line.hear().await.unwrap();
    line.ack(&sent).await;
    until(&mut tallies, "web 1: 1/1").await;

    publish(&mut tallies, 2);
    let sent = line.hear().await.unwrap();
    let error = byrnie_proto::envoy::google::rpc::Status { message: "no".into(), ..Default::default() };
    let nack = byrnie_proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryRequest {
        response_nonce: sent.nonce,
        error_detail: Some(error),
        ..delta_request(Route, &[])
    };
    line.say(nack).await;
    until(&mut tallies, "web 2: 0/1 shop/cart-1 refused RDS a: no").await;
    drop(line);
    until(&mut tallies, "web 2: 0/0").await;
}
