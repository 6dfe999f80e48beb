//! What the client's application does meanwhile, each kind in a task of its own: every answer is checked against the
//! request.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use byrnie_tests::tcp;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{
    Request,
    body::{Bytes, Frame},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc::channel,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;

use crate::world::World;

/// Between two calls of one caller: load, not a flood.
const PACE: Duration = Duration::from_millis(5);

/// No call takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// Bodies of requests.
const SIZES: [usize; 8] = [0, 1, 100, 1024, 16_384, 65_537, 300_000, 1 << 20];

const KINDS: [&str; 6] = ["kept HTTP/1", "new HTTP/1", "gRPC", "gRPC stream", "WebSocket", "TCP"];

/// They call until they are told to stop.
pub struct Callers {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: [AtomicU64; KINDS.len()],
    failures: Mutex<Vec<String>>,
}

/// How many were answered.
pub struct Told([u64; KINDS.len()]);

impl Callers {
    /// One of each kind, two that keep a connection.
    pub fn start(world: &World) -> Self {
        let (http, grpc, bytes) = (world.http(), world.grpc(), world.bytes());
        let shared = Arc::<Shared>::default();
        let mut tasks = JoinSet::new();
        for _ in 0..2 {
            tasks.spawn(call(0, Arc::clone(&shared), move |n| kept(http, n)));
        }
        tasks.spawn(call(1, Arc::clone(&shared), move |n| new(http, n)));
        tasks.spawn(call(2, Arc::clone(&shared), move |n| unary(grpc, n)));
        tasks.spawn(call(3, Arc::clone(&shared), move |n| stream(grpc, n)));
        tasks.spawn(call(4, Arc::clone(&shared), move |n| websocket(http, n)));
        tasks.spawn(call(5, Arc::clone(&shared), move |n| bytes_there_and_back(bytes, n)));
        Self { shared, tasks }
    }

    /// An error where a call has failed.
    pub fn check(&self) -> Result<()> {
        let failures = self.shared.failures.lock().expect("no holder panics");
        ensure!(failures.is_empty(), "{} calls failed: {:#?}", failures.len(), &failures[..failures.len().min(20)]);
        Ok(())
    }

    /// Ends all.
    pub async fn finish(mut self) -> Result<Told> {
        self.shared.stop.store(true, Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        self.check()?;
        let told = Told(std::array::from_fn(|kind| self.shared.answered[kind].load(Relaxed)));
        ensure!(told.0.iter().all(|count| *count > 0), "not all were answered: {told}");
        Ok(told)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<_> = KINDS.iter().zip(self.0).map(|(kind, count)| format!("{kind} {count}")).collect();
        f.write_str(&each.join(", "))
    }
}

/// A session of a kind, again and again; it tells how many calls it was.
async fn call<F: Future<Output = Result<u64>>>(kind: usize, shared: Arc<Shared>, session: impl Fn(u64) -> F) {
    for n in 0.. {
        if shared.stop.load(Relaxed) {
            return;
        }
        let ended = timeout(LIMIT, session(n)).await;
        match ended.unwrap_or_else(|_| bail_late()) {
            Ok(count) => drop(shared.answered[kind].fetch_add(count, Relaxed)),
            Err(error) => {
                let failure = format!("{}: {error:#}", KINDS[kind]);
                shared.failures.lock().expect("no holder panics").push(failure);
            }
        }
        sleep(PACE).await;
    }
}

fn bail_late() -> Result<u64> {
    bail!("no answer within {LIMIT:?}")
}

/// Requests with bodies of all sizes on one connection.
async fn kept(address: SocketAddr, n: u64) -> Result<u64> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    for (place, size) in (0_u64..).zip(SIZES) {
        let (path, body) = (format!("/kept/{n}/{place}"), pattern(n + place, size));
        let request = Request::post(&path).header("host", "cart.shop").body(Full::new(body.clone()))?;
        sender.ready().await.context("a connection that was kept")?;
        judge(sender.send_request(request).await.with_context(|| format!("{size} octets"))?, &path, &body).await?;
        sleep(PACE).await;
    }
    connection.abort();
    Ok(SIZES.len() as u64)
}

/// One request, one connection.
async fn new(address: SocketAddr, n: u64) -> Result<u64> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let path = format!("/new/{n}");
    let request = Request::get(&path).header("host", "cart.shop").body(Full::new(Bytes::new()))?;
    judge(sender.send_request(request).await?, &path, &Bytes::new()).await?;
    connection.abort();
    Ok(1)
}

