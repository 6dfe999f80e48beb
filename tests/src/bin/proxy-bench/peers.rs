//! The proxies: how each is set up and started.
//!
//! All do the same as far as they can: the client's sidecar offers 100 services to its application; towards those in
//! the mesh it speaks TLS 1.3 with a certificate of its own and demands one of the server's name; the server's sidecar
//! demands a certificate of the mesh. One worker, no access log, no time limits that matter.

mod certificates;
mod haproxy;
mod mesh;
mod nginx;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    http,
    mesh::Mesh,
    objects::address,
    process::{Process, Usage},
};
use clap::ValueEnum;
use tempfile::TempDir;

use crate::{
    case::{Entrance, Path},
    cores::Cores,
    load::Application,
    usage::Cpu,
};

/// Services that the client's sidecar is subscribed to, those that are called included.
const SERVICES: usize = 100;
/// Endpoints of each that is not called.
const ENDPOINTS: usize = 5;

/// No proxy takes longer to start.
const START: Duration = Duration::from_secs(30);

/// A kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// byrnie-proxy
    Byrnie,
    /// Envoy, configured by Byrnie's control plane
    Envoy,
    /// HAProxy
    Haproxy,
    /// nginx
    Nginx,
}

/// How many of each, and where.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub workers: usize,
    /// Cores that they may use.
    pub cores: usize,
    /// Starts of the client's sidecar, one after the other.
    pub starts: usize,
}

/// How to start one proxy.
#[derive(Debug)]
struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
    ready: Ready,
    /// Where standard error goes.
    log: PathBuf,
}

/// How to see that it is ready.
#[derive(Clone, Copy, Debug)]
enum Ready {
    /// `/ready` of its admin port says so.
    Admin(SocketAddr),
    /// It accepts connections.
    Accepts(SocketAddr),
}

/// How to start two, and where their listeners are.
#[derive(Debug)]
struct Plan {
    client: Launch,
    server: Launch,
    pair: Entrance,
    hop: Entrance,
    folder: TempDir,
    /// The control plane of those that have one.
    _mesh: Option<Mesh>,
}

/// Two sidecars that run.
#[derive(Debug)]
pub struct Sidecars {
    client: Process,
    server: Process,
    plan: Plan,
    pub version: String,
    /// From starting the client's until it was ready, each time.
    pub starts: Vec<Duration>,
}

impl Peer {
    /// As tables name it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Byrnie => "byrnie-proxy",
            Self::Envoy => "Envoy",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
        }
    }

    async fn plan(self, workers: usize, application: Application) -> Result<Plan> {
        match self {
            Self::Byrnie | Self::Envoy => mesh::plan(self, workers, application).await,
            Self::Haproxy => haproxy::plan(workers, application),
            Self::Nginx => nginx::plan(workers, application),
        }
    }
}

impl Sidecars {
    /// Starts both.
    pub async fn start(peer: Peer, setup: Setup, application: Application, cores: &Cores) -> Result<Self> {
        let plan = peer.plan(setup.workers, application).await?;
        let version = version(&plan.client.program)?;
        let start = |launch: &Launch| launch.start(setup.cores, cores).with_context(|| launch.log());
        let (server, _) = start(&plan.server)?;
        let (mut client, first) = start(&plan.client)?;
        let mut times = vec![first];
        for _ in 1..setup.starts {
            drop(client);
            let (next, time) = start(&plan.client)?;
            client = next;
            times.push(time);
        }
        Ok(Self { client, server, plan, version, starts: times })
    }

    /// Where clients go.
    pub fn entrance(&self, path: Path) -> &Entrance {
        match path {
            Path::Pair => &self.plan.pair,
            Path::Hop => &self.plan.hop,
        }
    }

    /// What those on a path have used so far.
    pub fn cpu(&self, path: Path) -> Result<Cpu> {
        let client = Cpu::of(self.client.id())?;
        Ok(if path == Path::Pair { client.and(&Cpu::of(self.server.id())?) } else { client })
    }

    /// The processes on a path.
    pub fn ids(&self, path: Path) -> Vec<u32> {
        let ids = [self.client.id(), self.server.id()];
        ids[..if path == Path::Pair { 2 } else { 1 }].to_vec()
    }

