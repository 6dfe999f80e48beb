//! The rules of `docs/xds.md` by their numbers, as a delta client keeps them.

use std::time::Duration;

use byrnie_proto::{
    Kind::{self, Cluster, Endpoints, Listener, Route},
    envoy::{
        envoy::service::discovery::v3::{DeltaDiscoveryResponse, ResourceError, ResourceName},
        google::rpc::Status,
    },
};

use super::peer::Peer;
use crate::{
    client::{Client, Kept, Listeners},
    resources::{Answer, State},
    testing::{self, GARBAGE, body},
};

/// `out` with a route to one cluster, and all that this needs.
fn shop(peer: &mut Peer) {
    peer.good(Listener, &[("out", "1", &[(Route, "route/a")])]);
    peer.good(Route, &[("route/a", "1", &[(Cluster, "a")])]);
    peer.good(Cluster, &[("a", "1", &[(Endpoints, "a")])]);
    peer.good(Endpoints, &[("a", "1", &[])]);
    peer.requests();
}

const SHOP: [&str; 4] = ["CDS a@1", "EDS a@1", "LDS out@1", "RDS route/a@1"];

#[test]
fn rule_01_each_kind_has_a_subscription_of_its_own_and_all_is_asked_anew_on_a_new_stream() {
    let mut peer = Peer::asked();
    shop(&mut peer);
    peer.reconnect();
    let all = ["CDS node +a a@1", "EDS +a a@1", "LDS +* out@1", "RDS +route/a route/a@1"];
    assert_eq!(peer.requests(), all);
    assert_eq!(peer.requests(), [""; 0]);
}

#[test]
fn rule_02_the_node_stands_on_the_first_message_of_a_stream_only() {
    let mut peer = Peer::all();
    assert_eq!(peer.requests(), ["LDS node +*"]);
    peer.good(Listener, &[("out", "1", &[(Cluster, "a")])]);
    assert_eq!(peer.requests(), ["CDS +a", "LDS ack 1"]);
    peer.reconnect();
    assert!(peer.requests()[0].starts_with("CDS node"));
}

#[test]
fn rule_03_a_nonce_dies_with_its_stream_and_a_version_survives_it() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[])]);
    peer.reconnect();
    assert_eq!(peer.requests(), ["LDS node +* out@1"]);
}

#[test]
fn rule_04_a_nack_has_error_detail_that_names_resource_field_and_problem() {
    let mut peer = Peer::asked();
    let bad = testing::resource(Listener, "out/1.2.3.4:80", "1", GARBAGE.to_vec());
    let response =
        DeltaDiscoveryResponse { type_url: Listener.type_url().into(), resources: vec![bad], ..Default::default() };
    let received = peer.respond(response);
    let (name, rejection) = &received.refused[0];
    assert_eq!(&**name, "out/1.2.3.4:80");
    assert_eq!(peer.requests(), [format!("LDS nack 1: LDS \"out/1.2.3.4:80\": {}", rejection.why)]);
    let answer = peer.client.resources().answer("out/1.2.3.4:80");
    assert!(matches!(answer, Answer::Unusable(State::Refused(why)) if why == rejection), "{answer:?}");
}

#[test]
fn rule_05_a_nack_keeps_the_good_resources_beside_the_bad_one() {
    let mut peer = Peer::asked();
    let good = testing::resource(Listener, "in", "1", body(Listener, "in", &[]));
    let bad = testing::resource(Listener, "out", "1", GARBAGE.to_vec());
    let last = testing::resource(Listener, "zone", "1", body(Listener, "zone", &[]));
    let resources = vec![good, bad, last];
    let received =
        peer.respond(DeltaDiscoveryResponse { type_url: Listener.type_url().into(), resources, ..Default::default() });
    assert_eq!((received.updated, received.refused.len()), (2, 1));
    assert_eq!(peer.serving(), ["LDS in@1", "LDS zone@1"]);
}

