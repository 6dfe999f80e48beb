//! The admin server: health, metrics and whatever pages the owner registers, over HTTP/1.
//!
//! [`crate::listen::bind`] takes the port at start; [`serve`] answers until it is told to stop. One request a
//! connection, each with a limit in time, so that forgotten clients cannot pile up.

mod readiness;
mod routes;

use std::{convert::Infallible, error::Error, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
pub use readiness::{Gate, Readiness};
pub use routes::{Asked, Reply, Routes};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::peers::{Peers, Place};

/// The bounds of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Of one peer at once; further ones are closed, so that there is always a place for others.
    pub of_peer: usize,
    /// For the request's head to arrive.
    pub head: Duration,
    /// For the whole connection, from accept to the last byte of the reply.
    pub connection: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, of_peer: 32, head: Duration::from_secs(5), connection: Duration::from_secs(60) }
    }
}

/// Answers on `listener` until `stop` is ready; what is being answered then is cut off.
pub async fn serve(listener: TcpListener, routes: Routes, limits: Limits, stop: impl Future) {
    let routes = Arc::new(routes);
    let answer = move |request: Request<Incoming>, _| {
        let routes = routes.clone();
        async move { Ok::<_, Infallible>(routes.answer(request).await) }
    };
    serve_with(listener, answer, limits, stop).await;
}

/// The same for what a page is too little for: `answer` has the whole request, and the address that was called. Where it
/// fails, the connection ends without a response.
pub async fn serve_with<A, F, E>(listener: TcpListener, answer: A, limits: Limits, stop: impl Future)
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
    E: Error + Send + Sync + 'static,
{
    let (permits, peers) = (Arc::new(Semaphore::new(limits.connections)), Peers::new(limits.of_peer));
    let mut connections = JoinSet::new();
    let accept_all = async {
        loop {
            let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
            while connections.try_join_next().is_some() {}
            let (stream, place) = accept(&listener, &peers).await;
            let answered = converse(stream, answer.clone(), limits);
            connections.spawn(async move {
                answered.await;
                drop((permit, place));
            });
        }
    };
    tokio::select! {
        () = accept_all => (),
        _ = stop => (),
    }
}

async fn accept(listener: &TcpListener, peers: &Arc<Peers>) -> (TcpStream, Place) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match peers.enter(peer.ip(), || ()) {
                Some(place) => return (stream, place),
                None => tracing::debug!(%peer, "a peer with all the connections that it may have"),
            },
            Err(error) => {
                tracing::warn!(%error, "admin accept failed");
                // Out of file descriptors: without a pause this loop would take a whole core until some are free.
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse<A, F, E>(stream: TcpStream, answer: A, limits: Limits)
where
    A: Fn(Request<Incoming>, SocketAddr) -> F,
    F: Future<Output = Result<Response<Full<Bytes>>, E>>,
    E: Error + Send + Sync + 'static,
{
    // It fails where the connection has been reset already.
    let Ok(called) = stream.local_addr() else { return };
    let service = service_fn(move |request| answer(request, called));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(limits.connection, connection).await {
        Ok(Ok(())) => (),
        Ok(Err(error)) => tracing::debug!(%error, "admin connection failed"),
        Err(_) => tracing::debug!(limit = ?limits.connection, "admin connection took too long"),
    }
}

#[cfg(test)]
mod tests;
