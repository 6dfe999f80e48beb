//! What ends a call whose time is over.

use std::sync::{
    atomic::{AtomicU32, Ordering::Relaxed},
    mpsc,
};

use byrnie_proto::envoy::google::protobuf;
use wire::route_action::MaxStreamDuration;

use super::*;

/// What the mesh's routes say: a call has the time that it asks for.
fn honours(route: &mut wire::Route) {
    let unbounded = Some(protobuf::Duration::default());
    action(route).max_stream_duration =
        Some(MaxStreamDuration { grpc_timeout_header_max: unbounded, ..Default::default() });
}

fn call(stream: &mut TcpStream, timeout: &str) {
    let head = "POST / HTTP/1.1\r\nHost: cart\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n";
    stream.write_all(format!("{head}grpc-timeout: {timeout}\r\n\r\n").as_bytes()).unwrap();
}

fn is_told(head: &str, code: u32) -> bool {
    head.starts_with("HTTP/1.1 200") && head.contains(&format!("grpc-status: {code}\r\n"))
}

#[test]
fn a_call_ends_at_the_deadline_that_it_brought() {
    let (heard, hears) = mpsc::channel();
    let server = server(move |mut stream| {
        while let Some(head) = read_head(&mut stream) {
            heard.send(head).unwrap();
        }
    });
    let rig = Rig::http_with(&[server], |_, route| honours(route));
    let mut client = rig.connect();
    call(&mut client, "99001u");
    let (head, _) = read_response(&mut client);
    assert!(is_told(&head, 4) && head.contains("grpc-message: downstream duration timeout\r\n"), "{head}");
    assert!(hears.recv_timeout(PATIENCE).unwrap().contains("grpc-timeout: 100m\r\n"));
    rig.await_held(Resource::Requests, 0);
    // It is over before it is sent.
    call(&mut client, "0S");
    let (head, _) = read_response(&mut client);
    assert!(is_told(&head, 4), "{head}");
    assert!(hears.try_recv().is_err());
}

#[test]
fn a_call_whose_time_is_no_concern_of_the_route_or_no_time_at_all_goes_on() {
    let server = server(|mut stream| {
        while read_head(&mut stream).is_some() {
            thread::sleep(Duration::from_millis(150));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        }
    });
    for (timeout, change) in [("1m", (|_| {}) as fn(&mut wire::Route)), ("soon", honours), ("10S", honours)] {
        let rig = Rig::http_with(&[server], |_, route| change(route));
        let mut client = rig.connect();
        call(&mut client, timeout);
        assert_eq!(read_response(&mut client).1, "hello", "{timeout}");
    }
}

#[test]
fn an_endpoint_that_gives_up_first_was_at_the_deadline_too_and_is_not_asked_again() {
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    // As a server of gRPC does, by a clock of its own and long before the proxy looks at its deadlines.
    let server = server(move |mut stream| {
        read_head(&mut stream).unwrap();
        counted.fetch_add(1, Relaxed);
        thread::sleep(Duration::from_millis(5));
    });
    let rig = Rig::http_with(&[server], |_, route| {
        honours(route);
        action(route).retry_policy = Some(RetryPolicy { retry_on: "reset,5xx".to_owned(), ..Default::default() });
    });
    for _ in 0..20 {
        let mut client = rig.connect();
        call(&mut client, "5m");
        let (head, _) = read_response(&mut client);
        assert!(is_told(&head, 4), "{head}");
    }
    assert_eq!(tries.load(Relaxed), 20);
    rig.await_held(Resource::Retries, 0);
}

#[test]
fn a_response_that_began_is_broken_off_at_the_deadline() {
    let server = server(|mut stream| {
        while read_head(&mut stream).is_some() {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe").unwrap();
        }
    });
    let rig = Rig::http_with(&[server], |_, route| honours(route));
    let mut client = rig.connect();
    call(&mut client, "100m");
    assert!(read_head(&mut client).unwrap().starts_with("HTTP/1.1 200"));
    let mut body = Vec::new();
    client.read_to_end(&mut body).unwrap();
    assert_eq!(body, b"he");
    rig.await_held(Resource::Requests, 0);
}

#[test]
fn a_call_has_no_more_time_than_its_route_gives_it() {
    let server = server(|mut stream| while read_head(&mut stream).is_some() {});
    let rig = Rig::http_with(&[server], |_, route| {
        let most = Some(protobuf::Duration { seconds: 0, nanos: 100_000_000 });
        action(route).max_stream_duration =
            Some(MaxStreamDuration { grpc_timeout_header_max: most, ..Default::default() });
    });
    let mut client = rig.connect();
    call(&mut client, "99999999H");
    let (head, _) = read_response(&mut client);
    assert!(is_told(&head, 4), "{head}");
}

#[test]
fn the_timeout_of_a_route_holds_only_where_there_is_no_other() {
    let server = server(|mut stream| while read_head(&mut stream).is_some() {});
    for (change, code) in [((|_| {}) as fn(&mut wire::Route), 14), (honours, 4)] {
        let rig = Rig::http_with(&[server], |_, route| {
            change(route);
            action(route).timeout = Some(protobuf::Duration { seconds: 0, nanos: 50_000_000 });
        });
        let mut client = rig.connect();
        call(&mut client, "200m");
        let (head, _) = read_response(&mut client);
        assert!(is_told(&head, code), "{head}");
    }
}

#[test]
fn a_stream_may_last_as_long_as_its_route_says() {
    let server = server(|mut stream| while read_head(&mut stream).is_some() {});
    let rig = Rig::http_with(&[server], |_, route| {
        let limit = Some(protobuf::Duration { seconds: 0, nanos: 100_000_000 });
        action(route).max_stream_duration =
            Some(MaxStreamDuration { max_stream_duration: limit, ..Default::default() });
    });
    let (head, body) = get(&mut rig.connect());
    assert!(head.starts_with("HTTP/1.1 504") && body == "downstream duration timeout", "{head}");
    // From its start, not from the end of the request.
    let mut client = rig.connect();
    client.write_all(b"POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 4\r\n\r\nab").unwrap();
    let (head, _) = read_response(&mut client);
    assert!(head.starts_with("HTTP/1.1 408"), "{head}");
}
