use std::{convert::Infallible, time::Duration};

use byrnie_balance::{Checks as Pace, FirstCheck, Health};
use byrnie_config::{Cluster, DownstreamTls, HttpProbe, PeerName, Probe, Version};
use byrnie_xds::Resources;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::LazyConfigAcceptor;

use super::*;
use crate::{
    control::{
        assemble::assemble,
        resources::{cluster, endpoints},
    },
    conversation::Stream,
    identity::{
        Current,
        testing::{Authority, CART, FRONT},
    },
};

type Body = BoxBody<Bytes, Infallible>;
type Answers = Arc<dyn Fn(usize) -> Response<Body> + Send + Sync>;

/// An endpoint that answers its n-th request by `answer(n)`.
struct Server {
    address: SocketAddr,
    seen: mpsc::UnboundedReceiver<Seen>,
    _tasks: JoinSet<()>,
}

/// A connection, or a request with its body.
#[derive(Debug)]
enum Seen {
    Connection,
    Request(http::request::Parts, Bytes),
}

impl Server {
    async fn start(version: Version, answer: impl Fn(usize) -> Response<Body> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (answer, asked): (Answers, _) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                sender.send(Seen::Connection).unwrap();
                connections.spawn(converse(version, stream, answer.clone(), asked.clone(), sender.clone()));
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    /// The next request, with how many connections came before it.
    async fn request(&mut self) -> (usize, http::request::Parts, Bytes) {
        let mut connections = 0;
        loop {
            match self.seen.recv().await.unwrap() {
                Seen::Connection => connections += 1,
                Seen::Request(head, body) => return (connections, head, body),
            }
        }
    }
}

async fn converse(
    version: Version,
    stream: impl Stream + 'static,
    answer: Answers,
    asked: Arc<AtomicUsize>,
    seen: mpsc::UnboundedSender<Seen>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (seen, response) = (seen.clone(), answer(asked.fetch_add(1, Relaxed)));
        async move {
            let (head, body) = request.into_parts();
            seen.send(Seen::Request(head, body.collect().await.unwrap().to_bytes())).unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    let stream = TokioIo::new(stream);
    // How it ends is the client's matter.
    let _ = match version {
        Version::Http1 => http1::Builder::new().serve_connection(stream, service).await,
        Version::Http2 => http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await,
    };
}

fn status(status: u16) -> Response<Body> {
    Response::builder().status(status).body(Full::from("hello").boxed()).unwrap()
}

fn with(mut response: Response<Body>, name: &'static str, value: &'static str) -> Response<Body> {
    response.headers_mut().insert(name, value.parse().unwrap());
    response
}

/// An answer of gRPC with this message and status.
fn grpc(message: &'static [u8], status: &'static str) -> Response<Body> {
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())]);
    let body = Full::from(message).with_trailers(async { Some(Ok(trailers)) });
    Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap()
}

fn check(probe: Probe) -> HealthCheck {
    let soon = Duration::from_millis(1);
    let pace = Pace {
        healthy_threshold: 1,
        unhealthy_threshold: 2,
        interval: soon,
        interval_jitter_percent: 0,
        no_traffic_interval: soon,
        no_traffic_healthy_interval: soon,
    };
    HealthCheck { probe, timeout: Duration::from_secs(10), reuses_connection: true, alpn: Arc::new([]), pace }
}

fn http(version: Version) -> Probe {
    let (expected, retriable) = (vec![(200, 300)], vec![(503, 504)]);
    Probe::Http(HttpProbe { host: "cart.shop".into(), path: "/health".into(), expected, retriable, version })
}

fn grpc_probe() -> Probe {
    Probe::Grpc { service: "cart".into(), authority: "cart.shop".into() }
}

fn contexts() -> Arc<Contexts> {
    Arc::new(Contexts::new(Arc::new(Current::new())))
}