    /// The resident memory of the client's sidecar and of the server's.
    pub fn memory(&self) -> Result<[u64; 2]> {
        let bytes = |usage: Usage| usage.resident_bytes;
        Ok([bytes(self.client.usage()?), bytes(self.server.usage()?)])
    }

    /// An error where one has ended.
    pub fn check(&mut self) -> Result<()> {
        self.client.check().with_context(|| self.plan.client.log())?;
        self.server.check().with_context(|| self.plan.server.log())
    }

    /// The folder of what belongs to them.
    pub fn folder(&self) -> &std::path::Path {
        self.plan.folder.path()
    }

    /// How many TLS handshakes with the server's sidecar there were, and how many of them resumed a session; told by
    /// the counters that Envoy has.
    pub async fn handshakes(&self) -> Option<(u64, u64)> {
        let Ready::Admin(admin) = self.plan.server.ready else { return None };
        let stats = http::get(admin, "localhost", "/stats?filter=listener.*ssl").await.ok()?.body;
        let sum = |name: &str| -> u64 {
            let lines = stats.lines().filter_map(|line| line.rsplit_once(": "));
            lines.filter(|(known, _)| known.ends_with(name)).filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
        };
        Some((sum("ssl.handshake"), sum("ssl.session_reused"))).filter(|(all, _)| *all > 0)
    }
}

impl Launch {
    /// Starts it; how long it took to be ready.
    fn start(&self, wanted: usize, cores: &Cores) -> Result<(Process, Duration)> {
        let log = std::fs::File::create(&self.log)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let name = self.program.file_name().unwrap_or_default().to_string_lossy();
        let begin = Instant::now();
        let mut process = cores.proxies(wanted, || Process::start(&name, &mut command))?;
        while !self.ready.look() {
            process.check()?;
            ensure!(begin.elapsed() < START, "{name} is not ready within {START:?}");
            // An admin port that is asked more often takes the time from the start itself.
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok((process, begin.elapsed()))
    }

    /// The end of what it said, for an error.
    fn log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        format!("{}: {}", self.program.display(), lines[lines.len().saturating_sub(5)..].join(" | "))
    }
}

impl Ready {
    fn look(self) -> bool {
        match self {
            Self::Accepts(address) => TcpStream::connect(address).is_ok(),
            Self::Admin(address) => is_live(address).unwrap_or(false),
        }
    }
}

fn is_live(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start == *b"HTTP/1.1 200")
}

/// The listeners of a peer that is set up by a file.
struct Places {
    pair: [SocketAddr; 3],
    hop: [SocketAddr; 3],
    /// The server's sidecar.
    server: [SocketAddr; 3],
    /// Services that are not called: where each is offered, and its endpoints.
    others: Vec<(SocketAddr, Vec<SocketAddr>)>,
}

impl Places {
    fn new() -> Self {
        let (client, server) = (address(), address());
        let at = |ip, port| SocketAddr::new(ip, port);
        let three = |ip, port: u16| [0, 1, 2].map(|n| at(ip, port + n));
        let (pair, hop, server) = (three(client, 15101), three(client, 15104), three(server, 8080));
        let endpoints = || (0..ENDPOINTS).map(|_| at(address(), 8080)).collect();
        let offered = (0..(SERVICES - 6) as u16).map(|n| at(client, 15107 + n));
        Self { pair, hop, server, others: offered.map(|at| (at, endpoints())).collect() }
    }
}

fn entrance(places: &[SocketAddr; 3], has_bytes: bool) -> Entrance {
    let [http, grpc, bytes] = *places;
    Entrance { http, grpc, bytes: has_bytes.then_some(bytes) }
}

/// What a program says that it is.
fn version(program: &std::path::Path) -> Result<String> {
    let short = program.ends_with("haproxy") || program.ends_with("nginx");
    let output = Command::new(program).arg(if short { "-v" } else { "--version" }).output()?;
    // nginx says it on standard error.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let is_version = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.');
    let found = text.split(|separator: char| separator.is_whitespace() || separator == '/').find(is_version);
    found.map(str::to_owned).with_context(|| format!("{} says no version", program.display()))
}

/// A program on PATH or among those of the system.
fn installed(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|folder| folder.join(program)).find(|file| file.is_file());
    found.with_context(|| format!("{program} is not installed; on Debian: apt-get install {program}"))
}
