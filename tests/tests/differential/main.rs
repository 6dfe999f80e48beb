//! Envoy and the micro-proxy run the same scenarios, and must not be told apart.
//!
//! A scenario ([`scenarios`]) is objects of Kubernetes, applications that do what a script says ([`backend`]) and
//! requests by clients that write down all that comes back ([`client`]). It runs in four worlds ([`world`]): with Envoy
//! as the client's and as the servers' sidecar, which is the baseline, and with the micro-proxy in either place and in
//! both. What it wrote down ([`record`]) must be equal to the baseline, field by field: what each application received
//! and what each client got. Counts over backends are compared as samples ([`statistics`]). Differences that are meant
//! stand in `differences.txt`, with a reason each; all others fail, and so does a line that nothing needs.
//!
//! | variable | does |
//! | --- | --- |
//! | `BYRNIE_DIFFERENTIAL=envoy` | compares Envoy with itself: are the scenarios stable? |
//! | `BYRNIE_SCENARIOS=a,b` | runs only these |
//! | `BYRNIE_SHOW=1` | prints what the baseline wrote down |
//! | `BYRNIE_CASES`, `BYRNIE_SEED` | how many random cases ([`random`]), and which: 1,000 and 1 by default |

mod backend;
mod client;
mod message;
mod random;
mod record;
mod report;
mod scenarios;
mod stage;
mod statistics;
mod wire;
mod world;

use std::{collections::BTreeSet, env, sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use byrnie_tests::sidecar::Proxy;
use tokio::{
    sync::{Mutex, Semaphore},
    task::{JoinSet, LocalSet},
};

use crate::{
    record::{Meant, Transcript},
    report::Report,
    scenarios::Scenario,
    world::{Planes, World},
};

/// So many scripts run at once: most of them wait most of the time, but there may be two cores only.
const AT_ONCE: usize = 16;

const BASELINE: Planes = Planes { client: Proxy::Envoy, server: Proxy::Envoy };

/// The tests of this program run one after the other: each takes both cores of a small machine.
static TURN: Mutex<()> = Mutex::const_new(());

/// The worlds beside the baseline.
fn compared() -> Vec<Planes> {
    if env::var("BYRNIE_DIFFERENTIAL").is_ok_and(|kind| kind == "envoy") {
        return vec![BASELINE];
    }
    [(Proxy::Micro, Proxy::Envoy), (Proxy::Envoy, Proxy::Micro), (Proxy::Micro, Proxy::Micro)]
        .map(|(client, server)| Planes { client, server })
        .into()
}

fn chosen() -> Vec<Arc<Scenario>> {
    let mut all = scenarios::all();
    // Once only do the others make room for those that are alone.
    all.sort_by_key(|scenario| scenario.is_alone);
    if let Ok(names) = env::var("BYRNIE_SCENARIOS") {
        all.retain(|scenario| names.split(',').any(|name| name == scenario.name));
    }
    all
}

/// Runs all scenarios in one world.
async fn perform(planes: Planes, scenarios: Vec<Arc<Scenario>>, gate: Arc<Semaphore>) -> Result<Vec<Transcript>> {
    let (world, stages) = World::start(planes, scenarios).await?;
    let mut tasks = JoinSet::new();
    for (index, stage) in stages.into_iter().enumerate() {
        let gate = Arc::clone(&gate);
        tasks.spawn_local(async move {
            let turns = if stage.scenario.is_alone { AT_ONCE } else { 1 };
            let _turn = gate.acquire_many_owned(turns as u32).await;
            (index, Arc::new(stage).run().await)
        });
    }
    let mut transcripts = tasks.join_all().await;
    transcripts.sort_by_key(|(index, _)| *index);
    world.check()?;
    Ok(transcripts.into_iter().map(|(_, transcript)| transcript).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_is_the_same_with_either_data_plane_on_either_side() -> Result<()> {
    let _turn = TURN.lock().await;
    let started = Instant::now();
    let scenarios = chosen();
    ensure!(!scenarios.is_empty(), "no such scenario");
    let worlds: Vec<_> = [BASELINE].into_iter().chain(compared()).collect();
    let runs = LocalSet::new().run_until(perform_in(&worlds, &scenarios)).await?;
    let report = judge(&scenarios, &worlds, &runs)?;
    eprintln!("{} scenarios in {} worlds: {:?}", scenarios.len(), worlds.len(), started.elapsed());
    ensure!(report.is_empty(), "not the same:\n\n{report}");
    Ok(())
}

/// Runs all scenarios in all worlds.
async fn perform_in(worlds: &[Planes], scenarios: &[Arc<Scenario>]) -> Result<Vec<Vec<Transcript>>> {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    for (index, planes) in worlds.iter().copied().enumerate() {
        let (scenarios, gate) = (scenarios.to_vec(), Arc::clone(&gate));
        runs.spawn_local(async move { (index, perform(planes, scenarios, gate).await) });
    }
    let mut runs = runs.join_all().await;
    runs.sort_by_key(|(index, _)| *index);
    runs.into_iter().map(|(_, run)| run).collect()
}

fn judge(scenarios: &[Arc<Scenario>], worlds: &[Planes], runs: &[Vec<Transcript>]) -> Result<Report> {
    let (meant, mut needed, mut report) = (Meant::all()?, BTreeSet::new(), Report::default());
    for (index, scenario) in scenarios.iter().enumerate() {
        let baseline = &runs[0][index];
        if env::var_os("BYRNIE_SHOW").is_some() {
            eprintln!("{}\n{baseline}", scenario.name);
        }
        for (planes, run) in worlds.iter().zip(runs) {
            let transcript = &run[index];
            for difference in transcript.differences(baseline).into_iter().chain(transcript.flaws()) {
                let is_meant = |(_, meant): &(usize, &Meant)| meant.covers(scenario.name, &difference);
                let known: Vec<_> = meant.iter().enumerate().filter(is_meant).map(|(at, _)| at).collect();
                if known.is_empty() {
                    report.add(scenario.name, *planes, difference);
                }
                needed.extend(known);
            }
        }
    }
    let is_whole = worlds.len() > 2 && env::var_os("BYRNIE_SCENARIOS").is_none();
    if is_whole {
        let unneeded = meant.iter().enumerate().filter(|(at, _)| !needed.contains(at));
        unneeded.for_each(|(_, meant)| report.unneeded(meant));
    }
    Ok(report)
}
