//! Make before break, and waits that end.

use std::time::Duration;

use byrnie_proto::Kind::{Cluster, Endpoints, Listener, Route};
use byrnie_snapshot::View;

use super::peer::{Peer, delta, resource, text, version};
use crate::session::{
    Protocol::{self, Delta, Sotw},
    Request,
};

const BOTH: [Protocol; 2] = [Sotw, Delta];

/// An Envoy that has cluster `old` with endpoints, route `r` to it and listener `x`.
fn envoy(protocol: Protocol) -> Peer {
    let mut peer = Peer::new(protocol);
    peer.put_cluster("old", "1");
    peer.put(Route, "r", "to old", &[(Cluster, "old")]);
    peer.put(Listener, "x", "1", &[(Route, "r")]);
    peer.want(Cluster, &[]);
    peer.settle();
    peer.want(Endpoints, &["old"]);
    peer.settle();
    peer.want(Listener, &[]);
    peer.settle();
    peer.want(Route, &["r"]);
    peer.settle();
    peer
}

/// The route moves from `old` to `new` and the old service goes, all in one change.
fn replace(peer: &mut Peer) {
    peer.publish(|snapshot| {
        snapshot.put(View::Common, resource(Cluster, "new", "1", &[(Endpoints, "new")]));
        snapshot.put(View::Common, resource(Endpoints, "new", "1", &[]));
        snapshot.put(View::Common, resource(Route, "r", "to new", &[(Cluster, "new")]));
        snapshot.remove(&View::Common, Cluster, "old");
        snapshot.remove(&View::Common, Endpoints, "old");
    });
}

#[test]
fn additions_go_clusters_endpoints_listeners_routes() {
    for protocol in BOTH {
        let mut peer = Peer::new(protocol);
        peer.put_cluster("a", "1");
        peer.put(Route, "r", "1", &[(Cluster, "a")]);
        peer.put(Listener, "x", "1", &[(Route, "r")]);
        peer.want(Route, &["r"]);
        peer.want(Listener, &[]);
        peer.want(Endpoints, &["a"]);
        peer.want(Cluster, &[]);
        assert_eq!(peer.sent(), ["CDS +a", "EDS +a", "LDS +x", "RDS +r"]);
    }
}

#[test]
fn a_cluster_is_replaced_in_two_steps() {
    for protocol in BOTH {
        let mut peer = envoy(protocol);
        replace(&mut peer);
        let cds = peer.drain();
        // The new beside the old; the route waits until the client has the cluster.
        let both = if protocol == Sotw { "CDS +new +old" } else { "CDS +new" };
        assert_eq!(cds.iter().map(text).collect::<Vec<_>>(), [both]);
        // Envoy withholds the ACK until the endpoints came: they are answered at once.
        peer.want(Endpoints, &["new"]);
        let eds = peer.drain();
        assert_eq!(eds.iter().map(text).collect::<Vec<_>>(), ["EDS +new"]);
        peer.ack(&eds[0]);
        peer.ack(&cds[0]);
        let rds = peer.drain();
        assert_eq!(rds.iter().map(text).collect::<Vec<_>>(), ["RDS +r"]);
        // Nothing is taken away before the route was accepted.
        peer.wait(Duration::from_secs(3));
        assert_eq!(peer.sent(), [""; 0]);
        peer.ack(&rds[0]);
        let gone: Vec<_> = peer.settle().iter().map(text).collect();
        let expected: &[&str] = if protocol == Sotw { &["CDS +new"] } else { &["CDS -old", "EDS -old"] };
        assert_eq!(gone, expected);
    }
}

