use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::sleep,
};

use super::relay::Relay;

/// Without a pause, a loop that is out of file descriptors would take a whole core until some are free.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers whoever connects. It never ends; connections end with it.
pub async fn serve(listener: &UnixListener, relay: &Arc<Relay>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(answer(stream, Arc::clone(relay)))),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One connection of HTTP/2 in plain text. Envoy's pings tell it whether the agent is alive; a socket tells the agent.
async fn answer(stream: UnixStream, relay: Arc<Relay>) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let relay = Arc::clone(&relay);
        async move { Ok::<_, Infallible>(relay.answer(request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection of envoy failed");
    }
}
