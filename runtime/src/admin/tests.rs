use std::net::SocketAddr;

use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};

use super::*;
use crate::{listen::bind, metrics::Metrics};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that ends with this value.
struct Served {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

async fn served(routes: Routes, limits: Limits) -> Served {
    let listener = bind("admin", "--admin-address", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(listener, routes, limits, stopped));
    Served { address, _stop: stop, task }
}

/// All that comes back on a connection of its own, until the server closes it.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    read_all(&mut stream).await
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut reply = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut reply)).await.expect("the server closes the connection").unwrap();
    reply
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let reply = exchange(address, &format!("{method} {path} HTTP/1.1\r\nhost: admin\r\n\r\n")).await;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn routes() -> Routes {
    let mut routes = Routes::new(Readiness::new(), Metrics::new());
    routes.add(Method::GET, "/debug/clients", "the clients", |asked| async move {
        Reply::json(format!("{{\"rest\":\"{}\",\"query\":\"{}\"}}", asked.rest, asked.query))
    });
    routes.add(Method::GET, "/debug/clients/idle", "the idle ones", |_| async { Reply::json("[]") });
    routes.add(Method::POST, "/debug/reload", "read all again", |_| async { Reply::text(StatusCode::ACCEPTED, "") });
    routes
}

#[tokio::test]
async fn live_is_answered_while_not_ready_and_ready_names_what_is_waited_for() {
    let readiness = Readiness::new();
    let (config, ca) = (readiness.gate("config"), readiness.gate("ca"));
    let server = served(Routes::new(readiness.clone(), Metrics::new()), Limits::default()).await;
    assert_eq!(ask(server.address, "GET", "/healthz/live").await.0, 200);
    let (status, _, body) = ask(server.address, "GET", "/healthz/ready").await;
    assert_eq!((status, body.as_str()), (503, "waiting for: config, ca\n"));
    config.open();
    assert_eq!(ask(server.address, "GET", "/healthz/ready").await.2, "waiting for: ca\n");
    ca.open();
    let (status, _, body) = ask(server.address, "GET", "/healthz/ready").await;
    assert_eq!((status, body.as_str()), (200, "ready\n"));
}

#[tokio::test]
async fn metrics_are_encoded_when_they_are_asked_for() {
    let metrics = Metrics::new();
    let server = served(Routes::new(Readiness::new(), metrics.clone()), Limits::default()).await;
    metrics.counter("byrnie_test_questions_total", "Questions").inc_by(42);
    let (status, head, body) = ask(server.address, "GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.contains("\nbyrnie_test_questions_total 42\n"), "{body}");
}

#[tokio::test]
async fn the_longest_path_wins_and_only_whole_segments_count() {
    let server = served(routes(), Limits::default()).await;
    let clients = |rest: &str, query: &str| format!("{{\"rest\":\"{rest}\",\"query\":\"{query}\"}}");
    assert_eq!(ask(server.address, "GET", "/debug/clients").await.2, clients("", ""));
    assert_eq!(
        ask(server.address, "GET", "/debug/clients/shop/cart?kind=eds&x").await.2,
        clients("shop/cart", "kind=eds&x")
    );
    assert_eq!(ask(server.address, "GET", "/debug/clients/idle").await.2, "[]");
    assert_eq!(ask(server.address, "GET", "/debug/clientsx").await.0, 404);
}

#[tokio::test]
async fn an_unknown_path_lists_the_pages() {
    let server = served(routes(), Limits::default()).await;
    let (status, _, body) = ask(server.address, "GET", "/debug/nothing").await;
    assert_eq!(status, 404);
    assert!(body.starts_with("no page /debug/nothing; there are:\n"), "{body}");
    for line in ["GET /healthz/live  ", "GET /metrics  ", "POST /debug/reload  read all again\n"] {
        assert!(body.contains(line), "{line} is not in {body}");
    }
    for list in ["/", "/help"] {
        let (status, _, body) = ask(server.address, "GET", list).await;
        assert!(status == 200 && body.starts_with("GET /healthz/live"), "{status} {body}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_which_are_accepted() {
    let server = served(routes(), Limits::default()).await;
    let (status, head, body) = ask(server.address, "GET", "/debug/reload").await;
    assert_eq!((status, body.as_str()), (405, "/debug/reload does not answer GET; accepted: POST\n"));
    assert!(head.contains("\r\nallow: post"), "{head}");
    assert_eq!(ask(server.address, "POST", "/debug/reload").await.0, 202);
    assert_eq!(ask(server.address, "DELETE", "/metrics").await.0, 405);
}

#[tokio::test]
async fn head_is_answered_as_get_without_the_body() {
    let server = served(routes(), Limits::default()).await;
    let (status, head, body) = ask(server.address, "HEAD", "/healthz/live").await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length: 5"), "{head}");
}

#[tokio::test]
async fn a_client_that_sends_no_head_is_closed_after_the_limit() {
    let limits = Limits { head: Duration::from_millis(50), ..Limits::default() };
    let server = served(routes(), limits).await;
    let reply = exchange(server.address, "GET /healthz/live HTTP/1.1\r\nhost: ").await;
    assert!(!reply.contains("200 OK"), "{reply}");
}

#[tokio::test]
async fn a_page_that_never_answers_is_cut_off_at_the_limit() {
    let mut routes = routes();
    routes.add(Method::GET, "/debug/stuck", "never answers", |_| std::future::pending());
    let server = served(routes, Limits { connection: Duration::from_millis(50), ..Limits::default() }).await;
    let reply = exchange(server.address, "GET /debug/stuck HTTP/1.1\r\nhost: admin\r\n\r\n").await;
    assert_eq!(reply, "");
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_their_turn() {
    let server = served(routes(), Limits { connections: 1, ..Limits::default() }).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    // Half a request shows that the first connection holds the only place.
    first.write_all(b"GET /healthz/live HTTP/1.1\r\n").await.unwrap();
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(b"GET /metrics HTTP/1.1\r\nhost: admin\r\n\r\n").await.unwrap();
    let early = timeout(Duration::from_millis(100), second.readable()).await;
    assert!(early.is_err(), "answered beside the first connection");
    first.write_all(b"host: admin\r\n\r\n").await.unwrap();
    assert!(read_all(&mut first).await.starts_with("HTTP/1.1 200 OK"));
    assert!(read_all(&mut second).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_peer_over_its_limit_is_closed_and_others_are_answered() {
    let server = served(routes(), Limits { of_peer: 1, ..Limits::default() }).await;
    let _held = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(read_all(&mut TcpStream::connect(server.address).await.unwrap()).await, "");
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(server.address).await.unwrap();
    other.write_all(b"GET /healthz/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(read_all(&mut other).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn malformed_requests_get_400_and_do_no_harm() {
    let server = served(routes(), Limits::default()).await;
    assert!(exchange(server.address, "\0\u{1}\u{2} nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    assert_eq!(ask(server.address, "GET", "/healthz/live").await.0, 200);
}

#[tokio::test]
async fn stopping_frees_the_port() {
    let Served { address, _stop: stop, task } = served(routes(), Limits::default()).await;
    drop(stop);
    timeout(PATIENCE, task).await.unwrap().unwrap();
    assert!(bind("admin", "--admin-address", address).await.is_ok());
}
