//! Nothing is broken before its replacement is warm.

use std::{sync::Arc, time::Duration};

use byrnie_proto::Kind::{Cluster, Endpoints, Listener, Route};

use super::peer::Peer;
use crate::{
    client::Listeners,
    resources::{Answer, State},
};

const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn a_listener_serves_when_all_that_it_refers_to_is_there_and_not_before() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[(Route, "route/a")])]);
    assert_eq!(peer.requests(), ["RDS +route/a", "LDS ack 1"]);
    peer.good(Route, &[("route/a", "1", &[(Cluster, "a")])]);
    assert_eq!(peer.requests(), ["CDS +a", "RDS ack 2"]);
    peer.good(Cluster, &[("a", "1", &[(Endpoints, "eds/a")])]);
    assert_eq!(peer.requests(), ["EDS +eds/a", "CDS ack 3"]);
    assert_eq!(peer.serving(), [""; 0]);
    assert!(!peer.client.resources().warm);
    assert!(matches!(peer.client.resources().answer("out"), Answer::Unusable(State::Warming(_))));
    peer.good(Endpoints, &[("eds/a", "1", &[])]);
    assert_eq!(peer.serving(), ["CDS a@1", "EDS eds/a@1", "LDS out@1", "RDS route/a@1"]);
    assert!(peer.client.resources().warm);
    assert!(peer.client.resources().unsettled.is_empty());
    assert_eq!(peer.client.deadline(), None);
}

#[test]
fn a_missing_reference_is_an_answer() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[(Cluster, "a"), (Cluster, "b")])]);
    peer.removed(Cluster, &["a"]);
    assert_eq!(peer.serving(), [""; 0]);
    peer.removed(Cluster, &["b"]);
    assert_eq!(peer.serving(), ["LDS out@1"]);
    assert!(peer.client.resources().absent.is_empty(), "only listeners are asked for by address");
}

#[test]
fn a_new_route_waits_for_its_cluster_while_the_old_one_serves_and_keeps_its_own() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[(Route, "r")])]);
    peer.good(Route, &[("r", "1", &[(Cluster, "a")])]);
    peer.good(Cluster, &[("a", "1", &[(Endpoints, "a")])]);
    peer.good(Endpoints, &[("a", "1", &[])]);
    peer.requests();
    peer.good(Route, &[("r", "2", &[(Cluster, "b")])]);
    // Asked for the new one, and the old one is not given up yet.
    assert_eq!(peer.requests(), ["CDS +b", "RDS ack 5"]);
    // The server takes the old cluster back, as it may once the new route was accepted.
    peer.removed(Cluster, &["a"]);
    peer.removed(Endpoints, &["a"]);
    assert_eq!(peer.serving(), ["CDS a@1", "EDS a@1", "LDS out@1", "RDS r@1"]);
    peer.good(Cluster, &[("b", "1", &[(Endpoints, "b")])]);
    assert_eq!(peer.serving(), ["CDS a@1", "EDS a@1", "LDS out@1", "RDS r@1"]);
    peer.requests();
    peer.good(Endpoints, &[("b", "1", &[])]);
    assert_eq!(peer.serving(), ["CDS b@1", "EDS b@1", "LDS out@1", "RDS r@2"]);
    assert_eq!(peer.requests(), ["CDS -a", "EDS -a", "EDS ack 9"]);
}

#[test]
fn a_cluster_with_other_endpoints_waits_for_them() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[(Cluster, "a")])]);
    peer.good(Cluster, &[("a", "1", &[(Endpoints, "old")])]);
    peer.good(Endpoints, &[("old", "1", &[])]);
    peer.good(Cluster, &[("a", "2", &[(Endpoints, "new")])]);
    assert_eq!(peer.serving(), ["CDS a@1", "EDS old@1", "LDS out@1"]);
    peer.good(Endpoints, &[("new", "1", &[])]);
    assert_eq!(peer.serving(), ["CDS a@2", "EDS new@1", "LDS out@1"]);
    // With the same endpoints there is nothing to wait for.
    peer.good(Cluster, &[("a", "3", &[(Endpoints, "new")])]);
    assert_eq!(peer.serving(), ["CDS a@3", "EDS new@1", "LDS out@1"]);
}

