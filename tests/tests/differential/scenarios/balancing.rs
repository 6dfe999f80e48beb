//! Which endpoint is chosen, and which are left out.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, anyhow};
use byrnie_tests::objects::traffic_policy;
use tokio::net::TcpStream;

use super::{Scenario, scenario};
use crate::{
    backend::{App, Script, answer, http1, http2, named, tcp},
    client::Ask,
    message::{Answer, Head},
    stage::Stage,
    world::{Place, Plan},
};

pub fn all() -> Vec<Scenario> {
    vec![
        scenario!("round-robin", three().policy("balancer: {type: RoundRobin}"), spread),
        scenario!("random", three().policy("balancer: {type: Random}"), spread),
        scenario!("least-request", three().policy("balancer: {type: LeastRequest}"), spread),
        scenario!("mixed-endpoints", mixed(), spread_of_two),
        scenario!("no-endpoints", Plan::new().service("cart", "http", Vec::new()), unavailable),
        scenario!("draining", two_plain(), draining),
        scenario!("ejection", one_fails(), ejected),
        scenario!("health-http", one_sick(), sick_is_left_out),
        scenario!("health-grpc", grpc_checked(), checked),
        scenario!("health-tcp", tcp_checked(), connected),
        scenario!("health-all-sick", all_sick(), panics),
        scenario!("limit-requests", Plan::new().app("cart", "http", http1(held)).policy(ONE_REQUEST), turned_away),
        scenario!("limit-connections", Plan::new().app("cart", "tcp", echo()).policy(ONE_CONNECTION), second_refused),
    ]
}

const ONE_REQUEST: &str = "limits: {requests: 1, pending: 1}";
const ONE_CONNECTION: &str = "limits: {connections: 1}";
const EJECTION: &str =
    "outlierEjection: {consecutiveErrors: 3, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 50}";
const CHECK: &str = "interval: 100ms, timeout: 100ms, unhealthyThreshold: 2, healthyThreshold: 2}";

fn three() -> Plan {
    let endpoints = ["one", "two", "three"].into_iter().enumerate();
    let endpoints = endpoints.map(|(index, name)| (Place::Mesh(index), named(name))).collect();
    Plan::new().service("cart", "http", endpoints)
}

async fn spread(stage: Arc<Stage>) -> Result<()> {
    let third = 1.0 / 3.0;
    stage.sample(Ask::get("/"), 150, &[("200 one", third), ("200 two", third), ("200 three", third)], outcome).await;
    Ok(())
}

fn mixed() -> Plan {
    Plan::new().service("cart", "http", vec![(Place::Mesh(0), named("one")), (Place::Plain, named("two"))])
}

async fn spread_of_two(stage: Arc<Stage>) -> Result<()> {
    stage.sample(Ask::get("/"), 100, &[("200 one", 0.5), ("200 two", 0.5)], outcome).await;
    stage.sample(Ask::get("/").http2(), 100, &[("200 one", 0.5), ("200 two", 0.5)], outcome).await;
    Ok(())
}

async fn unavailable(stage: Arc<Stage>) -> Result<()> {
    stage.ask(Ask::get("/").watching()).await;
    stage.ask(Ask::get("/").http2()).await;
    stage.ask(Ask::new("HEAD", "/")).await;
    stage.ask(Ask::post("/", "a body").watching()).await;
    Ok(())
}

fn two_plain() -> Plan {
    Plan::new().service("cart", "http", vec![(Place::Plain, named("one")), (Place::Plain, named("two"))])
}

/// A Pod that is being deleted gets no new requests, and all of them go to the other.
async fn draining(stage: Arc<Stage>) -> Result<()> {
    stage.sample(Ask::get("/"), 60, &[("200 one", 0.5), ("200 two", 0.5)], outcome).await;
    let pod = &stage.plain[0];
    let deleted = pod.yaml().replace("metadata:\n", "metadata:\n  deletionTimestamp: \"2026-11-25T00:00:00Z\"\n");
    stage.world.mesh.write(&pod.file(), &deleted)?;
    until_only(&stage, "200 two").await?;
    stage.sample(Ask::get("/"), 30, &[("200 two", 1.0)], outcome).await;
    stage.world.mesh.remove(&pod.file())?;
    stage.world.mesh.remove(&stage.plain[1].file())?;
    stage.until("no endpoint is left", Ask::get("/"), |answer| answer.status == 503).await?;
    stage.ask(Ask::get("/").called("none is left")).await;
    Ok(())
}

