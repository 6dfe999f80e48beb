//! How a client stands to one resource, in both protocols.

use byrnie_proto::Kind::{self, Cluster, Route};

use super::peer::Peer;
use crate::session::{
    Footing::{self, Accepted, Pending, Refused},
    Protocol::{self, Delta, Sotw},
};

const BOTH: [Protocol; 2] = [Sotw, Delta];

fn footing(peer: &Peer, kind: Kind, name: &str) -> Footing {
    let wanted = peer.snapshot.find(peer.session.client(), kind, name);
    peer.session.footing(kind, name, wanted.map(AsRef::as_ref))
}

#[test]
fn what_was_sent_is_accepted_once_it_is_answered() {
    for (protocol, kind) in BOTH.into_iter().flat_map(|protocol| [(protocol, Cluster), (protocol, Route)]) {
        let mut peer = Peer::new(protocol);
        peer.want(kind, &["a"]);
        peer.settle();
        assert_eq!(footing(&peer, kind, "a"), Accepted, "nothing is there, and nothing is had");
        peer.put(kind, "a", "1", &[]);
        assert_eq!(footing(&peer, kind, "a"), Pending);
        let sent = peer.drain();
        assert_eq!(footing(&peer, kind, "a"), Pending);
        peer.ack(&sent[0]);
        assert_eq!(footing(&peer, kind, "a"), Accepted);
        // An answer to what was sent before says nothing of what is in force now.
        peer.put(kind, "a", "2", &[]);
        let sent = peer.drain();
        peer.put(kind, "a", "3", &[]);
        peer.ack(&sent[0]);
        assert_eq!(footing(&peer, kind, "a"), Pending);
        peer.settle();
        assert_eq!(footing(&peer, kind, "a"), Accepted);
    }
}

#[test]
fn a_refusal_counts_for_the_version_that_was_refused() {
    for (protocol, kind) in BOTH.into_iter().flat_map(|protocol| [(protocol, Cluster), (protocol, Route)]) {
        let mut peer = Peer::new(protocol);
        peer.want(kind, &["a", "b"]);
        peer.put(kind, "a", "bad", &[]);
        peer.put(kind, "b", "good", &[]);
        let sent = peer.drain();
        peer.answer(&sent[0], Some("a: no"));
        assert_eq!(footing(&peer, kind, "a"), Refused("a: no".into()));
        assert_eq!(footing(&peer, kind, "b"), Pending);
        peer.settle();
        assert_eq!(footing(&peer, kind, "a"), Refused("a: no".into()), "it was not accepted with the other");
        assert_eq!(footing(&peer, kind, "b"), Accepted);
        peer.put(kind, "a", "other", &[]);
        assert_eq!(footing(&peer, kind, "a"), Pending);
        peer.settle();
        assert_eq!(footing(&peer, kind, "a"), Accepted);
    }
}

#[test]
fn what_is_gone_is_accepted_once_it_was_taken_away() {
    for protocol in BOTH {
        let mut peer = Peer::new(protocol);
        peer.put(Cluster, "a", "1", &[]);
        peer.want(Cluster, &[]);
        peer.settle();
        peer.remove(Cluster, "a");
        assert_eq!(footing(&peer, Cluster, "a"), Pending);
        let sent = peer.drain();
        assert_eq!(footing(&peer, Cluster, "a"), Pending);
        peer.ack(&sent[0]);
        assert_eq!(footing(&peer, Cluster, "a"), Accepted);
    }
}

#[test]
fn a_route_table_that_cannot_be_taken_back_in_state_of_the_world_keeps_nobody_waiting() {
    for (protocol, expected) in [(Sotw, Accepted), (Delta, Pending)] {
        let mut peer = Peer::new(protocol);
        peer.put(Route, "a", "1", &[]);
        peer.want(Route, &["a"]);
        peer.settle();
        peer.remove(Route, "a");
        assert_eq!(footing(&peer, Route, "a"), expected);
        peer.settle();
        assert_eq!(footing(&peer, Route, "a"), Accepted);
    }
}
