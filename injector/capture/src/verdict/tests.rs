use std::net::IpAddr;

use super::*;
use crate::{
    rules::Family,
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
