use std::net::IpAddr;

use super::*;
use crate::{
    rules::{Detour, Family},
    settings::{Exclusions, Settings},
    values::List,
};

fn rules(exclusions: Exclusions, family: Family) -> Rules {
    let port = |text: &str| text.parse().unwrap();
    Rules::new(&Settings::new(port("15006"), port("15001"), (1337, 1337), exclusions).unwrap(), family)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn out(from: &str, to: &str, port: u16, interface: &'static str, uid: u32) -> Packet<'static> {
    Packet { source: ip(from), destination: ip(to), port, way: Way::Out { interface, uid, gid: uid } }
}

#[test]
fn whatever_the_proxy_sends_never_comes_to_its_outbound_port() {
    for (family, own, far) in [(Family::V4, "10.0.0.2", "10.96.0.10"), (Family::V6, "fd00::2", "fd96::10")] {
        let rules = rules(Exclusions::default(), family);
        for port in [22, 80, 15001, 15006, 15020, 15021, 65535] {
            assert_eq!(rules.verdict(&out(own, far, port, "eth0", 1337)), Verdict::LeftAlone);
            assert_ne!(rules.verdict(&out(own, own, port, "lo", 1337)), Verdict::Redirected(15001));
            assert_eq!(rules.verdict(&out(own, far, port, "eth0", 1000)), Verdict::Redirected(15001));
            assert_eq!(rules.verdict(&out(own, own, port, "lo", 1000)), Verdict::LeftAlone);
        }
        let inbound_source = family.inbound_source().to_string();
        assert_eq!(rules.verdict(&out(&inbound_source, own, 80, "lo", 1337)), Verdict::LeftAlone);
        assert_eq!(rules.verdict(&out(own, own, 80, "lo", 1337)), Verdict::Redirected(15006));
    }
}

#[test]
fn only_what_the_proxy_itself_listens_at_is_open_to_others() {
    let rules = rules(Exclusions::default(), Family::V4);
    for port in 1..=u16::MAX {
        let way = Way::In { interface: "eth0" };
        let verdict = rules.verdict(&Packet { source: ip("10.0.0.9"), destination: ip("10.0.0.2"), port, way });
        let is_own = [15001, 15006, 15020, 15021].contains(&port);
        assert_eq!(verdict, if is_own { Verdict::LeftAlone } else { Verdict::Redirected(15006) }, "{port}");
    }
}

#[test]
fn the_exclusions_of_one_way_do_not_hold_for_the_other() {
    let ports = |text: &str| text.parse::<List<_>>().unwrap().into();
    let exclusions = Exclusions { inbound_ports: ports("22"), outbound_ports: ports("5432"), ..Exclusions::default() };
    let rules = rules(exclusions, Family::V4);
    let into =
        |port| Packet { source: ip("10.0.0.9"), destination: ip("10.0.0.2"), port, way: Way::In { interface: "eth0" } };
    assert_eq!(rules.verdict(&into(22)), Verdict::LeftAlone);
    assert_eq!(rules.verdict(&into(5432)), Verdict::Redirected(15006));
    assert_eq!(rules.verdict(&out("10.0.0.2", "10.0.0.9", 22, "eth0", 0)), Verdict::Redirected(15001));
    assert_eq!(rules.verdict(&out("10.0.0.2", "10.0.0.9", 5432, "eth0", 0)), Verdict::LeftAlone);
    // What the proxy sends to its own Pod is incoming.
    assert_eq!(rules.verdict(&out("10.0.0.2", "10.0.0.2", 22, "lo", 1337)), Verdict::LeftAlone);
    assert_eq!(rules.verdict(&out("10.0.0.2", "10.0.0.2", 5432, "lo", 1337)), Verdict::Redirected(15006));
}

#[test]
fn no_exclusion_lets_the_question_whether_the_sidecar_is_ready_be_redirected() {
    let ports = || "1-65535".parse::<List<_>>().unwrap().into();
    for exclusions in [Exclusions::default(), Exclusions { inbound_ports: ports(), ..Exclusions::default() }] {
        let rules = rules(exclusions, Family::V4);
        assert_eq!(rules.verdict(&out("127.0.0.1", "127.0.0.1", 15021, "lo", 0)), Verdict::LeftAlone);
    }
}

#[test]
fn a_detour_leads_away_its_address_alone_and_that_only_where_the_rules_redirect_it() {
    let port = |text: &str| text.parse().unwrap();
    let ports = |text: &str| text.parse::<List<_>>().unwrap().into();
    let exclusions = Exclusions { inbound_ports: ports("22"), outbound_ports: ports("22"), ..Exclusions::default() };
    let outbound = Detour::Outbound { to: ip("192.0.2.1"), port: port("40001") };
    let inbound = Detour::Inbound { from: ip("198.51.100.2"), port: port("40006") };
    let rules = rules(exclusions, Family::V4).with([outbound, inbound]);
    for (to, called, verdict) in [
        ("192.0.2.1", 80, Verdict::Redirected(40001)),
        ("192.0.2.1", 22, Verdict::LeftAlone),
        ("192.0.2.2", 80, Verdict::Redirected(15001)),
    ] {
        assert_eq!(rules.verdict(&out("10.0.0.2", to, called, "eth0", 0)), verdict, "to {to} port {called}");
    }
    assert_eq!(rules.verdict(&out("10.0.0.2", "192.0.2.1", 80, "eth0", 1337)), Verdict::LeftAlone);
    for (from, called, verdict) in [
        ("198.51.100.2", 80, Verdict::Redirected(40006)),
        ("198.51.100.2", 22, Verdict::LeftAlone),
        ("198.51.100.3", 80, Verdict::Redirected(15006)),
    ] {
        let way = Way::In { interface: "eth0" };
        let packet = Packet { source: ip(from), destination: ip("10.0.0.2"), port: called, way };
        assert_eq!(rules.verdict(&packet), verdict, "from {from} to port {called}");
    }
}
