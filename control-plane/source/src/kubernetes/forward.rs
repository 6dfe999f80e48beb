//! A connection to a port of a Pod: a WebSocket to the API server, which asks the Pod's kubelet for it.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::Portforwarder};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    time::timeout,
};
use tracing::{Dispatch, instrument::WithSubscriber};

use super::call::CallError;

/// For the API server to reach the kubelet.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// Octets to and from a port of a Pod, until this is dropped. That nobody listens there is seen at the first read.
pub struct Forward {
    stream: DuplexStream,
    /// What the kubelet says of the port where it cannot be used.
    failure: Option<Pin<Box<dyn Future<Output = Option<String>> + Send>>>,
    forwarder: Portforwarder,
}

impl Forward {
    /// Opens one.
    pub(super) async fn open(client: Client, namespace: &str, pod: &str, port: u16) -> Result<Self, CallError> {
        let pods = Api::<Pod>::namespaced(client, namespace);
        // The client logs each failure as an error of this process; who asks tells of it.
        let ports = [port];
        let opened = pods.portforward(pod, &ports).with_subscriber(Dispatch::none());
        let mut forwarder = match timeout(OPEN_LIMIT, opened).await {
            Ok(forwarder) => forwarder?,
            Err(_) => return Err(CallError::Unavailable(format!("no answer within {OPEN_LIMIT:?}"))),
        };
        let stream = forwarder.take_stream(port).expect("the stream of a port that was asked for is there once");
        let failure = forwarder.take_error(port).map(|failure| Box::pin(failure) as _);
        Ok(Self { stream, failure, forwarder })
    }

    /// Ready where the kubelet has said that the port cannot be used.
    fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(failure) = &mut self.failure else { return Poll::Pending };
        let told = ready!(failure.as_mut().poll(cx));
        self.failure = None;
        match told {
            Some(text) => Poll::Ready(io::Error::new(io::ErrorKind::ConnectionRefused, text.trim().to_owned())),
            None => Poll::Pending,
        }
    }
}

impl AsyncRead for Forward {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        // A port that cannot be used ends without an octet, or does not end at all.
        if matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() > before {
            return read;
        }
        match self.poll_failure(cx) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => read,
        }
    }
}

impl AsyncWrite for Forward {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").finish_non_exhaustive()
    }
}
