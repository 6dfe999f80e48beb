//! What is counted and limited.

use std::sync::mpsc;

use super::*;

#[test]
fn limits_that_change_under_a_request_leave_nothing_behind() {
    let (go, goes) = mpsc::channel::<()>();
    let goes = std::sync::Mutex::new(goes);
    let server = server(move |mut stream| {
        while read_head(&mut stream).is_some() {
            goes.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        }
    });
    let mut rig = Rig::http(&[server]);
    let mut client = rig.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: cart\r\n\r\n").unwrap();
    rig.await_held(Resource::Requests, 1);
    rig.cluster.limits.requests = 7;
    rig.apply();
    go.send(()).unwrap();
    assert_eq!(read_response(&mut client).1, "hello");
    go.send(()).unwrap();
    assert_eq!(get(&mut client).1, "hello");
    rig.await_held(Resource::Requests, 0);
    rig.await_held(Resource::Connections, 1);
}

#[test]
fn who_waits_is_served_when_a_connection_ends() {
    let server = server(|mut stream| {
        read_head(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    });
    let rig = Rig::http_with(&[server], |cluster, _| cluster.limits.connections = 1);
    let mut clients: Vec<_> = (0..8).map(|_| rig.connect()).collect();
    for client in &mut clients {
        client.write_all(b"GET / HTTP/1.1\r\nHost: cart\r\n\r\n").unwrap();
    }
    for client in &mut clients {
        assert_eq!(read_response(client).1, "hello");
    }
    rig.await_held(Resource::Connections, 0);
    rig.await_held(Resource::Pending, 0);
}

#[test]
fn a_connection_takes_so_many_requests_and_no_more() {
    let connections = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&connections);
    let server = server(move |stream| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        hello(stream);
    });
    let rig = Rig::http_with(&[server], |cluster, _| cluster.max_requests = Some(2));
    let mut client = rig.connect();
    for _ in 0..6 {
        assert_eq!(get(&mut client).1, "hello");
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[test]
fn a_connection_to_an_endpoint_that_is_not_well_is_closed() {
    for is_http in [true, false] {
        let endpoint = server(hello);
        let mut rig = match is_http {
            true => Rig::http(&[endpoint]),
            false => Rig::tcp(&[endpoint], Inspect::default()),
        };
        rig.cluster.close_on_failure = true;
        rig.apply();
        let mut client = rig.connect();
        assert_eq!(get(&mut client).1, "hello");
        let mut endpoints = (*resources::endpoints(CART, &[endpoint])).clone();
        endpoints.list[0].reported = byrnie_balance::Reported::Unhealthy;
        rig.cluster.discovery = Discovery::Static(Arc::new(endpoints));
        rig.apply();
        rig.await_connections(usize::from(is_http));
        rig.await_held(Resource::Connections, 0);
    }
}