#[test]
fn a_refused_route_keeps_its_old_cluster_for_half_a_minute() {
    for protocol in BOTH {
        let mut peer = envoy(protocol);
        replace(&mut peer);
        let cds = peer.drain();
        peer.ack(&cds[0]);
        let rds = peer.drain();
        peer.answer(&rds[0], Some("route r: no"));
        assert_eq!(peer.sent(), [""; 0]);
        peer.wait(Duration::from_secs(29));
        assert_eq!(peer.sent(), [""; 0]);
        let deadline = peer.session.deadline(peer.now).expect("a wait that ends");
        assert!(deadline <= peer.now + Duration::from_secs(1));
        peer.wait(Duration::from_secs(1));
        let expected: &[&str] = if protocol == Sotw { &["CDS +new"] } else { &["CDS -old", "EDS -old"] };
        assert_eq!(peer.sent(), expected);
    }
}

#[test]
fn the_listener_of_a_deleted_service_goes_first() {
    for protocol in BOTH {
        let mut peer = envoy(protocol);
        peer.publish(|snapshot| {
            for (kind, name) in [(Cluster, "old"), (Endpoints, "old"), (Route, "r"), (Listener, "x")] {
                snapshot.remove(&View::Common, kind, name);
            }
        });
        let lds = peer.drain();
        let expected = if protocol == Sotw { "LDS" } else { "LDS -x" };
        assert_eq!(lds.iter().map(text).collect::<Vec<_>>(), [expected]);
        peer.ack(&lds[0]);
        // Envoy gives up the route with its listener.
        peer.unwant(Route, &["r"]);
        let gone: Vec<_> = peer.settle().iter().map(text).collect();
        let expected: &[&str] = if protocol == Sotw { &["CDS"] } else { &["CDS -old", "EDS -old"] };
        assert_eq!(gone, expected);
    }
}

#[test]
fn a_route_that_no_listener_uses_keeps_no_cluster_though_envoy_stays_subscribed() {
    let mut peer = envoy(Sotw);
    peer.publish(|snapshot| {
        for (kind, name) in [(Cluster, "old"), (Endpoints, "old"), (Route, "r"), (Listener, "x")] {
            snapshot.remove(&View::Common, kind, name);
        }
    });
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["LDS", "CDS"]);
}

#[test]
fn a_client_that_keeps_its_routes_subscribed_gets_removals_from_top_to_bottom() {
    let mut peer = envoy(Delta);
    peer.publish(|snapshot| {
        for (kind, name) in [(Cluster, "old"), (Endpoints, "old"), (Route, "r"), (Listener, "x")] {
            snapshot.remove(&View::Common, kind, name);
        }
    });
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["LDS -x", "RDS -r", "CDS -old", "EDS -old"]);
}

#[test]
fn a_cluster_that_comes_back_before_it_left_never_left() {
    for protocol in BOTH {
        let mut peer = envoy(protocol);
        peer.remove(Cluster, "old");
        assert_eq!(peer.sent(), [""; 0]);
        peer.put(Cluster, "old", "1", &[(Endpoints, "old")]);
        assert_eq!(peer.sent(), [""; 0]);
        peer.put(Route, "r", "to nothing", &[]);
        let sent: Vec<_> = peer.settle().iter().map(text).collect();
        assert_eq!(sent, ["RDS +r"]);
    }
}

#[test]
fn endpoints_go_again_after_any_change_of_their_cluster() {
    for protocol in BOTH {
        let mut peer = envoy(protocol);
        peer.put_cluster("other", "1");
        peer.settle();
        peer.want(Endpoints, &["other"]);
        peer.settle();
        peer.put(Cluster, "old", "2", &[(Endpoints, "old")]);
        // Neither waits for the ACK of the cluster.
        let expected = if protocol == Sotw { "CDS +old +other" } else { "CDS +old" };
        let sent = peer.drain();
        assert_eq!(sent.iter().map(text).collect::<Vec<_>>(), [expected, "EDS +old"]);
        // Envoy (state of the world) repeats its request, which looks like an ACK, before it saw the response.
        peer.want(Endpoints, &[]);
        assert_eq!(peer.sent(), [""; 0]);
    }
}

