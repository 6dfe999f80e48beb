use std::time::Duration;

use byrnie_proto::Kind::{Cluster, Endpoints, Listener, Route, Secret};
use byrnie_snapshot::Dialect;

use super::peer::{Peer, delta, resource, text, version};
use crate::session::{
    Dirty,
    Protocol::{self, Delta, Sotw},
    Request, Session, TypeUrl, Wanted,
    order::LEAVE_LIMIT,
};

const BOTH: [Protocol; 2] = [Sotw, Delta];

#[test]
fn rule_01_streams_of_one_node_know_nothing_of_each_other() {
    for protocol in BOTH {
        let mut one = Peer::new(protocol);
        one.put_cluster("a", "1");
        let mut two = Peer::new(protocol);
        two.snapshot = one.snapshot.clone();
        one.want(Cluster, &[]);
        assert_eq!(one.sent(), ["CDS +a"]);
        two.want(Cluster, &["a"]);
        assert_eq!(two.sent(), ["CDS +a"]);
    }
}

#[test]
fn rule_03_nonces_are_fresh_and_die_with_their_stream_while_versions_live_on() {
    let mut peer = Peer::new(Delta);
    peer.put_cluster("a", "1");
    peer.want(Cluster, &[]);
    let first = peer.settle();
    peer.put_cluster("a", "2");
    let second = peer.settle();
    assert_ne!(first[0].nonce, second[0].nonce);
    peer.reconnect();
    peer.want(Cluster, &[]);
    let again = peer.settle();
    assert!(!first.iter().chain(&second).any(|old| old.nonce == again[0].nonce));
    assert_eq!(second[0].resources[0].version(), again[0].resources[0].version());
    // A nonce of the stream before is nobody's.
    peer.put_cluster("a", "3");
    let third = peer.drain();
    assert!(!peer.ack(&second[0]).acked);
    assert!(peer.session.standing(Cluster).unwrap().pending_since.is_some());
    assert!(peer.ack(&third[0]).acked);
}

#[test]
fn a_name_that_is_gone_and_not_told_yet_is_missing_and_not_sent_beside() {
    let mut peer = Peer::new(Sotw);
    peer.put(Route, "a", "1", &[]);
    peer.want(Route, &["*", "a"]);
    // The hub shows a snapshot before it tells what changed.
    peer.snapshot.remove(&byrnie_snapshot::View::Common, Route, "a");
    assert_eq!(peer.sent(), ["RDS !a"]);
}

#[test]
fn what_went_and_came_back_before_either_was_told_is_not_lost() {
    let mut peer = Peer::new(Delta);
    peer.put(Route, "a", "1", &[]);
    let before = peer.snapshot.clone();
    let wanted = delta(&["*"], &[], &[("a", "of an earlier stream")]);
    peer.request(Request { kind: Route, nonce: String::new(), error: None, wanted });
    peer.snapshot.remove(&byrnie_snapshot::View::Common, Route, "a");
    assert_eq!(peer.sent(), ["RDS -a"]);
    peer.snapshot = before;
    peer.session.on_dirty(Dirty { wildcards: [Route].into(), ..Dirty::default() });
    peer.wait(Duration::from_secs(2));
    assert_eq!(peer.sent(), ["RDS +a"]);
}

#[test]
fn what_came_back_and_went_before_either_was_told_still_leaves() {
    let mut peer = Peer::new(Delta);
    peer.put(Cluster, "a", "1", &[]);
    peer.put(Listener, "l", "1", &[(Cluster, "a")]);
    peer.want(Cluster, &[]);
    peer.want(Listener, &[]);
    peer.settle();
    peer.remove(Cluster, "a");
    assert_eq!(peer.sent(), [""; 0], "the listener refers to it");
    let before = peer.snapshot.clone();
    peer.snapshot.put(byrnie_snapshot::View::Common, resource(Cluster, "a", "2", &[]));
    peer.wait(LEAVE_LIMIT);
    assert_eq!(peer.sent(), [""; 0]);
    peer.snapshot = before;
    peer.session.on_dirty(Dirty { wildcards: [Cluster].into(), ..Dirty::default() });
    assert_eq!(peer.sent(), ["CDS -a"]);
}