#[test]
fn rule_05_the_last_good_version_serves_on_and_is_what_a_new_stream_hears_of() {
    let mut peer = Peer::asked();
    shop(&mut peer);
    let bad = testing::resource(Route, "route/a", "2", GARBAGE.to_vec());
    let resources = vec![bad];
    peer.respond(DeltaDiscoveryResponse { type_url: Route.type_url().into(), resources, ..Default::default() });
    assert_eq!(peer.serving(), SHOP);
    peer.reconnect();
    assert!(peer.requests().contains(&"RDS +route/a route/a@1".to_owned()));
    peer.good(Route, &[("route/a", "3", &[(Cluster, "a")])]);
    assert!(peer.serving().contains(&"RDS route/a@3".to_owned()));
    assert!(peer.client.resources().unsettled.is_empty());
}

#[test]
fn rule_06_of_a_name_that_stands_twice_the_last_counts() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("in", "1", &[]), ("in", "2", &[])]);
    assert_eq!(peer.serving(), ["LDS in@2"]);
}

#[test]
fn rule_07_and_19_a_missing_resource_is_withdrawn_and_taken_when_it_appears() {
    let mut peer = Peer::asked();
    peer.want(&["out/1.2.3.4:80"]);
    assert_eq!(peer.requests(), ["LDS +out/1.2.3.4:80"]);
    assert!(matches!(peer.client.resources().answer("out/1.2.3.4:80"), Answer::Unknown));
    peer.removed(Listener, &["out/1.2.3.4:80"]);
    assert!(matches!(peer.client.resources().answer("out/1.2.3.4:80"), Answer::Absent));
    assert!(peer.client.resources().absent.contains("out/1.2.3.4:80"));
    assert_eq!(peer.requests(), ["LDS ack 1"]);
    peer.good(Listener, &[("out/1.2.3.4:80", "1", &[])]);
    assert!(matches!(peer.client.resources().answer("out/1.2.3.4:80"), Answer::Serving(_)));
    assert!(peer.client.resources().absent.is_empty());
}

#[test]
fn rule_08_what_comes_unchanged_changes_nothing() {
    let mut peer = Peer::asked();
    shop(&mut peer);
    let before = peer.client.resources().clone();
    let received = peer.good(Endpoints, &[("a", "1", &[])]);
    assert_eq!(received.updated, 0);
    assert!(std::sync::Arc::ptr_eq(&before, peer.client.resources()));
    assert_eq!(peer.requests(), ["EDS ack 5"]);
}

#[test]
fn rule_09_and_17_subscriptions_go_before_answers_and_carry_no_nonce() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[(Route, "route/a"), (Cluster, "b")])]);
    assert_eq!(peer.requests(), ["CDS +b", "RDS +route/a", "LDS ack 1"]);
    peer.good(Route, &[("route/a", "1", &[(Cluster, "a")])]);
    assert_eq!(peer.requests(), ["CDS +a", "RDS ack 2"]);
}

#[test]
fn rule_11_no_first_request_is_without_names_but_for_the_wildcard() {
    let mut peer = Peer::new(&Listeners::Named(vec![]));
    assert_eq!(peer.requests(), [""; 0]);
    assert!(!peer.client.has_request());
    peer.want(&["out/1.2.3.4:80"]);
    assert_eq!(peer.requests(), ["LDS node +out/1.2.3.4:80"]);
}

#[test]
fn rule_18_a_name_that_comes_back_is_asked_for_again() {
    let mut peer = Peer::asked();
    shop(&mut peer);
    peer.good(Listener, &[("out", "2", &[])]);
    // Given up and wanted again before anything could be sent.
    peer.good(Listener, &[("out", "3", &[(Route, "route/a")])]);
    assert_eq!(peer.requests(), ["CDS -a", "EDS -a", "RDS +route/a", "LDS ack 5", "LDS ack 6"]);
    peer.good(Route, &[("route/a", "1", &[(Cluster, "a")])]);
    assert_eq!(peer.requests(), ["CDS +a", "RDS ack 7"]);
}

