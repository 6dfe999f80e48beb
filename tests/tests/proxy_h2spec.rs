//! The listeners of a micro-proxy against h2spec, a program that checks an HTTP/2 server rule by rule (RFC 7540, whose
//! rules RFC 9113 keeps but for priority, and RFC 7541), with its strict cases. An HTTP/2 application answers behind.
//!
//! That each answer is the frame that the rule asks for, not just a closed connection, is tested where the protocol is:
//! in `proxy/http2`. Here nothing may fail with all that stands in front of and behind it.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    app::{App, reply},
    pair::Pair,
    sidecar::Proxy,
    tools,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};

/// Cases of h2spec 2.2.1, which `scripts/tools` fetches; one that is chosen instead has no fewer.
const CASES: u32 = 146;

/// The cases that fail, and may. A listener takes HTTP/1 too, so what is no preface of HTTP/2 is a bad request of HTTP/1:
/// it is answered with 400, and closed ([`not_http2`]). h2spec takes the answer for a broken frame.
const EXCEPTIONS: [&str; 1] = ["2: Sends invalid connection preface"];

/// A run that passes takes some seconds; each case that fails waits for `--timeout`.
const RUN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn both_listeners_of_a_micro_proxy_pass_h2spec() -> Result<()> {
    let app = App::http2(|_| reply(200, "what h2spec reads in pieces, as its windows allow")).await?;
    let mut pair = Pair::of([Proxy::Micro; 2], "kubernetes.io/h2c", app.address()).await?;
    pass("the outbound listener", pair.upstream()).await?;
    // Plain text, from outside the mesh.
    pass("the inbound listener", pair.inbound()).await?;
    pair.client.check()?;
    pair.server.check()?;
    let after = pair.get("/after").await?;
    ensure!(after.status == 200, "after h2spec: {} {}", after.status, after.body);
    Ok(())
}

async fn pass(what: &str, listener: SocketAddr) -> Result<()> {
    let mut h2spec = Command::new(tools::path("h2spec")?);
    h2spec.args(["--strict", "--timeout", "2", "--host", &listener.ip().to_string()]);
    h2spec.args(["--port", &listener.port().to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut h2spec = h2spec.kill_on_drop(true).spawn()?;
    let (mut stdout, mut said) = (h2spec.stdout.take().context("piped")?, Vec::new());
    let ended = timeout(RUN, stdout.read_to_end(&mut said)).await;
    let said = String::from_utf8_lossy(&said);
    ended.with_context(|| format!("{what}: h2spec has not ended after {RUN:?}\n{said}"))??;
    h2spec.wait().await?;
    let [all, passed, skipped, failed] = counts(&said).with_context(|| format!("h2spec tells no counts:\n{said}"))?;
    let mut unlucky: Vec<_> = said.lines().filter_map(|line| Some(line.split_once("\u{d7} ")?.1)).collect();
    unlucky.sort_unstable();
    unlucky.dedup();
    ensure!(unlucky == EXCEPTIONS && failed == 1, "{what}: {failed} of {all} cases failed: {unlucky:?}\n{said}");
    ensure!(skipped == 0 && passed + failed == all && all >= CASES, "{what}: {all} cases ran, not {CASES}\n{said}");
    not_http2(listener).await.with_context(|| format!("{what}: no preface"))
}

/// What is no HTTP/2 is answered as HTTP/1, and the connection is closed.
async fn not_http2(listener: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(listener).await?;
    stream.write_all(b"INVALID CONNECTION PREFACE\r\n\r\n").await?;
    let mut answer = String::new();
    timeout(RUN, stream.read_to_string(&mut answer)).await.context("the connection stays open")??;
    ensure!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
    Ok(())
}

/// What its last line tells: `146 tests, 146 passed, 0 skipped, 0 failed`.
fn counts(said: &str) -> Option<[u32; 4]> {
    let line = said.lines().rev().find(|line| line.contains(" passed, "))?;
    let numbers: Option<Vec<u32>> = line.split(", ").map(|part| part.split(' ').next()?.parse().ok()).collect();
    numbers?.try_into().ok()
}
