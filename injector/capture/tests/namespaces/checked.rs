//! What the check proves, and what it says where the rules do not do what they should.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::{
    ground::{APPLICATION, Caller, addresses, call, everybody_listens, in_a_pod, init, init_by, refused, run},
    saved,
};

/// What the init container of an injected Pod may do, and nothing else.
const CAPABILITIES: [&str; 4] =
    ["setpriv", "--bounding-set=-all,+net_admin,+net_raw", "--inh-caps=-all,+net_admin,+net_raw", "--"];
const NONE: [&str; 4] = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"];
const PROVEN: &str = "proven: IPv4 outbound, IPv6 outbound, IPv4 inbound, IPv6 inbound";

#[test]
fn both_directions_are_proven_with_two_capabilities_and_a_read_only_root() {
    in_a_pod("checked::both_directions_are_proven_with_two_capabilities_and_a_read_only_root", || {
        run("mount", "-o remount,ro /run");
        fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1").unwrap();
        for backend in ["nft", "legacy"] {
            for _ in 0..2 {
                let output = init_by(&CAPABILITIES, &format!("--backend {backend}"));
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                let expected = format!("byrnie-init: IPv4 and IPv6 redirected by iptables-{backend}; {PROVEN}\n");
                assert_eq!((said.as_str(), error.as_str()), (&*expected, ""));
            }
            assert_eq!(init("--check"), format!("byrnie-init: {PROVEN}"));
        }
        let link = Command::new("ip").args(["link", "show", "byrnie-check"]).output().unwrap();
        assert!(!link.status.success(), "the check leaves no link behind");
    });
}

#[test]
fn without_the_capabilities_it_says_which_are_needed() {
    in_a_pod("checked::without_the_capabilities_it_says_which_are_needed", || {
        for arguments in ["", "--backend nft", "--backend legacy", "--clean"] {
            let said = refused(&NONE, arguments, 1);
            let told = "this process lacks NET_ADMIN and NET_RAW; user 0 with the capabilities NET_ADMIN and NET_RAW is accepted";
            assert_eq!(said, format!("byrnie-init: {told}\n"), "{arguments}");
        }
    });
}

#[test]
fn rules_that_come_first_are_found_in_each_direction_and_family() {
    in_a_pod("checked::rules_that_come_first_are_found_in_each_direction_and_family", || {
        for (command, chain, begins) in [
            ("iptables-nft", "OUTPUT", "IPv4 outbound: a connection to 192.0.2.1:80 was not led to the check: "),
            ("ip6tables-nft", "OUTPUT", "IPv6 outbound: a connection to [2001:db8::1]:80 was not led to the check: "),
            ("iptables-nft", "PREROUTING", "IPv4 inbound: a connection to 10.77.0.2:80 was not led to the check: "),
            ("ip6tables-nft", "PREROUTING", "IPv6 inbound: a connection to [fd77::2]:80 was not led to the check: "),
        ] {
            run(command, &format!("-t nat -I {chain} -p tcp -j ACCEPT"));
            let said = refused(&[], "--backend nft --check-timeout 2", 3);
            let expected = format!("byrnie-init: the rules are in iptables-nft, but {begins}");
            assert!(said.starts_with(&expected), "{said}");
            assert_eq!(rules("nft"), plain_rules(), "what the check needed is taken away");
            assert!(refused(&[], "--check --check-timeout 2", 3).starts_with(&format!("byrnie-init: {begins}")));
            run(command, &format!("-t nat -D {chain} -p tcp -j ACCEPT"));
        }
        init("--clean");
        let said = refused(&[], "--check", 3);
        assert!(said.contains("IPv4 outbound: "), "without rules: {said}");
    });
}

