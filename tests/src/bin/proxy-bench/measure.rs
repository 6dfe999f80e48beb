//! One measurement of one peer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::{
    case::{Case, Path, Unit},
    load::{Exchange, Load, Moment, Reactor, Tally},
    peers::Sidecars,
    syscalls::{Counter, Tool},
    usage::{self, Cpu},
};

/// What one round of a case came to.
#[derive(Clone, Debug)]
pub struct Round {
    pub seconds: f64,
    pub tally: Tally,
    /// Of the proxies on the path.
    pub cpu: Cpu,
    /// Of the load and the application.
    pub own: f64,
    /// Of all else on the machine, the control plane included.
    pub others: f64,
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub warm: Duration,
    pub window: Duration,
}

impl Round {
    /// What the requests, connections or gigabytes of the window were.
    pub fn units(&self, unit: Unit) -> f64 {
        match unit {
            Unit::Request | Unit::Connection => self.tally.requests as f64,
            Unit::Gigabyte => self.tally.bytes as f64 / 1e9,
        }
    }

    /// CPU of the proxies for one of them: microseconds, or milliseconds for a gigabyte.
    pub fn cost(&self, unit: Unit) -> f64 {
        let scale = if unit == Unit::Gigabyte { 1e3 } else { 1e6 };
        self.cpu.seconds() / self.units(unit) * scale
    }

    /// The share of the window in which the proxies' core worked for them.
    pub fn busy(&self) -> f64 {
        self.cpu.seconds() / self.seconds
    }

    /// The same of the load's core.
    pub fn own_busy(&self) -> f64 {
        self.own / self.seconds
    }
}

/// Runs a case once; nothing where the peer has no entrance for it.
pub fn round(reactor: &mut Reactor, sidecars: &mut Sidecars, case: &Case, times: Times) -> Result<Option<Round>> {
    let Some(load) = case.load(sidecars.entrance(case.path), times.warm, times.window) else { return Ok(None) };
    let round = observed(reactor, sidecars, case.path, &load);
    sidecars.check()?;
    let round = round?;
    let first = round.tally.first_error.as_deref().unwrap_or("no error was seen");
    ensure!(round.units(case.unit()) > 0.0, "nothing went through: {first}");
    Ok(Some(round))
}

fn observed(reactor: &mut Reactor, sidecars: &Sidecars, path: Path, load: &Load) -> Result<Round> {
    let mut samples = Vec::with_capacity(2);
    let tally = reactor.run(load, &mut |_| {
        let (proxies, own) = (sidecars.cpu(path)?, Cpu::of(std::process::id())?);
        samples.push((Instant::now(), proxies, own, usage::machine()?));
        Ok(())
    })?;
    let [(begin, cpu, own, machine), (end, cpu_after, own_after, machine_after)] = &samples[..] else {
        unreachable!("a window has two ends")
    };
    let (cpu, own) = (cpu_after.since(cpu), own_after.since(own).seconds());
    let others = machine_after - machine - cpu.seconds() - own;
    Ok(Round { seconds: (*end - *begin).as_secs_f64(), tally, cpu, own, others })
}

/// System calls of the proxies for one unit of a case, over a whole run: its connections are set up within it.
pub fn system_calls(
    reactor: &mut Reactor,
    sidecars: &mut Sidecars,
    case: &Case,
    times: Times,
    tool: Tool,
) -> Result<Option<f64>> {
    // All is counted, so all is measured.
    let warm = Duration::ZERO;
    let Some(load) = case.load(sidecars.entrance(case.path), warm, times.window) else { return Ok(None) };
    let counter = Counter::attach(tool, &sidecars.ids(case.path), sidecars.folder())?;
    let tally = reactor.run(&load, &mut |_| Ok(()));
    let calls = counter.finish()?;
    sidecars.check()?;
    let tally = tally?;
    let units = if case.unit() == Unit::Gigabyte { tally.bytes as f64 / 1e9 } else { tally.all as f64 };
    ensure!(units > 0.0, "nothing went through");
    Ok(Some(calls as f64 / units))
}

/// Resident memory of both sidecars while so many connections of HTTP/1 clients stand idle, each of which has had
/// answers.
pub fn memory_with(reactor: &mut Reactor, sidecars: &Sidecars, connections: usize) -> Result<[u64; 2]> {
    let to = sidecars.entrance(Path::Pair).http;
    let rate = Some(2 * connections as u32);
    let (warm, window) = (Duration::ZERO, Duration::from_millis(1_500));
    let load = Load { to, exchange: Exchange::Http1, connections, streams: 1, rate, warm, window };
    let mut memory = None;
    let tally = reactor.run(&load, &mut |moment| {
        if moment == Moment::End {
            memory = Some(sidecars.memory()?);
        }
        Ok(())
    })?;
    ensure!(tally.errors == 0, "{} errors, the first: {}", tally.errors, tally.first_error.unwrap_or_default());
    ensure!(tally.all >= connections as u64, "only {} requests were answered", tally.all);
    memory.context("a run has an end")
}
