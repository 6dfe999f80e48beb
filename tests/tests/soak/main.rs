//! Micro-proxies for longer than a request: mixed load while endpoints come and go, certificates rotate and routes
//! change; many requests; an orderly end; and what hostile and slow clients can make them hold.
//!
//! `BYRNIE_SOAK=10m` (default 1m) says how long the mixed load lasts, `BYRNIE_SOAK_REQUESTS=1000000` (default 200000)
//! how many requests stand for many.

mod application;
mod bounds;
mod callers;
mod world;

use std::{env, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use byrnie_runtime::heap;
use byrnie_tests::{load::Load, pair::Pair, process::Usage, sidecar::Proxy, sidecar::Sidecar, tcp::TcpApp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep},
};

use callers::Callers;
use world::World;

const MIB: u64 = 1 << 20;

/// What resident memory may grow by between two equal loads: pages that the allocator holds, not what is in use.
const NOISE: u64 = 3 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_wrong_while_everything_changes() -> Result<()> {
    let lasts = soak_time()?;
    let mut world = World::start().await?;
    let certificates = world.certificates().await?;
    let callers = Callers::start(&world);
    let begin = Instant::now();
    world.churn_until(begin + lasts / 3, &callers).await?;
    let warm = world.lowest_usage().await?;
    world.churn_until(begin + lasts, &callers).await?;
    let end = world.lowest_usage().await?;
    let told = callers.finish().await?;
    println!("{told}; rounds of routes: {}, comings and goings: {}", world.round(), world.goings());
    for (place, (warm, end)) in ["client", "server"].iter().zip(warm.iter().zip(&end)) {
        println!("{place}: {} -> {} KiB, {} -> {} descriptors", kib(warm), kib(end), warm.open_fds, end.open_fds);
        ensure!(end.resident_bytes <= warm.resident_bytes + NOISE, "{place} grew: {} -> {} KiB", kib(warm), kib(end));
        ensure!(end.open_fds <= warm.open_fds + 16, "{place}: {} -> {} descriptors", warm.open_fds, end.open_fds);
    }
    let renewed = world.certificates().await?;
    ensure!(renewed.iter().zip(&certificates).all(|(now, then)| now != then), "a certificate was not renewed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_need_no_more_memory_than_some() -> Result<()> {
    let many: usize = env::var("BYRNIE_SOAK_REQUESTS").ok().map_or(Ok(200_000), |text| text.parse())?;
    let app = TcpApp::serve(application::one_kilobyte).await?;
    let pair = Pair::of([Proxy::Micro; 2], "http", app.address()).await?;
    let sidecars = [&pair.client, &pair.server];
    requests(pair.upstream(), 10_000).await?;
    let some = lowest(&sidecars).await?;
    requests(pair.upstream(), many - 10_000).await?;
    let after = lowest(&sidecars).await?;
    for (place, (some, after)) in ["client", "server"].iter().zip(some.iter().zip(&after)) {
        println!("{place}: {} KiB after 10000, {} KiB after {many}", kib(some), kib(after));
        let most = some.resident_bytes + MIB;
        ensure!(after.resident_bytes <= most, "{place} grew: {} -> {} KiB", kib(some), kib(after));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_s_sidecar_that_is_told_to_end_under_load_fails_no_request() -> Result<()> {
    let mut world = World::start().await?;
    let load = Load::start(world.http(), "cart.shop");
    load.served(200).await?;
    for _ in 0..3 {
        world.go_and_come().await?;
        load.served(100).await?;
    }
    load.finish().await.with_context(|| world.log())
}

/// So many requests over 16 connections.
async fn requests(address: SocketAddr, count: usize) -> Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut answer = Vec::with_capacity(4096);
            for _ in 0..count / 16 {
                stream.write_all(b"GET /x HTTP/1.1\r\nhost: cart.shop\r\n\r\n").await?;
                answer.clear();
                while !answer.ends_with(application::END) {
                    ensure!(stream.read_buf(&mut answer).await? > 0, "closed");
                }
                ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?.context("a request failed")?;
    }
    Ok(())
}

/// The least that each holds within a while: what belongs to a moment does not count, idle room is given up once a second,
/// and freed pages once a [`heap::PERIOD`].
async fn lowest(sidecars: &[&Sidecar]) -> Result<Vec<Usage>> {
    let look = || sidecars.iter().map(|sidecar| sidecar.usage()).collect::<Result<Vec<_>>>();
    let mut least = look()?;
    let end = Instant::now() + heap::PERIOD + Duration::from_secs(2);
    while Instant::now() < end {
        sleep(Duration::from_millis(100)).await;
        for (least, now) in least.iter_mut().zip(look()?) {
            least.resident_bytes = least.resident_bytes.min(now.resident_bytes);
            least.open_fds = least.open_fds.min(now.open_fds);
        }
    }
    Ok(least)
}

fn kib(usage: &Usage) -> u64 {
    usage.resident_bytes / 1024
}

fn soak_time() -> Result<Duration> {
    let Ok(text) = env::var("BYRNIE_SOAK") else { return Ok(Duration::from_secs(60)) };
    let read = |unit: char, seconds: u64| Some(text.strip_suffix(unit)?.parse::<u64>().ok()? * seconds);
    let seconds = read('s', 1).or_else(|| read('m', 60)).or_else(|| read('h', 3600));
    Ok(Duration::from_secs(seconds.with_context(|| format!("BYRNIE_SOAK={text}: 90s, 10m or 1h is accepted"))?))
}
