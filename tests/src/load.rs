//! Constant load, for tests that claim that nothing fails meanwhile.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::{http::Connection, wait::until};

/// Between two requests of one worker: load, not a flood that starves two cores.
const PACE: Duration = Duration::from_millis(3);

/// Requests that never stop until they are told to.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    served: AtomicUsize,
    failures: Mutex<Vec<String>>,
    last: Mutex<String>,
}

impl Load {
    /// Two workers that keep their connections and two that open one for each request; all ask for `/`.
    pub fn start(address: SocketAddr, host: &'static str) -> Self {
        let shared = Arc::<Shared>::default();
        let mut tasks = JoinSet::new();
        for worker in 0..4 {
            tasks.spawn(work(address, host, worker < 2, Arc::clone(&shared)));
        }
        Self { shared, tasks }
    }

    /// Waits until so many more requests were answered.
    pub async fn served(&self, more: usize) -> Result<()> {
        let goal = self.shared.served.load(Ordering::Relaxed) + more;
        until("the load is answered", async || Ok(self.shared.served.load(Ordering::Relaxed) >= goal)).await
    }

    /// How many requests were answered so far, or failed.
    pub fn answered(&self) -> usize {
        self.shared.served.load(Ordering::Relaxed)
    }

    /// Waits until an answer has this body, and that many more after it.
    pub async fn answered_by(&self, body: &str) -> Result<()> {
        until(&format!("{body} answers"), async || Ok(*self.shared.last.lock().expect("no holder panics") == body))
            .await?;
        self.served(20).await
    }

    /// Ends it; an error where any request failed.
    pub async fn finish(mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        let failures = self.shared.failures.lock().expect("no holder panics");
        let served = self.shared.served.load(Ordering::Relaxed);
        ensure!(failures.is_empty(), "{} of {served} requests failed: {:#?}", failures.len(), *failures);
        Ok(())
    }
}

async fn work(address: SocketAddr, host: &'static str, keep: bool, shared: Arc<Shared>) {
    let mut kept: Option<Connection> = None;
    while !shared.stop.load(Ordering::Relaxed) {
        if let Some(mut connection) = kept.take()
            && connection.is_open().await
        {
            kept = Some(connection);
        }
        match once(address, host, &mut kept).await {
            Ok(body) => *shared.last.lock().expect("no holder panics") = body,
            Err(error) => shared.failures.lock().expect("no holder panics").push(format!("{error:#}")),
        }
        shared.served.fetch_add(1, Ordering::Relaxed);
        if !keep {
            kept = None;
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn once(address: SocketAddr, host: &str, kept: &mut Option<Connection>) -> Result<String> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(address).await?,
    };
    let answer = connection.get(host, "/").await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    *kept = Some(connection);
    Ok(answer.body)
}
