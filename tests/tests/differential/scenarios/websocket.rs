//! WebSocket, as HTTP/1.1 and HTTP/2 (RFC 8441) carry it.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, anyhow, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Scenario, scenario};
use crate::{
    backend::{Script, answer, http1, http2},
    client::{Ask, http2::Connection},
    message::{Answer, Head},
    stage::Stage,
    wire::{Reader, parse},
    world::Plan,
};

pub fn all() -> Vec<Scenario> {
    vec![
        scenario!("websocket", Plan::new().app("cart", "http", http1(over_http1)), over_both),
        scenario!("websocket-h2c", Plan::new().app("cart", "kubernetes.io/h2c", http2(over_http2)), over_both),
        scenario!("websocket-refused", Plan::new().app("cart", "http", http1(|_, _| answer(403, "no"))), refused),
        scenario!("websocket-server-ends", Plan::new().app("cart", "http", http1(ends)), server_ends),
        scenario!("websocket-routed", routed(), over_a_route),
    ]
}

fn over_http1(head: &Head, _: usize) -> Script {
    if head.header("upgrade").is_none() {
        return answer(400, "not a websocket");
    }
    let accepted = Script::head(101).header("connection", "Upgrade").header("upgrade", "websocket");
    accepted.header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").echo()
}

fn over_http2(head: &Head, _: usize) -> Script {
    match &*head.protocol {
        "websocket" => Script::head(200).header("sec-websocket-protocol", "chat").echo(),
        _ => answer(400, "not a websocket"),
    }
}

fn ends(_: &Head, _: usize) -> Script {
    Script::head(101)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .data("bye")
        .pause(Duration::from_millis(100))
        .close()
        .early()
}

fn routed() -> Plan {
    Plan::new().app("cart", "http", http1(over_http1)).route(
        "
- matches: [{path: {type: PathPrefix, value: /live}}]
  timeouts: {request: 10s}
  filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /socket}}}]
  backendRefs: [{name: $cart, port: 80}]
",
    )
}

const UPGRADE: &str = "GET /live HTTP/1.1\r\nhost: cart.shop\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: http://cart.shop\r\n\r\n";

async fn over_both(stage: Arc<Stage>) -> Result<()> {
    over_a_route(Arc::clone(&stage)).await?;
    let connection = Connection::open(stage.at("cart")).await?;
    connection.until_extended().await?;
    let ask = Ask::new("CONNECT", "/live").header("sec-websocket-version", "13");
    let mut answer = Answer::default();
    let mut call = connection.call(&ask, Some("websocket"), &mut answer).await.map_err(|end| anyhow!("{end}"))?;
    call.head().await.map_err(|end| anyhow!("no head: {end}"))?;
    if call.answer.status == 200 {
        for (word, total) in [("one!", 4), ("two!!", 9)] {
            call.send.send_data(word.into(), false)?;
            call.until(total).await?;
        }
    }
    // Whether the end of one direction is told on is the business of the frames inside: a client leaves.
    call.send.send_reset(h2::Reason::CANCEL);
    stage.exchange("over h2", &answer).await;
    Ok(())
}

async fn over_a_route(stage: Arc<Stage>) -> Result<()> {
    let mut stream = TcpStream::connect(stage.at("cart")).await?;
    stream.write_all(UPGRADE.as_bytes()).await?;
    {
        let mut reader = Reader::new(&mut stream);
        let Some(lines) = reader.head().await.map_err(|end| anyhow!("{end}"))? else {
            stage.note("over h1", "head", "none");
            return Ok(());
        };
        let ([_, status, _], mut headers) = parse(&lines).map_err(|end| anyhow!("{end}"))?;
        headers.retain(|(name, _)| name != "date");
        headers.sort();
        stage.note("over h1", "head", format!("{status} {headers:?}"));
        ensure!(status == "101", "not switched");
    }
    for word in [b"one!", b"two!"] {
        stream.write_all(word).await?;
        let mut back = [0; 4];
        stream.read_exact(&mut back).await?;
        stage.note("over h1", "echo", String::from_utf8_lossy(&back));
    }
    stream.shutdown().await?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await?;
    stage.note("over h1", "rest", format!("{rest:?}"));
    stage.exchange("over h1", &Default::default()).await;
    Ok(())
}

async fn refused(stage: Arc<Stage>) -> Result<()> {
    stage.raw("refused", UPGRADE.as_bytes(), &["GET"]).await?;
    let other = UPGRADE.replace("upgrade: websocket", "upgrade: teapot");
    stage.raw("another upgrade", other.as_bytes(), &["GET"]).await?;
    let connection = Connection::open(stage.at("cart")).await?;
    connection.until_extended().await?;
    let (ask, mut answer) = (Ask::new("CONNECT", "/live"), Answer::default());
    let call = connection.call(&ask, Some("websocket"), &mut answer).await.map_err(|end| anyhow!("{end}"))?;
    call.finish().await;
    stage.exchange("refused over h2", &answer).await;
    Ok(())
}

async fn server_ends(stage: Arc<Stage>) -> Result<()> {
    let mut stream = TcpStream::connect(stage.at("cart")).await?;
    stream.write_all(UPGRADE.as_bytes()).await?;
    let head = byrnie_tests::tcp::read_head(&mut stream).await?;
    ensure!(head.contains(" 101 "), "not switched: {head}");
    let mut word = [0; 3];
    stream.read_exact(&mut word).await?;
    stage.note("server ends", "word", String::from_utf8_lossy(&word));
    let ended = timeout(Duration::from_secs(2), stream.read(&mut word)).await;
    stage.note("server ends", "the client is told", format!("{:?}", ended.is_ok()));
    drop(stream);
    stage.exchange("server ends", &Default::default()).await;
    Ok(())
}
