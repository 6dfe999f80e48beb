//! Clients and servers that break off in any state, while the configuration changes: nothing is left in the end.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use byrnie_balance::{Breakers, Host};
use byrnie_config::{Protocol, Version};

use super::{streams::Client, *};

const TIME: Duration = Duration::from_secs(4);

/// Responses that clients saw.
static SEEN: AtomicU64 = AtomicU64::new(0);

static SEED: AtomicU64 = AtomicU64::new(0x9e37_79b9_7f4a_7c15);

/// A number below `limit`.
fn draw(limit: u64) -> u64 {
    let mut state = SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state ^ (state >> 31)) % limit
}

/// A server of HTTP/1 that may do anything.
fn unsteady(mut stream: TcpStream) {
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    while let Some(head) = read_head(&mut stream) {
        if head.starts_with("POST") && draw(3) > 0 {
            let mut body = [0; 4];
            if stream.read_exact(&mut body).is_err() {
                return;
            }
        }
        let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{}", "x".repeat(300_000));
        let answer = match draw(16) {
            0 => return,
            1 => "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf",
            2 => "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno",
            3 => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-end: 1\r\n\r\n",
            4 => "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            5 => "no HTTP at all\r\n\r\n",
            6 => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
            7 => &large[..draw(300_000) as usize],
            8..10 => &large,
            10 => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhello",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        };
        if stream.write_all(answer.as_bytes()).is_err() || matches!(draw(12), 0) {
            return;
        }
        if draw(20) == 0 {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

/// A client of HTTP/1 that may do anything.
fn restless(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    for _ in 0..draw(6) {
        let request = match draw(9) {
            0 => "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab",
            1 => "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            2 => "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            3 => "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /",
            4 => "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
            5 => "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nabcd",
            6 => "no HTTP\r\n\r\n",
            _ => "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        };
        if stream.write_all(request.as_bytes()).is_err() {
            return;
        }
        let mut piece = vec![0; 1 + draw(100_000) as usize];
        match draw(4) {
            0 => return,
            1 => drop(stream.shutdown(Shutdown::Write)),
            _ => {
                let octets = stream.read(&mut piece).unwrap_or(0);
                SEEN.fetch_add(u64::from(piece[..octets].starts_with(b"HTTP/1.1 200")), Relaxed);
            }
        }
    }
    if draw(2) == 0 {
        // A reset.
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A client of HTTP/2 that leaves what it began.
fn fickle(address: SocketAddr) {
    let mut client = Client::new(TcpStream::connect(address).unwrap());
    client.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    for _ in 0..draw(20) {
        let Some(stream) = client.try_get() else { return };
        if draw(3) == 0 {
            client.core.reset(stream, byrnie_http2::ErrorCode::CANCEL);
        }
    }
    let mut piece = [0; 4096];
    for _ in 0..draw(4) {
        let _ = client.stream.read(&mut piece);
    }
}

fn all_at_once(mut rig: Rig) {
    rig.cluster.limits = Limits { connections: 6, pending: 4, requests: 6, retries: Retries::Number(2) };
    rig.apply();
    let over = AtomicBool::new(false);
    let servers: Vec<SocketAddr> = (0..3).map(|_| server(unsteady)).collect();
    let (mut breakers, mut hosts): (Vec<Arc<Breakers>>, Vec<Arc<Host>>) = (Vec::new(), Vec::new());
    let changed = &std::sync::Mutex::new(rig);
    let (over, address) = (&over, changed.lock().unwrap().address);
    thread::scope(|scope| {
        for place in 0..6 {
            scope.spawn(move || {
                while !over.load(Relaxed) {
                    match place {
                        0 => fickle(address),
                        _ => restless(address),
                    }
                }
            });
        }
        let start = Instant::now();
        while start.elapsed() < TIME {
            let mut rig = changed.lock().unwrap();
            let few: Vec<SocketAddr> = servers.iter().copied().filter(|_| draw(4) > 0).collect();
            rig.cluster.discovery = Discovery::Static(resources::endpoints(CART, &few));
            if draw(4) == 0 {
                rig.cluster.limits.requests = 4 + draw(4) as u32;
            }
            if draw(6) == 0 {
                rig.cluster.protocol = match draw(3) {
                    0 => Protocol::AsReceived,
                    _ => Protocol::Explicit(Version::Http1),
                };
            }
            rig.apply();
            let config = rig.shared.config.load();
            let upstream = &config.upstreams[CART];
            breakers.push(Arc::clone(&upstream.breakers));
            hosts.extend(upstream.hosts.iter().map(|(_, _, host)| Arc::clone(host)));
            thread::sleep(Duration::from_millis(5 + draw(30)));
        }
        over.store(true, Relaxed);
    });
    let mut rig = changed.lock().unwrap();
    assert!(!rig.worker.as_ref().unwrap().has_ended(), "the worker panicked");
    rig.cluster.discovery = Discovery::Static(resources::endpoints(CART, &[]));
    rig.apply();
    rig.await_connections(0);
    let resources = [Resource::Connections, Resource::Pending, Resource::Requests, Resource::Retries];
    for resource in resources {
        await_that(|| breakers.iter().all(|breakers| breakers.count(resource) == 0));
    }
    assert!(SEEN.load(Relaxed) > 50, "{SEEN:?}");
    await_that(|| hosts.iter().all(|host| host.active_requests() == 0 && host.active_connections() == 0));
}

#[test]
fn requests_leave_nothing_behind() {
    all_at_once(Rig::http_with(&[], |_, route| {
        action(route).retry_policy = Some(RetryPolicy { retry_on: "5xx,reset".to_owned(), ..Default::default() });
        action(route).timeout = Some(byrnie_proto::envoy::google::protobuf::Duration { seconds: 0, nanos: 80_000_000 });
    }));
}

#[test]
fn octets_leave_nothing_behind() {
    all_at_once(Rig::tcp(&[], Inspect::default()));
}
