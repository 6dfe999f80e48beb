//! What one report says of one cluster, read from the wire.

use std::ops::AddAssign;

use byrnie_proto::{
    envoy::envoy::{
        config::endpoint::v3::{ClusterStats, UpstreamLocalityStats},
        service::load_stats::v3::LoadStatsRequest,
    },
    latency,
};
use byrnie_snapshot::names;

/// The longest name of a cluster that is taken: those of the mesh are shorter.
const NAME_LIMIT: usize = 512;

/// How requests went. A request may be a connection where bytes are carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that ended well.
    pub successes: u64,
    /// Those that failed.
    pub errors: u64,
    /// Those that ended, by how long they took (`byrnie_proto::latency`); `None` where the client does not say.
    pub latencies: Option<Box<[u64; latency::BUCKETS]>>,
}

/// One cluster of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// What ended since the last report.
    pub counts: Counts,
    /// How many requests run now.
    pub active: u64,
}

impl Counts {
    /// Whether nothing ended.
    pub fn is_empty(&self) -> bool {
        self.successes == 0 && self.errors == 0 && self.latencies.is_none()
    }

    fn add_latency(&mut self, bucket: usize, count: u64) {
        let latencies = self.latencies.get_or_insert_default();
        latencies[bucket] = latencies[bucket].saturating_add(count);
    }
}

/// Saturating: the figures are a client's own.
impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        self.successes = self.successes.saturating_add(other.successes);
        self.errors = self.errors.saturating_add(other.errors);
        for (bucket, count) in other.latencies.iter().flat_map(|latencies| latencies.iter().enumerate()) {
            self.add_latency(bucket, *count);
        }
    }
}

/// What a report says of the clusters that stand for something in the mesh, and of which it says anything.
pub fn read(request: &LoadStatsRequest) -> impl Iterator<Item = Tally<'_>> {
    let named = |stats: &&ClusterStats| stats.cluster_name.len() <= NAME_LIMIT;
    let ours = |stats: &&ClusterStats| names::destination(&stats.cluster_name).is_some();
    let tallies = request.cluster_stats.iter().filter(named).filter(ours).map(tally);
    tallies.filter(|tally| tally.active > 0 || !tally.counts.is_empty())
}

fn tally(stats: &ClusterStats) -> Tally<'_> {
    let mut tally = Tally { cluster: &stats.cluster_name, ..Tally::default() };
    for locality in &stats.upstream_locality_stats {
        tally.active = tally.active.saturating_add(locality.total_requests_in_progress);
        tally.counts += &of_locality(locality);
    }
    tally
}

fn of_locality(stats: &UpstreamLocalityStats) -> Counts {
    let mut counts =
        Counts { successes: stats.total_successful_requests, errors: stats.total_error_requests, latencies: None };
    for metric in &stats.load_metric_stats {
        if let Some(bucket) = latency::bucket_named(&metric.metric_name) {
            counts.add_latency(bucket, metric.num_requests_finished_with_metric);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use byrnie_proto::envoy::envoy::config::endpoint::v3::EndpointLoadMetricStats;

    use super::*;

    fn locality(successes: u64, errors: u64, active: u64, latencies: &[(&str, u64)]) -> UpstreamLocalityStats {
        let metric = |(name, count): &(&str, u64)| EndpointLoadMetricStats {
            metric_name: (*name).to_owned(),
            num_requests_finished_with_metric: *count,
            ..Default::default()
        };
        UpstreamLocalityStats {
            total_successful_requests: successes,
            total_error_requests: errors,
            total_requests_in_progress: active,
            load_metric_stats: latencies.iter().map(metric).collect(),
            ..Default::default()
        }
    }

    fn stats(cluster: &str, localities: Vec<UpstreamLocalityStats>) -> ClusterStats {
        ClusterStats { cluster_name: cluster.to_owned(), upstream_locality_stats: localities, ..Default::default() }
    }

    #[test]
    fn localities_are_added_up_and_what_is_not_called_is_left_out() {
        let request = LoadStatsRequest {
            cluster_stats: vec![
                stats(
                    "shop/cart:80",
                    vec![
                        locality(3, 1, 2, &[("byrnie.latency.le.1", 3), ("byrnie.latency.le.inf", 1), ("cpu", 9)]),
                        locality(1, 0, 0, &[("byrnie.latency.le.1", 1)]),
                    ],
                ),
                stats("shop/web:80", vec![locality(0, 0, 1, &[])]),
                stats("shop/idle:80", vec![locality(0, 0, 0, &[])]),
                stats("in/shop/web-1:8080", vec![locality(5, 0, 0, &[])]),
                stats("xds", vec![locality(5, 0, 0, &[])]),
                stats(&format!("{}/cart:80", "n".repeat(600)), vec![locality(5, 0, 0, &[])]),
            ],
            ..Default::default()
        };
        let tallies: Vec<_> = read(&request).collect();
        assert_eq!(tallies.iter().map(|tally| tally.cluster).collect::<Vec<_>>(), ["shop/cart:80", "shop/web:80"]);
        let Tally { counts, active, .. } = &tallies[0];
        assert_eq!((counts.successes, counts.errors, *active), (4, 1, 2));
        let latencies = counts.latencies.as_ref().unwrap();
        assert_eq!((latencies[0], latencies[13], latencies.iter().sum::<u64>()), (4, 1, 5));
        assert_eq!((tallies[1].active, tallies[1].counts.is_empty()), (1, true));
    }

    #[test]
    fn figures_without_sense_do_not_overflow() {
        let lots = || locality(u64::MAX, u64::MAX, u64::MAX, &[("byrnie.latency.le.5", u64::MAX)]);
        let request =
            LoadStatsRequest { cluster_stats: vec![stats("shop/cart:80", vec![lots(), lots()])], ..Default::default() };
        assert_eq!(read(&request).next().unwrap().counts.successes, u64::MAX);
    }
}
