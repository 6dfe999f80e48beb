//! The rules in a real kernel: connections between processes of a Pod and a peer, and whom they reach.

mod checked;
mod ground;
mod waits;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
};

use ground::{
    APPLICATION, Addresses, Caller, OTHER, PROXY, addresses, call, connected, everybody_listens, in_a_pod, init, run,
};

const APP: Caller = Caller::Pod(APPLICATION, APPLICATION);
const AS_PROXY: Caller = Caller::Pod(PROXY, PROXY);

#[test]
fn nft_leads_each_connection_where_the_rules_say() {
    in_a_pod("nft_leads_each_connection_where_the_rules_say", || plain("nft"));
}

#[test]
fn legacy_leads_each_connection_where_the_rules_say() {
    in_a_pod("legacy_leads_each_connection_where_the_rules_say", || plain("legacy"));
}

fn plain(backend: &str) {
    everybody_listens();
    let said = init(&format!("--backend {backend} --no-check"));
    assert_eq!(said, format!("byrnie-init: IPv4 and IPv6 redirected by iptables-{backend}; not checked"));
    for at in addresses() {
        let own = |name: &str, port| format!("{name} {}", SocketAddr::new(at.pod, port));
        for (caller, to, port, reaches, why) in [
            (Caller::Peer, at.pod, 8080, own("inbound", 8080), "what comes in"),
            (Caller::Peer, at.pod, 9999, own("inbound", 9999), "what comes in to a port without a listener"),
            (
                Caller::Peer,
                at.pod_net1,
                8080,
                format!("inbound {}", SocketAddr::new(at.pod_net1, 8080)),
                "by a second wire",
            ),
            (Caller::Peer, at.pod, 15020, own("metrics", 15020), "an open port of the proxy"),
            (Caller::Peer, at.pod, 15001, own("outbound", 15001), "a listener of the proxy itself"),
            (APP, at.peer, 80, format!("outbound {}", SocketAddr::new(at.peer, 80)), "what goes out"),
            (APP, at.service, 80, format!("outbound {}", SocketAddr::new(at.service, 80)), "what goes to a service"),
            (AS_PROXY, at.service, 80, "peer".to_owned(), "what the proxy sends"),
            (Caller::Pod(PROXY, OTHER), at.service, 80, "peer".to_owned(), "the proxy by its user"),
            (Caller::Pod(OTHER, PROXY), at.service, 80, "peer".to_owned(), "the proxy by its group"),
            (APP, at.loopback, 8080, "app".to_owned(), "the application to itself"),
            (APP, at.pod, 8080, "app".to_owned(), "the application to itself by the Pod's address"),
            (AS_PROXY, at.loopback, 8080, "app".to_owned(), "the proxy to loopback"),
            (AS_PROXY, at.pod, 8080, own("inbound", 8080), "its own service, of which the proxy chose this Pod"),
            (Caller::Pod(OTHER, PROXY), at.pod, 8080, own("inbound", 8080), "the same by its group"),
            (AS_PROXY, at.pod, 15020, "metrics".to_owned(), "an open port, from the proxy"),
            (Caller::Proxy(at.inbound_source), at.pod, 8080, "app".to_owned(), "from the proxy to the application"),
        ] {
            reached(at, caller, to, port, &reaches, why);
        }
    }
}

#[test]
fn nft_leaves_alone_what_is_excluded() {
    in_a_pod("nft_leaves_alone_what_is_excluded", || excluded("nft"));
}

#[test]
fn legacy_leaves_alone_what_is_excluded() {
    in_a_pod("legacy_leaves_alone_what_is_excluded", || excluded("legacy"));
}

fn excluded(backend: &str) {
    everybody_listens();
    init(&format!(
        "--backend {backend} --no-check --exclude-inbound-ports 20-22 --exclude-outbound-ports 5000-5999 \
         --exclude-outbound-cidrs 10.96.0.0/16,fd96::/64 --exclude-uids 1990-2000 --exclude-interfaces net+"
    ));
    for at in addresses() {
        let outbound = format!("outbound {}", SocketAddr::new(at.peer, 80));
        let inbound = format!("inbound {}", SocketAddr::new(at.pod, 8080));
        for (caller, to, port, reaches, why) in [
            (Caller::Peer, at.pod, 22, "ssh", "a port of the Pod"),
            (Caller::Peer, at.pod, 8080, &*inbound, "another port of the Pod"),
            (AS_PROXY, at.pod, 22, "ssh", "a port of the Pod, from its proxy"),
            (APP, at.peer, 5432, "peer", "a port that the Pod calls"),
            (APP, at.service, 80, "peer", "an address that the Pod calls"),
            (Caller::Pod(OTHER, OTHER), at.peer, 80, "peer", "a user"),
            (APP, at.peer_net1, 80, "peer", "an interface, from the Pod"),
            (Caller::Peer, at.pod_net1, 8080, "app", "an interface, to the Pod"),
            (APP, at.peer, 80, &*outbound, "none of these"),
        ] {
            reached(at, caller, to, port, reaches, why);
        }
    }
}

#[test]
fn nft_leaves_alone_what_was_connected_before() {
    in_a_pod("nft_leaves_alone_what_was_connected_before", || connected_before("nft"));
}

#[test]
fn legacy_leaves_alone_what_was_connected_before() {
    in_a_pod("legacy_leaves_alone_what_was_connected_before", || connected_before("legacy"));
}

