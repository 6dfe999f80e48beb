//! HTTP with one peer, over a connection that may outlast a question: for health checks and for probes.

use std::{
    future::{Future, pending},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use byrnie_config::Version;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};

/// Plain text or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection with what speaks on it. To be [driven](Self::drive) while nothing is asked, so that its end is noticed.
pub struct Conversation {
    sender: Sender,
    /// None once it is over.
    connection: Option<Connection>,
    tasks: Tasks,
}

type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Conversation {
    /// Begins to speak on a connection.
    pub async fn begin(version: Version, stream: Box<dyn Stream>) -> hyper::Result<Self> {
        let (stream, tasks) = (TokioIo::new(stream), Tasks::default());
        let (sender, connection): (_, Connection) = match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(stream).await?;
                (Sender::Http1(sender), Box::pin(connection))
            }
            Version::Http2 => {
                let (sender, connection) = http2::handshake(tasks.clone(), stream).await?;
                (Sender::Http2(sender), Box::pin(connection))
            }
        };
        Ok(Self { sender, connection: Some(connection), tasks })
    }

    /// Asks, and has `read` make an answer of the response while the connection goes on. None where it broke.
    pub async fn ask<A, F>(
        &mut self,
        request: Request<Full<Bytes>>,
        read: impl FnOnce(Response<Incoming>) -> F,
    ) -> Option<A>
    where
        F: Future<Output = Option<A>>,
    {
        let Self { sender, connection, .. } = self;
        let exchange = async {
            let response = match sender {
                Sender::Http1(sender) => sender.send_request(request).await,
                Sender::Http2(sender) => sender.send_request(request).await,
            };
            read(response.ok()?).await
        };
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // It may have ended right behind the last octet of the answer.
            () = over(connection) => exchange.await,
        }
    }

    /// Whether it can be asked again.
    pub fn is_open(&self) -> bool {
        let is_closed = match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        };
        self.connection.is_some() && !is_closed
    }

    /// Lets the connection go on; never ready. Cancel-safe.
    pub async fn drive(&mut self) {
        over(&mut self.connection).await;
        pending().await
    }
}

/// Ready once the connection is over.
async fn over(connection: &mut Option<Connection>) {
    if let Some(running) = connection {
        // Why it ended is nothing to a check that is not running; one that runs sees its exchange fail.
        let _ = running.await;
        *connection = None;
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // Tasks hold the means to run further ones, and so each other.
        self.tasks.locked().abort_all();
    }
}

/// What runs for one connection.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    fn locked(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let mut tasks = self.locked();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move { drop(task.await) });
    }
}
