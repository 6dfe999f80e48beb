//! Protocols of bytes, and TLS that is the application's own.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Scenario, scenario};
use crate::{
    backend::{App, named, tcp},
    client::Ask,
    message::{End, filler, shown},
    stage::Stage,
    world::{Place, Plan},
};

pub fn all() -> Vec<Scenario> {
    vec![
        scenario!("tcp-echo", Plan::new().app("cart", "tcp", echo("")), words),
        scenario!("tcp-server-first", Plan::new().app("cart", "tcp", echo("220 ready\n")), words),
        scenario!("tcp-well-known", Plan::new().app("cart", "", echo("220 ready\n")).port(3306), words),
        scenario!("tcp-undeclared", Plan::new().app("cart", "", echo("")), words).alone(),
        scenario!("tcp-undeclared-server-first", Plan::new().app("cart", "", echo("220 ready\n")), words).alone(),
        scenario!("tcp-plain", Plan::new().service("cart", "tcp", vec![(Place::Plain, echo(""))]), words),
        scenario!("tcp-half-close", Plan::new().app("cart", "tcp", counts()), client_half_closes),
        scenario!(
            "tcp-half-close-plain",
            Plan::new().service("cart", "tcp", vec![(Place::Plain, counts())]),
            client_half_closes
        ),
        scenario!("tcp-server-half-close", Plan::new().app("cart", "tcp", says_bye()), server_half_closes),
        scenario!("tcp-reset", Plan::new().app("cart", "tcp", resets()), server_resets),
        scenario!("tcp-client-reset", Plan::new().app("cart", "tcp", counts()), client_resets),
        scenario!("tcp-large", Plan::new().app("cart", "tcp", echo("")), much),
        scenario!("tcp-absent", Plan::new().app("cart", "tcp", App::Absent), nobody),
        scenario!("tcp-absent-plain", Plan::new().service("cart", "tcp", vec![(Place::Plain, App::Absent)]), nobody),
        scenario!("tcp-no-endpoints", Plan::new().service("cart", "tcp", Vec::new()), nobody),
        scenario!("tcp-strict", Plan::new().app("cart", "tcp", echo("hello\n")).strict(), strict),
        scenario!("tcp-idle", Plan::new().app("cart", "tcp", echo("")), idle),
        scenario!("http-over-tcp", Plan::new().app("cart", "tcp", named("cart")), http),
        scenario!("tcp-endpoints", three(), spread),
        scenario!("tls-declared", Plan::new().app("cart", "https", tls()), secrets),
        scenario!("tls-as-tcp", Plan::new().app("cart", "tcp", tls()), secrets),
        scenario!("tls-undeclared", Plan::new().app("cart", "", tls()), secrets).alone(),
        scenario!("tls-strict", Plan::new().app("cart", "https", tls()).strict(), secrets),
        scenario!("tls-plain", Plan::new().service("cart", "https", vec![(Place::Plain, tls())]), secrets),
    ]
}

fn echo(greeting: &'static str) -> App {
    tcp(move |mut stream, log| async move {
        stream.write_all(greeting.as_bytes()).await?;
        let mut all = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let read = stream.read(&mut piece).await?;
            if read == 0 {
                break;
            }
            all.extend(&piece[..read]);
            stream.write_all(&piece[..read]).await?;
        }
        log.bytes("echo", &all, End::Complete);
        Ok(())
    })
}

/// Says how many bytes came once the client has said all.
fn counts() -> App {
    tcp(|mut stream, log| async move {
        let mut all = Vec::new();
        let read = stream.read_to_end(&mut all).await;
        log.bytes("count", &all, read.as_ref().err().map_or(End::Complete, |_| End::Reset));
        read?;
        Ok(stream.write_all(format!("{} bytes", all.len()).as_bytes()).await?)
    })
}

fn says_bye() -> App {
    tcp(|mut stream, log| async move {
        stream.write_all(b"bye").await?;
        stream.shutdown().await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await?;
        log.bytes("after bye", &all, End::Complete);
        Ok(())
    })
}

fn resets() -> App {
    tcp(|mut stream, _| async move {
        let mut word = [0; 4];
        stream.read_exact(&mut word).await?;
        Ok(stream.set_zero_linger()?)
    })
}

