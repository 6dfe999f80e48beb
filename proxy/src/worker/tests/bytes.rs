//! Octets without HTTP.

use super::*;

/// Says back what it was told once it was told all.
fn echo_whole(mut stream: TcpStream) {
    let mut told = Vec::new();
    if stream.read_to_end(&mut told).is_ok() {
        let _ = stream.write_all(&told);
    }
}

/// An address at which nobody answers: the queue of its listener is full.
fn deaf() -> (SocketAddr, Socket, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let queued = (0..4)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        })
        .collect();
    (address.as_socket().unwrap(), listener, queued)
}

#[test]
fn what_was_sent_before_a_second_attempt_is_not_lost() {
    let (deaf, _listener, _queued) = deaf();
    let rig = Rig::tcp(&[deaf, server(echo_whole)], Inspect::default());
    for _ in 0..2 {
        let mut client = rig.connect();
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello");
    }
    rig.await_held(Resource::Connections, 0);
}

#[test]
fn a_client_that_ends_while_it_is_looked_at_is_answered() {
    let inspect = Inspect { http: true, goes_on: true, timeout: Some(Duration::from_secs(5)), ..Inspect::default() };
    let rig = Rig::tcp(&[server(echo_whole)], inspect);
    let mut client = rig.connect();
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello");
    rig.await_held(Resource::Connections, 0);
}

#[test]
fn a_listener_without_a_chain_for_octets_waits_for_its_first_line() {
    let inspect = Inspect { http: true, goes_on: true, timeout: Some(Duration::from_secs(5)), ..Inspect::default() };
    let mut only_http = chain(Filter::Http(Arc::new(http(route()))));
    only_http.matches.applications = vec!["http/1.1".into()];
    let rig = Rig::new(cluster(&[server(hello)]), vec![only_http], inspect);
    let mut client = rig.connect();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(get(&mut client).1, "hello");
}
