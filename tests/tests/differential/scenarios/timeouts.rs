//! Timeouts of requests and of tries.

use std::{sync::Arc, time::Duration};

use anyhow::Result;

use super::{Scenario, scenario};
use crate::{
    backend::{Script, answer, http1, http2},
    client::{Ask, Version},
    message::{Head, filler},
    stage::Stage,
    world::Plan,
};

pub fn all() -> Vec<Scenario> {
    vec![
        scenario!("timeout-request", http().route(RULES), of_requests),
        scenario!("timeout-request-h2c", h2c().route(RULES), of_requests),
        scenario!("timeout-try", http().route(RULES), of_tries),
        scenario!("timeout-try-h2c", h2c().route(RULES), of_tries),
        scenario!("no-timeout", http(), none),
    ]
}

fn http() -> Plan {
    Plan::new().app("cart", "http", http1(slow))
}

fn h2c() -> Plan {
    Plan::new().app("cart", "kubernetes.io/h2c", http2(slow))
}

const RULES: &str = "
- matches: [{path: {type: PathPrefix, value: /request}}]
  timeouts: {request: 900ms}
  backendRefs: [{name: $cart, port: 80}]
- matches: [{path: {type: PathPrefix, value: /try}}]
  timeouts: {request: 10s, backendRequest: 900ms}
  backendRefs: [{name: $cart, port: 80}]
- matches: [{path: {type: PathPrefix, value: /again}}]
  timeouts: {request: 10s, backendRequest: 900ms}
  retry: {attempts: 2, codes: [504], backoff: 10ms}
  backendRefs: [{name: $cart, port: 80}]
";

fn slow(head: &Head, _: usize) -> Script {
    let begun = Script::head(200).data("half");
    match head.route().rsplit('/').next().unwrap_or_default() {
        "hang" => Script::silent().hang(),
        "within" => begun.hang(),
        "in-time" => answer(200, "just so").after(Duration::from_millis(50)),
        "drops" => Script::head(200)
            .data("1")
            .pause(Duration::from_millis(300))
            .data("2")
            .pause(Duration::from_millis(1500))
            .data("3"),
        _ => answer(200, "at once"),
    }
}

async fn of_requests(stage: Arc<Stage>) -> Result<()> {
    under(&stage, "request").await;
    stage.ask(Ask::post("/request/hang", filler(500_000)).called("a body")).await;
    Ok(())
}

async fn of_tries(stage: Arc<Stage>) -> Result<()> {
    under(&stage, "try").await;
    stage.ask_timed(Ask::get("/again/hang"), 2690..=6000).await;
    Ok(())
}

async fn under(stage: &Stage, rule: &str) {
    for version in [Version::Http11, Version::Http2] {
        let ask = |case: &str| Ask::get(&format!("/{rule}/{case}")).version(version);
        stage.ask_timed(ask("hang"), 890..=4000).await;
        stage.ask(ask("in-time")).await;
        // Envoy closes a connection a second after it has given up on it.
        stage.ask(ask("within").patience(Duration::from_secs(3))).await;
        stage.ask(ask("drops")).await;
    }
}

/// Envoy's own default would be 15 s for the whole request; so long no test waits, but a second is nothing.
async fn none(stage: Arc<Stage>) -> Result<()> {
    stage.ask(Ask::get("/hang").patience(Duration::from_millis(1500))).await;
    stage.ask(Ask::get("/drops")).await;
    Ok(())
}