fn prober(check: HealthCheck, address: SocketAddr) -> Prober {
    Prober::new(check, Way { address, from: None, tls: None }, contexts())
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_status_says_whether_an_endpoint_is_well_in_either_version() {
    for version in [Version::Http1, Version::Http2] {
        let mut server = Server::start(version, |nth| match nth {
            0 => status(204),
            1 => status(500),
            2 => status(503),
            _ => with(status(200), "x-envoy-degraded", ""),
        })
        .await;
        let mut prober = prober(check(http(version)), server.address);
        assert_eq!(prober.ask().await, Answer::Passed);
        assert_eq!(prober.ask().await, Answer::Refused);
        assert_eq!(prober.ask().await, Answer::Unreachable);
        assert_eq!(prober.ask().await, Answer::Degraded);
        let (connections, head, _) = server.request().await;
        assert_eq!(
            (connections, head.uri.path(), &head.headers["user-agent"]),
            (1, "/health", &"Envoy/HC".parse().unwrap())
        );
        let host = head.headers.get("host").and_then(|host| host.to_str().ok());
        assert_eq!(head.uri.authority().map(|it| it.as_str()).or(host), Some("cart.shop"));
        for _ in 1..4 {
            assert_eq!(server.request().await.0, 0, "the connection is used again");
        }
    }
}

#[tokio::test]
async fn a_connection_is_kept_only_where_both_sides_want_it() {
    let mut server = Server::start(Version::Http1, |_| status(200)).await;
    let mut prober =
        self::prober(HealthCheck { reuses_connection: false, ..check(http(Version::Http1)) }, server.address);
    for _ in 0..2 {
        assert_eq!(prober.ask().await, Answer::Passed);
        assert_eq!(server.request().await.0, 1);
    }
    let mut server = Server::start(Version::Http1, |_| with(status(200), "connection", "close")).await;
    let mut prober = self::prober(check(http(Version::Http1)), server.address);
    for _ in 0..2 {
        assert_eq!(prober.ask().await, Answer::Passed);
        assert_eq!(server.request().await.0, 1);
    }
}

#[tokio::test]
async fn grpc_serves_when_it_says_so() {
    let mut server = Server::start(Version::Http2, |nth| match nth {
        0 => grpc(&[0, 0, 0, 0, 2, 8, 1], "0"),
        1 => grpc(&[0, 0, 0, 0, 2, 8, 2], "0"),
        2 => grpc(&[0, 0, 0, 0, 2, 8, 1], "14"),
        _ => status(200),
    })
    .await;
    let mut prober = prober(check(grpc_probe()), server.address);
    assert_eq!(prober.ask().await, Answer::Passed);
    for _ in 1..4 {
        assert_eq!(prober.ask().await, Answer::Refused);
    }
    let (_, head, body) = server.request().await;
    assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/grpc.health.v1.Health/Check"));
    assert_eq!(body, &[0, 0, 0, 0, 6, 10, 4, b'c', b'a', b'r', b't'][..]);
}

#[tokio::test]
async fn who_is_not_there_is_unreachable() {
    for probe in [Probe::Tcp, http(Version::Http1), http(Version::Http2), grpc_probe()] {
        assert_eq!(prober(check(probe), nobody().await).ask().await, Answer::Unreachable);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(prober(check(Probe::Tcp), listener.local_addr().unwrap()).ask().await, Answer::Passed);
}

fn config(before: &Config, check: &HealthCheck, addresses: &[SocketAddr]) -> Config {
    let checked =
        Cluster { health_check: Some(check.clone()), first_check: FirstCheck::Awaited, ..cluster("shop/cart:80") };
    let mut resources = Resources::default();
    Arc::make_mut(&mut resources.endpoints).insert(checked.name.clone(), endpoints(&checked.name, addresses));
    Arc::make_mut(&mut resources.clusters).insert(checked.name.clone(), Arc::new(checked));
    assemble(before, &resources, true)
}

fn healths(config: &Config) -> Vec<Health> {
    config.upstreams["shop/cart:80"].hosts.iter().map(|(_, _, host)| host.health()).collect()
}

#[tokio::test]
async fn a_first_result_counts_at_once_and_is_waited_for() {
    let server = Server::start(Version::Http1, |_| status(200)).await;
    let mut check = check(http(Version::Http1));
    check.pace.no_traffic_interval = Duration::from_secs(3600);
    let config = config(&Config::default(), &check, &[server.address, nobody().await]);
    assert_eq!(healths(&config), [Health::Unhealthy, Health::Unhealthy]);
    let mut checks = Checks::new(contexts());
    checks.follow(&config);
    assert!(!checks.are_settled());
    while !checks.are_settled() {
        checks.news().await;
    }
    assert_eq!(healths(&config), [Health::Healthy, Health::Unhealthy]);
}

#[tokio::test]
async fn an_endpoint_is_checked_as_long_as_it_is_there() {
    let mut server = Server::start(Version::Http1, |nth| status(if nth == 3 { 500 } else { 200 })).await;
    let check = check(http(Version::Http1));
    let config = config(&Config::default(), &check, &[server.address]);
    let mut checks = Checks::new(contexts());
    checks.follow(&config);
    for _ in 0..5 {
        server.request().await;
    }
    // The fifth request comes after the result of the fourth, which failed.
    assert_eq!(healths(&config), [Health::Unhealthy]);
    for _ in 0..2 {
        server.request().await;
    }
    assert_eq!(healths(&config), [Health::Healthy]);

    // What did not change goes on: no new connection.
    let task = |checks: &Checks| checks.clusters["shop/cart:80"].endpoints[&server.address].task.id();
    let before = task(&checks);
    checks.follow(&self::config(&config, &check, &[server.address]));
    checks.follow(&self::config(&config, &check, &[server.address, nobody().await]));
    assert_eq!(task(&checks), before);
    assert_eq!(server.request().await.0, 0);
    checks.follow(&self::config(&config, &check, &[]));
    for _ in 0..2 {
        assert!(checks.tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
    }
    assert!(checks.tasks.is_empty() && checks.are_settled());
}

#[tokio::test]
async fn a_silent_endpoint_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let check = HealthCheck { timeout: Duration::from_millis(20), ..check(http(Version::Http1)) };
    let config = config(&Config::default(), &check, &[listener.local_addr().unwrap()]);
    let mut checks = Checks::new(contexts());
    checks.follow(&config);
    while !checks.are_settled() {
        checks.news().await;
    }
    let (_, _, host) = config.upstreams["shop/cart:80"].hosts.iter().next().unwrap();
    assert_eq!(host.flags().to_string(), "/failed_active_hc/active_hc_timeout");
}

#[tokio::test]
async fn a_check_goes_through_mesh_tls_with_its_own_offer() {
    let authority = Authority::new();
    let contexts_of = |uri| {
        let current = Arc::new(Current::new());
        current.publish(authority.identity(uri, Duration::from_secs(3600)));
        Arc::new(Contexts::new(current))
    };
    let exact = |uri: &str| vec![PeerName::Exact(uri.into())];
    let own = DownstreamTls { alpn: vec![b"h2"[..].into()], peers: exact(FRONT) };
    let server = contexts_of(CART).server(&Arc::new(own)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, mut seen) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(start) = LazyConfigAcceptor::new(Default::default(), stream).await else { continue };
            let offered: Vec<_> = start.client_hello().alpn().unwrap().map(<[u8]>::to_vec).collect();
            let Ok(stream) = start.into_stream(server.config().clone()).await else { continue };
            sender.send(offered).unwrap();
            converse(Version::Http2, stream, Arc::new(|_| status(200)), Arc::default(), mpsc::unbounded_channel().0)
                .await;
        }
    });

    let mut checked = cluster("shop/cart:80");
    let transport = |uri| Some(Arc::new(UpstreamTls { server_name: None, alpn: Vec::new(), peers: exact(uri) }));
    let alpn: [&[u8]; 2] = [b"byrnie-http", b"h2"];
    let check = HealthCheck { alpn: alpn.map(Into::into).into(), ..check(http(Version::Http2)) };
    let endpoint = ByAddress(endpoints("", &[address]).list[0].clone());
    let mut ask = async |uri| {
        checked.sockets.otherwise = transport(uri);
        Prober::new(check.clone(), way(&checked, &check, &endpoint), contexts_of(FRONT)).ask().await
    };
    assert_eq!(ask(CART).await, Answer::Passed);
    assert_eq!(seen.recv().await.unwrap(), alpn);
    assert_eq!(ask(FRONT).await, Answer::Unreachable);
}
