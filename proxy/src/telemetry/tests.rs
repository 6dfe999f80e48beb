use byrnie_config::{Direction, RequestHead};
use byrnie_runtime::metrics::Metrics;

use super::{
    facts::{Client, Failure},
    *,
};

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

fn telemetry(limits: Limits) -> Arc<Telemetry> {
    Arc::new(Telemetry::with("shop", "web-1", Arc::new(Current::new()), None, limits))
}

fn client<'a>(direction: Direction, stat: &'a str, principal: Option<&'a str>) -> Client<'a> {
    let [peer, called] = ["10.0.0.7:41000", "10.96.0.5:80"].map(|address| address.parse().unwrap());
    Client { direction, peer, called, listener: "out/10.96.0.5:80", stat, principal }
}

/// A call of `cluster` that was answered 200 after `millis`.
fn request<'a>(head: &'a RequestHead, cluster: Option<&'a str>, started: Instant, millis: u64) -> Request<'a> {
    Request {
        client: client(Direction::Outbound, "out/shop/cart_80", None),
        upstream: None,
        cluster,
        route: None,
        head,
        version: "HTTP/1.1",
        is_grpc: false,
        status: 200,
        grpc_status: None,
        failure: None,
        received: 0,
        sent: 2_000,
        retries: 0,
        started,
        answered: None,
        ended: started + Duration::from_millis(millis),
        generation: 1,
    }
}

fn scraped(telemetry: &Arc<Telemetry>) -> String {
    let metrics = Metrics::default();
    metrics.collect(Arc::clone(telemetry));
    metrics.encode()
}

/// The lines of a metric whose labels hold all parts.
fn lines<'a>(text: &'a str, name: &str, parts: &[&str]) -> Vec<&'a str> {
    let of_name = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
    of_name.filter(|line| parts.iter().all(|part| line.contains(part))).collect()
}

#[test]
fn requests_of_all_workers_are_one_series_with_istios_labels() {
    let telemetry = telemetry(Limits::default());
    let (mut one, mut two) = (Local::new(&telemetry), Local::new(&telemetry));
    let (head, now) = (RequestHead::default(), Instant::now());
    one.request(&request(&head, Some("shop/cart:80"), now, 3));
    one.request(&request(&head, Some("shop/cart:80"), now, 70_000));
    two.request(&request(&head, Some("shop/cart:80"), now, 0));
    let text = scraped(&telemetry);
    let expected = "byrnie_requests_total{reporter=\"source\",source_workload=\"web-1\",\
        source_workload_namespace=\"shop\",source_principal=\"unknown\",destination_workload=\"unknown\",\
        destination_workload_namespace=\"unknown\",destination_principal=\"unknown\",\
        destination_service=\"shop/cart\",destination_service_name=\"cart\",destination_service_namespace=\"shop\",\
        destination_port=\"80\",connection_security_policy=\"unknown\",request_protocol=\"http\",\
        response_code=\"200\",grpc_response_status=\"\",response_flags=\"-\"} 3";
    assert_eq!(lines(&text, "byrnie_requests_total", &[]), [expected]);
    let value = |name: &str, part: &str| lines(&text, name, &[part])[0].rsplit_once(' ').unwrap().1.to_owned();
    assert_eq!(value("byrnie_request_duration_milliseconds_bucket", "le=\"0.5\""), "1");
    assert_eq!(value("byrnie_request_duration_milliseconds_bucket", "le=\"5.0\""), "2");
    assert_eq!(value("byrnie_request_duration_milliseconds_bucket", "le=\"60000.0\""), "2");
    assert_eq!(value("byrnie_request_duration_milliseconds_bucket", "le=\"+Inf\""), "3");
    assert_eq!(value("byrnie_request_duration_milliseconds_sum", ""), "70003.0");
    assert_eq!(value("byrnie_request_bytes_bucket", "le=\"0.0\""), "3");
    assert_eq!(value("byrnie_response_bytes_sum", ""), "6000.0");
}

#[test]
fn what_differs_in_a_label_is_another_series() {
    let telemetry = telemetry(Limits::default());
    let mut local = Local::new(&telemetry);
    let (head, now) = (RequestHead::default(), Instant::now());
    let usual = request(&head, Some("shop/cart:80"), now, 1);
    let failure = Some(Failure { flag: "UH", text: "no endpoint is available" });
    local.request(&usual);
    local.request(&Request { status: 503, failure, ..usual });
    local.request(&Request { status: 799, ..usual });
    local.request(&Request { is_grpc: true, grpc_status: Some(14), ..usual });
    local.request(&Request { is_grpc: true, grpc_status: Some(99), ..usual });
    local.request(&Request { cluster: Some("out/passthrough"), ..usual });
    local.request(&Request { client: client(Direction::Inbound, "in/shop/web_8080", Some(CART)), ..usual });
    let text = scraped(&telemetry);
    let is_one = |parts: &[&str]| assert_eq!(lines(&text, "byrnie_requests_total", parts).len(), 1, "{parts:?} {text}");
    is_one(&["response_code=\"503\"", "response_flags=\"UH\""]);
    is_one(&["response_code=\"other\""]);
    is_one(&["destination_service=\"passthrough\"", "destination_port=\"unknown\""]);
    is_one(&["request_protocol=\"grpc\"", "grpc_response_status=\"14\""]);
    is_one(&["grpc_response_status=\"other\""]);
    is_one(&[
        "reporter=\"destination\"",
        "source_workload=\"cart\"",
        "source_principal=\"spiffe://cluster.local/ns/shop/sa/cart\"",
        "destination_workload=\"web-1\"",
        "destination_service_name=\"web\"",
        "destination_port=\"8080\"",
        "connection_security_policy=\"mutual_tls\"",
    ]);
    assert_eq!(lines(&text, "byrnie_requests_total", &[]).len(), 7);
}

