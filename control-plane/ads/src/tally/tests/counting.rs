//! Who needs an object, who has accepted it, and who refused.

use byrnie_proto::Kind::{Cluster, Listener, Route};
use byrnie_snapshot::{Dialect, View};

use super::proxy::{Mesh, Proxy, put, table};

#[test]
fn a_client_counts_once_it_subscribed_and_has_accepted_once_it_answered() {
    let mut mesh = Mesh::new();
    let (one, two) = (Proxy::envoy(&mesh.hub, "shop/one"), Proxy::envoy(&mesh.hub, "shop/two"));
    one.want(Route, &["a"]);
    two.want(Route, &["b"]);
    one.settle();
    two.settle();
    mesh.publish(&[("web", Some(1))], |snapshot| table(snapshot, "a", "1", &["web"]));
    assert_eq!(mesh.look(), ["web 1: 0/1"]);
    let sent = one.hear();
    assert_eq!(mesh.look(), [""; 0], "sent is not accepted");
    one.answer(&sent[0], None);
    assert_eq!(mesh.look(), ["web 1: 1/1"]);
    assert_eq!(mesh.tallies.unsettled(), 0);

    mesh.publish(&[("web", Some(2))], |snapshot| table(snapshot, "a", "2", &["web"]));
    two.want(Route, &["a"]);
    two.settle();
    assert_eq!(mesh.look(), ["web 2: 1/2"]);
    one.close();
    assert_eq!(mesh.look(), ["web 2: 1/1"]);
}

#[test]
fn a_generation_that_changes_nothing_for_clients_is_accepted_by_all_at_once() {
    let mut mesh = Mesh::new();
    let one = Proxy::envoy(&mesh.hub, "shop/one");
    one.want(Route, &["a"]);
    mesh.publish(&[("web", Some(1))], |snapshot| table(snapshot, "a", "1", &["web"]));
    one.settle();
    assert_eq!(mesh.look(), ["web 1: 1/1"]);
    mesh.publish(&[("web", Some(2)), ("unused", Some(1))], |snapshot| table(snapshot, "a", "1", &["web"]));
    assert_eq!(mesh.look(), ["unused 1: 0/0", "web 2: 1/1"]);
    // A second object that changes no byte is needed all the same.
    mesh.publish(&[], |snapshot| table(snapshot, "a", "1", &["web", "unused"]));
    assert_eq!(mesh.look(), ["unused 1: 1/1"]);
}

#[test]
fn a_refusal_stands_until_something_else_is_in_force_and_accepted() {
    let mut mesh = Mesh::new();
    let one = Proxy::envoy(&mesh.hub, "shop/one");
    one.want(Route, &["a", "b"]);
    mesh.publish(&[("web", Some(1)), ("api", Some(1))], |snapshot| {
        table(snapshot, "a", "1", &["web"]);
        table(snapshot, "b", "1", &["api"]);
    });
    let sent = one.hear();
    one.answer(&sent[0], Some("route a: no"));
    assert_eq!(mesh.look(), ["api 1: 0/1", "web 1: 0/1 shop/one refused RDS a: route a: no"]);
    // What was not to blame is sent once more, and accepted by itself.
    one.settle();
    assert_eq!(mesh.look(), ["api 1: 1/1"]);
    // A later refusal of another resource does not hide the first.
    mesh.publish(&[("api", Some(2))], |snapshot| table(snapshot, "b", "2", &["api"]));
    let sent = one.hear();
    one.answer(&sent[0], Some("no"));
    assert_eq!(mesh.look(), ["api 2: 0/1 shop/one refused RDS b: no"]);
    mesh.publish(&[("web", Some(2))], |snapshot| table(snapshot, "a", "2", &["web"]));
    assert_eq!(mesh.look(), ["web 2: 0/1"]);
    one.settle();
    assert_eq!(mesh.look(), ["web 2: 1/1"]);
    mesh.publish(&[("api", Some(3))], |snapshot| table(snapshot, "b", "3", &["api"]));
    one.settle();
    assert_eq!(mesh.look(), ["api 3: 1/1"]);
}

