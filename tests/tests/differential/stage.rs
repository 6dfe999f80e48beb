//! A scenario in a world: what its script may do, and what it writes down.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use byrnie_tests::objects::Pod;

use crate::{
    backend::{Backend, Log},
    client::{self, Ask},
    message::{Answer, Received},
    record::Transcript,
    scenarios::Scenario,
    statistics::Sample,
    world::{Parts, Ports, World},
};

pub struct Stage {
    pub scenario: Arc<Scenario>,
    pub world: Arc<World>,
    pub plain: Vec<Pod>,
    services: std::collections::BTreeMap<String, Ports>,
    log: Log,
    transcript: Mutex<Transcript>,
    _backends: Vec<Backend>,
}

impl Stage {
    pub fn new(scenario: Arc<Scenario>, world: Arc<World>, parts: Parts) -> Self {
        let Parts { services, plain, backends, log, transcript } = parts;
        let transcript = Mutex::new(transcript);
        Self { scenario, world, plain, services, log, transcript, _backends: backends }
    }

    /// Where the client's application calls a Service.
    pub fn at(&self, service: &str) -> SocketAddr {
        self.world.upstream(&format!("{}-{service}", self.scenario.name), self.services[service].port)
    }

    /// Where the first server's sidecar listens for a Service, for those outside the mesh.
    pub fn inbound(&self, service: &str) -> SocketAddr {
        self.world.server(0, self.services[service].target)
    }

    /// A request of the client's application to Service `cart`, written down with all tries that it took.
    pub async fn ask(&self, ask: Ask) -> Answer {
        self.ask_of("cart", ask).await
    }

    /// The same to another Service.
    pub async fn ask_of(&self, service: &str, ask: Ask) -> Answer {
        self.ask_at(self.at(service), ask).await
    }

    /// The same to an address.
    pub async fn ask_at(&self, address: SocketAddr, ask: Ask) -> Answer {
        let answer = ask.send(address).await;
        let tries = self.log.take().await;
        self.write_down(&ask.label(), &answer, &tries);
        answer
    }

    /// The same, and whether it took a time within these bounds.
    pub async fn ask_timed(&self, ask: Ask, bounds: RangeInclusive<u64>) -> Answer {
        let (started, label) = (Instant::now(), ask.label());
        let answer = self.ask(ask).await;
        let took = started.elapsed();
        let within = bounds.contains(&(took.as_millis() as u64));
        let told = if within { format!("within {bounds:?} ms") } else { format!("{took:?}, not {bounds:?} ms") };
        self.note(&label, "took", told);
        answer
    }

    /// Writes down an exchange that the script itself made.
    pub async fn exchange(&self, label: &str, answer: &Answer) {
        let tries = self.log.take().await;
        self.write_down(label, answer, &tries);
    }

    /// Bytes to Service `cart` on one connection, then the answers to so many requests, and what becomes of the
    /// connection after them.
    pub async fn raw(&self, label: &str, bytes: &[u8], methods: &[&str]) -> Result<()> {
        self.raw_pieces(label, &[bytes], methods).await
    }

    /// The same in pieces, with a pause between them.
    pub async fn raw_pieces(&self, label: &str, pieces: &[&[u8]], methods: &[&str]) -> Result<()> {
        let (answers, after) = client::raw(self.at("cart"), pieces, methods).await?;
        let tries = self.log.take().await;
        for (index, answer) in answers.iter().enumerate() {
            self.write_down(label, answer, if index == 0 { &tries } else { &[] });
        }
        self.note(label, "connection", after);
        Ok(())
    }

    /// Many equal requests to Service `cart`, of which only is written down how often each outcome was.
    pub async fn sample(&self, ask: Ask, times: usize, due: &[(&str, f64)], outcome: impl Fn(&Answer) -> String) {
        let mut sample = Sample::due(due);
        for _ in 0..times {
            sample.add(outcome(&ask.send(self.at("cart")).await));
        }
        self.log.take().await;
        self.write_sample(&ask.label(), sample);
    }

    /// Writes a sample down.
    pub fn write_sample(&self, label: &str, sample: Sample) {
        let mut transcript = self.transcript.lock().expect("no holder panics");
        let step = transcript.step(label);
        transcript.sample(&step, sample);
    }

    /// Waits until a request of the client's application is answered so; nothing of this is written down.
    pub async fn until(&self, what: &str, ask: Ask, mut is_so: impl FnMut(&Answer) -> bool) -> Result<()> {
        let at = self.at("cart");
        self.world.mesh.until(what, async |_| Ok(is_so(&ask.send(at).await))).await?;
        self.log.take().await;
        Ok(())
    }

    /// Writes a value down.
    pub fn note(&self, step: &str, field: &str, value: impl Into<String>) {
        self.transcript.lock().expect("no holder panics").note(step, field, value);
    }

    /// What the applications were asked, for scripts that write it down themselves.
    pub async fn take_asked(&self) -> Vec<Received> {
        self.log.take().await
    }

    /// Waits until the applications were asked so often since the last exchange.
    pub async fn until_asked(&self, times: usize) -> Result<()> {
        self.log.until_asked(times).await
    }

    /// Writes an object (again).
    pub fn write(&self, file: &str, yaml: &str) -> Result<()> {
        self.world.mesh.write(&format!("{}-{file}", self.scenario.name), &self.scenario.named(yaml))
    }

    /// Runs the script: what it wrote down, with the error that ended it.
    pub async fn run(self: Arc<Self>) -> Transcript {
        let (limit, started) = (Duration::from_secs(25), Instant::now());
        let script = tokio::time::timeout(limit, (self.scenario.script)(Arc::clone(&self))).await;
        let ended = script.with_context(|| format!("not within {limit:?}")).and_then(|ended| ended);
        if let Err(error) = ended {
            self.note("script", "error", format!("{error:#}"));
        }
        if std::env::var_os("BYRNIE_SHOW").is_some() {
            eprintln!("{} took {:?}", self.scenario.name, started.elapsed());
        }
        std::mem::take(&mut self.transcript.lock().expect("no holder panics"))
    }

    fn write_down(&self, label: &str, answer: &Answer, tries: &[Received]) {
        let is_by_chance = self.services.values().any(|ports| ports.endpoints > 1);
        let mut transcript = self.transcript.lock().expect("no holder panics");
        let step = transcript.step(label);
        transcript.answer(&step, answer);
        transcript.tries(&step, tries, is_by_chance);
    }
}
