//! byrnie-proxy side by side with Envoy, HAProxy and nginx: CPU, latency, system calls, memory, start.
//!
//! `scripts/proxy-bench` builds what it needs and runs it.
//!
//! The proxies have a core for themselves; the load, the application behind them and the control plane share another.
//! Rounds are interleaved: each case is run with every peer before the next, so that what disturbs the machine
//! disturbs all. CPU is what the kernel counts for the proxies' processes, their housekeeping included.

mod case;
mod cores;
mod load;
mod measure;
mod peers;
mod report;
mod syscalls;
mod usage;
mod workers;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use byrnie_tests::objects::address;
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    case::{CASES, Case},
    cores::Cores,
    load::{Application, Reactor},
    measure::Times,
    peers::{Peer, Setup, Sidecars},
    report::{Memory, Report},
    syscalls::Tool,
};

/// Client connections that stand idle while memory is read.
const IDLE: usize = 1_000;

/// Measures byrnie-proxy beside other proxies.
#[derive(Debug, Parser)]
struct Args {
    /// Which proxies.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "byrnie,envoy,haproxy,nginx")]
    peers: Vec<Peer>,
    /// Only cases, and parts (`memory`, `syscalls`, `workers`), whose name contains this; may be given again.
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Rounds of each case.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that each is measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// A run of less than a minute that shows whether all works; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Write all figures of all rounds there, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print the names of the cases and end.
    #[arg(long)]
    list: bool,
}

/// All that a run has.
struct Bench {
    args: Args,
    cores: Cores,
    application: Application,
    reactor: Reactor,
    running: Vec<(Peer, Sidecars)>,
    report: Report,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.list {
        CASES.iter().for_each(|case| println!("{:20} {}", case.name, case.title));
        return Ok(());
    }
    let json = args.json.clone();
    let report = Bench::new(args)?.run().await?;
    println!("{}", report.text());
    if let Some(file) = json {
        std::fs::write(&file, report.json()).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    fn cases(&self) -> Vec<&'static Case> {
        CASES.iter().filter(|case| self.wants(case.name)).collect()
    }

    fn rounds(&self) -> usize {
        if self.quick { 1 } else { self.rounds }
    }

    fn times(&self) -> Times {
        let seconds = if self.quick { 0.2 } else { self.seconds };
        Times { warm: Duration::from_secs_f64(seconds / 4.0), window: Duration::from_secs_f64(seconds) }
    }

    /// A shorter window will do where only a count matters.
    fn counting(&self) -> Times {
        let times = self.times();
        Times { window: times.window.min(Duration::from_secs(1)), ..times }
    }
}

/// Lets this process, and those that it starts, open as many files as they may.
fn raise_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    // Of a connection the load holds both ends, a proxy two.
    ensure!(limit.maximum.is_none_or(|most| most > 4 * IDLE as u64), "the limit of open files is too low");
    Ok(())
}

impl Bench {
    fn new(args: Args) -> Result<Self> {
        let parts = ["memory", "syscalls", "workers"].iter().any(|part| args.wants(part));
        ensure!(parts || !args.cases().is_empty(), "no case is called so: see --list");
        raise_limit()?;
        let cores = Cores::claim()?;
        let application = Application::at(address());
        let reactor = Reactor::new(application)?;
        let report = Report::new(&args.peers, &args.cases(), args.rounds(), args.times(), cores.count());
        Ok(Self { args, cores, application, reactor, running: Vec::new(), report })
    }

    async fn run(mut self) -> Result<Report> {
        self.start().await;
        if self.args.wants("memory") {
            self.memory().await;
        }
        for round in 0..self.args.rounds() {
            eprintln!("round {} of {}", round + 1, self.args.rounds());
            // Nobody always follows the same.
            if !self.running.is_empty() {
                self.running.rotate_left(1);
            }
            for case in self.args.cases() {
                self.case(case);
            }
        }
        if self.args.wants("syscalls") {
            self.system_calls();
        }
        self.end().await;
        if self.args.wants("workers") {
            self.workers().await;
        }
        Ok(self.report)
    }

    /// Starts all peers; one that does not start is left out and said to be.
    async fn start(&mut self) {
        let setup = Setup { workers: 1, cores: 1, starts: if self.args.quick { 2 } else { 7 } };
        for peer in self.args.peers.clone() {
            eprintln!("starting {}", peer.title());
            match Sidecars::start(peer, setup, self.application, &self.cores).await {
                Ok(sidecars) => {
                    self.report.started(peer, &sidecars.version, &sidecars.starts);
                    self.running.push((peer, sidecars));
                }
                Err(error) => self.report.absent(peer, &error),
            }
        }
    }

    /// Memory of proxies that have not served yet.
    async fn memory(&mut self) {
        // What a start left to do is done by then.
        tokio::time::sleep(Duration::from_secs(if self.args.quick { 0 } else { 3 })).await;
        for (peer, sidecars) in &self.running {
            let idle = sidecars.memory();
            let full = idle.and_then(|idle| Ok((idle, measure::memory_with(&mut self.reactor, sidecars, IDLE)?)));
            let memory = full.map(|(idle, connected)| Memory { idle, connected, after: None });
            self.report.memory(*peer, memory);
        }
    }

    fn case(&mut self, case: &'static Case) {
        for (peer, sidecars) in &mut self.running {
            if self.report.has_failed(case, *peer) {
                continue;
            }
            let round = measure::round(&mut self.reactor, sidecars, case, self.args.times());
            self.report.round(case, *peer, round);
        }
    }

    fn system_calls(&mut self) {
        let Some(tool) = Tool::find() else {
            return self.report.note("system calls are not counted: neither perf nor strace works here".to_owned());
        };
        eprintln!("counting system calls");
        self.report.counted_by(tool);
        let some = if self.args.quick { 3 } else { CASES.len() };
        for case in self.args.cases().into_iter().take(some) {
            for (peer, sidecars) in &mut self.running {
                let calls = measure::system_calls(&mut self.reactor, sidecars, case, self.args.counting(), tool);
                self.report.system_calls(case, *peer, calls);
            }
        }
    }

    /// Reads what the load left behind, and ends all.
    async fn end(&mut self) {
        for (peer, sidecars) in std::mem::take(&mut self.running) {
            if let Ok(memory) = sidecars.memory() {
                self.report.memory_after(peer, memory);
            }
            if let Some((all, resumed)) = sidecars.handshakes().await {
                self.report.note(format!("{}: {resumed} of {all} TLS handshakes resumed a session", peer.title()));
            }
        }
    }

    async fn workers(&mut self) {
        eprintln!("measuring two workers");
        let rounds = self.args.rounds();
        for peer in self.args.peers.clone() {
            let Self { cores, application, reactor, .. } = self;
            let result = workers::measure(peer, *application, cores, reactor, rounds, self.args.times()).await;
            self.report.workers(peer, result);
        }
    }
}
