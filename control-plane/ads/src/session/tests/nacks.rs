//! What a refusal does, and what it does not: rules 4 and 5.

use byrnie_proto::Kind::{Cluster, Endpoints};
use byrnie_snapshot::Dialect;

use super::peer::{Peer, delta, resource, text, version};
use crate::session::{
    Protocol::{self, Delta, Sotw},
    Request, Wanted,
};

const BOTH: [Protocol; 2] = [Sotw, Delta];

#[test]
fn rule_04_a_nack_is_told_by_error_detail_and_by_nothing_else() {
    for protocol in BOTH {
        let mut peer = Peer::new(protocol);
        peer.put_cluster("a", "1");
        peer.want(Cluster, &[]);
        let sent = peer.drain();
        // gRPC reports the new version beside the error, since another resource was valid.
        let outcome = peer.answer(&sent[0], Some("a: no"));
        let nack = outcome.nack.expect("a NACK");
        assert_eq!((&*nack.blamed[0].name, nack.text.as_str()), ("a", "a: no"));
        assert_eq!(nack.blamed[0].origins[0].to_string(), "Service/shop/a");
        assert_eq!(peer.sent(), [""; 0]);
        // An ACK with an old version is an ACK all the same.
        peer.put_cluster("a", "2");
        let sent = peer.drain();
        let wanted = match protocol {
            Sotw => Wanted::Sotw { names: vec![], version: "old".into() },
            Delta => delta(&[], &[], &[]),
        };
        let answer = Request { kind: Cluster, nonce: sent[0].nonce.clone(), error: None, wanted };
        assert!(peer.request(answer).acked);
        assert!(peer.session.standing(Cluster).unwrap().nack.unwrap().cured);
        assert_eq!(peer.sent(), [""; 0]);
    }
}

#[test]
fn rule_05_a_nack_gets_no_repetition_and_what_it_does_not_blame_gets_through() {
    for protocol in BOTH {
        let mut peer = Peer::new(protocol);
        peer.put_cluster("a", "1");
        peer.put_cluster("b", "1");
        peer.want(Cluster, &[]);
        let sent = peer.drain();
        assert_eq!(sent.iter().map(text).collect::<Vec<_>>(), ["CDS +a +b"]);
        // Envoy refuses the whole response for one resource that fails its validation.
        peer.answer(&sent[0], Some("Proto constraint validation failed: name: \"b\""));
        let again = peer.drain();
        assert_eq!(again.iter().map(text).collect::<Vec<_>>(), ["CDS +a"]);
        peer.ack(&again[0]);
        assert!(!peer.session.standing(Cluster).unwrap().nack.unwrap().cured);
        assert_eq!(peer.sent(), [""; 0]);
        // What comes next goes through, and a new version of the refused one cures it.
        peer.put_cluster("c", "1");
        let expected = if protocol == Sotw { "CDS +a +c" } else { "CDS +c" };
        assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), [expected]);
        peer.put_cluster("b", "2");
        let expected = if protocol == Sotw { "CDS +a +b +c" } else { "CDS +b" };
        assert_eq!(peer.settle().iter().map(text).collect::<Vec<_>>(), [expected]);
        assert!(peer.session.standing(Cluster).unwrap().nack.unwrap().cured);
    }
}

#[test]
fn rule_05_a_full_response_keeps_the_last_good_version_of_a_refused_resource() {
    let mut peer = Peer::new(Sotw);
    peer.put_cluster("a", "good");
    peer.want(Cluster, &[]);
    peer.settle();
    let good = version(&peer, Cluster, "a");
    peer.publish(|snapshot| {
        snapshot.put(byrnie_snapshot::View::Common, resource(Cluster, "a", "bad", &[]));
        snapshot.put(byrnie_snapshot::View::Common, resource(Cluster, "b", "1", &[]));
    });
    let sent = peer.drain();
    peer.answer(&sent[0], Some("cluster(s) a: bad"));
    let again = peer.drain();
    let versions: Vec<_> = again[0].resources.iter().map(|r| (r.name().to_string(), r.version().to_string())).collect();
    assert_eq!(versions, [("a".to_owned(), good), ("b".to_owned(), version(&peer, Cluster, "b"))]);
}

