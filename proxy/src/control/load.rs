//! Load reports (LRS): every few seconds the control plane hears what this proxy called and how that went.
//!
//! Counting begins when a stream stands: what happened while there was none is in the metrics, not in reports. A control
//! plane that takes no reports is asked again now and then.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant as Moment},
};

use byrnie_proto::{
    envoy::{
        envoy::{
            config::{
                core::v3::{Node, node::UserAgentVersionType},
                endpoint::v3::{ClusterStats, EndpointLoadMetricStats, UpstreamLocalityStats},
            },
            service::load_stats::v3::{
                LoadStatsRequest, LoadStatsResponse, load_reporting_service_client::LoadReportingServiceClient,
            },
        },
        google::protobuf,
    },
    latency,
};
use byrnie_runtime::backoff::{self, Backoff};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use crate::{
    identity::{Source, SourceError},
    shared::Shared,
    telemetry::CallCounts,
};

/// The ceiling of the first pause between streams, and of all.
const BACKOFF_BASE: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// However often the control plane wants to hear.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// Where it does not say.
const INTERVAL: Duration = Duration::from_secs(10);

/// Says what workers counted.
pub struct Reports {
    source: Source,
    node: Node,
    shared: Arc<Shared>,
    least_interval: Duration,
}

/// Why nothing is reported (any more).
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{code:?}: {message}", code = .0.code(), message = .0.message())]
    Stream(Status),
    #[error("the control plane ended the stream")]
    Ended,
}

/// What was reported already, and what the control plane wants.
#[derive(Debug)]
struct Book {
    counted: HashMap<Arc<str>, CallCounts>,
    last: Moment,
    wanted: LoadStatsResponse,
}

impl Reports {
    /// Of what the workers of `shared` count, to the control plane of `source`.
    pub fn new(source: Source, shared: Arc<Shared>) -> Self {
        let namespace = source.workload.split_once('/').map_or(&*source.workload, |(namespace, _)| namespace);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let node = Node {
            id: source.workload.clone(),
            cluster: namespace.to_owned(),
            user_agent_name: "byrnie-proxy".to_owned(),
            user_agent_version_type: Some(UserAgentVersionType::UserAgentVersion(version)),
            ..Node::default()
        };
        Self { source, node, shared, least_interval: LEAST_INTERVAL }
    }

    /// Connects, and comes back whenever the stream ends.
    pub async fn run(self) -> Infallible {
        let mut backoff = Backoff::new(BACKOFF_BASE, BACKOFF_MAX);
        loop {
            let Err(error) = self.stream(&mut backoff).await;
            let pause = backoff.next_delay(backoff::random());
            tracing::debug!(%error, ?pause, "no stream for load reports");
            sleep(pause).await;
        }
    }

    async fn stream(&self, backoff: &mut Backoff) -> Result<Infallible, ReportError> {
        let channel = self.source.connect_for_long().await?;
        let (sender, receiver) = mpsc::channel(1);
        let first = LoadStatsRequest { node: Some(self.node.clone()), cluster_stats: Vec::new() };
        let mut request = Request::new(ReceiverStream::new(receiver));
        request.metadata_mut().insert("authorization", self.source.authorization()?);
        // There is room for one; a server may say nothing before it heard something.
        let _ = sender.try_send(first);
        let answered = LoadReportingServiceClient::new(channel).stream_load_stats(request).await;
        let mut responses = answered.map_err(ReportError::Stream)?.into_inner();
        let wanted = responses.message().await.map_err(ReportError::Stream)?.ok_or(ReportError::Ended)?;
        backoff.reset();
        let mut book = Book::new(self.totals(), Moment::now(), wanted);
        let mut due = Instant::now() + book.interval(self.least_interval);
        loop {
            tokio::select! {
                response = responses.message() => {
                    book.wanted = response.map_err(ReportError::Stream)?.ok_or(ReportError::Ended)?;
                }
                () = sleep_until(due) => {
                    let cluster_stats = book.report(self.totals(), |cluster| self.active(cluster), Moment::now());
                    // One that is not taken ends here: the stream is about to say why.
                    let _ = sender.send(LoadStatsRequest { node: None, cluster_stats }).await;
                    due = Instant::now() + book.interval(self.least_interval);
                }
            }
        }
    }

