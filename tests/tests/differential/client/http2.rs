//! HTTP/2 with prior knowledge as a client speaks it.

use std::{future::poll_fn, net::SocketAddr, task::Poll};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
    ext::Protocol,
};
use hyper::Request;
use tokio::{net::TcpStream, task::JoinSet};

use super::Ask;
use crate::message::{Answer, End, list, map};

/// A connection for several calls; it is closed when this is dropped.
pub struct Connection {
    sender: SendRequest<Bytes>,
    _task: JoinSet<()>,
}

/// A call whose both directions are the scenario's.
pub struct Call<'a> {
    pub send: SendStream<Bytes>,
    answered: ResponseFuture,
    body: Option<RecvStream>,
    pub answer: &'a mut Answer,
}

/// One request on a connection of its own; what came of the answer is there even where this is given up.
pub async fn send(address: SocketAddr, ask: &Ask, answer: &mut Answer) -> Result<(), End> {
    let stream = TcpStream::connect(address).await?;
    let connection = Connection::over(stream).await?;
    let mut call = connection.call(ask, None, answer).await?;
    // An answer may come before the request is whole; what cannot be sent then is no fault of the answer.
    drop(call.tell(ask));
    call.read().await
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        Self::over(stream).await.map_err(|end| anyhow::anyhow!("no HTTP/2: {end}"))
    }

    async fn over(stream: TcpStream) -> Result<Self, End> {
        drop(stream.set_nodelay(true));
        let (sender, connection) = Builder::new().enable_push(false).handshake(stream).await?;
        let mut task = JoinSet::new();
        task.spawn(async move { drop(connection.await) });
        Ok(Self { sender, _task: task })
    }

    /// Waits until the peer's settings say whether CONNECT may name a protocol (RFC 8441).
    pub async fn until_extended(&self) -> Result<()> {
        byrnie_tests::wait::until("SETTINGS_ENABLE_CONNECT_PROTOCOL", async || {
            Ok(self.sender.is_extended_connect_protocol_enabled())
        })
        .await
    }

    /// Begins a call with the head of a request; its body is the caller's to send.
    pub async fn call<'a>(&self, ask: &Ask, protocol: Option<&str>, answer: &'a mut Answer) -> Result<Call<'a>, End> {
        let uri = format!("http://{}{}", ask.host, ask.path);
        let mut request = Request::builder().method(&*ask.method).uri(uri).body(()).expect("a request of a test");
        *request.headers_mut() = map(&ask.headers);
        if let Some(protocol) = protocol {
            request.extensions_mut().insert(Protocol::from(protocol));
        }
        let is_over = protocol.is_none() && ask.body.is_empty() && ask.trailers.is_empty();
        let mut sender = self.sender.clone().ready().await?;
        let (answered, send) = sender.send_request(request, is_over)?;
        Ok(Call { send, answered, body: None, answer })
    }
}

impl Call<'_> {
    fn tell(&mut self, ask: &Ask) -> Result<(), End> {
        let count = ask.body.len();
        for (index, piece) in ask.body.iter().enumerate() {
            let is_last = index + 1 == count && ask.trailers.is_empty();
            self.send.send_data(piece.clone(), is_last)?;
        }
        if !ask.trailers.is_empty() {
            self.send.send_trailers(map(&ask.trailers))?;
        }
        Ok(())
    }

    /// Waits for the head of the answer.
    pub async fn head(&mut self) -> Result<(), End> {
        let interim = &mut self.answer.interim;
        let answered = &mut self.answered;
        let response = poll_fn(|context| {
            while let Poll::Ready(Some(Ok(response))) = answered.poll_informational(context) {
                interim.push(response.status().as_u16());
            }
            std::pin::Pin::new(&mut *answered).poll(context)
        });
        let (parts, body) = response.await?.into_parts();
        self.answer.version = format!("{:?}", parts.version);
        self.answer.status = parts.status.as_u16();
        self.answer.headers = list(&parts.headers);
        self.body = Some(body);
        Ok(())
    }

    /// Waits until so many bytes of the body are there.
    pub async fn until(&mut self, length: usize) -> Result<()> {
        while self.answer.body.len() < length {
            let is_more = self.piece().await.map_err(|end| anyhow::anyhow!("{end}"))?;
            ensure!(is_more, "the body ended after {} of {length} bytes", self.answer.body.len());
        }
        Ok(())
    }

    /// Reads the answer to its end.
    pub async fn read(&mut self) -> Result<(), End> {
        if self.body.is_none() {
            self.head().await?;
        }
        while self.piece().await? {}
        Ok(())
    }

    /// Reads the answer to its end, however it ends.
    pub async fn finish(mut self) {
        if let Err(end) = self.read().await {
            self.answer.end = end;
        }
    }

    async fn piece(&mut self) -> Result<bool, End> {
        let body =
            self.body.as_mut().context("the head comes first").map_err(|error| End::Malformed(error.to_string()))?;
        if let Some(piece) = body.data().await {
            let piece = piece?;
            body.flow_control().release_capacity(piece.len())?;
            self.answer.body.extend(&piece);
            return Ok(true);
        }
        if let Some(trailers) = body.trailers().await? {
            self.answer.trailers = list(&trailers);
        }
        Ok(false)
    }
}
