//! What stands behind the sidecars: it sends back what it is sent, so that every caller knows its right answer.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::Result;
use byrnie_tests::tcp::read_head;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Frame, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncWriteExt, copy, split},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_stream::StreamExt;

type Body = BoxBody<Bytes, hyper::Error>;

/// The last octets of what [`one_kilobyte`] answers.
pub const END: &[u8] = b"the end.";

/// Serves until it is dropped.
#[derive(Debug)]
pub struct Application {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Application {
    /// HTTP/1: a WebSocket echoes, anything else gets the path, a line's end and its body back.
    pub async fn http1() -> Result<Self> {
        Self::serve(|stream| async move {
            let service = service_fn(echo_http1);
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
            drop(served.await);
        })
        .await
    }

    /// gRPC, unary and streaming alike: messages go back as they come.
    pub async fn grpc() -> Result<Self> {
        Self::serve(|stream| async move {
            let service = service_fn(|request: Request<Incoming>| std::future::ready(echo_grpc(request)));
            drop(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
        })
        .await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn serve<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, _tasks: tasks })
    }
}

async fn echo_http1(mut request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    if request.headers().get("upgrade").is_some_and(|value| value == "websocket") {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(upgraded) = upgraded.await {
                let (mut reader, mut writer) = split(TokioIo::new(upgraded));
                drop(copy(&mut reader, &mut writer).await);
                drop(writer.shutdown().await);
            }
        });
        let response = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
        return Ok(response.body(whole(Bytes::new())).expect("a head of a test is valid"));
    }
    let mut answer = format!("{}\n", request.uri().path()).into_bytes();
    answer.extend_from_slice(&request.into_body().collect().await?.to_bytes());
    Ok(Response::new(whole(answer.into())))
}

fn echo_grpc(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a value"));
    let frames = BodyStream::new(request.into_body()).filter(|frame| frame.as_ref().map_or(true, Frame::is_data));
    let body = StreamBody::new(frames.chain(tokio_stream::once(Ok(Frame::trailers(trailers)))));
    let response = Response::builder().header("content-type", "application/grpc").body(body.boxed());
    Ok(response.expect("a head of a test is valid"))
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// The cheapest application: 1 KB for each head without a body.
pub async fn one_kilobyte(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let answer = [b"HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n", &[b'x'; 1016][..], END].concat();
    let (reader, mut writer) = stream.split();
    let mut reader = tokio::io::BufReader::new(reader);
    while read_head(&mut reader).await.is_ok() {
        writer.write_all(&answer).await?;
    }
    Ok(())
}
