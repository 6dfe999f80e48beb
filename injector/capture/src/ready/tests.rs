use std::net::TcpListener;

use super::*;

/// A sidecar that gives these answers, one a connection; the last again and again.
fn sidecar<const N: usize>(answers: [&'static str; N]) -> SocketAddr {
    serve(move |number, stream| {
        let answer = answers[number.min(N - 1)];
        let _ = stream.write_all(answer.as_bytes());
    })
}

/// A listener that does this with each connection once it was asked something.
fn serve(act: impl Fn(usize, &mut TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 1024];
            let read = stream.read(&mut asked).unwrap();
            let head = format!("GET /healthz/ready HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
            assert_eq!(String::from_utf8_lossy(&asked[..read]), head);
            act(number, &mut stream);
        }
    });
    at
}

fn why(at: SocketAddr) -> String {
    ask(at).expect_err("it is not ready").to_string()
}

fn port(at: SocketAddr) -> Port {
    Port::numbered(at.port()).unwrap()
}

#[test]
fn an_answer_of_200_is_ready_however_long_it_goes_on() {
    assert!(ask(sidecar(["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nLIVE\n"])).is_ok());
    let endless = serve(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 1024]).is_ok() {}
    });
    assert!(ask(endless).is_ok());
    let in_parts = serve(|_, stream| {
        for octet in b"HTTP/1.1 200 OK\r\n\r\n" {
            stream.write_all(&[*octet]).unwrap();
        }
    });
    assert!(ask(in_parts).is_ok());
}

#[test]
fn another_status_is_told_with_the_first_line_of_the_answer() {
    let waiting = "HTTP/1.1 503 Service Unavailable\r\n\r\nINITIALIZING: waiting for certificate\nmore\n";
    assert_eq!(why(sidecar([waiting])), "503, INITIALIZING: waiting for certificate");
    assert_eq!(why(sidecar(["HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"])), "404");
    assert_eq!(why(sidecar(["HTTP/1.1 503 x\r\n\r\na\u{1b}[31mb\r\n"])), "503, a [31mb");
}

#[test]
fn what_is_no_answer_is_told_and_bounded() {
    for foreign in ["SSH-2.0-x\r\n", "HTTP/1.1 20\r\n", "HTTP/1.1 2x0 OK\r\n", "HTTP/1.1 200 OK", "HTTP/2 200\r\n\r\n"]
    {
        let expected = format!("{:?} is no answer of HTTP/1.1", foreign.trim());
        assert_eq!(why(sidecar([foreign])), expected);
    }
    assert_eq!(why(sidecar([""])), "it ended the connection without an answer");
    let endless = serve(|_, stream| while stream.write_all(&[b'x'; 1024]).is_ok() {});
    assert_eq!(why(endless), format!("{:?} is no answer of HTTP/1.1", "x".repeat(SHOWN)));
    let endless = serve(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 503 x\r\n\r\n");
        while stream.write_all(&[b'x'; 1024]).is_ok() {}
    });
    assert_eq!(why(endless), format!("503, {}", "x".repeat(SHOWN)));
}

#[test]
fn a_silent_or_slow_one_holds_a_try_up_no_longer_than_its_time() {
    let begin = Instant::now();
    // The kernel takes the connection.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(why(silent.local_addr().unwrap()), "no answer within 2 s");
    // Each read of it would have time of its own.
    let slow = serve(|_, stream| {
        while stream.write_all(b"x").is_ok() {
            thread::park_timeout(Duration::from_millis(100));
        }
    });
    assert!(why(slow).contains("is no answer of HTTP/1.1"));
    assert!(begin.elapsed() < LIMIT * 3, "{:?}", begin.elapsed());
}

#[test]
fn it_is_asked_until_it_is_ready_and_what_it_says_is_told() {
    let not_yet = "HTTP/1.1 503 x\r\n\r\nwaiting for certificate\n";
    let at = sidecar([not_yet, "", not_yet, "HTTP/1.1 200 OK\r\n\r\nLIVE\n"]);
    let mut told = Vec::new();
    let waited = await_ready(port(at), Duration::ZERO, |line| told.push(line.to_owned()));
    assert!(waited >= PAUSES.0 * 7, "three pauses, each twice as long: {waited:?}");
    let line = |why| format!("waits for the sidecar at {at} for 0 s now: {why}");
    let ended = "it ended the connection without an answer";
    assert_eq!(told, ["503, waiting for certificate", ended, "503, waiting for certificate"].map(line));
}

#[test]
fn one_that_is_absent_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let mut told = Vec::new();
    let mut later = None;
    await_ready(port(at), Duration::ZERO, |line| {
        told.push(line.to_owned());
        later.get_or_insert_with(|| {
            let listener = TcpListener::bind(at).unwrap();
            thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 200 OK\r\n\r\n"))
        });
    });
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("for 0 s now: Connection refused"), "{told:?}");
}

#[test]
fn tries_come_less_often_with_time_and_lines_every_ten_seconds() {
    let begin = Instant::now();
    let mut wait = Wait::new(begin, Duration::from_secs(10));
    let pauses: Vec<_> = (0..7).map(|_| wait.pause().as_millis()).collect();
    assert_eq!(pauses, [10, 20, 40, 80, 160, 250, 250]);
    let at = |seconds| begin + Duration::from_secs_f64(seconds);
    let told = [0.0, 9.9, 10.1, 10.3, 19.9, 20.0, 20.2, 30.1].map(|seconds| wait.due(at(seconds)).is_some());
    assert_eq!(told, [false, false, true, false, false, true, false, true]);
}
