//! HTTP/1 on both sides.

use std::sync::mpsc;

use byrnie_runtime::metrics::Metrics;

use super::*;

#[test]
fn a_response_arrives_whole_although_its_server_is_gone() {
    const OCTETS: usize = 12 << 20;
    let server = server(|mut stream| {
        read_head(&mut stream).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {OCTETS}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![b'x'; OCTETS]));
    });
    let rig = Rig::http(&[server]);
    let mut client = rig.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: cart\r\n\r\n").unwrap();
    let head = read_head(&mut client).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    // Slowly, so that the end waits in the proxy.
    let (mut got, mut piece) = (0, vec![0; 64 << 10]);
    while got < OCTETS {
        match client.read(&mut piece).unwrap() {
            0 => panic!("cut off after {got} octets"),
            octets => got += octets,
        }
        thread::sleep(Duration::from_micros(500));
    }
    rig.await_held(Resource::Requests, 0);
}

#[test]
fn a_new_connection_of_a_proxy_that_drains_is_told_to_go() {
    let rig = Rig::http(&[server(hello)]);
    rig.advance(Stage::Draining);
    let (head, body) = get(&mut rig.connect());
    assert!(head.to_lowercase().contains("connection: close") && body == "hello", "{head}");
}

#[test]
fn a_try_is_timed_from_the_end_of_its_request() {
    let server = server(|mut stream| {
        read_head(&mut stream).unwrap();
        let mut body = [0; 4];
        stream.read_exact(&mut body).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    });
    let rig = Rig::http_with(&[server], |_, route| {
        let limit = byrnie_proto::envoy::google::protobuf::Duration { seconds: 0, nanos: 150_000_000 };
        action(route).retry_policy = Some(RetryPolicy {
            retry_on: "5xx".to_owned(),
            per_try_timeout: Some(limit),
            num_retries: Some(byrnie_proto::envoy::google::protobuf::UInt32Value { value: 0 }),
            ..Default::default()
        });
    });
    let mut client = rig.connect();
    client.write_all(b"POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 4\r\n\r\nab").unwrap();
    thread::sleep(Duration::from_millis(400));
    client.write_all(b"cd").unwrap();
    let (head, _) = read_response(&mut client);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[test]
fn fields_that_stand_in_one_line_are_joined() {
    let (heard, hears) = mpsc::channel();
    let server = server(move |mut stream| {
        heard.send(read_head(&mut stream).unwrap()).unwrap();
        let head =
            "HTTP/1.1 200 OK\r\nVary: a\r\nSet-Cookie: c\r\nvary: b\r\nSet-Cookie: d\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
    });
    let rig = Rig::http(&[server]);
    let mut client = rig.connect();
    let request = "GET / HTTP/1.1\r\nHost: cart\r\nAccept: a\r\nX-Own: 1\r\naccept: b\r\nx-own: 2\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let (head, _) = read_response(&mut client);
    assert!(head.contains("vary: a,b\r\n") && head.contains("set-cookie: c\r\nset-cookie: d\r\n"), "{head}");
    let head = hears.recv_timeout(PATIENCE).unwrap();
    assert!(head.contains("accept: a,b\r\n") && head.contains("x-own: 1\r\nx-own: 2\r\n"), "{head}");
}

#[test]
fn a_request_that_must_not_be_tried_again_is_not() {
    let tries = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    let server = server(move |mut stream| {
        while read_head(&mut stream).is_some() {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    let rig = Rig::http_with(&[server], |_, route| {
        action(route).retry_policy = Some(RetryPolicy {
            retry_on: "5xx".to_owned(),
            retriable_request_headers: vec![wire::HeaderMatcher {
                name: "x-again".to_owned(),
                header_match_specifier: Some(wire::header_matcher::HeaderMatchSpecifier::PresentMatch(true)),
                ..Default::default()
            }],
            ..Default::default()
        });
    });
    let mut client = rig.connect();
    get(&mut client);
    assert_eq!(tries.load(std::sync::atomic::Ordering::Relaxed), 1);
    client.write_all(b"GET / HTTP/1.1\r\nHost: cart\r\nX-Again: 1\r\n\r\n").unwrap();
    read_response(&mut client);
    assert_eq!(tries.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[test]
fn a_client_that_reads_no_answers_is_not_heard_for_ever() {
    let respond = wire::DirectResponseAction { status: 200, ..Default::default() };
    let rig = Rig::http_with(&[], |_, route| route.action = Some(wire::route::Action::DirectResponse(respond)));
    let mut client = rig.connect();
    client.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000);
    let mut sent = 0;
    while client.write(&requests).is_ok_and(|octets| octets == requests.len()) {
        sent += 1;
        assert!(sent < 200, "more than {} MiB of requests are taken", (sent * requests.len()) >> 20);
    }
    // It goes on once the client reads.
    let mut reads = client.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let mut piece = vec![0; 1 << 20];
        while reads.read(&mut piece).is_ok_and(|octets| octets > 0) {}
    });
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client.write_all(&requests).unwrap();
    client.shutdown(Shutdown::Both).unwrap();
    reader.join().unwrap();
    rig.await_connections(0);
}

#[test]
fn connections_by_a_listener_that_changed_are_told_to_go() {
    let mut rig = Rig::http(&[server(hello)]);
    let mut client = rig.connect();
    assert_eq!(get(&mut client).1, "hello");
    rig.chains.push(Chain { matches: ChainMatch { port: Some(1), ..ChainMatch::default() }, ..chain(Filter::Close) });
    rig.apply();
    let (head, _) = get(&mut client);
    assert!(!head.to_lowercase().contains("connection: close"), "its own chain is as it was: {head}");
    rig.chains[0].tls = Some(Arc::new(byrnie_config::DownstreamTls { alpn: Vec::new(), peers: Vec::new() }));
    rig.apply();
    let (head, _) = get(&mut client);
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
}

#[test]
fn http_1_0_is_taken_where_it_has_a_host() {
    let server = server(hello);
    let rig = Rig::http(&[server]);
    let mut client = rig.connect();
    client.write_all(b"GET / HTTP/1.0\r\nHost: cart\r\n\r\n").unwrap();
    assert!(read_head(&mut client).unwrap().starts_with("HTTP/1.1 426"));
    let taken = Http { host_for_http10: Some("cart".into()), ..http(route()) };
    let rig = Rig::new(cluster(&[server]), vec![chain(Filter::Http(Arc::new(taken)))], Inspect::default());
    let mut client = rig.connect();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
}

#[test]
fn a_silent_server_is_a_504_and_a_silent_client_a_408() {
    let server = server(|mut stream| while read_head(&mut stream).is_some() {});
    let silent = Http { stream_idle_timeout: Some(Duration::from_millis(100)), ..http(route()) };
    let rig = Rig::new(cluster(&[server]), vec![chain(Filter::Http(Arc::new(silent)))], Inspect::default());
    let (head, _) = get(&mut rig.connect());
    assert!(head.starts_with("HTTP/1.1 504"), "{head}");
    let mut client = rig.connect();
    client.write_all(b"POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 4\r\n\r\nab").unwrap();
    let (head, _) = read_response(&mut client);
    assert!(head.starts_with("HTTP/1.1 408"), "{head}");
}

#[test]
fn what_is_no_request_is_answered_and_counted() {
    let rig = Rig::http(&[server(hello)]);
    let mut client = rig.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost : cart\r\n\r\n").unwrap();
    let head = read_head(&mut client).unwrap();
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    let metrics = Metrics::default();
    metrics.collect(Arc::clone(&rig.shared.telemetry));
    await_that(|| {
        let text = metrics.encode();
        let of_requests = |line: &&str| line.starts_with("byrnie_requests_total{");
        text.lines().filter(of_requests).any(|line| line.contains("\"400\"") && line.contains("\"DPE\""))
    });
}