/// A read to the end, in words: the bytes, and how it ended.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    match timeout(Duration::from_secs(5), stream.read_to_end(&mut all)).await {
        Ok(Ok(_)) => format!("{}, then the end", shown(&all)),
        Ok(Err(error)) => format!("{}, then {:?}", shown(&all), error.kind()),
        Err(_) => format!("{}, then silence", shown(&all)),
    }
}

/// What the application saw of bytes.
async fn note_asked(stage: &Stage, step: &str) {
    for (index, received) in stage.take_asked().await.iter().enumerate() {
        let end = received.end.as_ref().map(ToString::to_string);
        stage.note(step, &format!("application {index}"), format!("{} {end:?}", shown(&received.body)));
    }
}

async fn words(stage: Arc<Stage>) -> Result<()> {
    let mut stream = TcpStream::connect(stage.at("cart")).await?;
    stream.write_all(b"one!").await?;
    let mut all = Vec::new();
    while !all.ends_with(b"one!") {
        ensure!(stream.read_buf(&mut all).await? > 0, "ended after {}", shown(&all));
    }
    stage.note("words", "first", shown(&all));
    stream.write_all(b"two!").await?;
    stream.shutdown().await?;
    stage.note("words", "rest", rest(&mut stream).await);
    stage.until_asked(1).await?;
    note_asked(&stage, "words").await;

    // A client that waits for the server to speak: where nothing is declared that takes a moment.
    let mut stream = TcpStream::connect(stage.at("cart")).await?;
    let mut word = [0; 9];
    let greeted = timeout(Duration::from_secs(2), stream.read_exact(&mut word)).await;
    stage.note("silent client", "greeting", format!("{:?}", greeted.is_ok()));
    stream.write_all(b"three").await?;
    stream.shutdown().await?;
    stage.note("silent client", "rest", rest(&mut stream).await);
    stage.until_asked(1).await?;
    note_asked(&stage, "silent client").await;
    Ok(())
}

async fn client_half_closes(stage: Arc<Stage>) -> Result<()> {
    let mut stream = TcpStream::connect(stage.at("cart")).await?;
    stream.write_all(&filler(10_000)).await?;
    stream.shutdown().await?;
    stage.note("half-close", "rest", rest(&mut stream).await);
    note_asked(&stage, "half-close").await;
    Ok(())
}

async fn server_half_closes(stage: Arc<Stage>) -> Result<()> {
    let mut stream = TcpStream::connect(stage.at("cart")).await?;
    stage.note("bye", "rest", rest(&mut stream).await);
    stream.write_all(b"and more").await?;
    stream.shutdown().await?;
    stage.until_asked(1).await?;
    note_asked(&stage, "bye").await;
    Ok(())
}

async fn server_resets(stage: Arc<Stage>) -> Result<()> {
    let mut stream = TcpStream::connect(stage.at("cart")).await?;
    stream.write_all(b"word").await?;
    stage.note("reset", "rest", rest(&mut stream).await);
    Ok(())
}

async fn client_resets(stage: Arc<Stage>) -> Result<()> {
    let mut stream = TcpStream::connect(stage.at("cart")).await?;
    stream.write_all(b"word").await?;
    // What was written must have been passed on, or the reset overtakes it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream.set_zero_linger()?;
    drop(stream);
    stage.until_asked(1).await?;
    note_asked(&stage, "reset").await;
    Ok(())
}

async fn much(stage: Arc<Stage>) -> Result<()> {
    let stream = TcpStream::connect(stage.at("cart")).await?;
    let (mut reader, mut writer) = stream.into_split();
    let sent = filler(4 << 20);
    let writing = async {
        writer.write_all(&sent).await?;
        writer.shutdown().await
    };
    let mut all = Vec::new();
    let (written, read) = tokio::join!(writing, timeout(Duration::from_secs(20), reader.read_to_end(&mut all)));
    written?;
    read??;
    stage.note("much", "back", shown(&all));
    stage.until_asked(1).await?;
    note_asked(&stage, "much").await;
    Ok(())
}

async fn nobody(stage: Arc<Stage>) -> Result<()> {
    let mut stream = TcpStream::connect(stage.at("cart")).await?;
    stage.note("silent", "rest", rest(&mut stream).await);
    Ok(())
}

