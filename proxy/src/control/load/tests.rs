use std::{fs, pin::Pin, sync::Mutex};

use byrnie_proto::envoy::envoy::service::load_stats::v3::load_reporting_service_server::{
    LoadReportingService, LoadReportingServiceServer,
};
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::{Response, Streaming, transport::Server};

use super::*;
use crate::{
    config::Config,
    identity::Current,
    telemetry::{Local, Telemetry, facts},
    tls::Contexts,
};

const CART: &str = "shop/cart:80";

fn counts(successes: u64, errors: u64, micros: u64) -> CallCounts {
    let mut counts = CallCounts { successes, errors, ..CallCounts::default() };
    counts.latencies[0] = (successes + errors, micros);
    counts
}

fn totals(of: &[(&str, CallCounts)]) -> HashMap<Arc<str>, CallCounts> {
    of.iter().map(|(cluster, counts)| ((*cluster).into(), counts.clone())).collect()
}

fn everything() -> LoadStatsResponse {
    LoadStatsResponse { send_all_clusters: true, ..LoadStatsResponse::default() }
}

#[test]
fn a_report_holds_what_ended_since_the_last_one() {
    let start = Moment::now();
    let mut book = Book::new(totals(&[(CART, counts(5, 0, 100))]), start, everything());
    let more = totals(&[(CART, counts(7, 1, 2_600)), ("shop/idle:80", counts(0, 0, 0))]);
    let stats = book.report(more.clone(), |_| 0, start + Duration::from_secs(5));
    let [cart] = &stats[..] else { panic!("{stats:?}") };
    assert_eq!((&*cart.cluster_name, cart.load_report_interval.unwrap().seconds), (CART, 5));
    let locality = &cart.upstream_locality_stats[0];
    assert_eq!((locality.total_successful_requests, locality.total_error_requests), (2, 1));
    let [bucket] = &locality.load_metric_stats[..] else { panic!("{locality:?}") };
    assert_eq!((&*bucket.metric_name, bucket.num_requests_finished_with_metric), ("byrnie.latency.le.1", 3));
    assert_eq!(bucket.total_metric_value, 2.5);
    // Nothing ended, but something runs.
    let stats = book.report(more.clone(), |cluster| u64::from(cluster == CART), start + Duration::from_secs(6));
    assert_eq!(stats[0].upstream_locality_stats[0].total_requests_in_progress, 1);
    assert_eq!(book.report(more, |_| 0, start + Duration::from_secs(7)), []);
}

#[test]
fn a_cluster_that_was_forgotten_is_counted_from_nothing() {
    let start = Moment::now();
    let mut book = Book::new(totals(&[(CART, counts(5, 0, 100))]), start, everything());
    let stats = book.report(totals(&[(CART, counts(2, 0, 40))]), |_| 0, start);
    assert_eq!(stats[0].upstream_locality_stats[0].total_successful_requests, 2);
}

#[test]
fn only_what_is_wanted_is_said_as_often_as_is_wanted() {
    let wanted = LoadStatsResponse {
        clusters: vec![CART.to_owned()],
        load_reporting_interval: Some(protobuf::Duration { seconds: 3, nanos: 0 }),
        ..LoadStatsResponse::default()
    };
    let mut book = Book::new(HashMap::new(), Moment::now(), wanted);
    assert_eq!(book.interval(LEAST_INTERVAL), Duration::from_secs(3));
    assert_eq!(book.interval(Duration::from_secs(4)), Duration::from_secs(4));
    let stats = book.report(totals(&[(CART, counts(1, 0, 0)), ("shop/db:80", counts(1, 0, 0))]), |_| 0, Moment::now());
    assert_eq!(stats.len(), 1);
    book.wanted = everything();
    assert_eq!(book.interval(LEAST_INTERVAL), INTERVAL);
}

/// A control plane that wants to hear often.
#[derive(Clone)]
struct Plane(mpsc::Sender<LoadStatsRequest>, Arc<Mutex<Vec<String>>>);

#[tonic::async_trait]
impl LoadReportingService for Plane {
    type StreamLoadStatsStream = Pin<Box<dyn Stream<Item = Result<LoadStatsResponse, Status>> + Send>>;

    async fn stream_load_stats(
        &self,
        request: Request<Streaming<LoadStatsRequest>>,
    ) -> Result<Response<Self::StreamLoadStatsStream>, Status> {
        let authorization = request.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        self.1.lock().unwrap().extend(authorization);
        let (mut requests, heard) = (request.into_inner(), self.0.clone());
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                let _ = heard.send(request).await;
            }
        });
        let wanted = LoadStatsResponse {
            send_all_clusters: true,
            load_reporting_interval: Some(protobuf::Duration { seconds: 0, nanos: 1_000_000 }),
            ..LoadStatsResponse::default()
        };
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(wanted)).chain(tokio_stream::pending()))))
    }
}

#[tokio::test]
async fn the_control_plane_hears_who_reports_and_what_was_called() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, mut heard) = mpsc::channel(1);
    let plane = Plane(sender, Arc::default());
    let server = Server::builder().add_service(LoadReportingServiceServer::new(plane.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    fs::write(&token_file, "secret\n").unwrap();

    let identity = Arc::new(Current::new());
    let telemetry = Arc::new(Telemetry::new("shop", "web-1", Arc::clone(&identity), None).unwrap());
    let mut local = Local::new(&telemetry);
    let contexts = Arc::new(Contexts::new(identity));
    let shared = Arc::new(Shared::new(Config::default(), contexts, Box::new(|_| {}), telemetry));
    let source = Source { workload: "shop/web-1".to_owned(), address, roots_file: None, token_file };
    let reports = Reports { least_interval: Duration::ZERO, ..Reports::new(source, shared) };
    tokio::spawn(reports.run());

    let node = heard.recv().await.unwrap().node.unwrap();
    assert_eq!((&*node.id, &*node.cluster, &*node.user_agent_name), ("shop/web-1", "shop", "byrnie-proxy"));
    assert_eq!(plane.1.lock().unwrap().as_slice(), ["Bearer secret"]);
    // The stream stands with the first report.
    assert_eq!(heard.recv().await.unwrap().cluster_stats, []);
    let now = Moment::now();
    let [peer, called] = [1, 80].map(|port| ([127, 0, 0, 1], port).into());
    let (direction, listener) = (byrnie_config::Direction::Outbound, "out/127.0.0.1:80");
    let client = facts::Client { direction, peer, called, listener, stat: "out/shop/cart_80", principal: None };
    let connection = facts::Connection { client, cluster: Some(CART), upstream: None };
    let closed = facts::Closed { failure: None, received: 0, sent: 0, started: now, ended: now, generation: 1 };
    local.closed(&connection, &closed, None);
    let report = loop {
        let request = heard.recv().await.unwrap();
        if !request.cluster_stats.is_empty() {
            break request.cluster_stats;
        }
    };
    assert_eq!((&*report[0].cluster_name, report[0].upstream_locality_stats[0].total_successful_requests), (CART, 1));
}