#[test]
fn rule_06_what_came_back_before_that_was_told_is_in_a_full_response_once() {
    let mut peer = Peer::new(Sotw);
    peer.put(Cluster, "a", "1", &[]);
    peer.put(Cluster, "b", "1", &[]);
    peer.put(Listener, "l", "1", &[(Cluster, "a")]);
    peer.want(Cluster, &["a"]);
    peer.want(Listener, &[]);
    peer.settle();
    peer.remove(Cluster, "a");
    assert_eq!(peer.sent(), [""; 0], "the listener refers to it");
    peer.snapshot.put(byrnie_snapshot::View::Common, resource(Cluster, "a", "2", &[]));
    peer.want(Cluster, &["b"]);
    assert_eq!(peer.sent(), ["CDS +a +b"]);
}

#[test]
fn rule_07_a_missing_resource_is_sent_when_it_appears() {
    for protocol in BOTH {
        let mut peer = Peer::new(protocol);
        peer.want(Endpoints, &["a"]);
        assert_eq!(peer.settle().len(), 1);
        peer.put(Endpoints, "b", "1", &[]);
        assert_eq!(peer.sent(), [""; 0]);
        peer.put(Endpoints, "a", "1", &[]);
        assert_eq!(peer.sent(), ["EDS +a"]);
    }
}

#[test]
fn rule_08_what_did_not_change_is_not_sent() {
    for protocol in BOTH {
        let mut peer = Peer::new(protocol);
        peer.put(Endpoints, "a", "1", &[]);
        peer.put(Endpoints, "b", "1", &[]);
        peer.want(Endpoints, &["a", "b"]);
        peer.settle();
        peer.put(Endpoints, "a", "1", &[]);
        assert_eq!(peer.sent(), [""; 0]);
        peer.put(Endpoints, "a", "2", &[]);
        assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["EDS +a"]);
        // There and back while nothing could be sent.
        peer.put(Endpoints, "b", "2", &[]);
        peer.put(Endpoints, "b", "1", &[]);
        assert_eq!(peer.sent(), [""; 0]);
    }
}

#[test]
fn rule_09_subscriptions_on_a_nack_count() {
    for protocol in BOTH {
        let mut peer = Peer::new(protocol);
        peer.put(Endpoints, "a", "1", &[]);
        peer.put(Endpoints, "b", "1", &[]);
        peer.want(Endpoints, &["a"]);
        let sent = peer.drain();
        let wanted = match protocol {
            Sotw => Wanted::Sotw { names: vec!["a".into(), "b".into()], version: String::new() },
            Delta => delta(&["b"], &[], &[]),
        };
        let nonce = sent[0].nonce.clone();
        peer.request(Request { kind: Endpoints, nonce, error: Some("no".into()), wanted });
        assert_eq!(peer.sent(), ["EDS +b"]);
    }
}

#[test]
fn rule_12_clusters_and_listeners_are_always_complete() {
    let mut peer = Peer::new(Sotw);
    peer.put(Listener, "x", "1", &[]);
    peer.put(Listener, "y", "1", &[]);
    peer.want(Listener, &["x", "y"]);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["LDS +x +y"]);
    peer.put(Listener, "x", "2", &[]);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["LDS +x +y"]);
    peer.remove(Listener, "x");
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["LDS +y"]);
    peer.remove(Listener, "y");
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["LDS"]);
}

#[test]
fn rule_13_endpoints_and_routes_are_partial_and_missing_ones_are_explained() {
    let mut peer = Peer::new(Sotw);
    peer.put(Route, "r1", "1", &[]);
    peer.put(Route, "r2", "1", &[]);
    peer.want(Route, &["r1", "r2", "r3"]);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["RDS +r1 +r2 !r3"]);
    peer.put(Route, "r1", "2", &[]);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["RDS +r1"]);
    // Omission means nothing here, so there is nothing to send.
    peer.remove(Route, "r1");
    assert_eq!(peer.sent(), [""; 0]);
}

#[test]
fn rule_14_a_stale_nonce_gets_no_response() {
    let mut peer = Peer::new(Sotw);
    peer.put(Endpoints, "a", "1", &[]);
    peer.put(Endpoints, "b", "1", &[]);
    peer.want(Endpoints, &["a"]);
    let first = peer.settle();
    peer.put(Endpoints, "a", "2", &[]);
    let second = peer.drain();
    let stale = |nonce: &str| Request {
        kind: Endpoints,
        nonce: nonce.to_owned(),
        error: None,
        wanted: Wanted::Sotw { names: vec!["a".into(), "b".into()], version: String::new() },
    };
    peer.request(stale(&first[0].nonce));
    assert_eq!(peer.sent(), [""; 0]);
    peer.request(stale("of another stream"));
    assert_eq!(peer.sent(), [""; 0]);
    // Also while nothing is outstanding.
    peer.ack(&second[0]);
    peer.request(stale(&first[0].nonce));
    assert_eq!(peer.sent(), [""; 0]);
    peer.request(stale(&second[0].nonce));
    assert_eq!(peer.sent(), ["EDS +b"]);
}

