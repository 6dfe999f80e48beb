//! HTTP/1 as a client speaks it.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::oneshot,
    time::timeout,
};

use super::{Ask, LIMIT, Version};
use crate::{
    message::{Answer, End},
    wire::{Body, Reader, parse},
};

/// So long a connection is watched that should stay open, and one that should be closed: Envoy takes a second for it.
const WATCH: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(4)];

/// Between two pieces that must not be read as one.
const PAUSE: Duration = Duration::from_millis(150);

/// Bytes as they are, in pieces, the answers to so many requests, and what becomes of the connection after them.
pub async fn raw(
    address: SocketAddr,
    pieces: &[&[u8]],
    methods: &[&str],
) -> anyhow::Result<(Vec<Answer>, &'static str)> {
    let (reader, mut writer) = TcpStream::connect(address).await?.into_split();
    let mut reader = Reader::new(reader);
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        // The peer may refuse them before it has read all.
        drop(writer.write_all(piece).await);
    }
    let mut answers = Vec::new();
    for method in methods {
        let mut answer = Answer::default();
        let ask = Ask::new(method, "/");
        let (go_on, _told) = oneshot::channel();
        let read = timeout(LIMIT, read(&mut reader, &ask, go_on, &mut answer)).await;
        answer.end = read.unwrap_or(Err(End::Silent)).err().unwrap_or_default();
        answers.push(answer);
    }
    let after = watch(&mut reader, answers.last()).await;
    Ok((answers, after))
}

/// One request on a connection of its own; what came of the answer is there even where this is given up.
pub async fn send(address: SocketAddr, ask: &Ask, answer: &mut Answer) -> Result<(), End> {
    let stream = TcpStream::connect(address).await?;
    drop(stream.set_nodelay(true));
    let (reader, mut writer) = stream.into_split();
    let mut reader = Reader::new(reader);
    let (go_on, told) = oneshot::channel();
    let exchange = async {
        // An answer may come before the request is whole; what cannot be sent then is no fault of the answer.
        let writing = async {
            drop(write(&mut writer, ask, told).await);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            read = read(&mut reader, ask, go_on, answer) => read,
            () = writing => Ok(()),
        }
    };
    exchange.await?;
    if ask.watches {
        answer.after = Some(watch(&mut reader, Some(answer)).await);
    }
    Ok(())
}

async fn watch(reader: &mut Reader<OwnedReadHalf>, last: Option<&Answer>) -> &'static str {
    let says_close = |answer: &Answer| answer.end != End::Complete || answer.header("connection") == Some("close");
    match timeout(WATCH[usize::from(last.is_some_and(says_close))], reader.fill()).await {
        Err(_) => "stays open",
        Ok(Ok(true)) => "has bytes after the answer",
        // A reset, where the peer had not read all: a matter of moments.
        Ok(Ok(false) | Err(_)) => "is closed",
    }
}

async fn write(writer: &mut OwnedWriteHalf, ask: &Ask, go_on: oneshot::Receiver<()>) -> Result<(), End> {
    let version = if ask.version == Version::Http10 { "1.0" } else { "1.1" };
    let mut head = format!("{} {} HTTP/{version}\r\n", ask.method, ask.path);
    if !ask.host.is_empty() {
        write!(head, "host: {}\r\n", ask.host).expect("a string takes all");
    }
    for (name, value) in &ask.headers {
        write!(head, "{name}: {value}\r\n").expect("a string takes all");
    }
    let is_chunked = ask.body.len() > 1 || !ask.trailers.is_empty();
    let is_framed = ask.headers.iter().any(|(name, _)| name == "content-length" || name == "transfer-encoding");
    if is_chunked {
        head.push_str("transfer-encoding: chunked\r\n");
    } else if let ([body], false) = (&*ask.body, is_framed) {
        write!(head, "content-length: {}\r\n", body.len()).expect("a string takes all");
    }
    head.push_str("\r\n");
    writer.write_all(head.as_bytes()).await?;
    if ask.expects && go_on.await.is_err() {
        return Ok(());
    }
    for piece in &ask.body {
        if is_chunked {
            writer.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        }
        writer.write_all(piece).await?;
        if is_chunked {
            writer.write_all(b"\r\n").await?;
        }
    }
    if is_chunked {
        let trailers = ask.trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let end = format!("0\r\n{}\r\n", trailers.collect::<String>());
        writer.write_all(end.as_bytes()).await?;
    }
    Ok(())
}

async fn read(
    reader: &mut Reader<OwnedReadHalf>,
    ask: &Ask,
    go_on: oneshot::Sender<()>,
    answer: &mut Answer,
) -> Result<(), End> {
    let mut go_on = Some(go_on);
    loop {
        let lines = reader.head().await?.ok_or(End::Closed)?;
        let ([version, status, _], headers) = parse(&lines)?;
        let status = status.parse().map_err(|_| End::Malformed(format!("status {status}")))?;
        if (100..200).contains(&status) && status != 101 {
            answer.interim.push(status);
            // The writer is gone where the request has been sent already.
            let _ = go_on.take().map(|go_on| go_on.send(()));
            continue;
        }
        version.clone_into(&mut answer.version);
        (answer.status, answer.headers) = (status, headers);
        break;
    }
    let mut body = Body::of_answer(&ask.method, answer.status, &answer.headers)?;
    while let Some(piece) = body.next(reader).await? {
        answer.body.extend(piece);
    }
    answer.trailers = body.trailers;
    Ok(())
}
