//! Applications and clients of bytes.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// No read of a test takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// A running application of bytes; it stops when this is dropped.
#[derive(Debug)]
pub struct TcpApp {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl TcpApp {
    /// Greets whoever connects (with nothing, where its protocol lets the client speak first), then sends back what it
    /// reads.
    pub async fn echo(greeting: &'static str) -> Result<Self> {
        Self::echo_at("127.0.0.1:0".parse()?, greeting).await
    }

    /// The same on a given address.
    pub async fn echo_at(address: SocketAddr, greeting: &'static str) -> Result<Self> {
        Self::on(TcpListener::bind(address).await?, move |mut stream| async move {
            stream.write_all(greeting.as_bytes()).await?;
            let (mut reader, mut writer) = stream.split();
            tokio::io::copy(&mut reader, &mut writer).await?;
            Ok(())
        })
    }

    /// Takes an upgrade to WebSocket, then sends back what it reads.
    pub async fn websocket() -> Result<Self> {
        Self::serve(|mut stream| async move {
            let head = read_head(&mut stream).await?;
            if !head.to_ascii_lowercase().contains("upgrade: websocket") {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await?;
                return Ok(());
            }
            let accept = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
            stream.write_all(accept.as_bytes()).await?;
            let (mut reader, mut writer) = stream.split();
            tokio::io::copy(&mut reader, &mut writer).await?;
            Ok(())
        })
        .await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves each connection with `serve`, on a free port of 127.0.0.1.
    pub async fn serve<S, F>(serve: S) -> Result<Self>
    where
        S: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await?, serve)
    }

    fn on<S, F>(listener: TcpListener, serve: S) -> Result<Self>
    where
        S: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let connection = serve(stream);
                // A connection that breaks is what some tests are about.
                connections.spawn(async move { drop(connection.await) });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, _tasks: tasks })
    }
}

/// Sends `bytes` on a connection of its own and reads as many as `wanted`; an error where the peer closes before.
pub async fn exchange(address: SocketAddr, bytes: &[u8], wanted: usize) -> Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        let mut read = vec![0; wanted];
        stream.read_exact(&mut read).await?;
        anyhow::Ok(read)
    };
    timeout(LIMIT, exchange).await.with_context(|| format!("{address} did not answer within {LIMIT:?}"))?
}

/// Reads up to the empty line that ends the head of an HTTP/1 message.
pub async fn read_head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Result<String> {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(error) => bail!("{error} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        Ok(String::from_utf8(head)?)
    };
    timeout(LIMIT, read).await.context("no head of a message came")?
}
