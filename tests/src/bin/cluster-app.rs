//! An application and a caller for Pods of a real cluster, which know nothing of the mesh.
//!
//! ```text
//! cluster-app serve --listen 127.0.0.1:8081 --name cart-1
//! cluster-app load --to cart.shop:80 --rate 100 --seconds 60
//! ```
//!
//! An answer is the application's name, and after a blank the identity of who called, where a sidecar tells it. Who asks
//! for `/break` has it fail from then on, but for `/ready`, and for `/mend` has it serve again; `/slow` takes three
//! seconds. SIGTERM ends it at once, as it does many an application. `load` prints a line of JSON a second and one at its
//! end: what was asked so far, what failed and why, who answered, and how long the slowest answer took of those since the
//! last line. It ends with its standard input, where no time is given, and by SIGTERM.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::pin,
    process::ExitCode,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    app::{App, Asked, Reply, reply},
    http::Connection,
};
use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use tokio::{
    net::lookup_host,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Answers every request with its name and the caller's identity
    Serve {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long, env = "POD_NAME")]
        name: String,
    },
    /// Asks at a constant rate, whatever the answers take
    Load {
        /// HOST:PORT, looked up once
        #[arg(long)]
        to: String,
        /// What the requests say whom they are for [default: the host of --to]
        #[arg(long)]
        host: Option<String>,
        #[arg(long, default_value = "/")]
        path: String,
        #[arg(long, default_value_t = 100)]
        rate: u32,
        /// For so long; without it until standard input is closed
        #[arg(long)]
        seconds: Option<u64>,
    },
}

/// For one request, with its connection.
const LIMIT: Duration = Duration::from_secs(10);

/// What `/slow` takes.
const SLOW: Duration = Duration::from_secs(3);

/// Between the lines that tell how it goes.
const LINE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Target {
    address: SocketAddr,
    host: String,
    path: String,
}

#[derive(Debug, Default)]
struct Counts {
    asked: u64,
    by: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
    slowest: Duration,
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
            let mut end = signal(SignalKind::terminate())?;
            let app = Arc::new(Application { name, broken: AtomicBool::new(false) });
            let _app = App::slow_at(listen, move |asked| Arc::clone(&app).serve(asked)).await?;
            end.recv().await;
            Ok(())
        }
        Role::Load { to, host, path, rate, seconds } => {
            let host = host.unwrap_or_else(|| to.rsplit_once(':').map_or(&*to, |(host, _)| host).to_owned());
            let address = lookup_host(&to).await?.next().with_context(|| format!("{to} has no address"))?;
            let mut end = signal(SignalKind::terminate())?;
            let over = async {
                tokio::select! {
                    _ = end.recv() => {}
                    () = over(seconds) => {}
                }
            };
            load(Target { address, host, path }, rate, over).await
        }
    }
}

struct Application {
    name: String,
    broken: AtomicBool,
}

impl Application {
    async fn serve(self: Arc<Self>, asked: Asked) -> Reply {
        match &*asked.uri {
            "/break" => return self.turn(true),
            "/mend" => return self.turn(false),
            "/slow" => sleep(SLOW).await,
            _ => {}
        }
        // Its kubelet finds nothing wrong: that is for the mesh to see.
        let fails = self.broken.load(Ordering::Relaxed) && asked.uri != "/ready";
        reply(if fails { 503 } else { 200 }, self.answer(&asked))
    }

    fn turn(&self, broken: bool) -> Reply {
        self.broken.store(broken, Ordering::Relaxed);
        reply(200, format!("{} {}", self.name, if broken { "is broken" } else { "is well" }))
    }

    /// `cart-1 spiffe://cluster.local/ns/shop/sa/web`: the sidecar here tells in x-forwarded-client-cert who called.
    fn answer(&self, asked: &Asked) -> String {
        let caller = asked.header("x-forwarded-client-cert").unwrap_or_default();
        let uri = caller.split([';', ',']).find_map(|part| part.strip_prefix("URI="));
        uri.map_or_else(|| self.name.clone(), |uri| format!("{} {uri}", self.name))
    }
}

/// When the load ends of itself.
async fn over(seconds: Option<u64>) {
    if let Some(seconds) = seconds {
        return sleep(Duration::from_secs(seconds)).await;
    }
    let (end, ended) = oneshot::channel();
    // A read cannot be called off, and so it may not be a task of the runtime, which would wait for it.
    let read = move || end.send(io::copy(&mut io::stdin(), &mut io::sink()));
    std::thread::spawn(read);
    // However it ended.
    drop(ended.await);
}

/// Each request has a connection of its own, so that none hides a failure to connect.
async fn load(target: Target, rate: u32, over: impl Future<Output = ()>) -> Result<()> {
    ensure!(rate > 0, "--rate 0: at least 1 is accepted");
    let (counts, target) = (Arc::<Mutex<Counts>>::default(), Arc::new(target));
    let begin = Instant::now();
    let mut ticks = interval_at(begin, Duration::from_secs(1) / rate);
    let mut lines = interval_at(begin + LINE, LINE);
    lines.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut requests = JoinSet::new();
    let mut over = pin!(over);
    loop {
        tokio::select! {
            () = &mut over => break,
            _ = lines.tick() => println!("{}", locked(&counts).line()),
            _ = ticks.tick() => {
                let (counts, target) = (Arc::clone(&counts), Arc::clone(&target));
                requests.spawn(async move {
                    let begin = Instant::now();
                    let answer = timeout(LIMIT, ask(&target)).await.context("no answer in time").flatten();
                    locked(&counts).count(answer, begin.elapsed());
                });
                while requests.try_join_next().is_some() {}
            }
        }
    }
    requests.join_all().await;
    let mut counts = locked(&counts);
    println!("{}", counts.line());
    let failed: u64 = counts.failures.values().sum();
    ensure!(failed == 0, "{failed} of {} requests failed", counts.asked);
    Ok(())
}

async fn ask(Target { address, host, path }: &Target) -> Result<String> {
    let answer = Connection::open(*address).await?.get(host, path).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    Ok(answer.body)
}

impl Counts {
    fn count(&mut self, answer: Result<String>, took: Duration) {
        self.asked += 1;
        let counter = match answer {
            Ok(body) => self.by.entry(body),
            Err(error) => self.failures.entry(format!("{error:#}")),
        };
        *counter.or_default() += 1;
        self.slowest = self.slowest.max(took);
    }

    fn line(&mut self) -> Value {
        let Self { asked, by, failures, slowest } = self;
        let failed: u64 = failures.values().sum();
        let slowest = std::mem::take(slowest).as_millis();
        json!({"asked": asked, "failed": failed, "by": by, "failures": failures, "slowest_ms": slowest})
    }
}

fn locked(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}