/// The sidecar's connections to the control plane are older than the rules, and no rule had the kernel track them. The
/// first that it sees of one may come from the other side, as if that had called.
fn connected_before(backend: &str) {
    everybody_listens();
    // Of each two, the peer speaks first by one, and the Pod by the other.
    let connections = addresses().map(|at| [7001, 7002].map(|port| connected(at, port)));
    init(&format!("--backend {backend} --no-check"));
    for [(ours, theirs), (ours_too, theirs_too)] in connections {
        for (mut from, mut to, who) in [(&theirs, &ours, "the peer"), (&ours_too, &theirs_too, "the Pod")] {
            let mut heard = [0; 2];
            from.write_all(b"hi").expect("the kernel takes it");
            to.read_exact(&mut heard).unwrap_or_else(|error| panic!("{who} to {to:?}: {error}"));
            to.write_all(b"ho").expect("the kernel takes it");
            from.read_exact(&mut heard).unwrap_or_else(|error| panic!("{who} is answered by {to:?}: {error}"));
        }
    }
}

/// Compares the name of whoever took the call; where it names the original destination, that too.
fn reached(at: Addresses, caller: Caller, to: std::net::IpAddr, port: u16, reaches: &str, why: &str) {
    let found = call(caller, to, port);
    // Once a connection is tracked, the kernel knows a destination of those that were left alone too.
    let exact = reaches.contains(' ');
    let name = found.split(' ').next().unwrap_or_default();
    let same = if exact { found == reaches } else { name == reaches };
    assert!(same, "{why} ({caller:?} to {to} port {port}, of {}): {found:?}, not {reaches:?}", at.pod);
}

#[test]
fn to_apply_twice_is_to_apply_once_and_clean_leaves_nothing() {
    in_a_pod("to_apply_twice_is_to_apply_once_and_clean_leaves_nothing", || {
        everybody_listens();
        for backend in ["nft", "legacy"] {
            init(&format!("--backend {backend} --no-check"));
            let first = saved(backend);
            let golden = include_str!("../golden/plain.rules");
            let rules: Vec<&str> = golden.lines().filter(|line| line.starts_with("-A ")).collect();
            let found: Vec<&str> = first.iter().map(String::as_str).filter(|line| line.starts_with("-A ")).collect();
            assert_eq!(found, rules, "the kernel has what was given to it");
            // No kind is named: the one that has the rules is taken.
            init("--no-check");
            assert_eq!(saved(backend), first);
            init("--no-check --exclude-uids 5");
            assert_eq!(saved(backend).len(), first.len() + 2, "one more rule for each family");
            assert!(run("ip", "addr show dev lo").contains("::6/128"));

            assert_eq!(init("--clean"), "byrnie-init: the redirection is taken away");
            assert_eq!(init("--clean"), "byrnie-init: there was no redirection to take away");
            assert!(["nft", "legacy"].iter().all(|backend| saved(backend).is_empty()));
            assert!(!run("ip", "addr show dev lo").contains("::6/128"));
            for at in addresses() {
                assert!(call(APP, at.service, 80).starts_with("peer"));
                assert!(call(Caller::Peer, at.pod, 8080).starts_with("app"));
            }
        }
    });
}

/// The rules and chains of somebody's making in `nat`, of both families.
fn saved(backend: &str) -> Vec<String> {
    let commands = ["iptables", "ip6tables"].map(|command| run(&format!("{command}-{backend}-save"), "-t nat"));
    let is_made = |line: &&str| line.starts_with("-A ") || (line.starts_with(':') && line.contains(" - "));
    commands.iter().flat_map(|text| text.lines().filter(is_made).map(str::to_owned)).collect()
}

#[test]
fn the_kind_of_iptables_that_has_rules_is_taken_and_the_rules_of_the_other_go() {
    in_a_pod("the_kind_of_iptables_that_has_rules_is_taken_and_the_rules_of_the_other_go", || {
        let by =
            |said: &str| said.split("iptables-").nth(1).map(|rest| rest.split(';').next().unwrap_or(rest).to_owned());
        assert_eq!(by(&init("--no-check")).as_deref(), Some("nft"), "nothing is there");
        init("--clean");
        run("iptables-legacy", "-t filter -A INPUT -p udp --dport 9 -j DROP");
        assert_eq!(by(&init("--no-check")).as_deref(), Some("legacy"), "one rule is there");
        init("--backend nft --no-check");
        assert!(saved("legacy").is_empty() && !saved("nft").is_empty());
        assert!(run("iptables-legacy-save", "-t filter").contains("--dport 9 -j DROP"), "rules of others stay");
    });
}

#[test]
fn a_family_that_the_pod_has_not_is_left_out() {
    in_a_pod("a_family_that_the_pod_has_not_is_left_out", || {
        assert_eq!(init("--no-check --ipv6 off"), "byrnie-init: IPv4 redirected by iptables-nft; not checked");
        assert!(!run("ip6tables-nft-save", "-t nat").contains("BYRNIE"));
        init("--no-check");
        init("--no-check --ipv6 off");
        assert!(!run("ip6tables-nft-save", "-t nat").contains("BYRNIE"), "what was there of it goes");
        fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
        assert_eq!(init("--no-check"), "byrnie-init: IPv4 redirected by iptables-nft; not checked");
    });
}
