//! Who writes, and who follows.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use byrnie_tests::{
    objects::{http_route, service},
    wait::until,
};

use super::{CONTROL_PLANE, ROUTES, SYSTEM, Stage};

/// How often a replica looks at the Lease, and what an answer may take on a busy machine.
const POLL: Duration = Duration::from_secs(7);
/// The same after a Lease has ended that was not let go of.
const ENDED: Duration = Duration::from_secs(25);
/// How long the thief holds it, and how often it renews it.
const THEFT: Duration = Duration::from_secs(20);
const RENEWAL: Duration = Duration::from_secs(2);

const PARENT: &str = "{kind: Service, name: cart}";
const RULES: &str = "- backendRefs: [{name: cart, port: 80}]";

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_writes_at_a_time_whoever_ends_or_steals_the_lease() -> Result<()> {
    let mut stage = Stage::start().await?;
    let namespace = stage.namespace.clone();
    let route = |name: &str| http_route(&namespace, name, PARENT, RULES);
    stage.server.apply(&service(&namespace, "cart", "http", 80, 8080)).await?;
    let first = stage.until_held().await?;

    let started = Instant::now();
    stage.replicas[first].terminate().await?;
    let released = followed(&stage, 1 - first, started, POLL).await?;
    stage.server.apply(&route("released")).await?;
    stage.until_condition(["httproute", "released"], "Accepted", "True").await?;
    stage.replicas[first].restart()?;
    stage.replicas[first].ready().await?;

    let started = Instant::now();
    stage.replicas[1 - first].kill();
    let killed = followed(&stage, first, started, ENDED).await?;
    stage.server.apply(&route("killed")).await?;
    stage.until_condition(["httproute", "killed"], "Accepted", "True").await?;
    stage.replicas[1 - first].restart()?;
    stage.replicas[1 - first].ready().await?;

    let left = robbed(&stage, &route("stolen")).await?;
    println!("hand-over after SIGTERM {released:?}, after SIGKILL {killed:?}, after a theft {left:?}");
    stage.finish()
}

/// How long it took until this replica, and no other, held the Lease.
async fn followed(stage: &Stage, by: usize, started: Instant, limit: Duration) -> Result<Duration> {
    while stage.holder().await.ok() != Some(by) {
        ensure!(started.elapsed() < limit, "not within {limit:?}\n{}", stage.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(started.elapsed())
}

/// Steals the Lease; how long it took after that until it was followed.
async fn robbed(stage: &Stage, route: &str) -> Result<Duration> {
    let patch = |n: u32| {
        let renewed = format!("2026-01-01T00:00:{n:02}.000000Z");
        format!(r#"{{"spec": {{"holderIdentity": "thief", "renewTime": "{renewed}"}}}}"#)
    };
    let steal = ["patch", "lease", CONTROL_PLANE, "--namespace", SYSTEM, "--type=merge", "--patch"];
    let begun = Instant::now();
    let mut written = None;
    let mut renewals = 0;
    while begun.elapsed() < THEFT {
        renewals += 1;
        stage.server.kubectl(&[&steal[..], &[&patch(renewals)]].concat()).await?;
        if written.is_none() {
            // The holder learns of it when it renews.
            until("nobody holds the Lease", async || Ok(stage.holder().await.is_err())).await?;
            written = Some(stage.writes(ROUTES, "")?);
            stage.server.apply(route).await?;
        }
        ensure!(stage.holder().await.is_err(), "{}", stage.logs());
        tokio::time::sleep(RENEWAL).await;
    }
    ensure!(Some(stage.writes(ROUTES, "")?) == written, "written meanwhile");
    let left = Instant::now();
    while stage.holder().await.is_err() {
        ensure!(left.elapsed() < ENDED, "not within {ENDED:?}\n{}", stage.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = left.elapsed();
    stage.until_condition(["httproute", "stolen"], "Accepted", "True").await?;
    Ok(took)
}
