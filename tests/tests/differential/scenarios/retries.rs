//! What is tried again, and what is not.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use h2::Reason;

use super::{Scenario, scenario};
use crate::{
    backend::{App, Script, answer, http1, http2, named},
    client::Ask,
    message::{Answer, Head, filler, grpc},
    stage::Stage,
    statistics::Sample,
    world::{Place, Plan},
};

pub fn all() -> Vec<Scenario> {
    vec![
        scenario!("retry-default", pair(http1(failing())), each_failure),
        scenario!("retry-default-h2c", h2c(http2(failing())), each_failure),
        scenario!("retry-status", pair(http1(failing())).policy(ON_STATUS), each_failure),
        scenario!("retry-route", pair(http1(failing())).route(ROUTE), each_failure),
        scenario!("retry-reset", pair(http1(failing())).policy(ON_RESET), each_failure),
        scenario!("retry-reset-h2c", h2c(http2(failing())).policy(ON_RESET), each_failure),
        scenario!(
            "retry-5xx",
            pair(http1(failing())).policy("retry: {attempts: 3, when: [5xx], backoff: {base: 5ms}}"),
            each_failure
        ),
        scenario!("retry-off", pair(http1(failing())).policy("retry: {attempts: 0}"), each_failure),
        scenario!("retry-grpc", Plan::new().app("cart", "grpc", http2(failing_grpc())).policy(ON_GRPC), grpc_codes),
        scenario!("retry-body", pair(http1(failing())).policy(ON_STATUS), bodies),
        scenario!("retry-per-try", pair(http1(failing())).policy(PER_TRY), per_try),
        scenario!("retry-connect-failure", two_plain(), saved),
        scenario!("retry-undelivered", two_in_the_mesh(), saved),
        scenario!("undelivered", pair(App::Absent), undelivered),
        scenario!("undelivered-of-an-application", pair(http1(liar)), lies),
        scenario!("retry-elsewhere", one_fails(), elsewhere),
    ]
}

const ON_STATUS: &str = "retry: {attempts: 2, when: [503], backoff: {base: 5ms}}";
const ON_RESET: &str = "retry: {attempts: 2, when: [reset, refused-stream], backoff: {base: 5ms}}";
const ON_GRPC: &str = "retry: {attempts: 2, when: [unavailable, resource-exhausted], backoff: {base: 5ms}}";
const PER_TRY: &str = "retry: {attempts: 2, when: [503, gateway-error], perTryTimeout: 300ms, backoff: {base: 5ms}}";
const ROUTE: &str = "
- retry: {attempts: 2, codes: [503], backoff: 5ms}
  backendRefs: [{name: $cart, port: 80}]
";

fn pair(app: App) -> Plan {
    Plan::new().app("cart", "http", app)
}

fn h2c(app: App) -> Plan {
    Plan::new().app("cart", "kubernetes.io/h2c", app)
}

/// Fails at the first try of each `/once/…`, and at each of `/always/…`.
fn failing() -> impl Fn(&Head, usize) -> Script {
    let seen = Mutex::new(HashSet::new());
    move |head, _| {
        // Each path is asked for once, so what came before were tries of the same request.
        let is_first = seen.lock().expect("no holder panics").insert(head.path.clone());
        if is_first || head.path.starts_with("/always/") { failure(head) } else { answer(200, "at last") }
    }
}

fn failure(head: &Head) -> Script {
    match head.route().rsplit('/').next().unwrap_or_default() {
        "503" => answer(503, "not yet"),
        "500" => answer(500, "bad"),
        "429" => answer(429, "slowly"),
        "409" => answer(409, "a conflict"),
        "close" => Script::silent().close(),
        "reset" => Script::silent().reset(Reason::INTERNAL_ERROR),
        "refused" => Script::silent().reset(Reason::REFUSED_STREAM),
        "begun" => {
            Script::head(200).header("content-length", "9").data("half").pause(Duration::from_millis(50)).close()
        }
        "hang" => Script::silent().hang(),
        _ => answer(200, "fine"),
    }
}

async fn each_failure(stage: Arc<Stage>) -> Result<()> {
    for times in ["once", "always"] {
        for kind in ["503", "500", "429", "409", "close", "reset", "refused", "begun"] {
            stage.ask(Ask::get(&format!("/{times}/{kind}"))).await;
            stage.ask(Ask::post(&format!("/{times}/post/{kind}"), "a body").http2()).await;
        }
    }
    Ok(())
}

