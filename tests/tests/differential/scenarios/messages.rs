//! Messages of HTTP/1: framing, connections, and what is against the rules.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use h2::Reason;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Scenario, scenario};
use crate::{
    backend::{App, Script, answer, http1, http2, tcp},
    client::{Ask, Version},
    message::{Answer, Head, filler},
    stage::Stage,
    wire::Reader,
    world::Plan,
};

/// Bytes of a body that no buffer holds.
const LARGE: usize = 3 << 20;

pub fn all() -> Vec<Scenario> {
    vec![
        scenario!("continue", pair(http1(expecting)), continues),
        scenario!("interim", pair(http1(interim)), interims),
        scenario!("no-body", pair(http1(bodiless)), no_body),
        scenario!("trailers", pair(http1(trailing)), trailers),
        scenario!("trailers-h2c", h2c(trailing), trailers),
        scenario!("large", pair(http1(large)), large_bodies),
        scenario!("large-h2c", h2c(large), large_bodies),
        scenario!("http10", pair(http1(old)), http10),
        scenario!("connection-close", pair(http1(closing)), closes),
        scenario!("pipelined", pair(http1(old)), pipelined),
        scenario!("hop-by-hop", pair(http1(|_, _| answer(200, "cart"))), hop_by_hop),
        scenario!("bad-requests", pair(http1(|_, _| answer(200, "cart"))), bad_requests),
        scenario!("targets", pair(http1(|_, _| answer(200, "cart"))), targets),
        scenario!("bad-answers", bad_answers(), answers_against_the_rules),
        scenario!("broken-answers", pair(http1(broken)), broken_answers),
        scenario!("broken-answers-h2c", h2c(broken), broken_answers),
        scenario!("early-answer", pair(http1(|_, _| answer(413, "enough").early())), early_answer),
        scenario!("empty-data", pair(http1(|_, _| answer(200, "cart"))), empty_data),
        scenario!("empty-data-h2c", h2c(|_, _| answer(200, "cart")), empty_data),
        scenario!("given-up", pair(http1(|_, _| Script::silent().hang())), given_up),
        scenario!("given-up-h2c", h2c(|_, _| Script::silent().hang()), given_up),
    ]
}

fn pair(app: App) -> Plan {
    Plan::new().app("cart", "http", app)
}

fn h2c(answers: impl Fn(&Head, usize) -> Script + Send + Sync + 'static) -> Plan {
    Plan::new().app("cart", "kubernetes.io/h2c", http2(answers))
}

fn expecting(head: &Head, _: usize) -> Script {
    match head.route() {
        "/refuse" => answer(417, "no").early(),
        _ => answer(200, "thanks"),
    }
}

async fn continues(stage: Arc<Stage>) -> Result<()> {
    stage.ask(Ask::post("/go", "a body").expecting()).await;
    stage.ask(Ask::post("/chunks", "one").body("two").expecting()).await;
    stage.ask(Ask::post("/other", "a body").header("expect", "the-unexpected")).await;
    Ok(())
}

fn interim(_: &Head, _: usize) -> Script {
    answer(200, "cart").interim(103, &[("link", "</style.css>; rel=preload")])
}

async fn interims(stage: Arc<Stage>) -> Result<()> {
    stage.ask(Ask::get("/")).await;
    stage.ask(Ask::get("/").http2()).await;
    Ok(())
}

fn bodiless(head: &Head, _: usize) -> Script {
    match head.route() {
        "/204" => Script::head(204),
        "/304" => Script::head(304).header("etag", "\"1\""),
        "/304-length" => Script::head(304).header("content-length", "5"),
        "/205" => Script::head(205).header("content-length", "0"),
        "/chunked" => Script::head(200).data("some").pause(Duration::from_millis(1)).data("more"),
        "/empty" => Script::head(200),
        _ => answer(200, "a body").header("x-app", "cart"),
    }
}

async fn no_body(stage: Arc<Stage>) -> Result<()> {
    for version in [Version::Http11, Version::Http2] {
        for path in ["/204", "/304", "/304-length", "/205", "/empty", "/chunked"] {
            stage.ask(Ask::get(path).version(version)).await;
        }
        for path in ["/", "/chunked", "/304"] {
            stage.ask(Ask::new("HEAD", path).version(version)).await;
        }
    }
    Ok(())
}

