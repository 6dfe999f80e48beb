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
        scenario!("timeouts", Plan::new().app("cart", "http", http1(slow)).route(RULES), timeouts),
        scenario!("timeouts-h2c", Plan::new().app("cart", "kubernetes.io/h2c", http2(slow)).route(RULES), timeouts),
        scenario!("no-timeout", Plan::new().app("cart", "http", http1(slow)), none),
    ]
}

const RULES: &str = "
- matches: [{path: {type: PathPrefix, value: /request}}]
  timeouts: {request: 400ms}
  backendRefs: [{name: $cart, port: 80}]
- matches: [{path: {type: PathPrefix, value: /try}}]
  timeouts: {request: 10s, backendRequest: 400ms}
  backendRefs: [{name: $cart, port: 80}]
- matches: [{path: {type: PathPrefix, value: /again}}]
  timeouts: {request: 10s, backendRequest: 400ms}
  retry: {attempts: 2, codes: [504], backoff: 10ms}
  backendRefs: [{name: $cart, port: 80}]
";

fn slow(head: &Head, _: usize) -> Script {
    let begun = Script::head(200).data("half");
    match head.route().rsplit('/').next().unwrap_or_default() {
        "hang" => Script::silent().hang(),
        "within" => begun.hang(),
        "in-time" => answer(200, "just so").after(Duration::from_millis(100)),
        "drops" => Script::head(200)
            .data("1")
            .pause(Duration::from_millis(150))
            .data("2")
            .pause(Duration::from_millis(150))
            .data("3")
            .pause(Duration::from_millis(150))
            .data("4")
            .pause(Duration::from_millis(150))
            .data("5"),
        _ => answer(200, "at once"),
    }
}

async fn timeouts(stage: Arc<Stage>) -> Result<()> {
    for rule in ["request", "try"] {
        for version in [Version::Http11, Version::Http2] {
            let ask = |case: &str| Ask::get(&format!("/{rule}/{case}")).version(version);
            stage.ask_timed(ask("hang"), 390..=3000).await;
            stage.ask(ask("in-time")).await;
            stage.ask(ask("within").patience(Duration::from_millis(1500))).await;
            stage.ask(ask("drops")).await;
        }
    }
    stage.ask_timed(Ask::get("/again/hang"), 390..=3000).await;
    stage.ask(Ask::post("/request/hang", filler(500_000)).called("a body")).await;
    Ok(())
}

/// Envoy's own default would be 15 s for the whole request; so long no test waits, but a second is nothing.
async fn none(stage: Arc<Stage>) -> Result<()> {
    stage.ask(Ask::get("/hang").patience(Duration::from_millis(1500))).await;
    stage.ask(Ask::get("/drops")).await;
    Ok(())
}