fn failing_grpc() -> impl Fn(&Head, usize) -> Script {
    let seen = Mutex::new(HashSet::new());
    move |head, _| {
        let is_first = seen.lock().expect("no holder panics").insert(head.path.clone());
        let (kind, code) = head.path.trim_start_matches('/').split_once('/').unwrap_or_default();
        let begun = Script::head(200).header("content-type", "application/grpc");
        match kind {
            "trailers-only" if is_first => begun.header("grpc-status", code),
            "trailers" if is_first => begun.trailers(&[("grpc-status", code)]),
            "begun" if is_first => begun.data(grpc(b"half")).trailers(&[("grpc-status", code)]),
            _ => begun.data(grpc(b"pong")).trailers(&[("grpc-status", "0")]),
        }
    }
}

async fn grpc_codes(stage: Arc<Stage>) -> Result<()> {
    for kind in ["trailers-only", "trailers", "begun"] {
        for code in ["14", "8", "13", "4"] {
            stage.ask(Ask::grpc(&format!("/{kind}/{code}"), &[b"ping"])).await;
        }
    }
    Ok(())
}

/// Bodies are kept for another try as far as the buffer goes.
async fn bodies(stage: Arc<Stage>) -> Result<()> {
    stage.ask(Ask::post("/once/small/503", "a small body")).await;
    stage.ask(Ask::post("/once/pieces/503", "a body ").body("in pieces").trailer("x-sum", "2")).await;
    stage.ask(Ask::post("/once/middle/503", filler(60_000))).await;
    stage.ask(Ask::post("/once/middle-h2/503", filler(60_000)).http2()).await;
    stage.ask(Ask::post("/once/large/503", filler(3 << 20))).await;
    stage.ask(Ask::post("/once/large-h2/503", filler(3 << 20)).http2()).await;
    Ok(())
}

async fn per_try(stage: Arc<Stage>) -> Result<()> {
    stage.ask_timed(Ask::get("/once/hang"), 290..=2500).await;
    stage.ask_timed(Ask::get("/always/hang"), 890..=4000).await;
    Ok(())
}

fn two_plain() -> Plan {
    Plan::new().service("cart", "http", vec![(Place::Plain, App::Absent), (Place::Plain, named("good"))])
}

fn two_in_the_mesh() -> Plan {
    Plan::new().service("cart", "http", vec![(Place::Mesh(0), App::Absent), (Place::Mesh(1), named("good"))])
}

/// Whatever the method: the application never saw it.
async fn saved(stage: Arc<Stage>) -> Result<()> {
    let asks = [Ask::get("/"), Ask::post("/", "an order"), Ask::get("/").http2(), Ask::post("/", "an order").http2()];
    // Not all: Envoy looks for another endpoint a few times, by chance, and may find the same each time.
    let mut sample = Sample::default();
    for ask in asks.iter().cycle().take(60) {
        sample.add(outcome(&ask.send(stage.at("cart")).await));
    }
    stage.take_asked().await;
    stage.write_sample("saved", sample);
    Ok(())
}

async fn undelivered(stage: Arc<Stage>) -> Result<()> {
    for ask in [Ask::get("/"), Ask::post("/", "an order"), Ask::get("/").http2()] {
        stage.ask(ask).await;
    }
    let outside = Ask::get("/").called("from outside");
    stage.ask_at(stage.inbound("cart"), outside).await;
    Ok(())
}

fn liar(_: &Head, _: usize) -> Script {
    answer(503, "full").header("x-byrnie-undelivered", "true")
}

async fn lies(stage: Arc<Stage>) -> Result<()> {
    stage.ask(Ask::get("/")).await;
    stage.ask(Ask::post("/", "an order").http2().header("x-byrnie-undelivered", "true")).await;
    let outside = Ask::get("/").called("from outside");
    stage.ask_at(stage.inbound("cart"), outside).await;
    Ok(())
}

fn one_fails() -> Plan {
    let bad = http1(|_, _| answer(503, "bad"));
    Plan::new().service("cart", "http", vec![(Place::Mesh(0), bad), (Place::Mesh(1), named("good"))]).policy(ON_STATUS)
}

/// The next try goes to the other endpoint.
async fn elsewhere(stage: Arc<Stage>) -> Result<()> {
    stage.sample(Ask::get("/"), 60, &[], outcome).await;
    Ok(())
}

fn outcome(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.text())
}