fn trailing(head: &Head, _: usize) -> Script {
    match head.route() {
        "/silent" => answer(200, "no trailers"),
        _ => Script::head(200).header("trailer", "x-end").data("piece").trailers(&[("x-end", "yes"), ("x-sum", "5")]),
    }
}

async fn trailers(stage: Arc<Stage>) -> Result<()> {
    for version in [Version::Http11, Version::Http2] {
        stage.ask(Ask::get("/").version(version)).await;
        stage.ask(Ask::get("/te").header("te", "trailers").version(version)).await;
        stage.ask(Ask::post("/silent", "one").body("two").trailer("x-checksum", "42").version(version)).await;
        stage.ask(Ask::post("/both", "one").body("two").trailer("x-checksum", "42").version(version)).await;
    }
    Ok(())
}

fn large(head: &Head, _: usize) -> Script {
    match head.route() {
        "/echo" => Script::head(200).back(),
        "/down" => answer(200, filler(LARGE)),
        _ => answer(200, "read"),
    }
}

async fn large_bodies(stage: Arc<Stage>) -> Result<()> {
    for version in [Version::Http11, Version::Http2] {
        stage.ask(Ask::get("/down").version(version)).await;
        stage.ask(Ask::post("/up", filler(LARGE)).version(version)).await;
        stage.ask(Ask::post("/echo", filler(LARGE)).version(version)).await;
        stage.ask(Ask::post("/echo", filler(LARGE)).body(filler(1000)).version(version).called("chunks")).await;
    }
    Ok(())
}

fn old(head: &Head, _: usize) -> Script {
    match head.route() {
        "/chunked" => Script::head(200).data("some").pause(Duration::from_millis(20)).data("more"),
        "/until-close" => answer(200, "until the end").until_close(),
        "/echo" => Script::head(200).back(),
        path => answer(200, path.to_owned()),
    }
}

async fn http10(stage: Arc<Stage>) -> Result<()> {
    let ask = |path: &str| Ask::get(path).version(Version::Http10).watching();
    for path in ["/", "/chunked", "/until-close"] {
        stage.ask(ask(path)).await;
        stage.ask(ask(path).header("connection", "keep-alive").called(&format!("{path} kept"))).await;
    }
    stage.ask(ask("/nameless").host("")).await;
    stage.ask(Ask::post("/echo", "a body").version(Version::Http10)).await;
    stage.ask(Ask::get("/until-close").watching()).await;
    stage.ask(Ask::get("/until-close").http2()).await;
    Ok(())
}

fn closing(head: &Head, _: usize) -> Script {
    match head.route() {
        "/server" => answer(200, "bye").header("connection", "close").close(),
        _ => answer(200, "hi"),
    }
}

async fn closes(stage: Arc<Stage>) -> Result<()> {
    stage.ask(Ask::get("/").watching()).await;
    stage.ask(Ask::get("/client").header("connection", "close").watching()).await;
    stage.ask(Ask::get("/upper").header("Connection", "Close").watching()).await;
    stage.ask(Ask::get("/server").watching()).await;
    stage.ask(Ask::get("/server").http2()).await;
    Ok(())
}

async fn pipelined(stage: Arc<Stage>) -> Result<()> {
    let requests = "GET /one HTTP/1.1\r\nhost: cart.shop\r\n\r\nPOST /echo HTTP/1.1\r\nhost: cart.shop\r\n\
        content-length: 4\r\n\r\nbodyGET /chunked HTTP/1.1\r\nhost: cart.shop\r\n\r\nHEAD /four HTTP/1.1\r\nhost: \
        cart.shop\r\nconnection: close\r\n\r\n";
    stage.raw("pipeline", requests.as_bytes(), &["GET", "POST", "GET", "HEAD"]).await
}