/// Waits until twenty requests in a row have this outcome.
async fn until_only(stage: &Stage, wanted: &str) -> Result<()> {
    let mut row = 0;
    stage
        .until(&format!("only {wanted}"), Ask::get("/"), |answer| {
            row = if outcome(answer) == wanted { row + 1 } else { 0 };
            row >= 20
        })
        .await
}

fn one_fails() -> Plan {
    let bad = http1(|_, _| answer(500, "bad"));
    Plan::new().service("cart", "http", vec![(Place::Mesh(0), bad), (Place::Mesh(1), named("good"))]).policy(EJECTION)
}

async fn ejected(stage: Arc<Stage>) -> Result<()> {
    until_only(&stage, "200 good").await?;
    stage.sample(Ask::get("/"), 40, &[("200 good", 1.0)], outcome).await;
    Ok(())
}

/// The first endpoint is sick until it is asked for `/heal`.
fn one_sick() -> Plan {
    let healed = AtomicBool::new(false);
    let one = http1(move |head: &Head, _| match head.route() {
        "/healthz" if !healed.load(Ordering::Relaxed) => answer(503, "sick"),
        "/healthz" => answer(203, "fine"),
        "/heal" => {
            healed.store(true, Ordering::Relaxed);
            answer(200, "healed")
        }
        _ => answer(200, "one"),
    });
    let two = http1(|head: &Head, _| answer(if head.route() == "/healthz" { 200 } else { 201 }, "two"));
    let check = format!("healthCheck: {{http: {{path: /healthz, expectedStatuses: [200, \"202-204\"]}}, {CHECK}");
    let plan = Plan::new().service("cart", "http", vec![(Place::Mesh(0), one.clone()), (Place::Mesh(1), two)]);
    plan.app("healer", "http", one).policy(&check)
}

async fn sick_is_left_out(stage: Arc<Stage>) -> Result<()> {
    until_only(&stage, "201 two").await?;
    stage.sample(Ask::get("/"), 40, &[("201 two", 1.0)], outcome).await;
    Ask::get("/heal").send(stage.at("healer")).await;
    stage.until("the first is back", Ask::get("/"), |answer| answer.text() == "one").await?;
    stage.sample(Ask::get("/"), 80, &[("200 one", 0.5), ("201 two", 0.5)], outcome).await;
    Ok(())
}

/// `grpc.health.v1.HealthCheckResponse{status: SERVING}`, and `{status: NOT_SERVING}`.
const SERVING: [&[u8]; 2] = [&[0x08, 1], &[0x08, 2]];

fn grpc_checked() -> Plan {
    let app = |name: &'static str, serving: &'static [u8]| {
        http2(move |head: &Head, _| {
            let begun = Script::head(200).header("content-type", "application/grpc");
            match head.route() {
                "/grpc.health.v1.Health/Check" => {
                    begun.data(crate::message::grpc(serving)).trailers(&[("grpc-status", "0")])
                }
                _ => begun.data(name).trailers(&[("grpc-status", "0")]),
            }
        })
    };
    let endpoints = vec![(Place::Mesh(0), app("one", SERVING[1])), (Place::Mesh(1), app("two", SERVING[0]))];
    let check = format!("healthCheck: {{grpc: {{service: cart}}, {CHECK}");
    Plan::new().service("cart", "grpc", endpoints).policy(&check)
}

async fn checked(stage: Arc<Stage>) -> Result<()> {
    until_only_grpc(&stage).await?;
    stage.sample(Ask::grpc("/shop.Cart/Add", &[b"x"]), 30, &[("200 two", 1.0)], outcome).await;
    Ok(())
}

async fn until_only_grpc(stage: &Stage) -> Result<()> {
    let mut row = 0;
    stage
        .until("only two", Ask::grpc("/shop.Cart/Add", &[b"x"]), |answer| {
            row = if outcome(answer) == "200 two" { row + 1 } else { 0 };
            row >= 20
        })
        .await
}

