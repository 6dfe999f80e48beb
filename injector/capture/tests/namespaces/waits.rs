//! What happens while the sidecar is not ready yet, and once it is.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    ground::{everybody_listens, in_a_pod, init, refused},
    saved,
};

const NOT_YET: &str = "HTTP/1.1 503 Service Unavailable\r\n\r\nINITIALIZING: waiting for certificate\n";
const READY: &str = "HTTP/1.1 200 OK\r\n\r\nLIVE\n";

/// The sidecar's health port.
fn health() -> TcpListener {
    TcpListener::bind("0.0.0.0:15021").expect("the port is free")
}

/// Takes the next question.
fn asked(health: &TcpListener) -> TcpStream {
    let (stream, _) = health.accept().expect("it is asked");
    let mut lines = BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty());
    assert_eq!(lines.next().as_deref(), Some("GET /healthz/ready HTTP/1.1"));
    assert_eq!(lines.count(), 2, "all of the question is read");
    stream
}

#[test]
fn it_ends_when_the_sidecar_is_ready_with_the_rules_in_force_before_it_asks() {
    in_a_pod("waits::it_ends_when_the_sidecar_is_ready_with_the_rules_in_force_before_it_asks", || {
        everybody_listens();
        let health = health();
        let sidecar = thread::spawn(move || {
            for answer in [NOT_YET, "garbage", "", READY, READY] {
                let mut stream = asked(&health);
                let rules = saved("nft");
                let redirects: Vec<_> = rules.iter().filter(|line| line.contains("REDIRECT --to-ports")).collect();
                assert_eq!(redirects.len(), 4, "those of both families, without the check's: {redirects:?}");
                stream.write_all(answer.as_bytes()).expect("it listens");
            }
        });
        let said = init("--await-ready 15021");
        let (before, after) = said.split_once("; the sidecar is ready after ").expect(&said);
        assert!(before.starts_with("byrnie-init: IPv4 and IPv6 redirected by iptables-nft; proven: "), "{said}");
        let seconds: f64 = after.strip_suffix(" s").expect(&said).parse().expect(&said);
        assert!((0.07..10.0).contains(&seconds), "three pauses: {said}");
        let said = init("--no-check --await-ready=15021");
        assert!(said.contains("; not checked; the sidecar is ready after 0."), "{said}");
        sidecar.join().expect("it was asked as often");
    });
}

#[test]
fn rules_that_are_not_proven_wait_for_nobody() {
    in_a_pod("waits::rules_that_are_not_proven_wait_for_nobody", || {
        super::run("iptables-nft", "-t nat -I OUTPUT -p tcp -j ACCEPT");
        assert!(refused(&[], "--backend nft --await-ready 15021", 3).contains("IPv4 outbound: "));
    });
}

#[test]
fn a_signal_ends_it_at_once_while_it_waits_as_the_first_process_of_its_container() {
    in_a_pod("waits::a_signal_ends_it_at_once_while_it_waits_as_the_first_process_of_its_container", || {
        let health = health();
        for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let mut outside = Command::new("unshare");
            outside.args(["--pid", "--fork", "--", env!("CARGO_BIN_EXE_byrnie-init"), "--no-check"]);
            outside.env("BYRNIE_AWAIT_READY", "15021").stdout(Stdio::piped());
            let mut outside = outside.spawn().expect("it can be run");
            // The answer is awaited, and does not come.
            let question = asked(&health);
            kill_process(inside(&outside), signal).expect("it runs");
            assert_eq!(outside.wait().expect("it ends").code(), Some(code));
            drop(question);
        }
    });
}

/// The one process that was made by this one.
fn inside(outside: &Child) -> Pid {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", outside.id())).expect("it runs");
    Pid::from_raw(children.trim().parse().expect("one child")).expect("a number")
}
