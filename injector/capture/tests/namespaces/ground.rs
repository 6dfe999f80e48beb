//! A Pod and its peer, each in a network namespace, joined by two wires. All of it ends with the process.
//!
//! A test runs itself again under `unshare`, in a namespace of its own for network and mounts: that process is in the
//! Pod. The peer's namespace hangs in a `/run` that only it sees.

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd as _, OwnedFd},
    process::{Command, Output},
    thread,
    time::Duration,
};

use rustix::{
    net::{AddressFamily, SocketType, sockopt},
    process::{Gid, Uid, geteuid},
    thread::{LinkNameSpaceType, move_into_link_name_space, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

const INSIDE: &str = "BYRNIE_TEST_INSIDE";
const LIMIT: Duration = Duration::from_secs(2);
/// The user of the proxy, the application's, and one more.
pub const PROXY: u32 = 1337;
pub const APPLICATION: u32 = 1000;
pub const OTHER: u32 = 2000;

/// Addresses of one family.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The Pod's.
    pub pod: IpAddr,
    /// The Pod's, on its second wire, `net1`.
    pub pod_net1: IpAddr,
    /// The peer's.
    pub peer: IpAddr,
    /// The peer's, on the second wire.
    pub peer_net1: IpAddr,
    /// The peer's too; as a Service would have it, by no wire of its own.
    pub service: IpAddr,
    /// The Pod itself.
    pub loopback: IpAddr,
    /// Where the proxy calls the application from.
    pub inbound_source: IpAddr,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub enum Caller {
    /// A process of the Pod, of the user and the group.
    Pod(u32, u32),
    /// As it does to the application that it stands beside, by the address that is the rules' exemption.
    Proxy(IpAddr),
    /// Another machine.
    Peer,
}

/// Both families.
pub fn addresses() -> [Addresses; 2] {
    let of = |texts: [&str; 7]| {
        let [pod, pod_net1, peer, peer_net1, service, loopback, inbound_source] =
            texts.map(|text| text.parse().expect("an address"));
        Addresses { pod, pod_net1, peer, peer_net1, service, loopback, inbound_source }
    };
    [
        of(["10.77.0.2", "10.78.0.2", "10.77.0.1", "10.78.0.1", "10.96.0.10", "127.0.0.1", "127.0.0.6"]),
        of(["fd77::2", "fd78::2", "fd77::1", "fd78::1", "fd96::10", "::1", "::6"]),
    ]
}

/// Where the programs come from.
const FROM: &str =
    "`python3 scripts/iptables ensure` fetches iptables, which scripts/test puts on PATH; ip is of iproute2";

/// Runs the body in a process of its own, in the Pod. Where this machine does not let it, it says so and passes.
pub fn in_a_pod(test: &str, body: fn()) {
    if env::var(INSIDE).is_ok_and(|inside| inside == test) {
        build();
        return body();
    }
    let unshare = || Command::new("unshare").args(["--net", "--mount", "--"]).arg("true").output();
    if !geteuid().is_root() || !unshare().is_ok_and(|output| output.status.success()) {
        eprintln!("{test} was not run: it needs root, and leave to make network namespaces");
        return;
    }
    for program in ["iptables-nft-restore", "iptables-legacy-restore", "ip"] {
        let found = Command::new(program).arg("-V").output().is_ok_and(|output| output.status.success());
        assert!(found, "{program} is not there: {FROM}");
    }
    let itself = env::current_exe().expect("the test has a file");
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--"]).arg(itself).args([test, "--exact", "--nocapture"]).env(INSIDE, test);
    let output = command.output().expect("unshare runs");
    let told = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(output.status.success(), "{}{}", told(&output.stdout), told(&output.stderr));
    assert!(told(&output.stdout).contains("1 passed"), "{test} is no name of a test: {}", told(&output.stdout));
}

fn build() {
    run("mount", "-t tmpfs tmpfs /run");
    run("ip", "link set lo up");
    run("ip", "netns add peer");
    run("ip", "-n peer link set lo up");
    for (link, number) in [("eth0", 77), ("net1", 78)] {
        run("ip", &format!("link add {link} type veth peer name {link} netns peer"));
        for (of, last) in [("-n peer", 1), ("", 2)] {
            run("ip", &format!("{of} addr add 10.{number}.0.{last}/24 dev {link}"));
            run("ip", &format!("{of} addr add fd{number}::{last}/64 dev {link} nodad"));
            run("ip", &format!("{of} link set {link} up"));
        }
    }
    run("ip", "-n peer addr add 10.96.0.10/32 dev lo");
    run("ip", "-n peer addr add fd96::10/128 dev lo nodad");
    run("ip", "route add default via 10.77.0.1");
    run("ip", "route add default via fd77::1");
}

/// Lets all of them listen: the sidecar, the application, and the peer's services.
pub fn everybody_listens() {
    for address in addresses() {
        for (port, name) in [(15001, "outbound"), (15006, "inbound"), (15020, "metrics"), (22, "ssh"), (8080, "app")] {
            serve(listen(address.loopback, port), name);
        }
        for port in [22, 80, 5432, 8080] {
            let listener = thread::spawn(move || {
                enter_peer();
                listen(address.loopback, port)
            });
            serve(listener.join().expect("the peer listens"), "peer");
        }
    }
}

/// Runs a program that has to succeed, and gives what it prints.
pub fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_ascii_whitespace()).output().expect("it can be run");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

/// Runs `byrnie-init`, by a command that stands before it.
pub fn init_by(prefix: &[&str], arguments: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_byrnie-init");
    let mut words = prefix.iter().copied().chain([program]).chain(arguments.split_ascii_whitespace());
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).output().expect("it can be run")
}