#[test]
fn a_refusal_that_names_nothing_is_pending_while_envoy_is_sent_the_halves() {
    let mut mesh = Mesh::new();
    let one = Proxy::envoy(&mesh.hub, "shop/one");
    one.want(Route, &["a", "b"]);
    mesh.publish(&[("web", Some(1)), ("api", Some(1))], |snapshot| {
        table(snapshot, "a", "1", &["web"]);
        table(snapshot, "b", "1", &["api"]);
    });
    one.answer(&one.hear()[0], Some("something is wrong"));
    assert_eq!(mesh.look(), ["api 1: 0/1", "web 1: 0/1"]);
    let first = one.hear();
    one.answer(&first[0], Some("something is wrong"));
    assert_eq!(mesh.look(), ["web 1: 0/1 shop/one refused RDS a: something is wrong"]);
    one.settle();
    assert_eq!(mesh.look(), ["api 1: 1/1"]);
}

#[test]
fn a_refusal_of_grpc_that_names_nothing_is_shown_on_all_that_it_may_be_of() {
    let mut mesh = Mesh::new();
    let one = Proxy::open(&mesh.hub, "shop/one", Dialect::Grpc);
    one.want(Route, &["a", "b"]);
    mesh.publish(&[("web", Some(1)), ("api", Some(1))], |snapshot| {
        table(snapshot, "a", "1", &["web"]);
        table(snapshot, "b", "1", &["api"]);
    });
    one.answer(&one.hear()[0], Some("no"));
    assert_eq!(mesh.look(), ["api 1: 0/1 shop/one refused RDS b: no", "web 1: 0/1 shop/one refused RDS a: no"]);
    mesh.publish(&[("api", Some(2))], |snapshot| table(snapshot, "b", "2", &["api"]));
    mesh.publish(&[("web", Some(2))], |snapshot| table(snapshot, "a", "2", &["web"]));
    // Named, so the other one is accepted.
    one.answer(&one.hear()[0], Some("a: no"));
    assert_eq!(mesh.look(), ["api 2: 1/1", "web 2: 0/1 shop/one refused RDS a: a: no"]);
}

#[test]
fn a_client_with_two_streams_counts_once_and_has_accepted_when_both_have() {
    let mut mesh = Mesh::new();
    let (sidecar, application) =
        (Proxy::envoy(&mesh.hub, "shop/one"), Proxy::open(&mesh.hub, "shop/one", Dialect::Grpc));
    sidecar.want(Route, &["a"]);
    application.want(Route, &["a"]);
    mesh.publish(&[("web", Some(1))], |snapshot| table(snapshot, "a", "1", &["web"]));
    sidecar.settle();
    assert_eq!(mesh.look(), ["web 1: 0/1"]);
    application.settle();
    assert_eq!(mesh.look(), ["web 1: 1/1"]);
}

#[test]
fn all_resources_of_an_object_have_to_be_accepted() {
    let mut mesh = Mesh::new();
    let one = Proxy::envoy(&mesh.hub, "shop/one");
    one.want(Cluster, &[]);
    one.want(Route, &["a"]);
    one.settle();
    mesh.publish(&[("web", Some(1))], |snapshot| {
        put(snapshot, View::Dialect(Dialect::Envoy), Cluster, "a", "1", &["web"]);
        table(snapshot, "a", "1", &["web"]);
    });
    let clusters = one.hear();
    one.answer(&clusters[0], None);
    assert_eq!(mesh.look(), ["web 1: 0/1"]);
    one.settle();
    assert_eq!(mesh.look(), ["web 1: 1/1"]);
}