    fn totals(&self) -> HashMap<Arc<str>, CallCounts> {
        let mut totals = HashMap::new();
        self.shared.telemetry.each_cluster(|cluster, counts| {
            totals.insert(Arc::clone(cluster), counts);
        });
        totals
    }

    /// Requests that run at this moment.
    fn active(&self, cluster: &str) -> u64 {
        let config = self.shared.config.load();
        let upstream = config.upstreams.get(cluster);
        upstream.map_or(0, |upstream| upstream.breakers.count(byrnie_balance::Resource::Requests).into())
    }
}

impl Book {
    fn new(counted: HashMap<Arc<str>, CallCounts>, now: Moment, wanted: LoadStatsResponse) -> Self {
        Self { counted, last: now, wanted }
    }

    fn interval(&self, least: Duration) -> Duration {
        let wanted = self.wanted.load_reporting_interval.and_then(read_duration);
        wanted.filter(|interval| !interval.is_zero()).unwrap_or(INTERVAL).max(least)
    }

    /// What ended since the last report, of the clusters that are wanted and of which there is something to say.
    fn report(
        &mut self,
        totals: HashMap<Arc<str>, CallCounts>,
        active: impl Fn(&str) -> u64,
        now: Moment,
    ) -> Vec<ClusterStats> {
        let passed = now.saturating_duration_since(self.last);
        let seconds = i64::try_from(passed.as_secs()).unwrap_or(i64::MAX);
        let interval = protobuf::Duration { seconds, nanos: passed.subsec_nanos().cast_signed() };
        let mut stats = Vec::new();
        for (cluster, total) in &totals {
            let before = self.counted.get(cluster).cloned().unwrap_or_default();
            let locality = locality(&since(total, before), active(cluster));
            let is_wanted =
                self.wanted.send_all_clusters || self.wanted.clusters.iter().any(|name| **name == **cluster);
            if is_wanted && (locality.total_issued_requests > 0 || locality.total_requests_in_progress > 0) {
                stats.push(ClusterStats {
                    cluster_name: cluster.to_string(),
                    upstream_locality_stats: vec![locality],
                    load_report_interval: Some(interval),
                    ..ClusterStats::default()
                });
            }
        }
        (self.counted, self.last) = (totals, now);
        stats.sort_by(|one, other| one.cluster_name.cmp(&other.cluster_name));
        stats
    }
}

/// None where it is negative.
fn read_duration(time: protobuf::Duration) -> Option<Duration> {
    Some(Duration::new(time.seconds.try_into().ok()?, time.nanos.try_into().ok()?))
}

/// What was added to `before`. Numbers that are lower began anew: the cluster was forgotten in between.
fn since(total: &CallCounts, before: CallCounts) -> CallCounts {
    let ended = |counts: &CallCounts| counts.successes + counts.errors;
    let before = if ended(total) < ended(&before) { CallCounts::default() } else { before };
    let mut latencies = total.latencies;
    for ((count, sum), (old_count, old_sum)) in latencies.iter_mut().zip(before.latencies) {
        *count = count.saturating_sub(old_count);
        *sum = sum.saturating_sub(old_sum);
    }
    CallCounts {
        successes: total.successes.saturating_sub(before.successes),
        errors: total.errors.saturating_sub(before.errors),
        retries: total.retries.saturating_sub(before.retries),
        latencies,
    }
}

/// All endpoints together: zones are not told apart.
fn locality(counts: &CallCounts, active: u64) -> UpstreamLocalityStats {
    let bucket = |(name, (count, micros)): (&str, (u64, u64))| EndpointLoadMetricStats {
        metric_name: name.to_owned(),
        num_requests_finished_with_metric: count,
        total_metric_value: micros as f64 / 1_000.0,
    };
    let used = latency::METRICS.into_iter().zip(counts.latencies).filter(|(_, (count, _))| *count > 0);
    UpstreamLocalityStats {
        total_successful_requests: counts.successes,
        total_error_requests: counts.errors,
        total_requests_in_progress: active,
        total_issued_requests: counts.successes + counts.errors,
        load_metric_stats: used.map(bucket).collect(),
        ..UpstreamLocalityStats::default()
    }
}

#[cfg(test)]
mod tests;
