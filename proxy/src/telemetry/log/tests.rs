use std::time::Duration;

use byrnie_config::{Direction, RequestHead};
use serde_json::Value;

use super::*;
use crate::telemetry::facts::{Client, Failure};

fn client() -> Client<'static> {
    let [peer, called] = ["10.0.0.7:41000", "10.96.0.5:80"].map(|address| address.parse().unwrap());
    Client {
        direction: Direction::Inbound,
        peer,
        called,
        listener: "in/10.96.0.5:80",
        stat: "in/shop/cart_80",
        principal: Some("spiffe://cluster.local/ns/shop/sa/web"),
    }
}

fn head(path: &[u8]) -> RequestHead {
    let mut head = RequestHead::default();
    head.begin(b"GET", b"http", b"cart.shop:80", path);
    head.fields_mut().push(b"user-agent", b"curl/8 \"quoted\"");
    head.fields_mut().push(b"x-request-id", b"7");
    head
}

fn request(head: &RequestHead) -> Request<'_> {
    let started = Instant::now();
    Request {
        client: client(),
        upstream: None,
        cluster: Some("in/shop/cart-1:8080"),
        route: Some("shop/split"),
        head,
        version: "HTTP/1.1",
        is_grpc: false,
        status: 503,
        grpc_status: None,
        failure: Some(Failure { flag: "UH", text: "no endpoint is available" }),
        received: 12,
        sent: 345,
        retries: 0,
        started,
        answered: Some(started + Duration::from_millis(5)),
        ended: started + Duration::from_millis(1_007),
        generation: 9,
    }
}

fn connection() -> (Connection<'static>, Closed) {
    let started = Instant::now();
    let ended = started + Duration::from_secs(2);
    let closed = Closed { failure: None, received: 1, sent: 2, started, ended, generation: 9 };
    (Connection { client: client(), cluster: Some("in/shop/cart-1:8080"), upstream: None }, closed)
}

fn logged(form: Form, say: impl FnOnce(&mut Log)) -> String {
    let mut log = Log::new(form, Arc::new(Sink::stdout().unwrap()));
    say(&mut log);
    String::from_utf8(log.lines).unwrap()
}

#[test]
fn a_request_is_envoys_default_line() {
    let line = logged(Form::Text, |log| log.request(&request(&head(b"/a?b=1\x01"))));
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.len() == 26 && time.starts_with("[20") && time.ends_with("Z]"), "{time}");
    assert_eq!(
        rest,
        "\"GET /a?b=1\\x01 HTTP/1.1\" 503 UH 12 345 1007 5 \"-\" \"curl/8 \\\"quoted\\\"\" \"7\" \"cart.shop:80\" \"-\"\n"
    );
}

#[test]
fn of_what_was_no_request_neither_method_nor_path_is_known() {
    let head = RequestHead::default();
    let line = logged(Form::Text, |log| log.request(&Request { answered: None, ..request(&head) }));
    let rest = line.split_once(' ').unwrap().1;
    assert_eq!(rest, "\"- - HTTP/1.1\" 503 UH 12 345 1007 - \"-\" \"-\" \"-\" \"-\" \"-\"\n");
    let line: Value = serde_json::from_str(&logged(Form::Json, |log| log.request(&request(&head)))).unwrap();
    assert_eq!((&line["method"], &line["path"], &line["authority"]), (&Value::Null, &Value::Null, &Value::Null));
}

#[test]
fn a_connection_is_envoys_default_line() {
    let (connection, closed) = connection();
    let line = logged(Form::Text, |log| log.connection(&connection, &closed));
    assert_eq!(line.split_once(' ').unwrap().1, "\"- - -\" 0 - 1 2 2000 - \"-\" \"-\" \"-\" \"-\" \"-\"\n");
}

#[test]
fn json_is_one_object_a_line_with_what_the_mesh_knows() {
    let (connection, closed) = connection();
    let lines = logged(Form::Json, |log| {
        log.request(&request(&head(b"/a\n\xff")));
        log.connection(&connection, &closed);
    });
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [one, two] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(one["path"], "/a\n\u{ff}");
    assert_eq!((&one["response_code"], &one["response_flags"]), (&503.into(), &"UH".into()));
    assert_eq!(one["reason"], "no endpoint is available");
    assert_eq!(one["source_principal"], "spiffe://cluster.local/ns/shop/sa/web");
    assert_eq!((&one["route_name"], &one["config_generation"]), (&"shop/split".into(), &9.into()));
    assert_eq!((&one["duration"], &one["upstream_service_time"]), (&1_007.into(), &5.into()));
    assert_eq!((&one["upstream_host"], &one["x_forwarded_for"]), (&Value::Null, &Value::Null));
    assert_eq!((&two["protocol"], &two["bytes_sent"]), (&"TCP".into(), &2.into()));
    assert_eq!(two["upstream_cluster"], "in/shop/cart-1:8080");
}

#[test]
fn lines_that_find_no_room_are_dropped_and_counted() {
    let sink = Arc::new(Sink::stdout().unwrap());
    let mut log = Log::new(Form::Text, Arc::clone(&sink));
    let head = head(&[b'a'; escape::LONGEST]);
    for _ in 0..100 {
        log.request(&request(&head));
    }
    let kept = log.lines.iter().filter(|octet| **octet == b'\n').count() as u64;
    assert!(sink.dropped() > 0 && kept + sink.dropped() == 100, "{kept}");
    assert!(log.lines.len() < WAITING + 2 * escape::LONGEST);
}