#[test]
fn rule_20_a_name_that_was_given_up_is_no_longer_known_whatever_the_server_says_of_it() {
    let mut peer = Peer::new(&Listeners::Named(vec!["in".into()]));
    peer.requests();
    peer.want(&["out/1.2.3.4:80"]);
    peer.requests();
    peer.good(Listener, &[("out/1.2.3.4:80", "1", &[(Cluster, "a")])]);
    peer.requests();
    peer.unwant(&["out/1.2.3.4:80"]);
    assert_eq!(peer.requests(), ["CDS -a", "LDS -out/1.2.3.4:80"]);
    peer.good(Listener, &[("out/1.2.3.4:80", "2", &[])]);
    peer.removed(Cluster, &["a"]);
    assert_eq!(peer.serving(), [""; 0]);
    assert_eq!(peer.requests(), ["CDS ack 3", "LDS ack 2"]);
    assert!(matches!(peer.client.resources().answer("out/1.2.3.4:80"), Answer::Unknown));
}

#[test]
fn rule_20_what_the_wildcard_covers_stays_when_its_name_is_given_up() {
    let mut peer = Peer::asked();
    peer.want(&["in"]);
    peer.good(Listener, &[("in", "1", &[])]);
    peer.requests();
    peer.unwant(&["in"]);
    assert_eq!(peer.requests(), ["LDS -in"]);
    assert_eq!(peer.serving(), ["LDS in@1"]);
    peer.removed(Listener, &["in"]);
    assert_eq!(peer.serving(), [""; 0]);
    assert!(peer.client.resources().absent.is_empty(), "nobody asked for it");
}

#[test]
fn rule_20_the_answer_on_parting_is_not_taken_for_the_answer_to_a_new_question() {
    let mut peer = Peer::asked();
    peer.want(&["out/1.2.3.4:80"]);
    peer.requests();
    peer.good(Listener, &[("out/1.2.3.4:80", "1", &[])]);
    peer.unwant(&["out/1.2.3.4:80"]);
    assert_eq!(peer.requests(), ["LDS -out/1.2.3.4:80", "LDS ack 1"]);
    // Called again while the answer is on its way: the address is in the mesh, whatever that answer says.
    peer.want(&["out/1.2.3.4:80"]);
    assert_eq!(peer.requests(), [""; 0]);
    peer.removed(Listener, &["out/1.2.3.4:80"]);
    assert!(matches!(peer.client.resources().answer("out/1.2.3.4:80"), Answer::Serving(_)));
    assert_eq!(peer.requests(), ["LDS +out/1.2.3.4:80", "LDS ack 2"]);
    // This is the answer to the new question.
    peer.removed(Listener, &["out/1.2.3.4:80"]);
    assert!(matches!(peer.client.resources().answer("out/1.2.3.4:80"), Answer::Absent));
}

#[test]
fn rule_20_a_server_that_says_nothing_on_parting_is_waited_for_two_seconds() {
    let mut peer = Peer::asked();
    peer.want(&["out/1.2.3.4:80"]);
    peer.good(Listener, &[]);
    peer.requests();
    peer.unwant(&["out/1.2.3.4:80"]);
    assert_eq!(peer.requests(), ["LDS -out/1.2.3.4:80"]);
    peer.want(&["out/1.2.3.4:80"]);
    assert_eq!(peer.client.deadline(), Some(peer.now + Duration::from_secs(2)));
    peer.wait(Duration::from_secs(2));
    assert_eq!(peer.requests(), ["LDS +out/1.2.3.4:80"]);
}

#[test]
fn rule_21_a_new_stream_hears_of_all_that_is_held_and_of_nothing_else() {
    let mut peer = Peer::asked();
    shop(&mut peer);
    peer.want(&["out/1.2.3.4:80", "out/5.6.7.8:80"]);
    peer.removed(Listener, &["out/1.2.3.4:80"]);
    peer.reconnect();
    let listeners = "LDS +* +out/1.2.3.4:80 +out/5.6.7.8:80 out@1";
    assert_eq!(peer.requests(), ["CDS node +a a@1", "EDS +a a@1", listeners, "RDS +route/a route/a@1"]);
    // What was said of a name holds until it is said otherwise.
    assert!(matches!(peer.client.resources().answer("out/1.2.3.4:80"), Answer::Absent));
    assert_eq!(peer.serving(), SHOP);
}

