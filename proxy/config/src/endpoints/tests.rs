use byrnie_proto::envoy::{
    envoy::config::core::v3::{Address, SocketAddress, address::Address as AnyAddress, socket_address::PortSpecifier},
    google::protobuf::Value,
};

use super::*;
use crate::value::testing::set;

fn endpoint(ip: &str, account: Option<&str>) -> LbEndpoint {
    let at = SocketAddress {
        address: ip.to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(8080)),
        ..Default::default()
    };
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let metadata = account.map(|account| Metadata {
        filter_metadata: [(
            SOCKET_MATCH.to_owned(),
            Struct { fields: [(ACCOUNT_KEY.to_owned(), text(account))].into() },
        )]
        .into(),
        ..Default::default()
    });
    let host = wire::Endpoint {
        address: Some(Address { address: Some(AnyAddress::SocketAddress(at)) }),
        ..Default::default()
    };
    LbEndpoint { metadata, host_identifier: Some(HostIdentifier::Endpoint(host)), ..Default::default() }
}

fn read(change: impl FnOnce(&mut LocalityLbEndpoints)) -> Result<Endpoints, Refused> {
    let draining = LbEndpoint {
        health_status: HealthStatus::Draining.into(),
        load_balancing_weight: set(3),
        ..endpoint("fd00::1", None)
    };
    let mut locality = LocalityLbEndpoints {
        locality: Some(Locality { zone: "z1".to_owned(), ..Default::default() }),
        lb_endpoints: vec![endpoint("10.0.0.1", Some("shop/cart")), draining],
        load_balancing_weight: set(2),
        ..Default::default()
    };
    change(&mut locality);
    let endpoints = vec![locality];
    let assignment = ClusterLoadAssignment { cluster_name: "c".to_owned(), endpoints, ..Default::default() };
    Endpoints::read(&assignment, &At::ROOT)
}

#[test]
fn an_endpoint_has_an_account_a_weight_a_zone_and_a_health() {
    let endpoints = read(|_| {}).unwrap();
    let [first, second] = &*endpoints.list else { panic!() };
    assert_eq!((first.account.as_deref(), first.weight, &*first.zone), (Some("shop/cart"), 1, "z1"));
    assert_eq!((second.address.to_string(), second.weight), ("[fd00::1]:8080".to_owned(), 3));
    assert_eq!((first.reported, second.reported), (Reported::Healthy, Reported::Draining));
}

#[test]
fn the_first_of_two_with_one_address_counts() {
    let endpoints = read(|locality| locality.lb_endpoints.push(endpoint("10.0.0.1", None))).unwrap();
    assert_eq!((endpoints.list.len(), endpoints.list[0].account.is_some()), (2, true));
}

#[test]
fn what_balancing_does_not_know_is_refused() {
    let refused = |change: fn(&mut LocalityLbEndpoints)| read(change).unwrap_err().to_string();
    let priority = refused(|locality| locality.priority = 1);
    assert_eq!(priority, "endpoints[0].priority: not supported, found 1; accepted: nothing");
    let weight = refused(|locality| locality.lb_endpoints[1].load_balancing_weight = set(0));
    assert_eq!(weight, "endpoints[0].lb_endpoints[1].load_balancing_weight: found 0; accepted: above 0");
    let name = refused(|locality| locality.lb_endpoints[0] = endpoint("cart.example", None));
    assert!(name.ends_with("socket_address.address: found \"cart.example\"; accepted: an IP address"), "{name}");
    assert!(refused(|locality| locality.lb_endpoints[0].health_status = 77).contains("health_status: found 77"));
    assert!(refused(|locality| locality.lb_endpoints[0].host_identifier = None).ends_with("endpoint: missing"));
}