#[test]
fn a_wildcard_counts_for_what_it_covers_and_a_name_for_what_it_shows() {
    let mut mesh = Mesh::new();
    let (envoy, micro) = (Proxy::envoy(&mesh.hub, "shop/envoy"), Proxy::open(&mesh.hub, "shop/micro", Dialect::Micro));
    let grpc = Proxy::open(&mesh.hub, "shop/grpc", Dialect::Grpc);
    for proxy in [&envoy, &micro, &grpc] {
        proxy.want(Cluster, &[]);
    }
    let of_envoys = || View::Dialect(Dialect::Envoy);
    mesh.publish(&[("web", Some(1))], |snapshot| put(snapshot, of_envoys(), Cluster, "a", "1", &["web"]));
    assert_eq!(mesh.look(), ["web 1: 0/1"]);
    micro.want(Cluster, &["a"]);
    assert_eq!(mesh.look(), ["web 1: 0/2"]);
    micro.settle();
    envoy.settle();
    assert_eq!(mesh.look(), ["web 1: 2/2"]);
    micro.give_up(Cluster, &["a"]);
    mesh.publish(&[("web", Some(2))], |snapshot| put(snapshot, of_envoys(), Cluster, "a", "2", &["web"]));
    assert_eq!(mesh.look(), ["web 2: 0/1"]);
    // A narrower view takes it out of a client's sight.
    let own = || View::Workload("shop/envoy".parse().unwrap());
    mesh.publish(&[], |snapshot| put(snapshot, own(), Cluster, "a", "own", &[]));
    assert_eq!(mesh.look(), ["web 2: 0/0"]);
}

#[test]
fn a_micro_proxy_needs_its_own_listener_of_a_policy_and_no_other() {
    let mut mesh = Mesh::new();
    let proxies = ["shop/one", "shop/two"].map(|id| Proxy::open(&mesh.hub, id, Dialect::Micro));
    proxies.iter().for_each(|proxy| proxy.want(Listener, &[]));
    mesh.publish(&[("strict", Some(1)), ("open", Some(1))], |snapshot| {
        for (id, policy) in [("shop/one", "strict"), ("shop/two", "open"), ("shop/three", "open")] {
            put(snapshot, View::Workload(id.parse().unwrap()), Listener, "in", "1", &[policy]);
        }
    });
    assert_eq!(mesh.look(), ["open 1: 0/1", "strict 1: 0/1"]);
    proxies.iter().for_each(Proxy::settle);
    assert_eq!(mesh.look(), ["open 1: 1/1", "strict 1: 1/1"]);
}

#[test]
fn a_route_that_moves_waits_for_those_that_it_left() {
    let mut mesh = Mesh::new();
    let (old, new) = (Proxy::envoy(&mesh.hub, "shop/old"), Proxy::envoy(&mesh.hub, "shop/new"));
    old.want(Route, &["a"]);
    new.want(Route, &["b"]);
    mesh.publish(&[("web", Some(1))], |snapshot| {
        table(snapshot, "a", "with web", &["web"]);
        table(snapshot, "b", "plain", &[]);
    });
    old.settle();
    new.settle();
    assert_eq!(mesh.look(), ["web 1: 1/1"]);
    mesh.publish(&[("web", Some(2))], |snapshot| {
        table(snapshot, "a", "plain", &[]);
        table(snapshot, "b", "with web", &["web"]);
    });
    assert_eq!(mesh.look(), ["web 2: 0/2"]);
    new.settle();
    assert_eq!(mesh.look(), ["web 2: 1/2"]);
    old.settle();
    assert_eq!(mesh.look(), ["web 2: 1/1"]);
    // Nobody has it once its last table is gone, and that was taken away.
    mesh.publish(&[], |snapshot| snapshot.remove(&View::Common, Route, "b"));
    assert_eq!(mesh.look(), ["web 2: 0/1"]);
    new.settle();
    assert_eq!(mesh.look(), ["web 2: 0/0"]);
    assert_eq!(mesh.tallies.unsettled(), 0);
}
