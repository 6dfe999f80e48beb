//! Who calls whom, what either side says of it, and orders that nobody may give.

use std::sync::Arc;

use anyhow::Result;

use super::{Scenario, scenario};
use crate::{
    backend::{Script, answer, http1, http2, named},
    client::Ask,
    message::Head,
    stage::Stage,
    world::{Place, Plan},
};

pub fn all() -> Vec<Scenario> {
    vec![
        scenario!("strict", Plan::new().app("cart", "http", named("cart")).strict(), from_both_sides),
        scenario!("strict-h2c", Plan::new().app("cart", "kubernetes.io/h2c", http2(plain)).strict(), from_both_sides),
        scenario!("permissive", Plan::new().app("cart", "http", named("cart")), from_both_sides),
        scenario!("permissive-h2c", Plan::new().app("cart", "kubernetes.io/h2c", http2(plain)), from_both_sides),
        scenario!("permissive-undeclared", Plan::new().app("cart", "", named("cart")), from_both_sides).alone(),
        scenario!("wrong-identity", impostor(), refused),
        scenario!("made-up-identity", Plan::new().app("cart", "http", named("cart")), made_up),
        scenario!("outside-the-mesh", outside(), made_up),
        scenario!("envoy-controls", Plan::new().app("cart", "http", http1(orders)), controls),
    ]
}

fn plain(_: &Head, _: usize) -> Script {
    answer(200, "cart")
}

async fn from_both_sides(stage: Arc<Stage>) -> Result<()> {
    let inbound = stage.inbound("cart");
    for ask in [Ask::get("/"), Ask::post("/", "a body").http2()] {
        stage.ask_at(inbound, ask.clone().called(&format!("outside {}", ask.label()))).await;
        stage.ask(ask).await;
    }
    Ok(())
}

fn impostor() -> Plan {
    Plan::new().service("cart", "http", vec![(Place::Impostor, named("thief"))])
}

async fn refused(stage: Arc<Stage>) -> Result<()> {
    let answer = Ask::get("/").send(stage.at("cart")).await;
    // The rest of the body is the words of a library of TLS.
    let said = answer.text();
    let reason = said.split("transport failure reason").next().unwrap_or_default();
    stage.note("impostor", "status", answer.status.to_string());
    stage.note("impostor", "body", reason);
    stage.note("impostor", "tries", stage.take_asked().await.len().to_string());
    Ok(())
}

fn outside() -> Plan {
    Plan::new().service("cart", "http", vec![(Place::Plain, named("cart"))])
}

async fn made_up(stage: Arc<Stage>) -> Result<()> {
    let made_up = "By=spiffe://cluster.local/ns/shop/sa/server-1;URI=spiffe://cluster.local/ns/shop/sa/admin";
    let ask = Ask::get("/").header("x-forwarded-client-cert", made_up);
    stage.ask(ask.clone()).await;
    stage.ask(ask.clone().http2()).await;
    stage.ask(ask.clone().header("X-Forwarded-Client-Cert", "Hash=2").called("twice")).await;
    if stage.plain.is_empty() {
        stage.ask_at(stage.inbound("cart"), ask.called("from outside")).await;
    }
    Ok(())
}

fn orders(_: &Head, _: usize) -> Script {
    let answer = answer(503, "slow").header("x-envoy-upstream-service-time", "7").header("x-envoy-overloaded", "true");
    let answer = answer.header("x-envoy-ratelimited", "true").header("x-envoy-immediate-health-check-fail", "true");
    answer.header("x-app", "cart").after(std::time::Duration::from_millis(150))
}

async fn controls(stage: Arc<Stage>) -> Result<()> {
    for (name, value) in [
        ("x-envoy-upstream-rq-timeout-ms", "20"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "20"),
        ("x-envoy-expected-rq-timeout-ms", "20"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-retry-grpc-on", "unavailable"),
        ("x-envoy-max-retries", "5"),
        ("x-envoy-hedge-on-per-try-timeout", "true"),
        ("x-envoy-upstream-rq-timeout-alt-response", "true"),
        ("x-envoy-upstream-alt-stat-name", "other"),
        ("x-envoy-original-path", "/other"),
        ("x-envoy-decorator-operation", "other"),
        ("x-envoy-internal", "true"),
        ("x-envoy-external-address", "192.0.2.7"),
        ("x-envoy-force-trace", "true"),
        ("x-envoy-attempt-count", "9"),
        ("x-envoy-downstream-service-node", "other"),
        ("x-client-trace-id", "7"),
        ("x-b3-traceid", "463ac35c9f6413ad48485a3953bb6124"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("x-byrnie-other", "kept?"),
    ] {
        stage.ask(Ask::get("/").header(name, value).called(name)).await;
        stage.ask_at(stage.inbound("cart"), Ask::get("/").header(name, value).called(&format!("outside {name}"))).await;
    }
    Ok(())
}