#[test]
fn beyond_the_limit_requests_are_counted_together() {
    let telemetry = telemetry(Limits { sets: 2, ..Limits::default() });
    let mut local = Local::new(&telemetry);
    let (head, now) = (RequestHead::default(), Instant::now());
    for status in 200..300 {
        local.request(&Request { status, ..request(&head, Some("shop/cart:80"), now, 1) });
    }
    let text = scraped(&telemetry);
    assert_eq!(lines(&text, "byrnie_requests_total", &[]).len(), 3, "{text}");
    let overflow = lines(&text, "byrnie_requests_total", &["reporter=\"source\"", "response_code=\"overflow\""]);
    assert!(overflow[0].ends_with(" 98"), "{overflow:?}");
    // Those that are known go on.
    local.request(&request(&head, Some("shop/cart:80"), now, 1));
    assert!(lines(&scraped(&telemetry), "byrnie_requests_total", &["code=\"200\""])[0].ends_with(" 2"));
    // When the others are forgotten there is room again.
    let later = now + Duration::from_secs(600);
    telemetry.sweep(now);
    telemetry.sweep(later);
    local.request(&Request { status: 404, ..request(&head, Some("shop/cart:80"), later, 1) });
    let text = scraped(&telemetry);
    let all = lines(&text, "byrnie_requests_total", &[]);
    assert!(all.len() == 1 && all[0].contains("response_code=\"404\""), "{all:?}");
}

#[test]
fn a_series_that_was_forgotten_begins_anew() {
    let telemetry = telemetry(Limits::default());
    let mut local = Local::new(&telemetry);
    let (head, now) = (RequestHead::default(), Instant::now());
    let count = |telemetry: &Arc<Telemetry>| {
        let text = scraped(telemetry);
        lines(&text, "byrnie_requests_total", &[]).first().map(|line| line.rsplit_once(' ').unwrap().1.to_owned())
    };
    for _ in 0..3 {
        local.request(&request(&head, Some("shop/cart:80"), now, 1));
    }
    telemetry.sweep(now);
    assert_eq!(count(&telemetry).as_deref(), Some("3"));
    telemetry.sweep(now + Duration::from_secs(600));
    assert_eq!(count(&telemetry), None);
    local.request(&request(&head, Some("shop/cart:80"), now + Duration::from_secs(700), 1));
    assert_eq!(count(&telemetry).as_deref(), Some("1"));
}

#[test]
fn a_connection_is_counted_while_it_is_open_and_when_it_is_over() {
    let telemetry = telemetry(Limits::default());
    let mut local = Local::new(&telemetry);
    let now = Instant::now();
    let client = client(Direction::Outbound, "out/shop/db_5432", None);
    let connection = Connection { client, cluster: Some("shop/db:5432"), upstream: None };
    let carried = local.opened(&connection, now);
    carried.received(10);
    carried.sent(20);
    let value = |telemetry: &Arc<Telemetry>, name: &str, parts: &[&str]| {
        let text = scraped(telemetry);
        lines(&text, name, parts).iter().map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(value(&telemetry, "byrnie_tcp_connections_opened_total", &["request_protocol=\"tcp\""]), ["1"]);
    assert_eq!(value(&telemetry, "byrnie_tcp_received_bytes_total", &[]), ["10"]);
    assert_eq!(value(&telemetry, "byrnie_tcp_sent_bytes_total", &[]), ["20"]);
    assert!(value(&telemetry, "byrnie_tcp_connections_closed_total", &[]).is_empty());
    // Open, though nothing happens.
    telemetry.sweep(now);
    telemetry.sweep(now + Duration::from_secs(10_000));
    carried.sent(1);
    assert_eq!(value(&telemetry, "byrnie_tcp_sent_bytes_total", &[]), ["21"]);
    let failure = Some(Failure { flag: "UH", text: "no endpoint is available" });
    let closed = Closed { failure: None, received: 10, sent: 21, started: now, ended: now, generation: 1 };
    local.closed(&connection, &closed, Some(&carried));
    local.closed(&connection, &Closed { failure, ..closed }, None);
    assert_eq!(value(&telemetry, "byrnie_tcp_connections_opened_total", &[]), ["2"]);
    assert_eq!(value(&telemetry, "byrnie_tcp_connections_closed_total", &["response_flags=\"-\""]), ["1"]);
    assert_eq!(value(&telemetry, "byrnie_tcp_connections_closed_total", &["response_flags=\"UH\""]), ["1"]);
}

#[test]
fn calls_are_kept_for_reports_by_cluster() {
    let telemetry = telemetry(Limits::default());
    let mut local = Local::new(&telemetry);
    let (head, now) = (RequestHead::default(), Instant::now());
    let usual = request(&head, Some("shop/cart:80"), now, 2);
    let gone = Some(Failure { flag: "DC", text: "the client is gone" });
    local.request(&usual);
    local.request(&Request { status: 503, ..usual });
    local.request(&Request { is_grpc: true, grpc_status: Some(5), ..usual });
    local.request(&Request { is_grpc: true, grpc_status: Some(14), ..usual });
    local.request(&Request { status: 0, failure: gone, ..usual });
    local.request(&Request { client: client(Direction::Inbound, "in/shop/web_8080", None), ..usual });
    let mut seen = Vec::new();
    telemetry.calls.each(|cluster, calls| {
        seen.push((cluster.to_string(), calls[0].successes.read(), calls[0].errors.read()));
    });
    assert_eq!(seen, [("shop/cart:80".to_owned(), 2, 2)]);
}
