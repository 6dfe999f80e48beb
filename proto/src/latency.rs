//! Latencies in load reports: the micro-proxy writes them, the control plane reads them.
//!
//! Of each locality of `ClusterStats.upstream_locality_stats` the proxy says by `load_metric_stats` how many requests
//! ended within which time since its last report, one entry a bucket: `metric_name` is the bucket's name,
//! `num_requests_finished_with_metric` the requests in it, `total_metric_value` the sum of their latencies in
//! milliseconds. Buckets are not cumulative; one without requests is left out.

/// The upper bounds of the buckets in milliseconds, each inclusive. One more bucket holds what took longer.
pub const BOUNDS_MS: [u32; 13] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000];

/// How many buckets there are.
pub const BUCKETS: usize = BOUNDS_MS.len() + 1;

/// The names of the buckets in `EndpointLoadMetricStats.metric_name`, in the order of [`BOUNDS_MS`].
pub const METRICS: [&str; BUCKETS] = [
    "byrnie.latency.le.1",
    "byrnie.latency.le.2",
    "byrnie.latency.le.5",
    "byrnie.latency.le.10",
    "byrnie.latency.le.25",
    "byrnie.latency.le.50",
    "byrnie.latency.le.100",
    "byrnie.latency.le.250",
    "byrnie.latency.le.500",
    "byrnie.latency.le.1000",
    "byrnie.latency.le.2500",
    "byrnie.latency.le.5000",
    "byrnie.latency.le.10000",
    "byrnie.latency.le.inf",
];

/// The bucket of a request that took this long.
pub fn bucket_of(latency: std::time::Duration) -> usize {
    BOUNDS_MS.partition_point(|bound| latency > std::time::Duration::from_millis(u64::from(*bound)))
}

/// The bucket that a metric names; `None` for any other metric.
pub fn bucket_named(metric: &str) -> Option<usize> {
    METRICS.iter().position(|name| *name == metric)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_names_lead_back() {
        assert_eq!(bucket_of(Duration::ZERO), 0);
        assert_eq!(bucket_of(Duration::from_millis(1)), 0);
        assert_eq!(bucket_of(Duration::from_micros(1_001)), 1);
        assert_eq!(bucket_of(Duration::from_secs(10)), BUCKETS - 2);
        assert_eq!(bucket_of(Duration::from_secs(3600)), BUCKETS - 1);
        for (bucket, bound) in BOUNDS_MS.iter().enumerate() {
            assert_eq!(bucket_named(&format!("byrnie.latency.le.{bound}")), Some(bucket));
        }
        assert_eq!(bucket_named("byrnie.latency.le.inf"), Some(BUCKETS - 1));
        assert_eq!(bucket_named("byrnie.latency.le.3"), None);
    }
}