#[test]
fn what_the_exclusions_or_the_network_do_not_let_be_proven_is_said_and_passes() {
    in_a_pod("checked::what_the_exclusions_or_the_network_do_not_let_be_proven_is_said_and_passes", || {
        let told = |arguments: &str| {
            let said = init(arguments);
            said.strip_prefix("byrnie-init: IPv4 and IPv6 redirected by iptables-nft; ").unwrap_or(&said).to_owned()
        };
        for arguments in [
            "--exclude-outbound-ports 80 --exclude-inbound-ports 80",
            "--exclude-outbound-cidrs 192.0.2.0/24,2001:db8::/32 --exclude-interfaces net1",
            "--inbound-port 25006 --outbound-port 25001 --proxy-uid 5001 --proxy-gid 5001",
        ] {
            assert_eq!(told(arguments), PROVEN, "{arguments}");
        }
        let left = |what: &str| {
            format!(
                "proven: IPv4 inbound, IPv6 inbound; not proven: IPv4 outbound ({what}); not proven: IPv6 outbound ({what})"
            )
        };
        assert_eq!(told("--exclude-uids 0-10"), left("the exclusions leave alone what user 0 sends by eth0"));
        assert_eq!(told("--exclude-interfaces eth+"), left("the exclusions leave alone what user 0 sends by eth0"));
        run("ip", "route del default");
        run("ip", "-6 route del default");
        assert_eq!(told(""), left("no route leads out of this Pod"));
    });
}

#[test]
fn a_sidecar_that_listens_already_is_neither_in_the_way_nor_disturbed() {
    in_a_pod("checked::a_sidecar_that_listens_already_is_neither_in_the_way_nor_disturbed", || {
        everybody_listens();
        for backend in ["nft", "legacy"] {
            let expected = format!("byrnie-init: IPv4 and IPv6 redirected by iptables-{backend}; {PROVEN}");
            assert_eq!(init(&format!("--backend {backend}")), expected);
            assert_eq!(rules(backend), plain_rules());
            // Again, while connections come and go.
            let again = Arc::new(AtomicBool::new(true));
            let calls = addresses().map(|at| {
                let [out, into] = [SocketAddr::new(at.service, 80), SocketAddr::new(at.pod, 8080)];
                [
                    calls(Arc::clone(&again), Caller::Pod(APPLICATION, APPLICATION), out, format!("outbound {out}")),
                    calls(Arc::clone(&again), Caller::Peer, into, format!("inbound {into}")),
                ]
            });
            for _ in 0..5 {
                assert_eq!(init(&format!("--backend {backend}")), expected);
            }
            again.store(false, Ordering::SeqCst);
            let calls: Vec<usize> = calls.into_iter().flatten().map(|calls| calls.join().unwrap()).collect();
            assert!(calls.iter().all(|count| *count > 0) && calls.iter().sum::<usize>() > 50, "{calls:?}");
            assert_eq!(rules(backend), plain_rules());
        }
    });
}

/// Calls all the time, and counts the answers, each of which is this one.
fn calls(again: Arc<AtomicBool>, caller: Caller, to: SocketAddr, answer: String) -> JoinHandle<usize> {
    thread::spawn(move || {
        let answers = (0..).take_while(|_| again.load(Ordering::SeqCst));
        answers.map(|_| assert_eq!(call(caller, to.ip(), to.port()), answer)).count()
    })
}

/// What is in force, of both families.
fn rules(backend: &str) -> Vec<String> {
    saved(backend).into_iter().filter(|line| line.starts_with("-A BYRNIE_")).collect()
}

fn plain_rules() -> Vec<String> {
    let golden = include_str!("../golden/plain.rules").lines();
    golden.filter(|line| line.starts_with("-A BYRNIE_")).map(str::to_owned).collect()
}

#[test]
fn a_port_that_is_taken_is_named_by_a_check_of_what_is_in_force() {
    in_a_pod("checked::a_port_that_is_taken_is_named_by_a_check_of_what_is_in_force", || {
        everybody_listens();
        let said = refused(&[], "--check", 3);
        assert!(said.contains("the check cannot listen on port 15001: Address already in use"), "{said}");
        assert!(said.contains("--check listens there itself"), "{said}");
    });
}