async fn strict(stage: Arc<Stage>) -> Result<()> {
    let mut stream = TcpStream::connect(stage.inbound("cart")).await?;
    stage.note("outside", "rest", rest(&mut stream).await);
    words(stage).await
}

async fn idle(stage: Arc<Stage>) -> Result<()> {
    let mut stream = TcpStream::connect(stage.at("cart")).await?;
    for word in [b"one!", b"two!"] {
        stream.write_all(word).await?;
        let mut back = [0; 4];
        stream.read_exact(&mut back).await?;
        stage.note(&String::from_utf8_lossy(word), "back", String::from_utf8_lossy(&back));
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    Ok(())
}

/// What the port carries is nobody's business.
async fn http(stage: Arc<Stage>) -> Result<()> {
    let ask = Ask::get("/").header("x-forwarded-client-cert", "mine").header("x-envoy-retry-on", "5xx");
    stage.ask(ask.watching()).await;
    stage.raw("not even HTTP", b"GET /a b HTTP/1.1\r\nx-bad : 1\r\n\r\n", &["GET"]).await
}

fn three() -> Plan {
    let endpoint = |index: usize, name: &'static str| (Place::Mesh(index), echo(name));
    Plan::new().service("cart", "tcp", vec![endpoint(0, "one"), endpoint(1, "two"), endpoint(2, "six")])
}

async fn spread(stage: Arc<Stage>) -> Result<()> {
    let third = 1.0 / 3.0;
    let mut sample = crate::statistics::Sample::due(&[("one", third), ("two", third), ("six", third)]);
    for _ in 0..120 {
        let word = byrnie_tests::tcp::exchange(stage.at("cart"), b"", 3).await?;
        sample.add(String::from_utf8_lossy(&word));
    }
    stage.write_sample("greetings", sample);
    Ok(())
}

/// A certificate of the test's own, which every application of TLS uses.
fn certificate() -> &'static (CertificateDer<'static>, Vec<u8>) {
    static CERTIFICATE: std::sync::LazyLock<(CertificateDer<'static>, Vec<u8>)> = std::sync::LazyLock::new(|| {
        let made = rcgen::generate_simple_self_signed(vec!["cart.example".to_owned()]).expect("a name is all it needs");
        (made.cert.der().clone(), made.signing_key.serialize_der())
    });
    &CERTIFICATE
}

fn tls() -> App {
    tcp(|stream, log| async move {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let (certificate, key) = certificate();
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], PrivateKeyDer::Pkcs8(key.clone().into()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"secret".to_vec()];
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        let mut word = [0; 4];
        stream.read_exact(&mut word).await?;
        let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
        let protocol = String::from_utf8_lossy(stream.get_ref().1.alpn_protocol().unwrap_or_default()).into_owned();
        log.bytes(&name, &word, End::Complete);
        stream.write_all(format!("{name} {protocol}").as_bytes()).await?;
        Ok(stream.shutdown().await?)
    })
}

async fn call_tls(at: std::net::SocketAddr, protocol: &[u8]) -> Result<String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate().0.clone())?;
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !protocol.is_empty() {
        config.alpn_protocols = vec![protocol.to_vec()];
    }
    let stream = TcpStream::connect(at).await?;
    let mut stream =
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("cart.example")?, stream).await?;
    stream.write_all(b"ping").await?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await?;
    Ok(said)
}

async fn secrets(stage: Arc<Stage>) -> Result<()> {
    let mut places = vec![("through the pair", stage.at("cart"))];
    if stage.plain.is_empty() {
        places.push(("from outside", stage.inbound("cart")));
    }
    for (place, at) in places {
        for protocol in ["", "h2", "secret"] {
            let called = timeout(Duration::from_secs(5), call_tls(at, protocol.as_bytes())).await;
            let said = match called {
                Ok(Ok(said)) => said,
                Ok(Err(_)) => "closed".to_owned(),
                Err(_) => "silence".to_owned(),
            };
            stage.note(place, &format!("protocol {protocol:?}"), said);
            note_asked(&stage, place).await;
        }
    }
    Ok(())
}
