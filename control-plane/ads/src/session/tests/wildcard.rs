//! Rule 11 and rule 20 where a wildcard is in play.

use byrnie_proto::Kind::{Cluster, Endpoints, Listener};
use byrnie_snapshot::Dialect;

use super::peer::{Peer, client, delta, text};
use crate::session::{
    Protocol::{Delta, Sotw},
    Request, Wanted,
};

#[test]
fn rule_11_an_empty_list_means_all_only_while_no_name_was_ever_given() {
    for kind in [Cluster, Listener] {
        let mut peer = Peer::new(Sotw);
        peer.put(kind, "a", "1", &[]);
        peer.put(kind, "b", "1", &[]);
        assert!(peer.want(kind, &[]).wildcard);
        assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), [format!("{kind} +a +b")]);
        assert!(!peer.want(kind, &["a"]).wildcard);
        assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), [format!("{kind} +a")]);
        assert!(!peer.unwant(kind, &["a"]).wildcard);
        assert_eq!(peer.sent(), [""; 0]);
        peer.put(kind, "a", "2", &[]);
        assert_eq!(peer.sent(), [""; 0]);
    }
}

#[test]
fn rule_11_an_empty_list_of_endpoints_is_never_everything() {
    for protocol in [Sotw, Delta] {
        let mut peer = Peer::new(protocol);
        peer.put(Endpoints, "a", "1", &[]);
        assert!(!peer.want(Endpoints, &[]).wildcard);
        assert_eq!(peer.sent(), [""; 0]);
        peer.want(Endpoints, &["a"]);
        peer.settle();
        // Envoy, when all its clusters went.
        peer.unwant(Endpoints, &["a"]);
        assert_eq!(peer.sent(), [""; 0]);
    }
}

#[test]
fn rule_11_a_star_beside_names_is_a_wildcard_until_it_is_left_out() {
    let mut peer = Peer::new(Sotw);
    peer.put(Cluster, "a", "1", &[]);
    peer.put(Cluster, "b", "1", &[]);
    assert!(peer.want(Cluster, &["*", "a"]).wildcard);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["CDS +a +b"]);
    assert!(!peer.unwant(Cluster, &["*"]).wildcard);
    peer.put(Cluster, "b", "2", &[]);
    assert_eq!(peer.sent(), [""; 0]);
    peer.put(Cluster, "a", "2", &[]);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["CDS +a"]);
    assert!(peer.want(Cluster, &["*"]).wildcard);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["CDS +a +b"]);
}

#[test]
fn rule_11_a_star_works_for_every_kind() {
    for protocol in [Sotw, Delta] {
        let mut peer = Peer::new(protocol);
        peer.put(Endpoints, "a", "1", &[]);
        peer.put(Endpoints, "b", "1", &[]);
        peer.want(Endpoints, &["*"]);
        assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["EDS +a +b"]);
        peer.put(Endpoints, "b", "2", &[]);
        assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["EDS +b"]);
    }
}

#[test]
fn rule_11_an_empty_world_is_an_answer_to_a_wildcard() {
    for protocol in [Sotw, Delta] {
        let mut peer = Peer::new(protocol);
        peer.want(Cluster, &[]);
        assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["CDS"]);
    }
}

#[test]
fn rule_11_a_delta_wildcard_stays_when_names_are_added_and_goes_with_the_star() {
    let mut peer = Peer::new(Delta);
    peer.put(Cluster, "a", "1", &[]);
    assert!(peer.want(Cluster, &[]).wildcard);
    assert!(peer.want(Cluster, &["b"]).wildcard);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["CDS +a -b"]);
    peer.put(Cluster, "c", "1", &[]);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["CDS +c"]);
    assert!(!peer.unwant(Cluster, &["*"]).wildcard);
    peer.put(Cluster, "a", "2", &[]);
    peer.put(Cluster, "b", "1", &[]);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["CDS +b"]);
}

#[test]
fn rule_20_a_name_given_up_under_a_wildcard_is_sent_or_removed() {
    let mut peer = Peer::new(Delta);
    peer.put(Cluster, "a", "1", &[]);
    peer.want(Cluster, &["*", "a", "b"]);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["CDS +a -b"]);
    peer.unwant(Cluster, &["a", "b"]);
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["CDS +a -b"]);
}

#[test]
fn a_first_answer_that_goes_out_in_pieces_ends_in_the_latest_state() {
    let mut peer = Peer::new(Delta);
    let big = "x".repeat(100 * 1024);
    for name in ["a", "b", "c", "d", "e", "f"] {
        peer.put(Listener, name, &big, &[]);
    }
    peer.want(Listener, &[]);
    let first = peer.session.next_response(&peer.snapshot, peer.now).unwrap();
    assert_eq!(text(&first), "LDS +a +b +c");
    peer.put(Listener, "a", "2", &[]);
    peer.put(Listener, "e", "2", &[]);
    peer.remove(Listener, "f");
    peer.put(Listener, "g", "1", &[]);
    let sent: Vec<_> = peer.settle().iter().map(text).collect();
    let mut later: Vec<_> = sent.iter().flat_map(|text| text.split(' ').skip(1)).filter(|word| *word != "+d").collect();
    later.sort_unstable();
    later.dedup();
    assert_eq!(later, ["+a", "+e", "+g"], "{sent:?}");
}

#[test]
fn a_wildcard_that_comes_back_by_names_is_another_subscription() {
    let mut peer = Peer::new(Sotw);
    peer.put(Cluster, "a", "1", &[]);
    let wanted = Wanted::Sotw { names: vec![], version: "1".into() };
    peer.request(Request { kind: Cluster, nonce: "an old one".into(), error: None, wanted });
    assert_eq!(peer.sent(), ["CDS +a"]);
    let mut peer = Peer::new(Delta);
    let nonce = "an old one".to_owned();
    peer.request(Request { kind: Cluster, nonce, error: None, wanted: delta(&["a"], &[], &[]) });
    assert_eq!(peer.sent(), ["CDS -a"]);
}

#[test]
fn a_wildcard_client_that_has_everything_keeps_nothing_of_its_own() {
    for protocol in [Sotw, Delta] {
        let mut peer = Peer::new(protocol);
        for at in 0..100 {
            peer.put(Cluster, &format!("c{at}"), "1", &[]);
        }
        let owners = |peer: &Peer| {
            let found = peer.snapshot.find(&client(Dialect::Envoy), Cluster, "c7");
            std::sync::Arc::strong_count(found.expect("a cluster"))
        };
        let before = owners(&peer);
        peer.want(Cluster, &[]);
        peer.settle();
        assert_eq!(owners(&peer), before, "{protocol}");
        peer.put(Cluster, "c8", "2", &[]);
        peer.settle();
        assert!(owners(&peer) <= before + 1, "{protocol}");
    }
}