async fn hop_by_hop(stage: Arc<Stage>) -> Result<()> {
    for (name, value) in [
        ("te", "gzip"),
        ("te", "trailers, deflate"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic Zm9v"),
        ("trailer", "x-sum"),
        ("upgrade", "websocket"),
        ("via", "1.1 elsewhere"),
        ("x-forwarded-host", "elsewhere"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=192.0.2.7"),
        ("x-empty", ""),
        ("x_under", "score"),
        ("x-latin", "caf\u{e9}"),
    ] {
        stage.ask(Ask::get("/").header(name, value).called(&format!("{name}: {value}"))).await;
    }
    let named = Ask::get("/").header("connection", "x-hop, keep-alive").header("x-hop", "1").header("x-kept", "2");
    stage.ask(named.called("connection names a header")).await;
    let upgrade =
        Ask::get("/").header("connection", "upgrade").header("upgrade", "h2c").header("http2-settings", "AAMAAABk");
    stage.ask(upgrade.called("an upgrade that nobody takes")).await;
    Ok(())
}

async fn bad_requests(stage: Arc<Stage>) -> Result<()> {
    let long = "x".repeat(70_000);
    let cases = [
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned()),
        ("two lengths", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned()),
        (
            "length and chunks",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        ("unknown coding", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n".to_owned()),
        ("length is a word", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: five\r\n\r\n".to_owned()),
        ("space before colon", "GET / HTTP/1.1\r\nhost: a\r\nx-bad : 1\r\n\r\n".to_owned()),
        ("no colon", "GET / HTTP/1.1\r\nhost: a\r\nx-bad\r\n\r\n".to_owned()),
        ("nul in a value", "GET / HTTP/1.1\r\nhost: a\r\nx-bad: a\0b\r\n\r\n".to_owned()),
        ("version 3", "GET / HTTP/3.0\r\nhost: a\r\n\r\n".to_owned()),
        ("no version", "GET /\r\n\r\n".to_owned()),
        ("not HTTP", "EHLO example.org\r\n\r\n".to_owned()),
        ("unknown method", "BREW /pot HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()),
        ("path without a slash", "GET pot HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()),
        ("a large header", format!("GET / HTTP/1.1\r\nhost: a\r\nx-long: {long}\r\n\r\n")),
        ("many headers", format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x-many: 1\r\n".repeat(120))),
    ];
    for (label, request) in cases {
        stage.raw(label, request.as_bytes(), &["GET"]).await?;
    }
    // Were it to come with the head, a proxy might see it before it passes the request on, or not.
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
    stage.raw_pieces("bad chunk", &[head, b"zz\r\n"], &["POST"]).await
}

async fn targets(stage: Arc<Stage>) -> Result<()> {
    let cases = [
        ("absolute", "GET http://other.example/there?q HTTP/1.1\r\nhost: cart.shop\r\n\r\n"),
        ("asterisk", "OPTIONS * HTTP/1.1\r\nhost: cart.shop\r\n\r\n"),
        ("connect", "CONNECT cart.shop:80 HTTP/1.1\r\nhost: cart.shop:80\r\n\r\n"),
        ("trace", "TRACE / HTTP/1.1\r\nhost: cart.shop\r\n\r\n"),
        ("fragment", "GET /path#part HTTP/1.1\r\nhost: cart.shop\r\n\r\n"),
        ("query with a fragment", "GET /path?q=1#part HTTP/1.1\r\nhost: cart.shop\r\n\r\n"),
        ("dots", "GET /a/../b/./c HTTP/1.1\r\nhost: cart.shop\r\n\r\n"),
        ("slashes", "GET //a///b HTTP/1.1\r\nhost: cart.shop\r\n\r\n"),
        ("escapes", "GET /%2e%2E/%2F%41?%zz HTTP/1.1\r\nhost: cart.shop\r\n\r\n"),
        ("empty query", "GET /? HTTP/1.1\r\nhost: cart.shop\r\n\r\n"),
    ];
    for (label, request) in cases {
        stage.raw(label, request.as_bytes(), &["GET"]).await?;
    }
    Ok(())
}

/// Answers byte by byte: the path chooses.
fn bad_answers() -> Plan {
    pair(tcp(|stream, log| async move {
        let (reader, mut writer) = stream.into_split();
        let mut reader = Reader::new(reader);
        let Ok(Some(lines)) = reader.head().await else { return Ok(()) };
        log.bytes(&lines[0], b"", crate::message::End::Complete);
        let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(70_000));
        let bytes = match lines[0].split(' ').nth(1).unwrap_or_default() {
            "/not-http" => "220 smtp.example.org ESMTP\r\n",
            "/two-lengths" => "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            "/both" => "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "/bad-chunk" => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "/bad-name" => "HTTP/1.1 200 OK\r\nx bad: 1\r\ncontent-length: 0\r\n\r\n",
            "/old" => "HTTP/1.0 200 OK\r\n\r\nold",
            "/no-reason" => "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok",
            "/odd-status" => "HTTP/1.1 299 Odd\r\ncontent-length: 2\r\n\r\nok",
            "/high-status" => "HTTP/1.1 999 High\r\ncontent-length: 2\r\n\r\nok",
            "/long" => long.as_str(),
            "/more" => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 More\r\ncontent-length: 0\r\n\r\n",
            _ => "",
        };
        writer.write_all(bytes.as_bytes()).await?;
        Ok(writer.shutdown().await?)
    }))
}

async fn answers_against_the_rules(stage: Arc<Stage>) -> Result<()> {
    for path in [
        "/not-http",
        "/two-lengths",
        "/both",
        "/bad-chunk",
        "/bad-name",
        "/old",
        "/no-reason",
        "/odd-status",
        "/high-status",
        "/long",
        "/more",
        "/nothing",
    ] {
        stage.ask(Ask::get(path)).await;
    }
    Ok(())
}

fn broken(head: &Head, _: usize) -> Script {
    let half = Script::head(200).header("content-length", "10").data("half");
    // Not in one segment with what breaks, or a proxy may see either first.
    let half = half.pause(Duration::from_millis(50));
    match head.route() {
        "/close-before" => Script::silent().close(),
        "/reset-before" => Script::silent().reset(Reason::INTERNAL_ERROR),
        "/close-within" => half.close(),
        "/reset-within" => half.reset(Reason::INTERNAL_ERROR),
        "/cancel-within" => half.reset(Reason::CANCEL),
        "/chunks-close" => Script::head(200).data("half").pause(Duration::from_millis(50)).close(),
        _ => answer(200, "whole"),
    }
}

async fn broken_answers(stage: Arc<Stage>) -> Result<()> {
    for version in [Version::Http11, Version::Http2] {
        for path in
            ["/close-before", "/reset-before", "/close-within", "/reset-within", "/cancel-within", "/chunks-close", "/"]
        {
            stage.ask(Ask::get(path).version(version)).await;
        }
    }
    Ok(())
}

async fn early_answer(stage: Arc<Stage>) -> Result<()> {
    let connection = crate::client::http2::Connection::open(stage.at("cart")).await?;
    let ask = Ask::post("/upload", "the first part");
    let mut answered = Answer::default();
    let mut call = connection.call(&ask, None, &mut answered).await.map_err(|end| anyhow::anyhow!("{end}"))?;
    call.send.send_data("the first part".into(), false)?;
    call.finish().await;
    stage.note("upload", "status", answered.status.to_string());
    stage.note("upload", "body", answered.text());
    stage.take_asked().await;
    Ok(())
}

/// The end of a request in a frame of its own, which may come before or after the request has been passed on.
async fn empty_data(stage: Arc<Stage>) -> Result<()> {
    for ask in [Ask::post("/", ""), Ask::post("/", "a").body("")] {
        let ask = ask.http2().patience(Duration::from_secs(2));
        let outcome = |answer: &Answer| format!("{} {} {}", answer.status, answer.text(), answer.end);
        stage.sample(ask, 150, &[("200 cart complete", 1.0)], outcome).await;
    }
    Ok(())
}

/// A client that leaves is told to the application.
async fn given_up(stage: Arc<Stage>) -> Result<()> {
    let patience = Duration::from_millis(400);
    for version in [Version::Http11, Version::Http2] {
        stage.ask(Ask::get("/").version(version).patience(patience)).await;
        let mut stream = TcpStream::connect(stage.at("cart")).await?;
        stream.write_all(b"GET / HTT").await?;
    }
    Ok(())
}
