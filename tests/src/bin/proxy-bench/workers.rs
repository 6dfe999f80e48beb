//! What a second worker brings.
//!
//! With two free cores and a third for the load the throughput says it. A machine of two cores has none for the load,
//! so besides the throughput the speed-up is told that two free cores would see: twice, less what a request costs more
//! with two workers, less what the busier worker does more than its half.

use anyhow::{Context, Result};

use crate::{
    case::{CASES, Case, Unit},
    cores::Cores,
    load::{Application, Reactor},
    measure::{self, Round, Times},
    peers::{Peer, Setup, Sidecars},
};

/// What is measured: one proxy, so that one worker cannot use two cores.
const CASE: &str = "hop/http1/64";

/// With one worker and with two.
#[derive(Clone, Debug)]
pub struct Scaling {
    pub one: Vec<Round>,
    pub two: Vec<Round>,
}

pub async fn measure(
    peer: Peer,
    application: Application,
    cores: &Cores,
    reactor: &mut Reactor,
    rounds: usize,
    times: Times,
) -> Result<Scaling> {
    let case = CASES.iter().find(|case| case.name == CASE).context("a case was renamed")?;
    // A single worker may choose its core as well.
    let setup = |workers| Setup { workers, cores: 2, starts: 1 };
    let mut one = Sidecars::start(peer, setup(1), application, cores).await?;
    let mut two = Sidecars::start(peer, setup(2), application, cores).await?;
    cores.share()?;
    let scaling = rounds_of(&mut one, &mut two, reactor, case, rounds, times);
    cores.rest()?;
    scaling
}

fn rounds_of(
    one: &mut Sidecars,
    two: &mut Sidecars,
    reactor: &mut Reactor,
    case: &Case,
    rounds: usize,
    times: Times,
) -> Result<Scaling> {
    let mut scaling = Scaling { one: Vec::new(), two: Vec::new() };
    for _ in 0..rounds {
        scaling.one.extend(measure::round(reactor, one, case, times)?);
        scaling.two.extend(measure::round(reactor, two, case, times)?);
    }
    Ok(scaling)
}

impl Scaling {
    /// Throughput of two over that of one, best against best.
    pub fn throughput(&self) -> f64 {
        let best = |rounds: &[Round]| {
            rounds.iter().map(|round| round.tally.requests as f64 / round.seconds).fold(0.0, f64::max)
        };
        best(&self.two) / best(&self.one)
    }

    /// What two free cores would see, best of the rounds against best.
    pub fn estimate(&self) -> f64 {
        let cost = |round: &Round| round.cost(Unit::Request);
        let one = self.one.iter().map(cost).fold(f64::INFINITY, f64::min);
        self.two.iter().map(|round| 2.0 * one / cost(round) * balance(round)).fold(0.0, f64::max)
    }

    /// The load's and the proxy's share of one core while two workers ran.
    pub fn busy(&self) -> Option<(f64, f64)> {
        self.two.last().map(|round| (round.own_busy(), round.busy()))
    }
}

/// The half of what both workers did, over what the busier one did.
fn balance(round: &Round) -> f64 {
    let mut threads: Vec<_> = round.cpu.threads.values().copied().collect();
    threads.sort_by(|a, b| b.total_cmp(a));
    match threads[..] {
        [first, second, ..] => (first + second) / 2.0 / first,
        _ => 0.5,
    }
}