async fn judge(response: hyper::Response<hyper::body::Incoming>, path: &str, sent: &Bytes) -> Result<()> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.context("the body broke off")?.to_bytes();
    ensure!(head.status == 200, "{path}: {} {:?}", head.status, &body[..body.len().min(200)]);
    ensure!(head.headers.contains_key("x-round"), "{path}: not by the route");
    let right = body.strip_prefix(path.as_bytes()).and_then(|rest| rest.strip_prefix(b"\n")) == Some(&sent[..]);
    ensure!(right, "{path}: a wrong body of {} octets for {}", body.len(), sent.len());
    Ok(())
}

/// Ten unary calls on one connection.
async fn unary(address: SocketAddr, n: u64) -> Result<u64> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    for place in 0..10 {
        let message = framed(&pattern(n + place, SIZES[place as usize % 6]));
        let response = sender.send_request(grpc("/soak.Echo/Unary").body(Full::new(message.clone()))?).await?;
        let (head, body) = response.into_parts();
        let collected = body.collect().await.context("the body broke off")?;
        let status = collected.trailers().and_then(|trailers| trailers.get("grpc-status").cloned());
        let body = collected.to_bytes();
        ensure!(head.status == 200, "{} {:?}", head.status, head.headers);
        ensure!(status.as_ref().is_some_and(|value| value == "0"), "grpc-status {status:?}, {:?}", head.headers);
        ensure!(body == message, "a wrong message of {} octets for {}", body.len(), message.len());
    }
    connection.abort();
    Ok(10)
}

/// A stream of 20 messages, of which each waits for its echo.
async fn stream(address: SocketAddr, n: u64) -> Result<u64> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let (messages, receiver) = channel::<Result<Frame<Bytes>, std::convert::Infallible>>(1);
    let request = grpc("/soak.Echo/Stream").body(StreamBody::new(ReceiverStream::new(receiver)))?;
    let response = sender.send_request(request).await?;
    ensure!(response.status() == 200 && !response.headers().contains_key("grpc-status"), "{:?}", response.headers());
    let mut body = response.into_body();
    for place in 0..20 {
        let message = framed(&pattern(n + place, 1000));
        messages.send(Ok(Frame::data(message.clone()))).await?;
        let mut echo = Vec::new();
        while echo.len() < message.len() {
            let frame = body.frame().await.context("the stream ended")?.context("the stream broke off")?;
            echo.extend_from_slice(&frame.into_data().ok().context("trailers amid the stream")?);
        }
        ensure!(echo == message, "a wrong message amid the stream");
        sleep(PACE).await;
    }
    drop(messages);
    let frame = body.frame().await.context("no trailers")?.context("the stream broke off at its end")?;
    let trailers = frame.into_trailers().ok().context("data after the last message")?;
    ensure!(trailers.get("grpc-status").is_some_and(|value| value == "0"), "{trailers:?}");
    connection.abort();
    Ok(1)
}

async fn websocket(address: SocketAddr, n: u64) -> Result<u64> {
    let mut stream = TcpStream::connect(address).await.context("connect")?;
    let head = "GET /socket HTTP/1.1\r\nhost: cart.shop\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let head = tcp::read_head(&mut stream).await?;
    ensure!(head.starts_with("HTTP/1.1 101 "), "{head}");
    echoes(stream, n).await
}

async fn bytes_there_and_back(address: SocketAddr, n: u64) -> Result<u64> {
    echoes(TcpStream::connect(address).await.context("connect")?, n).await
}

/// Octets of some sizes come back, and the end too.
async fn echoes(mut stream: TcpStream, n: u64) -> Result<u64> {
    for (place, size) in (0_u64..).zip([1, 100, 5_000, 50_000]) {
        let sent = pattern(n + place, size);
        stream.write_all(&sent).await?;
        let mut read = vec![0; size];
        stream.read_exact(&mut read).await.with_context(|| format!("{size} octets"))?;
        ensure!(read == sent, "wrong octets");
        sleep(PACE).await;
    }
    stream.shutdown().await?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.context("at the end")?;
    ensure!(rest.is_empty(), "{} octets too many", rest.len());
    Ok(1)
}

fn grpc(path: &str) -> hyper::http::request::Builder {
    let uri = format!("http://cart.shop{path}");
    Request::post(uri).header("content-type", "application/grpc").header("te", "trailers")
}

/// A message of gRPC.
fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

/// Octets that no other call sends.
fn pattern(seed: u64, size: usize) -> Bytes {
    let mut state = seed | 1;
    let mut octets = Vec::with_capacity(size + 8);
    while octets.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        octets.extend_from_slice(&(state >> 16).to_le_bytes());
    }
    octets.truncate(size);
    octets.into()
}
