use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use byrnie_proto::Kind;
use byrnie_tests::process::Process;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    client::{Client, Event, References, Wish},
    mesh::{self, Mesh},
    report::{Converged, Propagated},
};

/// All clients.
pub struct Fleet {
    target: String,
    size: usize,
    /// How many clients follow the endpoints of one changed service.
    resting: Vec<Client>,
    names: Option<usize>,
    services: usize,
    running: JoinSet<Result<Client>>,
    events: mpsc::UnboundedReceiver<Event>,
    teller: mpsc::UnboundedSender<Event>,
    stop: watch::Sender<bool>,
}

impl Fleet {
    pub fn new(target: String, mesh: &Mesh, size: usize, names: Option<usize>) -> Self {
        let references = References::default();
        let wish = |client: usize| match names {
            None => Wish::Everything { services: mesh.services() },
            Some(names) => Wish::Names(wish_names(client, names, mesh.services())),
        };
        let client = |n: usize| Client::new(format!("bench/{}", mesh::client(n)), wish(n), Arc::clone(&references));
        let (teller, events) = mpsc::unbounded_channel();
        let resting = (0..size).map(client).collect();
        let (stop, _) = watch::channel(false);
        Self { target, size, resting, names, services: mesh.services(), running: JoinSet::new(), events, teller, stop }
    }

    /// Connects all at once and waits until each holds what it asked for.
    pub async fn converge(&mut self, server: &Process) -> Result<Converged> {
        let (before, start) = (server.usage()?, Instant::now());
        self.connect();
        let mut bytes = 0;
        for _ in 0..self.size {
            if let Event::Converged { bytes: read } = self.event(Duration::from_secs(120)).await? {
                bytes += read;
            }
        }
        let (took, after) = (start.elapsed(), server.usage()?);
        Ok(Converged { took, cpu: after.cpu_seconds - before.cpu_seconds, bytes })
    }

    /// Makes one change and waits until every client that follows it has received it.
    pub async fn change(
        &mut self,
        server: &Process,
        change: impl Future<Output = Result<String>>,
        target: usize,
    ) -> Result<Propagated> {
        let before = server.usage()?;
        let start = Instant::now();
        let name = change.await?;
        let (latencies, bytes) = self.received(&name, self.followers(target), start).await?;
        let after = server.usage()?;
        Ok(Propagated { latencies, cpu: after.cpu_seconds - before.cpu_seconds, bytes })
    }

    /// Drops every connection and comes back with what each client holds; a change proves that all are subscribed.
    pub async fn reconnect(&mut self, server: &Process, mesh: &Mesh) -> Result<Converged> {
        self.stop.send_replace(true);
        while let Some(client) = self.running.join_next().await {
            self.resting.push(client??);
        }
        self.stop.send_replace(false);
        let (before, start) = (server.usage()?, Instant::now());
        self.connect();
        // Nothing differs, so nothing need be answered: the server's CPU standing still says that all are served.
        let mut last = before.cpu_seconds;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = server.usage()?.cpu_seconds;
            if now == last {
                break;
            }
            last = now;
        }
        let took = start.elapsed();
        let target = mesh.target(7, self.names);
        let name = mesh.move_endpoint(target, 150).await?;
        let (_, bytes) = self.received(&name, self.followers(target), Instant::now()).await?;
        Ok(Converged { took, cpu: last - before.cpu_seconds, bytes })
    }

    fn connect(&mut self) {
        for client in self.resting.drain(..) {
            self.running.spawn(client.follow(self.target.clone(), self.teller.clone(), self.stop.subscribe()));
        }
    }

    async fn received(&mut self, name: &str, wanted: usize, start: Instant) -> Result<(Vec<Duration>, u64)> {
        let (mut latencies, mut total) = (Vec::with_capacity(wanted), 0);
        while latencies.len() < wanted {
            if let Event::Endpoints { name: received, at, bytes } = self.event(Duration::from_secs(30)).await?
                && &*received == name
            {
                latencies.push(at.duration_since(start));
                total += bytes;
            }
        }
        Ok((latencies, total))
    }

    /// The next event, or the error of a client that failed.
    async fn event(&mut self, limit: Duration) -> Result<Event> {
        tokio::select! {
            event = self.events.recv() => event.context("no client is left"),
            Some(ended) = self.running.join_next() => {
                ended??;
                anyhow::bail!("a client ended")
            }
            () = tokio::time::sleep(limit) => anyhow::bail!("nothing for {limit:?}"),
        }
    }

    fn followers(&self, service: usize) -> usize {
        let Some(names) = self.names else { return self.size };
        let follows =
            |client: &usize| (0..names).any(|k| mesh::subscribed(*client, k, names, self.services) == service);
        (0..self.size).filter(follows).count()
    }
}

fn wish_names(client: usize, names: usize, services: usize) -> HashMap<Kind, Vec<String>> {
    let mine: Vec<usize> = (0..names).map(|k| mesh::subscribed(client, k, names, services)).collect();
    let named = |name: &dyn Fn(usize) -> String| mine.iter().map(|n| name(*n)).collect::<Vec<_>>();
    HashMap::from([
        (Kind::Cluster, named(&mesh::cluster)),
        (Kind::Endpoints, named(&mesh::cluster)),
        (Kind::Listener, named(&|n| format!("out/{}:80", mesh::virtual_address(n)))),
        (Kind::Route, named(&|n| format!("route/{}", mesh::cluster(n)))),
    ])
}