fn tcp_checked() -> Plan {
    let check = format!("healthCheck: {{tcp: {{}}, {CHECK}");
    let endpoints = vec![(Place::Plain, App::Absent), (Place::Plain, named("two"))];
    // Without retries a request that meets the absent one fails, so only the check can leave it out.
    Plan::new().service("cart", "http", endpoints).policy(&format!("{check}\nretry: {{attempts: 0}}"))
}

async fn connected(stage: Arc<Stage>) -> Result<()> {
    until_only(&stage, "200 two").await?;
    stage.sample(Ask::get("/"), 40, &[("200 two", 1.0)], outcome).await;
    Ok(())
}

fn all_sick() -> Plan {
    let sick = |name: &'static str| {
        http1(move |head: &Head, _| if head.route() == "/healthz" { answer(503, "sick") } else { answer(200, name) })
    };
    let check = format!("healthCheck: {{http: {{path: /healthz}}, {CHECK}");
    let endpoints = |first, second| vec![(Place::Mesh(0), sick(first)), (Place::Mesh(1), sick(second))];
    let strict = traffic_policy("shop", "$strict", &format!("{check}\npanicThreshold: 0"));
    let plan = Plan::new().service("cart", "http", endpoints("one", "two")).policy(&check);
    plan.service("strict", "http", endpoints("one", "two")).object("strict-policy.yaml", strict)
}

/// Below the threshold health is ignored; with a threshold of 0 it never is.
async fn panics(stage: Arc<Stage>) -> Result<()> {
    let strict = stage.at("strict");
    stage.world.mesh.until("both are found sick", async |_| Ok(Ask::get("/").send(strict).await.status == 503)).await?;
    stage.take_asked().await;
    stage.note("strict", "body", Ask::get("/").send(strict).await.text());
    stage.sample(Ask::get("/"), 60, &[("200 one", 0.5), ("200 two", 0.5)], outcome).await;
    Ok(())
}

fn held(head: &Head, _: usize) -> Script {
    if head.route() == "/held" { Script::silent().hang() } else { answer(200, "served") }
}

async fn turned_away(stage: Arc<Stage>) -> Result<()> {
    let at = stage.at("cart");
    let held = tokio::spawn(async move { Ask::get("/held").send(at).await });
    stage.until_asked(1).await?;
    let more = [Ask::get("/more"), Ask::post("/more", "a body"), Ask::get("/more").http2()];
    for ask in more {
        let label = ask.label();
        let answer = ask.send(at).await;
        stage.note(&label, "status", answer.status.to_string());
        stage.note(&label, "body", answer.text());
        stage.note(&label, "headers", format!("{:?}", answer.header("x-envoy-overloaded")));
    }
    held.abort();
    drop(held.await);
    stage.until("room again", Ask::get("/again"), |answer| answer.status == 200).await?;
    stage.ask(Ask::get("/again")).await;
    Ok(())
}

fn echo() -> App {
    tcp(|mut stream, _| async move {
        let (mut reader, mut writer) = stream.split();
        tokio::io::copy(&mut reader, &mut writer).await?;
        Ok(())
    })
}

async fn second_refused(stage: Arc<Stage>) -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let at = stage.at("cart");
    let exchange = async |stream: &mut TcpStream| -> Result<bool> {
        stream.write_all(b"word").await?;
        let mut back = [0; 4];
        Ok(stream.read_exact(&mut back).await.is_ok())
    };
    let mut first = TcpStream::connect(at).await?;
    stage.note("first", "served", exchange(&mut first).await?.to_string());
    let mut second = TcpStream::connect(at).await?;
    // It may be closed before the word is written.
    stage.note("second", "served", exchange(&mut second).await.unwrap_or(false).to_string());
    stage.note("first", "still served", exchange(&mut first).await?.to_string());
    drop((first, second));
    let again = async |_: &byrnie_tests::mesh::Mesh| {
        let mut third = TcpStream::connect(at).await?;
        exchange(&mut third).await.map_err(|error| anyhow!("{error}"))
    };
    stage.world.mesh.until("room again", again).await
}

fn outcome(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.text())
}
