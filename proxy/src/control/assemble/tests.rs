use std::net::SocketAddr;

use byrnie_balance::{Ejection, FirstCheck, Limits, Outcome, Resource};

use super::*;
use crate::control::resources::{cluster, endpoints, listener};

const CART: &str = "shop/cart:80";

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 8080))
}

fn resources(cluster: Cluster, addresses: &[SocketAddr]) -> Resources {
    let mut resources = Resources::default();
    Arc::make_mut(&mut resources.clusters).insert(cluster.name.clone(), Arc::new(cluster));
    Arc::make_mut(&mut resources.endpoints).insert(CART.into(), endpoints(CART, addresses));
    resources
}

fn first(resources: &Resources) -> Config {
    assemble(&Config::default(), resources, true)
}

fn host(config: &Config, address: SocketAddr) -> Arc<byrnie_balance::Host> {
    let hosts = &config.upstreams[CART].hosts;
    hosts.iter().find(|(_, endpoint, _)| endpoint.address == address).map(|(_, _, host)| Arc::clone(host)).unwrap()
}

#[test]
fn what_did_not_change_is_shared() {
    let resources = resources(cluster(CART), &[address(1)]);
    let before = first(&resources);
    let after = assemble(&before, &resources, true);
    assert_eq!((before.generation, after.generation), (1, 2));
    assert!(Arc::ptr_eq(&before.upstreams[CART], &after.upstreams[CART]));
    // Nor does what was sent again without a change.
    let again = self::resources(cluster(CART), &[address(1)]);
    assert!(Arc::ptr_eq(&before.upstreams[CART], &assemble(&after, &again, true).upstreams[CART]));
}

#[test]
fn an_endpoint_that_stays_keeps_what_is_known_of_it() {
    let ejection = Ejection {
        consecutive_errors: Some(1),
        interval: std::time::Duration::from_secs(10),
        base_time: std::time::Duration::from_secs(30),
        max_time: Ejection::DEFAULT_MAX_TIME,
        max_percent: 100,
        always_one: true,
        failure_share: None,
    };
    let before =
        first(&resources(Cluster { ejection: Some(ejection.clone()), ..cluster(CART) }, &[address(1), address(2)]));
    let ejected = host(&before, address(2));
    ejected.begin_request();
    ejection.report(&ejected, Outcome::Status(500), std::time::Instant::now());
    assert!(ejected.is_ejected());

    // The endpoints change, and the cluster too.
    let changed =
        Cluster { connect_timeout: std::time::Duration::from_secs(2), ejection: Some(ejection), ..cluster(CART) };
    let after = assemble(&before, &resources(changed, &[address(2), address(3)]), true);
    let kept = host(&after, address(2));
    assert!(Arc::ptr_eq(&kept, &ejected) && kept.is_ejected() && kept.active_requests() == 1);
    assert!(!host(&after, address(3)).is_ejected());
    assert_eq!(after.upstreams[CART].hosts.len(), 2);
}

#[test]
fn limits_go_on_while_they_are_the_same() {
    let before = first(&resources(cluster(CART), &[address(1)]));
    assert!(before.upstreams[CART].breakers.acquire(Resource::Requests));
    let after = assemble(&before, &resources(cluster(CART), &[address(2)]), true);
    assert!(after.upstreams[CART].breakers.is_open(Resource::Requests));
    let limits = Limits { requests: 5, ..cluster(CART).limits };
    let after = assemble(&after, &resources(Cluster { limits, ..cluster(CART) }, &[address(2)]), true);
    assert!(!after.upstreams[CART].breakers.is_open(Resource::Requests));
}

#[test]
fn endpoints_that_get_checks_are_not_trusted_unchecked() {
    let before = first(&resources(cluster(CART), &[address(1)]));
    let checked = Cluster { first_check: FirstCheck::Awaited, ..cluster(CART) };
    let after = assemble(&before, &resources(checked, &[address(1)]), true);
    assert_eq!(host(&before, address(1)).health(), byrnie_balance::Health::Healthy);
    assert_eq!(host(&after, address(1)).health(), byrnie_balance::Health::Unhealthy);
}

#[test]
fn a_cluster_may_have_no_endpoints_or_its_own() {
    let mut resources = resources(cluster(CART), &[]);
    Arc::make_mut(&mut resources.endpoints).clear();
    let before = first(&resources);
    assert!(before.upstreams[CART].hosts.is_empty());
    assert!(Arc::ptr_eq(&before.upstreams[CART], &assemble(&before, &resources, true).upstreams[CART]));
    let own = Cluster { discovery: Discovery::Static(endpoints(CART, &[address(1)])), ..cluster(CART) };
    let config = first(&self::resources(own, &[address(2)]));
    assert_eq!(config.upstreams[CART].endpoints.list[0].address, address(1));
    let original = Cluster { discovery: Discovery::OriginalDestination, ..cluster(CART) };
    assert!(first(&self::resources(original, &[address(2)])).upstreams[CART].hosts.is_empty());
}

#[test]
fn listeners_with_tls_wait_for_an_identity() {
    let mut resources = Resources::default();
    for listener in [listener("out", address(8), false), listener("in", address(9), true)] {
        Arc::make_mut(&mut resources.listeners).insert(listener.name.clone(), Arc::new(listener));
    }
    let names = |config: &Config| {
        let mut names: Vec<_> = config.listeners.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    let without = assemble(&Config::default(), &resources, false);
    assert_eq!(names(&without), ["out"]);
    let with = assemble(&without, &resources, true);
    assert_eq!(names(&with), ["in", "out"]);
    assert!(Arc::ptr_eq(&with.listeners, &resources.listeners));
}
