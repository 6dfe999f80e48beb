//! What clients can make a sidecar hold. Each claim: the client's sidecar (it is the one that they call; the server's
//! carries what comes of it) stays within a bound, and serves others meanwhile.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{pair::Pair, sidecar::Proxy, tcp::TcpApp, tcp::read_head};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{MIB, kib};

/// Of one answer to `/large`.
const LARGE: usize = 64 << 20;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frames of HTTP/2 (RFC 9113, section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Two micro-proxies before an application that answers `/large` with 64 MiB, anything else with `ok`.
struct Scene {
    pair: Pair,
    _app: TcpApp,
}

impl Scene {
    async fn set() -> Result<Self> {
        let app = TcpApp::serve(large_or_small).await?;
        let pair = Pair::of([Proxy::Micro; 2], "http", app.address()).await?;
        let scene = Self { pair, _app: app };
        scene.serves().await?;
        Ok(scene)
    }

    fn address(&self) -> SocketAddr {
        self.pair.upstream()
    }

    /// Others are served.
    async fn serves(&self) -> Result<()> {
        for _ in 0..10 {
            let answer = self.pair.get("/").await.context("others are not served")?;
            ensure!(answer.status == 200 && answer.body == "ok", "others: {} {}", answer.status, answer.body);
        }
        Ok(())
    }

    /// Others are served for some seconds, and neither sidecar has ever held more than `bound` beyond `before`.
    async fn holds(&self, what: &str, before: [u64; 2], bound: u64, seconds: u64) -> Result<()> {
        for _ in 0..seconds {
            self.serves().await?;
            sleep(Duration::from_secs(1)).await;
        }
        let sidecars = [("client", &self.pair.client), ("server", &self.pair.server)];
        for ((place, sidecar), before) in sidecars.into_iter().zip(before) {
            let usage = sidecar.usage()?;
            let grown = usage.peak_resident_bytes.saturating_sub(before);
            println!("{what}: {place} at most {} KiB more, now {} KiB in all", grown >> 10, kib(&usage));
            ensure!(grown <= bound, "{what}: the {place}'s sidecar took {} KiB more, not {}", grown >> 10, bound >> 10);
        }
        Ok(())
    }

    fn resident(&self) -> Result<[u64; 2]> {
        Ok([self.pair.client.usage()?.resident_bytes, self.pair.server.usage()?.resident_bytes])
    }

    /// Connections that sent `bytes` and read nothing.
    async fn deaf(&self, count: usize, bytes: &[u8]) -> Result<Vec<TcpStream>> {
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            let mut stream = TcpStream::connect(self.address()).await?;
            stream.write_all(bytes).await?;
            streams.push(stream);
        }
        Ok(streams)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_cost_their_buffers_and_no_more() -> Result<()> {
    let scene = Scene::set().await?;
    let before = scene.resident()?;
    let clients = scene.deaf(64, b"GET /large HTTP/1.1\r\nhost: cart.shop\r\n\r\n").await?;
    // 4 GiB were asked for. A connection may have half a MiB waiting in either sidecar, and nobody waits for it.
    scene.holds("64 slow readers", before, 64 * MIB / 2, 3).await?;
    drop(clients);
    scene.serves().await
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_not_read_cost_their_windows_and_no_more() -> Result<()> {
    let scene = Scene::set().await?;
    let before = scene.resident()?;
    let clients = scene.deaf(4, &stalled_streams()).await?;
    // Of each a window of 64 KiB fills, and the server's sidecar has read as much again from the application.
    scene.holds("4 connections with 100 stalled streams", before, 56 * MIB, 3).await?;
    drop(clients);
    scene.serves().await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_octet_by_octet_cost_little() -> Result<()> {
    let scene = Scene::set().await?;
    let before = scene.resident()?;
    let mut clients = scene.deaf(1000, b"GET /").await?;
    for _ in 0..4 {
        for client in &mut clients {
            client.write_all(b"x").await?;
        }
        scene.holds("1,000 slow heads", before, 16 * MIB, 1).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_cost_little() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let scene = Scene::set().await?;
    let before = scene.resident()?;
    let mut clients = Vec::with_capacity(10_000);
    for _ in 0..10_000 {
        let mut stream = TcpStream::connect(scene.address()).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: cart.shop\r\n\r\n").await?;
        ensure!(read_head(&mut stream).await?.starts_with("HTTP/1.1 200 "), "connection {}", clients.len());
        clients.push(stream);
    }
    scene.holds("10,000 idle connections", before, 40 * MIB, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_headers_are_cut_off() -> Result<()> {
    let scene = Scene::set().await?;
    let before = scene.resident()?;
    let field = [&b"x-flood: "[..], &[b'x'; 8000], b"\r\n"].concat();
    let http1 = [b"GET / HTTP/1.1\r\nhost: cart.shop\r\n", &field.repeat(256)[..]].concat();
    // CONTINUATION without an end (CVE-2024-27316): each frame holds literals that are not indexed.
    let literal = [&[0x00, 0x07][..], b"x-flood", &[0x7f, 0xc1, 0x3e], &[b'x'; 8128]].concat();
    let mut http2 = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, 0, 1, &head("/"))].concat();
    http2.extend(frame(CONTINUATION, 0, 1, &literal).repeat(256));
    let mut floods = JoinSet::new();
    for place in 0..200 {
        let (address, bytes) = (scene.address(), if place % 2 == 0 { http1.clone() } else { http2.clone() });
        floods.spawn(async move { flood(address, &bytes).await });
    }
    scene.holds("200 floods of 2 MiB of headers", before, 24 * MIB, 2).await?;
    while let Some(ended) = floods.join_next().await {
        ended??;
    }
    scene.holds("200 floods of 2 MiB of headers", before, 24 * MIB, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_are_ended_and_cost_nothing() -> Result<()> {
    let scene = Scene::set().await?;
    let before = scene.resident()?;
    // CVE-2023-44487.
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for n in 0..20_000 {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head("/")));
        bytes.extend(frame(RST_STREAM, 0, 2 * n + 1, &8_u32.to_be_bytes()));
    }
    let mut floods = JoinSet::new();
    for _ in 0..8 {
        let (address, bytes) = (scene.address(), bytes.clone());
        floods.spawn(async move { flood(address, &bytes).await });
    }
    while let Some(ended) = floods.join_next().await {
        ended??;
    }
    scene.holds("8 times 20,000 rapid resets", before, 16 * MIB, 1).await
}

/// Sends all of it, reading what comes, until the peer ends the connection, which it does before long.
async fn flood(address: SocketAddr, bytes: &[u8]) -> Result<()> {
    let stream = TcpStream::connect(address).await?;
    let (mut reader, mut writer) = stream.into_split();
    let writing = async {
        // The peer need not take it all.
        let _ = writer.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let reading = async {
        let mut sink = vec![0; 64 << 10];
        while matches!(reader.read(&mut sink).await, Ok(read) if read > 0) {}
    };
    let ended = async {
        tokio::select! {
            () = writing => unreachable!("it waits"),
            () = reading => {}
        }
    };
    timeout(Duration::from_secs(20), ended).await.context("a flood is not ended within 20 s")
}

/// 100 requests for `/large` on one connection, each with the window that every stream has.
fn stalled_streams() -> Vec<u8> {
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for n in 0..100 {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head("/large")));
    }
    bytes
}

/// `GET http://cart.shop/PATH` in HPACK: indexed fields and literals (RFC 7541).
fn head(path: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x86];
    for (name, value) in [(0x01, "cart.shop"), (0x04, path)] {
        head.extend([name, u8::try_from(value.len()).expect("a short value")]);
        head.extend(value.as_bytes());
    }
    head
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn large_or_small(mut stream: TcpStream) -> Result<()> {
    loop {
        let head = read_head(&mut stream).await?;
        if !head.starts_with("GET /large ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
            continue;
        }
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n").as_bytes()).await?;
        let piece = vec![b'x'; 64 << 10];
        for _ in 0..LARGE / piece.len() {
            stream.write_all(&piece).await?;
        }
    }
}
