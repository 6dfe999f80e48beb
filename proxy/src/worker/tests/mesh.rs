//! Two workers with TLS between them.

use byrnie_config::{DownstreamTls, PeerName, Protocol, Sockets, UpstreamTls, Version};

use super::*;
use crate::identity::{
    Identity,
    testing::{Authority, CART as CART_URI, FRONT as FRONT_URI},
};

const LONG: Duration = Duration::from_secs(3600);

fn current(identity: Identity) -> Current {
    let current = Current::new();
    current.publish(identity);
    current
}

/// The client's sidecar and the server's.
struct Pair {
    front: Rig,
    cart: Rig,
}

impl Pair {
    /// `peer` is who the server accepts.
    fn new(server: SocketAddr, peer: &str, alpn: &[&[u8]], front: Filter, cart: Filter) -> Self {
        let authority = Authority::new();
        let alpn: Vec<Box<[u8]>> = alpn.iter().map(|protocol| (*protocol).into()).collect();
        let tls = DownstreamTls { alpn: alpn.clone(), peers: vec![PeerName::Exact(peer.into())] };
        let secured = Chain { tls: Some(Arc::new(tls)), ..chain(cart) };
        let inspect = Inspect { tls: true, ..Inspect::default() };
        let cart = Rig::of(current(authority.identity(CART_URI, LONG)), cluster(&[server]), vec![secured], inspect);
        let tls =
            UpstreamTls { server_name: Some("cart.shop".into()), alpn, peers: vec![PeerName::Exact(CART_URI.into())] };
        let mut cluster = cluster(&[cart.address]);
        cluster.sockets = Sockets { matches: Vec::new(), otherwise: Some(Arc::new(tls)) };
        cluster.protocol = Protocol::ByAlpn;
        let chains = vec![chain(front)];
        let front = Rig::of(current(authority.identity(FRONT_URI, LONG)), cluster, chains, Inspect::default());
        Self { front, cart }
    }

    fn http(server: SocketAddr, peer: &str, alpn: &[&[u8]]) -> Self {
        let filter = || Filter::Http(Arc::new(http(route())));
        Self::new(server, peer, alpn, filter(), filter())
    }

    fn tcp(server: SocketAddr, peer: &str) -> Self {
        let filter = || Filter::Tcp(Arc::new(tcp()));
        Self::new(server, peer, &[], filter(), filter())
    }
}

#[test]
fn requests_go_through_by_either_version() {
    for alpn in [&b"h2"[..], b"http/1.1"] {
        let pair = Pair::http(server(hello), FRONT_URI, &[alpn]);
        let mut clients: Vec<_> = (0..8).map(|_| pair.front.connect()).collect();
        for _ in 0..3 {
            for client in &mut clients {
                client.write_all(b"GET / HTTP/1.1\r\nHost: cart\r\n\r\n").unwrap();
            }
            for client in &mut clients {
                assert_eq!(read_response(client).1, "hello");
            }
        }
        pair.front.await_held(Resource::Requests, 0);
        pair.cart.await_held(Resource::Requests, 0);
    }
}

#[test]
fn large_bodies_go_both_ways_at_once() {
    const OCTETS: usize = 3 << 20;
    for alpn in [&b"h2"[..], b"http/1.1"] {
        let server = server(|mut stream| {
            read_head(&mut stream).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {OCTETS}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let (mut left, mut piece) = (OCTETS, vec![0; 10_000]);
            while left > 0 {
                let octets = stream.read(&mut piece).unwrap();
                assert!(octets > 0, "{left} octets are missing");
                stream.write_all(&piece[..octets]).unwrap();
                left -= octets;
            }
        });
        let pair = Pair::http(server, FRONT_URI, &[alpn]);
        let mut client = pair.front.connect();
        let mut writes = client.try_clone().unwrap();
        let writer = thread::spawn(move || {
            let head = format!("POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: {OCTETS}\r\n\r\n");
            writes.write_all(head.as_bytes()).unwrap();
            let body: Vec<u8> = (0..OCTETS).map(|at| (at % 251) as u8).collect();
            writes.write_all(&body).unwrap();
        });
        assert!(read_head(&mut client).unwrap().starts_with("HTTP/1.1 200"));
        let mut body = vec![0; OCTETS];
        client.read_exact(&mut body).unwrap();
        assert!(body.iter().enumerate().all(|(at, octet)| *octet == (at % 251) as u8));
        writer.join().unwrap();
        pair.front.await_held(Resource::Requests, 0);
    }
}