#[test]
fn endpoints_of_a_changed_cluster_do_not_wait_for_another_change_of_clusters() {
    let mut peer = envoy(Delta);
    peer.put(Cluster, "old", "2", &[(Endpoints, "old")]);
    let cds = peer.session.next_response(&peer.snapshot, peer.now).unwrap();
    assert_eq!(text(&cds), "CDS +old");
    // The next change has to wait for the ACK, which Envoy withholds until the endpoints come.
    peer.put_cluster("more", "1");
    assert_eq!(peer.sent(), ["EDS +old"]);
    peer.ack(&cds);
    assert_eq!(peer.sent(), ["CDS +more"]);
}

#[test]
fn endpoints_of_a_cluster_that_changed_while_the_client_was_away_go_again() {
    let mut peer = envoy(Delta);
    let versions = [version(&peer, Cluster, "old"), version(&peer, Endpoints, "old")];
    peer.put(Cluster, "old", "2", &[(Endpoints, "old")]);
    peer.reconnect();
    for (kind, names, version) in [(Cluster, &[][..], &versions[0]), (Endpoints, &["old"], &versions[1])] {
        let wanted = delta(names, &[], &[("old", version)]);
        peer.request(Request { kind, nonce: String::new(), error: None, wanted });
        let expected = format!("{kind} +old");
        assert_eq!(peer.sent(), [expected]);
    }
}

#[test]
fn a_push_waits_for_its_ack_and_an_answer_does_not() {
    for protocol in BOTH {
        let mut peer = envoy(protocol);
        peer.put(Endpoints, "new", "1", &[]);
        peer.put(Endpoints, "old", "2", &[]);
        assert_eq!(peer.sent(), ["EDS +old"]);
        for n in 3..100 {
            peer.put(Endpoints, "old", &n.to_string(), &[]);
        }
        assert_eq!(peer.sent(), [""; 0]);
        peer.want(Endpoints, &["new"]);
        assert_eq!(peer.sent(), ["EDS +new"]);
        // A client that never ACKs gets the latest state when the wait is over.
        let deadline = peer.session.deadline(peer.now).expect("a wait that ends");
        peer.now = deadline;
        let sent = peer.drain();
        assert_eq!(sent.iter().map(text).collect::<Vec<_>>(), ["EDS +old"]);
        assert_eq!(sent[0].resources[0].version().to_string(), version(&peer, Endpoints, "old"));
        assert_eq!(peer.session.deadline(peer.now), None);
    }
}

#[test]
fn a_route_waits_for_the_acks_of_its_clusters_but_not_for_ever() {
    for protocol in BOTH {
        let mut peer = envoy(protocol);
        replace(&mut peer);
        assert_eq!(peer.sent().len(), 1);
        peer.wait(Duration::from_secs(2));
        assert_eq!(peer.sent(), ["RDS +r"]);
    }
}

#[test]
fn what_a_client_brings_from_before_goes_when_its_routes_are_known() {
    let mut peer = envoy(Delta);
    let cluster = version(&peer, Cluster, "old");
    let (listener, route) = (version(&peer, Listener, "x"), version(&peer, Route, "r"));
    replace(&mut peer);
    peer.reconnect();
    let comes = |kind, names: &[&str], known: &[(&str, &str)]| Request {
        kind,
        nonce: String::new(),
        error: None,
        wanted: delta(names, &[], known),
    };
    peer.request(comes(Cluster, &[], &[("old", &cluster)]));
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["CDS +new"]);
    peer.request(comes(Listener, &[], &[("x", &listener)]));
    assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), ["LDS"]);
    peer.request(comes(Route, &["r"], &[("r", &route)]));
    let rds = peer.drain();
    assert_eq!(rds.iter().map(text).collect::<Vec<_>>(), ["RDS +r"]);
    peer.ack(&rds[0]);
    assert_eq!(peer.sent(), ["CDS -old"]);
}