#[test]
fn rule_21_what_was_refused_and_is_gone_with_the_old_stream_is_not_remembered() {
    let mut peer = Peer::asked();
    let bad = testing::resource(Listener, "out", "1", GARBAGE.to_vec());
    let (type_url, resources) = (Listener.type_url().into(), vec![bad]);
    peer.respond(DeltaDiscoveryResponse { type_url, resources, ..Default::default() });
    assert_eq!(peer.client.resources().unsettled.len(), 1);
    peer.reconnect();
    assert_eq!(peer.requests(), ["LDS node +*"]);
    assert!(peer.client.resources().unsettled.is_empty());
}

#[test]
fn a_reference_to_the_wildcard_is_no_subscription_to_everything() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[(Cluster, "*")])]);
    assert_eq!(peer.requests(), ["LDS ack 1"]);
    assert_eq!(peer.serving(), ["LDS out@1"]);
}

#[test]
fn what_was_kept_by_an_earlier_process_serves_and_is_told_to_the_server() {
    let mut first = Peer::asked();
    shop(&mut first);
    let kept = first.client.serving().into_iter().map(|(kind, name, good)| Kept {
        kind,
        name: name.to_string(),
        version: good.version.to_string(),
        body: good.body.as_deref().unwrap().to_vec(),
    });
    let mut client = Client::new(Default::default(), &Listeners::All, false);
    let mut kept: Vec<_> = kept.collect();
    let bad = Kept { kind: Listener, name: "out/9.9.9.9:9".into(), version: "1".into(), body: GARBAGE.to_vec() };
    kept.push(bad);
    let refused = client.restore(kept, first.now);
    assert_eq!(refused.len(), 1);
    assert!(client.resources().warm);
    let mut second = Peer { client, ..first };
    assert_eq!(second.serving(), SHOP);
    second.client.on_connected(second.now);
    assert_eq!(second.requests(), ["CDS node +a a@1", "EDS +a a@1", "LDS +* out@1", "RDS +route/a route/a@1"]);
}

#[test]
fn a_type_that_nobody_asked_for_is_passed_over_and_an_unasked_resource_too() {
    let mut peer = Peer::asked();
    let response = DeltaDiscoveryResponse { type_url: "example.com/other".into(), ..Default::default() };
    assert_eq!(peer.respond(response).kind, None);
    peer.good(Cluster, &[("unasked", "1", &[])]);
    peer.good(Kind::Secret, &[("workload", "1", &[])]);
    // Without a name an answer would be a subscription to all clusters (rule 11).
    assert_eq!(peer.requests(), [""; 0]);
    assert_eq!(peer.serving(), [""; 0]);
}

#[test]
fn a_resource_of_another_type_than_its_response_is_refused() {
    let mut peer = Peer::asked();
    let other = testing::resource(Cluster, "out", "1", body(Cluster, "out", &[]));
    let resources = vec![other];
    let received =
        peer.respond(DeltaDiscoveryResponse { type_url: Listener.type_url().into(), resources, ..Default::default() });
    assert_eq!(received.refused[0].1.why.path, "type_url");
}

#[test]
fn an_error_for_one_resource_is_its_answer() {
    let mut peer = Peer::asked();
    peer.want(&["out/1.2.3.4:80", "out/5.6.7.8:80"]);
    let error = |name: &str, code| ResourceError {
        resource_name: Some(ResourceName { name: name.into(), ..Default::default() }),
        error_detail: Some(Status { code, message: "so it is".into(), ..Default::default() }),
    };
    let resource_errors = vec![error("out/1.2.3.4:80", 5), error("out/5.6.7.8:80", 7)];
    let type_url = Listener.type_url().into();
    peer.respond(DeltaDiscoveryResponse { type_url, resource_errors, ..Default::default() });
    let resources = peer.client.resources();
    assert!(matches!(resources.answer("out/1.2.3.4:80"), Answer::Absent));
    assert!(matches!(resources.answer("out/5.6.7.8:80"), Answer::Unusable(State::Refused(_))));
}

#[test]
fn a_server_that_sends_without_reading_is_read_no_further() {
    let mut peer = Peer::asked();
    while !peer.client.is_congested() {
        peer.good(Listener, &[]);
    }
    assert_eq!(peer.requests().len(), 64);
    assert!(!peer.client.is_congested());
}