#[test]
fn a_body_that_ends_with_its_connection_ends_for_a_slow_client() {
    const OCTETS: usize = 6 << 20;
    let server = server(|mut stream| {
        read_head(&mut stream).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").and_then(|()| stream.write_all(&vec![b'x'; OCTETS]));
    });
    for alpn in [&b"h2"[..], b"http/1.1"] {
        let pair = Pair::http(server, FRONT_URI, &[alpn]);
        let mut client = pair.front.connect();
        client.write_all(b"GET / HTTP/1.1\r\nHost: cart\r\nConnection: close\r\n\r\n").unwrap();
        let (mut got, mut piece) = (0, vec![0; 64 << 10]);
        loop {
            match client.read(&mut piece).unwrap() {
                0 => break,
                octets => got += octets,
            }
            thread::sleep(Duration::from_micros(300));
        }
        assert!(got > OCTETS, "{got}");
    }
}

#[test]
fn octets_and_their_ends_go_both_ways() {
    const OCTETS: usize = 3 << 20;
    let server = server(|mut stream| {
        let mut told = Vec::new();
        stream.read_to_end(&mut told).unwrap();
        stream.write_all(&told).unwrap();
    });
    let pair = Pair::tcp(server, FRONT_URI);
    let mut client = pair.front.connect();
    client.write_all(&vec![b'x'; OCTETS]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).unwrap();
    assert_eq!(heard.len(), OCTETS);
    for rig in [&pair.front, &pair.cart] {
        rig.await_held(Resource::Connections, 0);
        rig.await_connections(0);
    }
}

#[test]
fn who_is_not_accepted_is_told_and_nothing_is_left() {
    let pair = Pair::http(server(hello), "spiffe://cluster.local/ns/shop/sa/other", &[b"h2"]);
    let (head, _) = get(&mut pair.front.connect());
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    pair.front.await_held(Resource::Requests, 0);
    pair.front.await_held(Resource::Pending, 0);
    let pair = Pair::tcp(server(hello), "spiffe://cluster.local/ns/shop/sa/other");
    let mut client = pair.front.connect();
    client.write_all(b"hello").unwrap();
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    pair.front.await_held(Resource::Connections, 0);
    pair.front.await_connections(0);
    pair.cart.await_connections(0);
}

#[test]
fn the_version_follows_what_the_peer_selects() {
    let pair = Pair::http(server(hello), FRONT_URI, &[b"h2"]);
    assert_eq!(get(&mut pair.front.connect()).1, "hello");
    let mut front = pair.front;
    front.cluster.protocol = Protocol::Explicit(Version::Http2);
    front.apply();
    assert_eq!(get(&mut front.connect()).1, "hello");
    front.await_held(Resource::Connections, 1);
}

#[test]
fn many_large_bodies_share_one_connection() {
    const OCTETS: usize = 1 << 20;
    let server = server(|mut stream| {
        while let Some(head) = read_head(&mut stream) {
            let length = if head.starts_with("POST") { OCTETS } else { 0 };
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {OCTETS}\r\n\r\n");
            stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(&vec![b'x'; OCTETS])).unwrap();
        }
    });
    let pair = Pair::http(server, FRONT_URI, &[b"h2"]);
    thread::scope(|scope| {
        for place in 0..12 {
            let pair = &pair;
            scope.spawn(move || {
                let mut client = pair.front.connect();
                for _ in 0..4 {
                    if place % 2 == 0 {
                        client.write_all(b"GET / HTTP/1.1\r\nHost: cart\r\n\r\n").unwrap();
                    } else {
                        let head = format!("POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: {OCTETS}\r\n\r\n");
                        client.write_all(head.as_bytes()).unwrap();
                        client.write_all(&vec![b'y'; OCTETS]).unwrap();
                    }
                    assert_eq!(read_response(&mut client).1.len(), OCTETS);
                }
            });
        }
    });
    pair.front.await_held(Resource::Requests, 0);
    pair.cart.await_held(Resource::Requests, 0);
}
