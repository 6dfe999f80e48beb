mod places;

use std::net::SocketAddr;

use byrnie_keeper::{Current, testing::Authority};
use byrnie_runtime::shutdown::{Drain, Drained};
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::ServerName;
use tokio::{
    io::AsyncWriteExt,
    net::TcpSocket,
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    body::{Room, Unread, Whole},
    *,
};
use crate::{certificate::Certificate, trial};

const INJECTOR: &str = "spiffe://cluster.local/ns/byrnie-system/sa/byrnie-injector";
const NAME: &str = "byrnie-injector.byrnie-system.svc";
const HOUR: Duration = Duration::from_secs(3600);

/// Answers with how long the body was; one that says `wait` waits until it is told.
struct Length {
    asked: mpsc::Sender<()>,
    go: Semaphore,
}

impl Answer for Arc<Length> {
    async fn answer(&self, query: Option<&str>, body: &[u8]) -> Reply {
        if body == b"wait" {
            self.asked.send(()).await.unwrap();
            let _go = self.go.acquire().await.unwrap();
        }
        Reply::text(StatusCode::OK, format!("{} {}", query.unwrap_or("-"), body.len()))
    }
}

struct Running {
    address: SocketAddr,
    drain: Drain,
    authority: Authority,
    current: Arc<Current>,
    answer: Arc<Length>,
    asked: mpsc::Receiver<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start() -> Self {
        Self::with(CONNECTIONS).await
    }

    /// With room for so many connections.
    async fn with(connections: usize) -> Self {
        let (authority, current) = (Authority::new(), Arc::new(Current::new()));
        current.publish(authority.identity_of(INJECTOR, &[NAME], HOUR));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, asked) = mpsc::channel(8);
        let answer = Arc::new(Length { asked: sender, go: Semaphore::new(0) });
        let config = Certificate::config(Arc::clone(&current)).unwrap();
        let seats = Seats::new(connections);
        let server = Server { seats, ..Server::new(listener, config, Arc::clone(&answer)) };
        let drain = Drain::new();
        let task = drain.spawn(server.serve(drain.watch()));
        Self { address, drain, authority, current, answer, asked, task }
    }

    async fn connect(&self, alpn: &[u8]) -> TlsStream<TcpStream> {
        connect(self.address, &self.authority, alpn).await
    }

    /// Status and text of a request by a connection of its own.
    async fn ask(&self, alpn: &[u8], request: Request<Full<Bytes>>) -> (u16, String) {
        self.client(alpn).await.ask(request).await
    }

    async fn client(&self, alpn: &[u8]) -> Client {
        let stream = TokioIo::new(self.connect(alpn).await);
        if alpn == b"h2" {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            Client { sender: Sender::Http2(sender), ended: tokio::spawn(async move { drop(connection.await) }) }
        } else {
            let (sender, connection) = http1::handshake(stream).await.unwrap();
            Client { sender: Sender::Http1(sender), ended: tokio::spawn(async move { drop(connection.await) }) }
        }
    }
}

/// A connection of a client.
struct Client {
    sender: Sender,
    ended: JoinHandle<()>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    async fn ask(&mut self, request: Request<Full<Bytes>>) -> (u16, String) {
        let response = match &mut self.sender {
            Sender::Http1(sender) => sender.send_request(request).await,
            Sender::Http2(sender) => sender.send_request(request).await,
        };
        told(response.unwrap()).await
    }
}

async fn connect(address: SocketAddr, authority: &Authority, alpn: &[u8]) -> TlsStream<TcpStream> {
    shaken(address, authority, alpn).await.unwrap()
}

async fn shaken(address: SocketAddr, authority: &Authority, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    by_tls(TcpStream::connect(address).await.unwrap(), authority, alpn).await
}

async fn by_tls(stream: TcpStream, authority: &Authority, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authority.roots());
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), stream).await
}