/// Runs `byrnie-init`, which has to succeed, and gives its line.
pub fn init(arguments: &str) -> String {
    let output = init_by(&[], arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

/// What `byrnie-init` says when it ends with the code.
pub fn refused(prefix: &[&str], arguments: &str, code: i32) -> String {
    let output = init_by(prefix, arguments);
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(code), "{arguments}: {error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

/// Both ends of a connection from the Pod to the peer, the Pod's first.
pub fn connected(at: Addresses, port: u16) -> (TcpStream, TcpStream) {
    let listener = thread::spawn(move || {
        enter_peer();
        listen(at.peer, port)
    });
    let listener = listener.join().expect("the peer listens");
    let ours = TcpStream::connect((at.peer, port)).expect("the peer is reached");
    let (theirs, _) = listener.accept().expect("the Pod has called");
    for end in [&ours, &theirs] {
        end.set_read_timeout(Some(LIMIT)).expect("a limit");
    }
    (ours, theirs)
}

/// Who takes a call, and of whom the kernel says that he was called: `outbound 10.96.0.10:80`.
pub fn call(caller: Caller, to: IpAddr, port: u16) -> String {
    let caller = thread::spawn(move || {
        match caller {
            Caller::Pod(uid, gid) => become_user(uid, gid),
            Caller::Proxy(_) => become_user(PROXY, PROXY),
            Caller::Peer => enter_peer(),
        }
        let from = if let Caller::Proxy(from) = caller { Some(from) } else { None };
        exchange(from, SocketAddr::new(to, port)).unwrap_or_else(|error| error.kind().to_string())
    });
    caller.join().expect("the caller ends")
}

fn exchange(from: Option<IpAddr>, to: SocketAddr) -> io::Result<String> {
    let socket = socket(to.ip())?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(LIMIT))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(LIMIT))?;
    if let Some(from) = from {
        rustix::net::bind(&socket, &SocketAddr::new(from, 0))?;
    }
    rustix::net::connect(&socket, &to)?;
    let mut answer = String::new();
    TcpStream::from(socket).read_to_string(&mut answer)?;
    Ok(answer)
}

/// This thread's user; it ends with the thread.
fn become_user(uid: u32, gid: u32) {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_groups(&[]).expect("root may");
    set_thread_res_gid(gid, gid, gid).expect("root may");
    set_thread_res_uid(uid, uid, uid).expect("root may");
}

fn enter_peer() {
    let namespace = fs::File::open("/run/netns/peer").expect("the peer is there");
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
}

fn socket(family: IpAddr) -> io::Result<OwnedFd> {
    let domain = if family.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(rustix::net::socket(domain, SocketType::STREAM, None)?)
}

/// On all addresses of the family.
fn listen(family: IpAddr, port: u16) -> TcpListener {
    let socket = socket(family).expect("a socket");
    let any: IpAddr = if family.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    if family.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true).expect("before it is bound");
    }
    rustix::net::bind(&socket, &SocketAddr::new(any, port)).expect("the port is free");
    rustix::net::listen(&socket, 16).expect("it is bound");
    TcpListener::from(socket)
}

/// Answers every connection with its name and where the connection was to go.
fn serve(listener: TcpListener, name: &'static str) {
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let original = sockopt::ip_original_dst(&stream).map(SocketAddr::V4);
            let original = original.or_else(|_| sockopt::ipv6_original_dst(&stream).map(SocketAddr::V6));
            let told = original.map_or_else(|_| name.to_owned(), |original| format!("{name} {original}"));
            // Who calls may be gone.
            let _ = stream.write_all(told.as_bytes());
        }
    });
}