#[test]
fn rule_14_a_new_stream_is_always_answered_but_for_a_pure_wildcard_that_has_all() {
    let mut peer = Peer::new(Sotw);
    peer.put_cluster("a", "1");
    peer.want(Cluster, &[]);
    peer.want(Endpoints, &["a"]);
    let sent = peer.settle();
    let wanted = |response: usize, names: &[&str]| Wanted::Sotw {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        version: sent[response].version.unwrap().to_string(),
    };
    let request = |kind, wanted| Request { kind, nonce: String::new(), error: None, wanted };
    peer.reconnect();
    peer.request(request(Endpoints, wanted(1, &["a"])));
    assert_eq!(peer.sent(), ["EDS +a"]);
    peer.request(request(Cluster, wanted(0, &[])));
    assert_eq!(peer.sent(), [""; 0]);
    peer.put_cluster("b", "1");
    assert_eq!(peer.sent(), ["CDS +a +b"]);
    peer.reconnect();
    peer.request(request(Cluster, wanted(0, &[])));
    assert_eq!(peer.sent(), ["CDS +a +b"]);
    peer.reconnect();
    peer.request(request(Cluster, wanted(0, &["a"])));
    assert_eq!(peer.sent(), ["CDS +a"]);
}

#[test]
fn rule_15_a_name_that_is_added_is_sent_even_if_it_was_sent_before() {
    for protocol in BOTH {
        for kind in [Endpoints, Route, Cluster, Listener] {
            let mut peer = Peer::new(protocol);
            peer.put(kind, "a", "1", &[]);
            peer.put(kind, "b", "1", &[]);
            peer.want(kind, &["a", "b"]);
            peer.settle();
            peer.unwant(kind, &["b"]);
            assert_eq!(peer.sent(), [""; 0], "{protocol} {kind}");
            peer.want(kind, &["b"]);
            let full = protocol == Sotw && kind.has_wildcard();
            let expected = format!("{kind} {}", if full { "+a +b" } else { "+b" });
            assert_eq!(peer.sent(), [expected], "{protocol}");
        }
    }
}

#[test]
fn rule_17_a_stale_nonce_discards_no_delta_subscription() {
    let mut peer = Peer::new(Delta);
    peer.put(Endpoints, "a", "1", &[]);
    peer.put(Endpoints, "b", "1", &[]);
    peer.want(Endpoints, &["a"]);
    let first = peer.settle();
    peer.put(Endpoints, "a", "2", &[]);
    peer.drain();
    let nonce = first[0].nonce.clone();
    peer.request(Request { kind: Endpoints, nonce, error: None, wanted: delta(&["b"], &["a"], &[]) });
    assert_eq!(peer.sent(), ["EDS +b"]);
    peer.put(Endpoints, "a", "3", &[]);
    assert_eq!(peer.settle().len(), 0);
}

#[test]
fn rule_18_every_name_that_is_subscribed_to_is_answered() {
    let mut peer = Peer::new(Delta);
    peer.put(Endpoints, "a", "1", &[]);
    peer.want(Endpoints, &["a"]);
    peer.settle();
    peer.want(Endpoints, &["a"]);
    assert_eq!(peer.sent(), ["EDS +a"]);
    // An answer waits for no ACK, and holds each name once.
    peer.want(Endpoints, &["a", "a", "nothing"]);
    assert_eq!(peer.sent(), ["EDS +a -nothing"]);
    let mut peer = Peer::new(Delta);
    peer.put_cluster("a", "1");
    peer.want(Cluster, &[]);
    peer.settle();
    peer.want(Cluster, &["a"]);
    assert_eq!(peer.sent(), ["CDS +a"]);
    peer.want(Cluster, &["*"]);
    assert_eq!(peer.sent(), ["CDS"]);
}

#[test]
fn rule_19_a_missing_name_is_removed_and_stays_subscribed() {
    let mut peer = Peer::new(Delta);
    peer.want(Endpoints, &["a"]);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["EDS -a"]);
    peer.put(Endpoints, "a", "1", &[]);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["EDS +a"]);
    peer.remove(Endpoints, "a");
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["EDS -a"]);
}