#[test]
fn rule_05_a_suspect_that_nobody_wants_any_more_holds_back_nothing() {
    let mut peer = Peer::new(Delta);
    peer.put(Cluster, "a", "1", &[]);
    peer.put(Cluster, "b", "1", &[]);
    peer.want(Cluster, &["a", "b"]);
    let sent = peer.drain();
    peer.answer(&sent[0], Some("something is bad"));
    peer.unwant(Cluster, &["a"]);
    assert_eq!(peer.sent(), ["CDS +b"]);
}

#[test]
fn rule_05_grpc_keeps_the_valid_resources_itself() {
    let mut peer = Peer::of(Sotw, Dialect::Grpc);
    peer.put_cluster("a", "1");
    peer.put_cluster("b", "1");
    peer.want(Cluster, &["a", "b"]);
    let sent = peer.drain();
    peer.answer(&sent[0], Some("b: LB policy is not supported"));
    assert_eq!(peer.sent(), [""; 0]);
}

/// Envoy's validation refuses a whole response and often names nobody.
#[test]
fn rule_05_bad_resources_are_singled_out_and_all_others_get_through() {
    for (protocol, kind) in [(Sotw, Cluster), (Sotw, Endpoints), (Delta, Cluster), (Delta, Endpoints)] {
        let mut peer = Peer::new(protocol);
        let names: Vec<_> = (0..20).map(|at| format!("n{at:02}")).collect();
        let bad = ["n03", "n04", "n17"];
        names.iter().for_each(|name| peer.put(kind, name, "1", &[]));
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        peer.want(kind, if kind == Cluster { &[] } else { &names });
        let full = protocol == Sotw && kind == Cluster;
        let mut held = std::collections::BTreeSet::new();
        let mut rounds = 0;
        loop {
            let responses = peer.drain();
            if responses.is_empty() {
                break;
            }
            for response in responses {
                rounds += 1;
                assert!(rounds < 60, "{protocol} {kind}");
                let has: Vec<_> = response.resources.iter().map(|resource| resource.name().to_string()).collect();
                let refused = has.iter().any(|name| bad.contains(&name.as_str()));
                if !refused {
                    if full {
                        held.clear();
                    }
                    held.extend(has);
                }
                peer.answer(&response, refused.then_some("Invalid duration: Expected positive duration"));
            }
        }
        let good: Vec<_> = names.iter().filter(|name| !bad.contains(name)).map(|name| (*name).to_owned()).collect();
        assert_eq!(held.into_iter().collect::<Vec<_>>(), good, "{protocol} {kind}");
        // The last one that was singled out is shown, and what comes later gets through at once.
        let nack = peer.session.standing(kind).unwrap().nack.unwrap();
        assert!(!nack.cured && bad.contains(&&*nack.blamed[0].name), "{nack:?}");
        peer.put(kind, "n00", "2", &[]);
        let sent = peer.drain();
        assert!(sent.len() == 1 && !sent[0].resources.iter().any(|resource| bad.contains(&&**resource.name())));
    }
}

#[test]
fn rule_05_nacks_without_end_end() {
    for protocol in BOTH {
        let mut peer = Peer::new(protocol);
        ["a", "b", "c", "d"].iter().for_each(|name| peer.put_cluster(name, "1"));
        peer.want(Cluster, &[]);
        let mut rounds = 0;
        while let Some(response) = peer.drain().pop() {
            let names: Vec<_> = response.resources.iter().take(1).map(|r| r.name().to_string()).collect();
            peer.answer(&response, Some(&names.concat()));
            rounds += 1;
            assert!(rounds <= 5, "{protocol}");
        }
    }
}
