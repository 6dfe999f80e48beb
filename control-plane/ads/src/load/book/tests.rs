use super::*;

const STEP_OF_CLIENTS: Duration = Duration::from_secs(5);

fn client(pod: &str) -> Client {
    Client { workload: WorkloadName::new("shop", pod), dialect: Dialect::Envoy }
}

fn counts(successes: u64, errors: u64) -> Counts {
    Counts { successes, errors, latencies: None }
}

fn tally(cluster: &str, counts: Counts, active: u64) -> Tally<'_> {
    Tally { cluster, counts, active }
}

/// A book with a clock.
struct Time {
    book: Book,
    now: Instant,
}

impl Time {
    fn with(streams: impl IntoIterator<Item = (u64, &'static str)>) -> Self {
        let mut time = Self { book: Book::default(), now: Instant::now() };
        for (stream, pod) in streams {
            time.book.open(stream, client(pod), time.now);
        }
        time
    }

    fn pass(&mut self, by: Duration) {
        self.now += by;
    }

    /// A report after the usual time.
    fn report(&mut self, stream: u64, successes: u64) {
        self.pass(STEP_OF_CLIENTS);
        self.book.report(stream, [tally("shop/cart:80", counts(successes, 0), 3)], self.now);
    }

    fn loads(&mut self) -> Vec<Load> {
        self.book.loads(self.now)
    }
}

#[test]
fn what_ended_within_the_window_is_added_up_and_the_rate_is_over_the_time_that_was_reported() {
    let mut time = Time::with([(1, "web-1")]);
    time.report(1, 10);
    time.report(1, 30);
    let loads = time.book.loads(time.now + Duration::from_secs(3));
    assert_eq!(loads.len(), 1);
    assert_eq!((loads[0].client.to_string().as_str(), &*loads[0].cluster), ("shop/web-1", "shop/cart:80"));
    assert_eq!((loads[0].counts.successes, loads[0].per_second, loads[0].active), (40, 4.0, 3));
    for _ in 0..WINDOW.as_secs() / STEP_OF_CLIENTS.as_secs() {
        time.report(1, 5);
    }
    assert_eq!((time.loads()[0].counts.successes, time.loads()[0].per_second), (60, 1.0));
}

#[test]
fn a_cluster_that_a_report_leaves_out_rests_and_is_forgotten_after_the_window() {
    let mut time = Time::with([(1, "web-1")]);
    time.report(1, 10);
    time.pass(STEP_OF_CLIENTS);
    time.book.report(1, [], time.now);
    assert_eq!((time.loads()[0].active, time.loads()[0].counts.successes), (0, 10));
    time.pass(WINDOW);
    time.book.report(1, [], time.now);
    assert_eq!(time.loads(), []);
    assert!(time.book.open[&1].active.is_empty());
}

#[test]
fn a_client_that_goes_fades_and_leaves_nothing() {
    let mut time = Time::with([(1, "web-1")]);
    time.report(1, 100);
    time.book.close(1, time.now);
    assert_eq!((time.loads()[0].active, time.loads()[0].per_second), (0, 20.0));
    time.pass(Duration::from_secs(15));
    assert_eq!(time.loads()[0].per_second, 5.0);
    time.pass(WINDOW);
    time.book.sweep(time.now);
    assert!(time.book.ended.is_empty() && time.book.open.is_empty());
}

#[test]
fn one_that_comes_and_goes_all_the_time_costs_no_more_than_others() {
    let mut time = Time::with([]);
    for stream in 0..1000 {
        time.book.open(stream, client("web-1"), time.now);
        time.pass(Duration::from_millis(100));
        let clusters: Vec<String> = (0..50).map(|n| format!("shop/s{n}-{stream}:80")).collect();
        time.book.report(stream, clusters.iter().map(|name| tally(name, counts(1, 0), 0)), time.now);
        time.book.close(stream, time.now);
    }
    assert_eq!(time.book.ended.len(), 1);
    let pages = &time.book.ended[&WorkloadName::new("shop", "web-1")];
    let most = usize::try_from(WINDOW.as_millis() / STEP.as_millis()).unwrap() + 1;
    assert!(pages.reports.len() <= most, "{}", pages.reports.len());
    assert!(pages.active.len() <= CLUSTERS_LIMIT, "{}", pages.active.len());
}

#[test]
fn reports_that_come_too_often_are_added_up_and_clusters_are_limited() {
    let mut time = Time::with([(1, "web-1")]);
    for _ in 0..10_000 {
        time.pass(Duration::from_millis(10));
        time.book.report(1, [tally("shop/cart:80", counts(1, 0), 0)], time.now);
    }
    assert!(time.book.open[&1].reports.len() <= 26, "{}", time.book.open[&1].reports.len());
    let rate = time.loads()[0].per_second;
    assert!((99.0..101.0).contains(&rate), "{rate}");
    let names: Vec<String> = (0..5000).map(|n| format!("shop/s{n}:80")).collect();
    time.book.report(1, names.iter().map(|name| tally(name, counts(1, 0), 1)), time.now);
    assert_eq!(time.loads().len(), CLUSTERS_LIMIT);
}

#[test]
fn latencies_are_added_up_and_a_client_that_tells_none_has_none() {
    let mut time = Time::with([(1, "web-1"), (2, "web-2")]);
    let timed = |bucket: usize| {
        let mut latencies = Box::new([0; byrnie_proto::latency::BUCKETS]);
        latencies[bucket] = 2;
        Counts { latencies: Some(latencies), ..counts(2, 0) }
    };
    for bucket in [0, 3] {
        time.pass(STEP_OF_CLIENTS);
        time.book.report(1, [tally("shop/cart:80", timed(bucket), 0)], time.now);
    }
    time.book.report(2, [tally("shop/cart:80", counts(1, 1), 0)], time.now);
    let loads = time.loads();
    let latencies = loads[0].counts.latencies.as_ref().unwrap();
    assert_eq!((latencies[0], latencies[3], latencies.iter().sum::<u64>()), (2, 2, 4));
    assert!(loads[1].counts.latencies.is_none());
}