#[test]
fn rule_20_phantom_unsubscriptions_are_nothing() {
    let mut peer = Peer::new(Delta);
    peer.put(Endpoints, "a", "1", &[]);
    peer.want(Endpoints, &["a"]);
    peer.settle();
    let outcome = peer.unwant(Endpoints, &["b", "c"]);
    assert!(outcome.unsubscribed.is_empty());
    assert_eq!(peer.sent(), [""; 0]);
    peer.unwant(Endpoints, &["a"]);
    peer.put(Endpoints, "a", "2", &[]);
    assert_eq!(peer.sent(), [""; 0]);
}

#[test]
fn rule_21_a_client_that_comes_back_gets_changes_and_removals_only() {
    for wanted in [vec![], vec!["*"], vec!["a", "b", "gone"]] {
        let mut peer = Peer::new(Delta);
        ["a", "b", "gone"].iter().for_each(|name| peer.put(Cluster, name, "1", &[]));
        let versions = ["a", "b", "gone"].map(|name| (name, version(&peer, Cluster, name)));
        peer.put(Cluster, "b", "2", &[]);
        peer.put(Cluster, "c", "1", &[]);
        peer.remove(Cluster, "gone");
        let initial: Vec<_> = versions.iter().map(|(name, version)| (*name, version.as_str())).collect();
        let wildcard = wanted.len() < 2;
        let subscribe = delta(&wanted, &[], &initial);
        peer.request(Request { kind: Cluster, nonce: String::new(), error: None, wanted: subscribe });
        peer.put(Listener, "x", "1", &[]);
        peer.want(Listener, &[]);
        peer.want(Route, &["r"]);
        let sent = peer.settle();
        let clusters: Vec<_> = sent.iter().map(text).filter(|text| text.starts_with("CDS")).collect();
        let expected: &[&str] = if wildcard { &["CDS +b +c", "CDS -gone"] } else { &["CDS +b -gone"] };
        assert_eq!(clusters, expected, "{wanted:?}");
    }
}

#[test]
fn rule_21_after_a_restart_with_the_same_world_nothing_is_sent_again() {
    let mut peer = Peer::new(Delta);
    peer.put_cluster("a", "1");
    peer.put(Route, "r", "1", &[(Cluster, "a")]);
    peer.put(Listener, "x", "1", &[(Route, "r")]);
    peer.reconnect();
    for (kind, names, known) in
        [(Cluster, &[][..], "a"), (Endpoints, &["a"], "a"), (Listener, &[], "x"), (Route, &["r"], "r")]
    {
        let version = version(&peer, kind, known);
        let wanted = delta(names, &[], &[(known, &version)]);
        peer.request(Request { kind, nonce: String::new(), error: None, wanted });
    }
    // A wildcard learns that this is all.
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["CDS", "LDS"]);
}

#[test]
fn an_unknown_type_is_answered_once_and_its_acks_are_not() {
    for protocol in BOTH {
        let mut peer = Peer::new(protocol);
        peer.session.on_unknown("type.example/Thing", false, vec!["t".into(), "*".into()]);
        let sent = peer.drain();
        let expected = if protocol == Sotw { "type.example/Thing !t" } else { "type.example/Thing -t !t" };
        assert_eq!(sent.iter().map(text).collect::<Vec<_>>(), [expected]);
        assert_eq!(sent[0].type_url, TypeUrl::Unknown("type.example/Thing".into()));
        peer.session.on_unknown("type.example/Thing", true, vec![]);
        assert_eq!(peer.sent(), [""; 0]);
        peer.put_cluster("a", "1");
        peer.want(Cluster, &[]);
        assert_eq!(peer.sent(), ["CDS +a"]);
    }
}

#[test]
fn secrets_go_to_their_stream_alone_and_a_denial_is_explained() {
    for protocol in BOTH {
        let mut peer = Peer::new(protocol);
        peer.want(Secret, &["workload"]);
        assert!(peer.session.wants_secret("workload"));
        peer.session.on_secret(resource(Secret, "workload", "key", &[]).into());
        assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["SDS +workload"]);
        peer.session.on_secret(resource(Secret, "workload", "next key", &[]).into());
        assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["SDS +workload"]);

        let client = super::peer::client(Dialect::Envoy);
        peer.session = Session::new(client, protocol, true, 9, Some("a token is needed".into()));
        peer.want(Secret, &[]);
        assert!(!peer.session.wants_secret("workload"));
        peer.want(Secret, &["workload"]);
        let sent = peer.drain();
        let error = &sent.last().unwrap().errors[0];
        assert_eq!((error.code, &*error.message), (super::super::PERMISSION_DENIED, "a token is needed"));
        peer.put_cluster("a", "1");
        peer.want(Cluster, &[]);
        assert_eq!(peer.sent(), ["CDS +a"]);
    }
}
