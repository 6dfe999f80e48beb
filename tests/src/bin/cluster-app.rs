//! An application and a caller for Pods of a real cluster, which know nothing of the mesh.
//!
//! ```text
//! cluster-app serve --listen 127.0.0.1:8081 --name cart-1
//! cluster-app load --to 127.0.0.1:9080 --host cart.shop --rate 100 --seconds 60
//! ```
//!
//! `load` prints a line a second and ends with one line of JSON: what was asked, what failed and why, who answered.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    app::{App, reply},
    http::Connection,
};
use clap::{Parser, Subcommand};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, interval_at, timeout},
};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Answers every request with its name
    Serve {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long, env = "POD_NAME")]
        name: String,
    },
    /// Asks at a constant rate, whatever the answers take
    Load {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        host: String,
        #[arg(long, default_value_t = 100)]
        rate: u32,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
}

/// For one request, with its connection.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Counts {
    asked: u64,
    by: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().role).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster-app: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(role: Role) -> Result<()> {
    match role {
        Role::Serve { listen, name } => {
            let _app = App::at(listen, move |_| reply(200, name.clone())).await?;
            std::future::pending().await
        }
        Role::Load { to, host, rate, seconds } => load(to, &host, rate, Duration::from_secs(seconds)).await,
    }
}

/// Each request has a connection of its own, so that none hides a failure to connect.
async fn load(to: SocketAddr, host: &str, rate: u32, time: Duration) -> Result<()> {
    ensure!(rate > 0, "--rate 0: at least 1 is accepted");
    let counts = Arc::<Mutex<Counts>>::default();
    let (begin, host): (_, Arc<str>) = (Instant::now(), host.into());
    let mut ticks = interval_at(begin, Duration::from_secs(1) / rate);
    let mut requests = JoinSet::new();
    let mut told = 0;
    while begin.elapsed() < time {
        ticks.tick().await;
        let (counted, host) = (Arc::clone(&counts), Arc::clone(&host));
        requests.spawn(async move {
            let asked = timeout(LIMIT, ask(to, &host)).await.context("no answer in time").and_then(|answer| answer);
            let mut counts = counted.lock().unwrap_or_else(PoisonError::into_inner);
            let counts = &mut *counts;
            counts.asked += 1;
            let counter = match asked {
                Ok(body) => counts.by.entry(body),
                Err(error) => counts.failures.entry(format!("{error:#}")),
            };
            *counter.or_default() += 1;
        });
        while requests.try_join_next().is_some() {}
        if begin.elapsed().as_secs() > told {
            told = begin.elapsed().as_secs();
            let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            println!("{told} s: {} asked, {} failed", counts.asked, counts.failures.values().sum::<u64>());
        }
    }
    requests.join_all().await;
    let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let failed: u64 = counts.failures.values().sum();
    println!("{}", json!({"asked": counts.asked, "failed": failed, "by": counts.by, "failures": counts.failures}));
    ensure!(failed == 0, "{failed} of {} requests failed", counts.asked);
    Ok(())
}

async fn ask(to: SocketAddr, host: &str) -> Result<String> {
    let answer = Connection::open(to).await?.get(host, "/").await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    Ok(answer.body)
}
