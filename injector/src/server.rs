//! HTTPS, both versions of HTTP: reads bodies within bounds, and has them answered.

mod body;
mod seats;

use std::{convert::Infallible, fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use byrnie_runtime::{
    admin::Reply,
    peers::{Peers, Place},
    shutdown::DrainWatch,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use self::{
    body::Room,
    seats::{LEAVE_LIMIT, Seat, Seats},
};

/// Where reviews are sent.
pub const PATH: &str = "/inject";

/// Connections of all peers at once. A further one has the place of one on which nothing runs, or waits for that.
const CONNECTIONS: usize = 256;
/// Of one address at once. An API server keeps one or a few; several may come by the address of one gateway.
const OF_PEER: usize = 32;
/// For one handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// A connection on which nothing was asked for so long is ended, so that nobody can hold one for ever. An API server ends
/// its own after 90 s. It has to be first: a review that crosses our end would fail, and HTTP/1 does not send it again.
const IDLE_LIMIT: Duration = Duration::from_secs(120);
/// For what runs on a connection that is to end.
const FINISH_LIMIT: Duration = Duration::from_secs(10);
/// Requests of one connection at once.
const STREAMS: u32 = 128;
/// After an accept that failed: out of file descriptors, for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers a request: its query and body.
pub trait Answer: Send + Sync + 'static {
    /// The reply to what was posted to [`PATH`].
    fn answer(&self, query: Option<&str>, body: &[u8]) -> impl Future<Output = Reply> + Send;
}

/// A server that accepts nothing yet.
pub struct Server<A> {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    answer: Arc<A>,
    seats: Arc<Seats>,
    peers: Arc<Peers<Room>>,
    room: Room,
}

/// Spawns what HTTP/2 needs with the owner of all tasks.
#[derive(Clone)]
struct Owned(DrainWatch);

impl<A: Answer> Server<A> {
    /// A server of `listener` that speaks by `tls`.
    pub fn new(listener: TcpListener, tls: ServerConfig, answer: A) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let (seats, peers) = (Seats::new(CONNECTIONS), Peers::new(OF_PEER));
        Self { listener, acceptor, answer: Arc::new(answer), seats, peers, room: Room::default() }
    }

    /// Accepts until draining starts; connections then finish what they do.
    pub async fn serve(self, drain: DrainWatch) {
        tokio::select! {
            () = self.accept(&drain) => (),
            () = drain.draining() => (),
        }
    }

    async fn accept(&self, drain: &DrainWatch) {
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "webhook accept failed");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(guest) = self.peers.enter(peer.ip(), || self.room.of_another()) else {
                debug!(src.addr = %peer, most = OF_PEER, "a peer has too many connections");
                continue;
            };
            let seat = self.seats.take().await;
            // It fails only where the connection is gone, which the handshake will tell.
            let _ = stream.set_nodelay(true);
            let (acceptor, answer, watch) = (self.acceptor.clone(), Arc::clone(&self.answer), drain.clone());
            drop(drain.spawn(converse(acceptor, stream, seat, guest, answer, watch)));
        }
    }
}

async fn converse<A: Answer>(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    seat: Arc<Seat>,
    guest: Place<Room>,
    answer: Arc<A>,
    drain: DrainWatch,
) {
    let shaking = seat.work();
    let stream = match timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "TLS handshake failed"),
        Err(_) => return debug!(limit = ?HANDSHAKE_LIMIT, "TLS handshake took too long"),
    };
    drop(shaking);
    let service = {
        // A request may outlast its connection, and holds its seat and its peer's room meanwhile.
        let (seat, guest) = (Arc::clone(&seat), Arc::new(guest));
        service_fn(move |request| {
            let (work, answer, guest) = (seat.work(), Arc::clone(&answer), Arc::clone(&guest));
            async move {
                let response = response(reply(&*answer, &guest, request).await);
                drop(work);
                Ok::<_, Infallible>(response)
            }
        })
    };
    let mut builder = auto::Builder::new(Owned(drain.clone()));
    // It runs from the answer before, not from the first octet: a shorter one would be an end of idle connections.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_LIMIT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = drain.draining() => None,
        () = idle(&seat) => None,
        () = seat.wanted() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = overdue(&seat) => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(error, "webhook connection failed");
    }
}

/// Ready when no request came for long.
async fn idle(seat: &Seat) {
    let mut ticks = interval(IDLE_LIMIT);
    ticks.tick().await;
    let mut seen = seat.rest();
    loop {
        ticks.tick().await;
        match seat.rest() {
            now if now.is_some() && now == seen => return,
            now => seen = now,
        }
    }
}

/// Ready when a connection that is to end has had its time: a peer that asked for nothing is not waited for.
async fn overdue(seat: &Seat) {
    let rest = seat.rest();
    sleep(LEAVE_LIMIT).await;
    if rest.is_none() || seat.rest() != rest {
        sleep(FINISH_LIMIT - LEAVE_LIMIT).await;
    }
}

async fn reply<A: Answer>(answer: &A, guest: &Place<Room>, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let text = |status, text: String| Reply::text(status, text + "\n");
    if head.uri.path() != PATH {
        let found = head.uri.path();
        return text(StatusCode::NOT_FOUND, format!("nothing answers {found}; POST {PATH} is accepted"));
    }
    if head.method != Method::POST {
        let found = head.method;
        return text(StatusCode::METHOD_NOT_ALLOWED, format!("{PATH} does not answer {found}; POST is accepted"));
    }
    match guest.shared().read(body).await {
        Ok(body) => answer.answer(head.uri.query(), &body.bytes).await,
        Err(error) => text(error.status(), error.to_string()),
    }
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response
}

impl<F> Executor<F> for Owned
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, task: F) {
        drop(self.0.spawn(task));
    }
}

impl<A> fmt::Debug for Server<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
