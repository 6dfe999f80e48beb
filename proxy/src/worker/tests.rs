//! Real workers between sockets on loopback.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use byrnie_balance::{Limits, Resource, Retries};
use byrnie_config::{
    Chain, ChainMatch, ClientCertificate, Cluster, Direction, Discovery, Filter, Http, Inspect, Listener, Routes, Tcp,
};
use byrnie_proto::{
    Kind,
    envoy::envoy::config::route::v3::{
        self as wire, RetryPolicy, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
        route_action::ClusterSpecifier, route_match::PathSpecifier,
    },
};
use byrnie_xds::Resources;
use prost::Message;
use socket2::{Domain, Socket, Type};

use super::Worker;
use crate::{
    config::Config,
    control::{assemble::assemble, resources},
    identity::Current,
    shared::{Shared, Stage},
    telemetry::Telemetry,
    tls::Contexts,
};

mod bytes;
mod deadlines;
mod disorder;
mod limits;
mod mesh;
mod requests;
mod streams;

const CART: &str = "shop/cart:80";

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// A worker with one listener and one cluster.
struct Rig {
    shared: Arc<Shared>,
    worker: Option<Worker>,
    cluster: Cluster,
    chains: Vec<Chain>,
    inspect: Inspect,
    address: SocketAddr,
    /// Keeps the port: bound, but without connections.
    _port: Socket,
}

impl Rig {
    fn new(cluster: Cluster, chains: Vec<Chain>, inspect: Inspect) -> Self {
        Self::of(Current::new(), cluster, chains, inspect)
    }

    /// One with an identity.
    fn of(identity: Current, cluster: Cluster, chains: Vec<Chain>, inspect: Inspect) -> Self {
        let port = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        port.set_reuse_address(true).unwrap();
        port.set_reuse_port(true).unwrap();
        port.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = port.local_addr().unwrap().as_socket().unwrap();
        let identity = Arc::new(identity);
        let telemetry = Arc::new(Telemetry::new("shop", "web-1", Arc::clone(&identity), None).unwrap());
        let contexts = Arc::new(Contexts::new(identity));
        let shared = Arc::new(Shared::new(Config::default(), contexts, Box::new(|_| {}), telemetry));
        let worker = Some(Worker::start(0, Arc::clone(&shared)).unwrap());
        let rig = Self { shared, worker, cluster, chains, inspect, address, _port: port };
        rig.apply();
        rig
    }

    /// HTTP to `servers`.
    fn http(servers: &[SocketAddr]) -> Self {
        Self::http_with(servers, |_, _| {})
    }

    fn http_with(servers: &[SocketAddr], change: impl FnOnce(&mut Cluster, &mut wire::Route)) -> Self {
        let mut cluster = cluster(servers);
        let mut route = route();
        change(&mut cluster, &mut route);
        Self::new(cluster, vec![chain(Filter::Http(Arc::new(http(route))))], Inspect::default())
    }

    /// Octets to `servers`.
    fn tcp(servers: &[SocketAddr], inspect: Inspect) -> Self {
        let mut cluster = cluster(servers);
        cluster.connect_timeout = Duration::from_millis(200);
        Self::new(cluster, vec![chain(Filter::Tcp(Arc::new(tcp())))], inspect)
    }