async fn told(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn post(path: &str, length: usize) -> Request<Full<Bytes>> {
    let uri = format!("https://injector{path}");
    Request::post(uri).body(Full::new(Bytes::from(vec![b'x'; length]))).unwrap()
}

fn wait() -> Request<Full<Bytes>> {
    Request::post("https://injector/inject").body(Full::new(Bytes::from("wait"))).unwrap()
}

#[tokio::test]
async fn both_versions_of_http_are_answered() {
    let running = Running::start().await;
    for alpn in [b"h2".as_slice(), b"http/1.1"] {
        assert_eq!(running.ask(alpn, post("/inject?timeout=5s", 1000)).await, (200, "timeout=5s 1000".to_owned()));
        let (status, text) = running.ask(alpn, post("/other", 0)).await;
        assert_eq!((status, text.as_str()), (404, "nothing answers /other; POST /inject is accepted\n"));
        let get = Request::get("https://injector/inject").body(Full::default()).unwrap();
        let (status, text) = running.ask(alpn, get).await;
        assert_eq!((status, text.as_str()), (405, "/inject does not answer GET; POST is accepted\n"));
    }
}

#[tokio::test]
async fn ten_megabytes_are_answered_and_what_is_longer_is_told_so() {
    let running = Running::start().await;
    for alpn in [b"h2".as_slice(), b"http/1.1"] {
        assert_eq!(running.ask(alpn, post("/inject", 10 << 20)).await, (200, format!("- {}", 10 << 20)));
        let (status, text) = running.ask(alpn, post("/inject", 20 << 20)).await;
        assert_eq!((status, text.as_str()), (413, "the body is longer than 12582912 octets, which are accepted\n"));
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_the_next_connection_and_the_old_one_goes_on() {
    let running = Running::start().await;
    let leaf = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let old = running.connect(b"http/1.1").await;
    let shown = leaf(&old);
    let (mut sender, connection) = http1::handshake(TokioIo::new(old)).await.unwrap();
    let task = tokio::spawn(connection);
    assert_eq!(told(sender.send_request(post("/inject", 1)).await.unwrap()).await.0, 200);
    running.current.publish(running.authority.identity_of(INJECTOR, &[NAME], HOUR));
    assert_ne!(leaf(&running.connect(b"http/1.1").await), shown);
    assert_eq!(told(sender.send_request(post("/inject", 1)).await.unwrap()).await.0, 200);
    task.abort();
}

#[tokio::test]
async fn without_a_certificate_there_is_no_handshake() {
    let current = Arc::new(Current::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, _) = mpsc::channel(1);
    let answer = Arc::new(Length { asked, go: Semaphore::new(0) });
    let server = Server::new(listener, Certificate::config(current).unwrap(), answer);
    let drain = Drain::new();
    drop(drain.spawn(server.serve(drain.watch())));
    assert!(shaken(address, &Authority::new(), b"h2").await.is_err());
}

#[tokio::test]
async fn what_runs_at_the_end_is_answered_and_nothing_new_is_accepted() {
    for alpn in [b"h2".as_slice(), b"http/1.1"] {
        let mut running = Running::start().await;
        let address = running.address;
        let mut client = running.client(alpn).await;
        let asking = tokio::spawn(async move { client.ask(wait()).await });
        running.asked.recv().await.unwrap();
        let (answer, task) = (Arc::clone(&running.answer), running.task);
        let ended = tokio::spawn(running.drain.finish(Duration::from_secs(30), std::future::pending::<()>()));
        // The accept loop ends first; its listener goes with it.
        task.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
        answer.go.add_permits(1);
        assert_eq!(asking.await.unwrap(), (200, "- 4".to_owned()));
        assert_eq!(ended.await.unwrap(), Drained::Finished);
    }
}

#[tokio::test]
async fn what_is_no_tls_and_no_http_ends_its_own_connection_alone() {
    let running = Running::start().await;
    let mut plain = TcpStream::connect(running.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut noise = running.connect(b"http/1.1").await;
    noise.write_all(&[0; 100]).await.unwrap();
    let mut end = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut noise, &mut end).await;
    assert!(end.is_empty() || end.starts_with(b"HTTP/1.1 400"), "{:?}", String::from_utf8_lossy(&end));
    assert_eq!(running.ask(b"h2", post("/inject", 1)).await.0, 200);
}

#[tokio::test]
async fn bodies_have_a_bound_together_and_give_it_back() {
    let peers: [Room; 3] = {
        let room = Room::default();
        std::array::from_fn(|_| room.of_another())
    };
    let held = [whole(&peers[0], 12 << 20).await.unwrap(), whole(&peers[1], 12 << 20).await.unwrap()];
    let error = whole(&peers[2], 12 << 20).await.unwrap_err();
    assert_eq!(
        (error.status().as_u16(), error.to_string().as_str()),
        (503, "too many octets are being read now; try again")
    );
    drop(held);
    assert!(whole(&peers[2], 12 << 20).await.is_ok());
}

#[tokio::test]
async fn long_bodies_leave_the_room_of_short_ones_alone() {
    let peers: [Room; 2] = {
        let room = Room::default();
        std::array::from_fn(|_| room.of_another())
    };
    let _long = [whole(&peers[0], 12 << 20).await.unwrap(), whole(&peers[1], 12 << 20).await.unwrap()];
    let mut short = Vec::new();
    for peer in &peers {
        for _ in 0..8 {
            short.push(whole(peer, 1 << 20).await.unwrap());
        }
    }
    assert!(whole(&peers[0], 1).await.is_err());
}

#[tokio::test]
async fn a_peer_has_no_more_than_half_of_the_room() {
    let room = Room::default();
    let (one, other) = (room.of_another(), room.of_another());
    for (length, most) in [(12 << 20, 1), (1 << 20, 8)] {
        let mut held = Vec::new();
        for _ in 0..most {
            held.push(whole(&one, length).await.unwrap());
        }
        assert_eq!(whole(&one, length).await.unwrap_err().status().as_u16(), 503);
        assert!(whole(&other, length).await.is_ok());
        drop(held);
        assert!(whole(&one, length).await.is_ok());
    }
}

#[tokio::test]
async fn a_peer_with_too_many_connections_leaves_the_rest_to_others() {
    let running = Running::start().await;
    let mut held = Vec::new();
    for _ in 0..32 {
        held.push(running.connect(b"http/1.1").await);
    }
    assert!(shaken(running.address, &running.authority, b"http/1.1").await.is_err());
    let other = TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = other.connect(running.address).await.unwrap();
    assert!(by_tls(stream, &running.authority, b"http/1.1").await.is_ok());
}

#[tokio::test]
async fn a_connection_that_was_used_is_kept_longer_than_an_api_server_keeps_it() {
    let running = Running::start().await;
    let stream = TokioIo::new(running.connect(b"http/1.1").await);
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for idle in [0, 90, 110] {
        pass(Duration::from_secs(idle)).await;
        let response = sender.send_request(post("/inject", 1)).await;
        assert_eq!(told(response.unwrap()).await, (200, "- 1".to_owned()), "{idle} s");
    }
    pass(Duration::from_secs(121)).await;
    // It ends with the server's side, by whichever error.
    let _ = connection.await.unwrap();
}

/// Lets time pass for timers alone, and whoever waits for one go on.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn whole(room: &Room, length: usize) -> Result<Whole, Unread> {
    room.read(Full::new(Bytes::from(vec![0; length]))).await
}

#[tokio::test]
async fn an_own_admission_tells_whether_the_roots_and_the_name_would_do() {
    let running = Running::start().await;
    let name = ServerName::try_from(NAME).unwrap();
    let admit = |name: &ServerName<'static>, authority: &Authority| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authority.roots());
        let name = name.clone();
        async move { trial::admit(running.address, &name, roots).await.unwrap_err().to_string() }
    };
    let error = admit(&name, &running.authority).await;
    assert!(error.starts_with("the answer was 200 OK: own "), "{error}");
    let error = admit(&name, &Authority::new()).await;
    assert!(error.contains("invalid peer certificate: "), "{error}");
    let error = admit(&ServerName::try_from("other.byrnie-system.svc").unwrap(), &running.authority).await;
    assert!(error.contains("not valid for name \"other.byrnie-system.svc\""), "{error}");
}
