use std::{sync::atomic::Ordering, time::Duration};

use byrnie_proto::{
    Kind::{Cluster, Secret},
    envoy::envoy::extensions::transport_sockets::tls::v3::{Secret as TlsSecret, secret},
};
use byrnie_snapshot::Snapshot;
use prost::Message;
use tonic::{Code, transport::Server};

use super::fixture::{DELTA, Delta, Fixture, TestSecrets, delta_request, names, put};
use crate::tuned;

const SDS: &str = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets";

fn certificate(response: &byrnie_proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryResponse) -> String {
    let any = response.resources[0].resource.as_ref().unwrap();
    assert_eq!(any.type_url, Secret.type_url());
    let secret = TlsSecret::decode(&*any.value).unwrap();
    assert_eq!(secret.name, response.resources[0].name);
    let source = match secret.r#type.unwrap() {
        secret::Type::TlsCertificate(certificate) => certificate.certificate_chain,
        secret::Type::ValidationContext(context) => context.trusted_ca,
        other => panic!("{other:?}"),
    };
    use byrnie_proto::envoy::envoy::config::core::v3::data_source::Specifier;
    match source.unwrap().specifier.unwrap() {
        Specifier::InlineBytes(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn without_a_token_secrets_are_refused_and_the_rest_is_served() {
    let mut snapshot = Snapshot::default();
    put(&mut snapshot, Cluster, "a", "1");
    let fixture = Fixture::start(snapshot).await;
    let mut line = fixture.delta().await;
    line.enter(Secret, &["workload"]).await;
    let answer = line.hear().await.unwrap();
    assert_eq!(answer.removed_resources, ["workload"]);
    let error = answer.resource_errors[0].error_detail.as_ref().unwrap();
    assert_eq!(error.code, Code::PermissionDenied as i32);
    assert!(error.message.contains("byrnie token"), "{error:?}");
    line.say(delta_request(Cluster, &[])).await;
    assert_eq!(names(&line.hear().await.unwrap()), ["a"]);
    let kinds = fixture.hub.clients().remove(0).kinds;
    let denied: Vec<_> = kinds.iter().map(|kind| (kind.kind, kind.denied.is_some())).collect();
    assert_eq!(denied, [(Cluster, false), (Secret, true)]);

    let mut line = Delta::open(fixture.channel().await, SDS, None).await;
    line.enter(Secret, &["workload"]).await;
    let status = line.hear().await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("byrnie token"), "{status:?}");
}

#[tokio::test]
async fn every_stream_gets_a_certificate_of_its_own_and_none_is_shown() {
    let fixture = Fixture::start(Snapshot::default()).await;
    let mut certificates = Vec::new();
    let mut lines = Vec::new();
    for path in [DELTA, SDS] {
        let mut line = Delta::open(fixture.channel().await, path, Some("good")).await;
        line.enter(Secret, &["workload"]).await;
        certificates.push(certificate(&line.hear().await.unwrap()));
        lines.push(line);
    }
    assert_eq!(certificates, ["certificate 0 of cart", "certificate 1 of cart"]);
    for dump in fixture.hub.dump("shop/cart-1") {
        assert_eq!((&*dump.resources[0].name, &dump.resources[0].body), ("workload", &None));
        assert!(!format!("{dump:?}").contains("PRIVATE"));
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_in_time_and_new_roots_are_pushed() {
    let secrets = TestSecrets { lifetime: Some(Duration::from_millis(1)), ..TestSecrets::default() };
    let fixture = Fixture::with(Snapshot::default(), secrets.clone(), tuned(Server::builder())).await;
    let mut line = Delta::open(fixture.channel().await, DELTA, Some("good")).await;
    line.enter(Secret, &["workload"]).await;
    let first = line.hear().await.unwrap();
    line.ack(&first).await;
    let second = line.hear().await.unwrap();
    assert_eq!(certificate(&second), "certificate 1 of cart");
    line.ack(&second).await;
    drop(line);

    let mut line = Delta::open(fixture.channel().await, DELTA, Some("good")).await;
    line.enter(Secret, &["trust"]).await;
    let first = line.hear().await.unwrap();
    assert!(certificate(&first).contains("BEGIN CERTIFICATE"));
    line.ack(&first).await;
    secrets.roots.fetch_add(1, Ordering::SeqCst);
    fixture.hub.trust_changed();
    let second = line.hear().await.unwrap();
    assert_ne!(certificate(&first), certificate(&second));
}
