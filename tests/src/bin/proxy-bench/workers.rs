//! What a second worker brings: the throughput of two workers with two cores over that of one with one.
//!
//! Where there is a third core the load has it. A machine of two has none to spare: there the load and the application
//! run on the workers' cores, on one of them and then on both, so that all has twice as much.

use anyhow::{Context, Result};

use crate::{
    case::{CASES, Case},
    cores::Cores,
    load::{Application, Reactor},
    measure::{self, Round, Times},
    peers::{Peer, Setup, Sidecars},
};

/// What is measured: what the proxies have more to do with than the load, which is one thread.
const MEASURED: [&str; 2] = ["pair/http1/64", "pair/tcp/connect"];

/// Enough that no worker waits for work.
const CONNECTIONS: usize = 64;

/// One case with one worker and with two.
#[derive(Clone, Debug)]
pub struct Scaling {
    pub title: &'static str,
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
) -> Result<Vec<Scaling>> {
    let setup = |workers| Setup { workers, cores: workers, starts: 1 };
    let mut one = Sidecars::start(peer, setup(1), application, cores).await?;
    let mut two = Sidecars::start(peer, setup(2), application, cores).await?;
    let mut scalings = Vec::new();
    for name in MEASURED {
        let case = CASES.iter().find(|case| case.name == name).context("a case was renamed")?;
        let case = Case { connections: CONNECTIONS, ..*case };
        let scaling = rounds_of(&mut one, &mut two, cores, reactor, &case, rounds, times);
        cores.rest()?;
        scalings.push(scaling?);
    }
    Ok(scalings)
}

fn rounds_of(
    one: &mut Sidecars,
    two: &mut Sidecars,
    cores: &Cores,
    reactor: &mut Reactor,
    case: &Case,
    rounds: usize,
    times: Times,
) -> Result<Scaling> {
    let mut scaling = Scaling { title: case.title, one: Vec::new(), two: Vec::new() };
    for _ in 0..rounds {
        cores.beside(1)?;
        scaling.one.extend(measure::round(reactor, one, case, times)?);
        cores.beside(2)?;
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

    /// The load's and the proxies' share of one core while two workers ran.
    pub fn busy(&self) -> Option<(f64, f64)> {
        self.two.last().map(|round| (round.own_busy(), round.busy()))
    }
}