#[test]
fn an_answer_is_waited_for_fifteen_seconds() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[(Cluster, "a")])]);
    assert_eq!(peer.client.deadline(), Some(peer.now + LIMIT));
    peer.wait(LIMIT - Duration::from_millis(1));
    assert_eq!(peer.serving(), [""; 0]);
    peer.wait(Duration::from_millis(1));
    assert_eq!(peer.serving(), ["LDS out@1"]);
    assert!(peer.client.resources().warm);
    assert_eq!(peer.client.deadline(), None);
}

#[test]
fn silence_counts_only_while_there_is_somebody_to_answer() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[(Cluster, "a")])]);
    peer.client.on_disconnected();
    assert_eq!(peer.client.deadline(), None);
    peer.wait(10 * LIMIT);
    assert_eq!(peer.serving(), [""; 0]);
    peer.client.on_connected(peer.now);
    assert_eq!(peer.client.deadline(), Some(peer.now + LIMIT));
    peer.wait(LIMIT);
    assert_eq!(peer.serving(), ["LDS out@1"]);
}

#[test]
fn a_cluster_that_is_taken_away_goes_where_nothing_replaces_what_refers_to_it() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[(Cluster, "a")])]);
    peer.good(Cluster, &[("a", "1", &[])]);
    peer.removed(Cluster, &["a"]);
    assert_eq!(peer.serving(), ["LDS out@1"]);
    peer.good(Cluster, &[("a", "2", &[])]);
    assert_eq!(peer.serving(), ["CDS a@2", "LDS out@1"]);
}

#[test]
fn routes_and_endpoints_that_are_taken_away_serve_as_long_as_something_refers_to_them() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[(Route, "r")])]);
    peer.good(Route, &[("r", "1", &[(Cluster, "a")])]);
    peer.good(Cluster, &[("a", "1", &[(Endpoints, "a")])]);
    peer.good(Endpoints, &[("a", "1", &[])]);
    let serving = peer.serving();
    peer.removed(Endpoints, &["a"]);
    peer.removed(Route, &["r"]);
    assert_eq!(peer.serving(), serving);
    peer.removed(Listener, &["out"]);
    assert_eq!(peer.serving(), [""; 0]);
}

#[test]
fn a_listener_that_is_taken_away_goes_at_once_with_all_that_only_it_needed() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("a", "1", &[(Cluster, "a"), (Cluster, "both")]), ("b", "1", &[(Cluster, "both")])]);
    peer.good(Cluster, &[("a", "1", &[]), ("both", "1", &[])]);
    peer.requests();
    peer.removed(Listener, &["a"]);
    assert_eq!(peer.serving(), ["CDS both@1", "LDS b@1"]);
    assert_eq!(peer.requests(), ["CDS -a", "LDS ack 3"]);
}

#[test]
fn one_response_is_one_publication_and_shares_what_did_not_change() {
    let mut peer = Peer::asked();
    peer.good(Listener, &[("out", "1", &[(Cluster, "a")])]);
    peer.good(Cluster, &[("a", "1", &[(Endpoints, "a")])]);
    peer.good(Endpoints, &[("a", "1", &[])]);
    let before = peer.client.resources().clone();
    peer.good(Endpoints, &[("a", "2", &[])]);
    let after = peer.client.resources();
    assert!(Arc::ptr_eq(&before.clusters, &after.clusters) && Arc::ptr_eq(&before.listeners, &after.listeners));
    assert!(!Arc::ptr_eq(&before.endpoints, &after.endpoints));
    assert!(Arc::ptr_eq(&before.absent, &after.absent));
}

#[test]
fn a_client_with_names_is_warm_when_each_was_answered() {
    let mut peer = Peer::new(&Listeners::Named(vec!["in".into(), "out".into()]));
    assert_eq!(peer.requests(), ["LDS node +in +out"]);
    peer.good(Listener, &[("in", "1", &[])]);
    assert!(!peer.client.resources().warm);
    peer.removed(Listener, &["out"]);
    assert!(peer.client.resources().warm);
    // It stays so.
    peer.good(Listener, &[("in", "2", &[(Cluster, "a")])]);
    assert!(peer.client.resources().warm);
}

#[test]
fn a_wildcard_that_brings_nothing_is_answered_all_the_same() {
    let mut peer = Peer::asked();
    assert!(!peer.client.resources().warm);
    peer.good(Listener, &[]);
    assert!(peer.client.resources().warm);
}
