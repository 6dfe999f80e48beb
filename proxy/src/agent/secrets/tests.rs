use std::time::Duration;

use super::*;
use crate::identity::{
    Current,
    testing::{Authority, CART},
};

/// The next identity.
fn renewed(current: &Current, authority: &Authority) -> std::sync::Arc<Identity> {
    current.publish(authority.identity(CART, Duration::from_secs(3600)));
    current.load().unwrap()
}

fn subscribing(names: &[&str]) -> Bytes {
    let resource_names_subscribe = names.iter().map(|name| (*name).to_owned()).collect();
    DeltaDiscoveryRequest { resource_names_subscribe, ..DeltaDiscoveryRequest::default() }.encode_to_vec().into()
}

fn delta(session: &mut Session, identity: &Identity) -> Option<DeltaDiscoveryResponse> {
    session.next(identity).map(|octets| DeltaDiscoveryResponse::decode(octets).unwrap())
}

fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    response.resources.iter().map(|resource| &*resource.name).collect()
}

#[test]
fn a_certificate_comes_with_its_key_and_its_issuer_and_the_roots_beside_it() {
    let (current, authority) = (Current::new(), Authority::new());
    let identity = renewed(&current, &authority);
    let mut session = Session::new(Variant::Delta);
    session.ask(subscribing(&["workload", "trust"])).unwrap();
    let response = delta(&mut session, &identity).unwrap();
    assert_eq!((names(&response), &*response.type_url), (vec!["trust", "workload"], Kind::Secret.type_url()));
    let secret = |at: usize| Secret::decode(&*response.resources[at].resource.as_ref().unwrap().value).unwrap();
    let pem = |source: Option<DataSource>| match source.unwrap().specifier.unwrap() {
        Specifier::InlineBytes(pem) => String::from_utf8(pem).unwrap(),
        other => panic!("{other:?}"),
    };
    let (trust, workload) = (secret(0), secret(1));
    let Some(secret::Type::TlsCertificate(certificate)) = workload.r#type else { panic!("{}", workload.name) };
    assert_eq!(pem(certificate.certificate_chain).matches("BEGIN CERTIFICATE").count(), 2);
    assert!(pem(certificate.private_key).starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let Some(secret::Type::ValidationContext(context)) = trust.r#type else { panic!("{}", trust.name) };
    assert_eq!(pem(context.trusted_ca), certificates_pem(identity.roots()));
    assert_eq!(session.next(&identity), None);
}

#[test]
fn each_renewal_is_sent_once_and_an_acknowledgement_asks_for_nothing() {
    let (current, authority) = (Current::new(), Authority::new());
    let mut session = Session::new(Variant::Delta);
    session.ask(subscribing(&["workload"])).unwrap();
    let first = renewed(&current, &authority);
    let response = delta(&mut session, &first).unwrap();
    let ack = DeltaDiscoveryRequest { response_nonce: response.nonce, ..DeltaDiscoveryRequest::default() };
    session.ask(ack.encode_to_vec().into()).unwrap();
    assert_eq!(session.next(&first), None);
    let second = renewed(&current, &authority);
    assert_eq!(names(&delta(&mut session, &second).unwrap()), ["workload"]);
    assert_eq!(session.next(&second), None);
    // Asked for again, it is sent again.
    session.ask(subscribing(&["workload"])).unwrap();
    assert_eq!(names(&delta(&mut session, &second).unwrap()), ["workload"]);
    let unsubscribed = DeltaDiscoveryRequest {
        resource_names_unsubscribe: vec!["workload".to_owned()],
        ..DeltaDiscoveryRequest::default()
    };
    session.ask(unsubscribed.encode_to_vec().into()).unwrap();
    assert_eq!(session.next(&renewed(&current, &authority)), None);
}

#[test]
fn a_name_that_there_is_not_is_said_to_be_none() {
    let identity = renewed(&Current::new(), &Authority::new());
    let mut session = Session::new(Variant::Delta);
    session.ask(subscribing(&["other"])).unwrap();
    let response = delta(&mut session, &identity).unwrap();
    assert_eq!((names(&response), &response.removed_resources[..]), (vec![], &["other".to_owned()][..]));
    assert_eq!(session.next(&identity), None);
}

#[test]
fn state_of_the_world_is_answered_by_nonce() {
    let (current, authority) = (Current::new(), Authority::new());
    let first = renewed(&current, &authority);
    let mut session = Session::new(Variant::Sotw);
    let mut asked = |names: &[&str], nonce: &str, identity: &Identity| {
        let request = DiscoveryRequest {
            resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
            response_nonce: nonce.to_owned(),
            ..DiscoveryRequest::default()
        };
        session.ask(request.encode_to_vec().into()).unwrap();
        let response = session.next(identity).map(|octets| DiscoveryResponse::decode(octets).unwrap());
        response.map(|response| (response.nonce, response.resources.len()))
    };
    assert_eq!(asked(&["workload"], "", &first), Some(("1".to_owned(), 1)));
    assert_eq!(asked(&["workload"], "1", &first), None, "an acknowledgement");
    assert_eq!(asked(&["workload", "trust"], "1", &first), Some(("2".to_owned(), 1)), "what is new alone");
    assert_eq!(asked(&["workload"], "1", &first), None, "said before the last answer");
    let second = renewed(&current, &authority);
    assert_eq!(asked(&["workload", "trust"], "2", &second), Some(("3".to_owned(), 2)));
}