    /// Puts what is there in force, and waits until the worker works by it.
    fn apply(&self) {
        let listener = Listener {
            name: "in".into(),
            direction: Direction::Inbound,
            addresses: vec![self.address],
            bind: true,
            hands_over: false,
            inspect: self.inspect,
            chains: self.chains.clone(),
            default: None,
            keepalive: None,
        };
        let mut resources = Resources::default();
        Arc::make_mut(&mut resources.listeners).insert(listener.name.clone(), Arc::new(listener));
        Arc::make_mut(&mut resources.clusters).insert(CART.into(), Arc::new(self.cluster.clone()));
        let config = assemble(&self.shared.config.load(), &resources, true);
        let generation = config.generation;
        self.shared.config.store(Arc::new(config));
        self.worker.as_ref().unwrap().wake();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            while self.shared.bound().first().is_none_or(|bound| bound.generation != generation) {
                tokio::time::timeout(PATIENCE, self.shared.reported.notified()).await.unwrap();
            }
        });
        assert_eq!(self.shared.bound()[0].failures, []);
    }

    /// Waits until no connection is open but `count`.
    fn await_connections(&self, count: usize) {
        await_that(|| self.shared.open_connections() == count);
    }

    fn advance(&self, stage: Stage) {
        self.shared.advance(stage);
        self.worker.as_ref().unwrap().wake();
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn held(&self, resource: Resource) -> u32 {
        self.shared.config.load().upstreams[CART].breakers.count(resource)
    }

    /// Waits until a count is what it should be.
    fn await_held(&self, resource: Resource, count: u32) {
        await_that(|| self.held(resource) == count);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.advance(Stage::Ending);
        self.worker.take().unwrap().join();
    }
}

/// Waits until something is so that no event tells of.
fn await_that(mut is_so: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it did not come to be");
        thread::yield_now();
    }
}

fn cluster(servers: &[SocketAddr]) -> Cluster {
    Cluster {
        discovery: Discovery::Static(resources::endpoints(CART, servers)),
        limits: Limits { connections: 64, pending: 64, requests: 64, retries: Retries::Number(64) },
        ..resources::cluster(CART)
    }
}

fn chain(filter: Filter) -> Chain {
    Chain { name: "".into(), matches: ChainMatch::default(), tls: None, offers: None, filter }
}

fn tcp() -> Tcp {
    Tcp { stat: "tcp".into(), clusters: vec![(CART.into(), 1)], idle_timeout: None, connect_attempts: 2 }
}

fn http(route: wire::Route) -> Http {
    let host = VirtualHost {
        name: "all".to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        ..Default::default()
    };
    let table = RouteConfiguration { name: "table".to_owned(), virtual_hosts: vec![host], ..Default::default() };
    let table = byrnie_config::Resource::read(Kind::Route, "table", &table.encode_to_vec()).unwrap();
    let byrnie_config::Resource::Route(table) = table else { panic!("{table:?}") };
    Http {
        stat: "http".into(),
        routes: Routes::Inline(table),
        only: None,
        host_for_http10: None,
        client_certificate: ClientCertificate::Remove,
        local_replies: Vec::new(),
        upgrades: Vec::new(),
        idle_timeout: None,
        stream_idle_timeout: None,
    }
}

fn route() -> wire::Route {
    let action =
        RouteAction { cluster_specifier: Some(ClusterSpecifier::Cluster(CART.to_owned())), ..Default::default() };
    wire::Route {
        name: "all".to_owned(),
        r#match: Some(RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..Default::default() }),
        action: Some(wire::route::Action::Route(action)),
        ..Default::default()
    }
}

/// What a route forwards by.
fn action(route: &mut wire::Route) -> &mut RouteAction {
    match &mut route.action {
        Some(wire::route::Action::Route(action)) => action,
        other => panic!("{other:?}"),
    }
}

/// A server that does `serve` with each connection, on a thread of its own.
fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.unwrap(), Arc::clone(&serve));
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Reads up to the end of a head; gives it.
fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut octet) {
            Ok(1) => head.push(octet[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8(head).unwrap())
}

/// Reads a response with a Content-Length: head and body.
fn read_response(stream: &mut TcpStream) -> (String, String) {
    let head = read_head(stream).expect("a response");
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ").or(line.strip_prefix("Content-Length: ")));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// Answers each request of a connection with `hello`.
fn hello(mut stream: TcpStream) {
    while read_head(&mut stream).is_some() {
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").is_err() {
            return;
        }
    }
}

fn get(stream: &mut TcpStream) -> (String, String) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: cart\r\n\r\n").unwrap();
    read_response(stream)
}
