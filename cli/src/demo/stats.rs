//! What a sidecar tells of itself: Envoy's `/stats?format=json` and `/clusters?format=json`, read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use serde::Deserialize;

/// The query that yields what [`Stats::read`] wants.
pub const STATS_PATH: &str =
    "/stats?format=json&filter=upstream_rq_%7Cssl.handshake%7Cejections_enforced_total%7Cupdate_";
/// The query that yields what [`Stats::read`] wants of endpoints.
pub const CLUSTERS_PATH: &str = "/clusters?format=json";

/// The calls of one sidecar, by the name of the called service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// By the cluster's service name, without namespace and port.
    pub calls: BTreeMap<String, Calls>,
    /// Configuration that was taken, of all types.
    pub updates: u64,
    /// Configuration that was refused.
    pub rejections: u64,
}

/// The calls of one sidecar to one service, since it started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calls {
    /// Requests that were answered, retries not counted.
    pub answered: u64,
    /// Of these, the ones with a status of 500 and above.
    pub failed: u64,
    /// Tries after the first.
    pub retries: u64,
    /// TLS handshakes with endpoints.
    pub handshakes: u64,
    /// How often an endpoint was ejected.
    pub ejections: u64,
    /// Of the last few seconds where there were calls, else since the start.
    pub recent: Option<Latency>,
    /// Since the start.
    pub overall: Option<Latency>,
    /// The endpoints.
    pub endpoints: BTreeMap<SocketAddr, Health>,
}

/// Milliseconds until the answer was there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// Half of the requests were faster.
    pub p50: f64,
    /// 99 of 100 were.
    pub p99: f64,
}

/// Whether an endpoint is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Takes requests.
    Healthy,
    /// Left out for a while, since it failed.
    Ejected,
    /// Fails its health check.
    Unhealthy,
}

impl Stats {
    /// Reads both documents.
    pub fn read(stats: &[u8], clusters: &[u8]) -> serde_json::Result<Self> {
        let mut read = Self::default();
        for entry in serde_json::from_slice::<StatsDocument>(stats)?.stats {
            match entry {
                Entry::Value { name, value } => read.count(&name, value),
                Entry::Histograms { histograms } => read.time(&histograms),
                Entry::Other {} => {}
            }
        }
        for cluster in serde_json::from_slice::<ClustersDocument>(clusters)?.cluster_statuses {
            if let Some(service) = service_of(&cluster.name) {
                let endpoints = cluster.host_statuses.iter().filter_map(HostStatus::endpoint).collect();
                read.calls.entry(service.to_owned()).or_default().endpoints = endpoints;
            }
        }
        Ok(read)
    }

    /// The services that were called.
    pub fn called(&self) -> BTreeSet<&str> {
        self.calls.iter().filter(|(_, calls)| calls.answered > 0).map(|(service, _)| service.as_str()).collect()
    }

    fn count(&mut self, name: &str, value: u64) {
        if let Some((service, stat)) = cluster_stat(name) {
            let calls = self.calls.entry(service.to_owned()).or_default();
            match stat {
                "upstream_rq_completed" => calls.answered = value,
                "upstream_rq_5xx" => calls.failed = value,
                "upstream_rq_retry" => calls.retries = value,
                "ssl.handshake" => calls.handshakes = value,
                "outlier_detection.ejections_enforced_total" => calls.ejections = value,
                _ => {}
            }
        }
        // `cluster_manager.cds.`, `listener_manager.lds.`, `http.PREFIX.rds.NAME.`, `cluster.NAME.` (EDS), `sds.NAME.`
        if name.ends_with(".update_success") {
            self.updates += value;
        } else if name.ends_with(".update_rejected") {
            self.rejections += value;
        }
    }

    fn time(&mut self, histograms: &Histograms) {
        let position = |wanted| histograms.supported_quantiles.iter().position(|quantile| *quantile == wanted);
        let (Some(p50), Some(p99)) = (position(50.0), position(99.0)) else { return };
        for histogram in &histograms.computed_quantiles {
            let Some((service, "upstream_rq_time")) = cluster_stat(&histogram.name) else { continue };
            let latency = |value: fn(&Quantile) -> Option<f64>| {
                let at = |index: usize| histogram.values.get(index).and_then(value);
                Some(Latency { p50: at(p50)?, p99: at(p99)? })
            };
            let calls = self.calls.entry(service.to_owned()).or_default();
            calls.overall = latency(|quantile| quantile.cumulative);
            calls.recent = latency(|quantile| quantile.interval).or(calls.overall);
        }
    }
}

/// `cluster.shop/cart_80.upstream_rq_5xx` -> `cart`, `upstream_rq_5xx`. Envoy writes `_` for the `:` of a name.
fn cluster_stat(name: &str) -> Option<(&str, &str)> {
    let (cluster, stat) = name.strip_prefix("cluster.")?.split_once('.')?;
    Some((service_of(cluster)?, stat))
}

/// `shop/cart:80` and `shop/cart_80` -> `cart`; nothing for the way to the sidecar's own application,
/// `in/shop/cart:15080`.
fn service_of(cluster: &str) -> Option<&str> {
    let (_namespace, rest) = cluster.split_once('/')?;
    rest.rsplit_once([':', '_']).map(|(service, _port)| service).filter(|service| !service.contains('/'))
}

#[derive(Deserialize)]
struct StatsDocument {
    stats: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Value { name: String, value: u64 },
    Histograms { histograms: Histograms },
    Other {},
}

#[derive(Deserialize)]
struct Histograms {
    #[serde(default)]
    supported_quantiles: Vec<f64>,
    #[serde(default)]
    computed_quantiles: Vec<Histogram>,
}

#[derive(Deserialize)]
struct Histogram {
    name: String,
    values: Vec<Quantile>,
}

#[derive(Deserialize)]
struct Quantile {
    cumulative: Option<f64>,
    interval: Option<f64>,
}

#[derive(Deserialize)]
struct ClustersDocument {
    #[serde(default)]
    cluster_statuses: Vec<ClusterStatus>,
}

#[derive(Deserialize)]
struct ClusterStatus {
    name: String,
    #[serde(default)]
    host_statuses: Vec<HostStatus>,
}

#[derive(Deserialize)]
struct HostStatus {
    address: HostAddress,
    #[serde(default)]
    health_status: HealthStatus,
}

#[derive(Deserialize)]
struct HostAddress {
    socket_address: Option<SocketAddress>,
}

#[derive(Deserialize)]
struct SocketAddress {
    address: String,
    port_value: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HealthStatus {
    failed_outlier_check: bool,
    failed_active_health_check: bool,
}

impl HostStatus {
    fn endpoint(&self) -> Option<(SocketAddr, Health)> {
        let address = self.address.socket_address.as_ref()?;
        let health = match &self.health_status {
            // An ejected endpoint soon fails its health check too; what came first says more.
            HealthStatus { failed_outlier_check: true, .. } => Health::Ejected,
            HealthStatus { failed_active_health_check: true, .. } => Health::Unhealthy,
            _ => Health::Healthy,
        };
        Some((SocketAddr::new(address.address.parse().ok()?, address.port_value), health))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Envoy 1.40 prints them, shortened.
    const STATS: &str = r#"{"stats":[
        {"name":"cluster.shop/catalog_80.external.upstream_rq_completed","value":7},
        {"name":"cluster.shop/catalog_80.upstream_rq_completed","value":60},
        {"name":"cluster.shop/catalog_80.upstream_rq_5xx","value":2},
        {"name":"cluster.shop/catalog_80.retry.upstream_rq_5xx","value":3},
        {"name":"cluster.shop/catalog_80.upstream_rq_retry","value":3},
        {"name":"cluster.shop/catalog_80.ssl.handshake","value":4},
        {"name":"cluster.shop/catalog_80.outlier_detection.ejections_enforced_total","value":1},
        {"name":"cluster.in/shop/web_15080.upstream_rq_completed","value":9},
        {"name":"cluster.xds.upstream_rq_completed","value":9},
        {"name":"cluster_manager.cds.update_success","value":2},
        {"name":"http.out.rds.route/shop/cart_80.update_success","value":3},
        {"name":"listener_manager.lds.update_rejected","value":1},
        {"name":"cluster_manager.cds.version_text","value":"1b2c"},
        {"histograms":{"supported_quantiles":[0,50,99,100],"computed_quantiles":[
            {"name":"cluster.shop/catalog_80.upstream_rq_time","values":[{"cumulative":0,"interval":null},
             {"cumulative":1.05,"interval":null},{"cumulative":43.1,"interval":null},{"cumulative":51.5,"interval":null}]}]}}]}"#;
    const CLUSTERS: &str = r#"{"cluster_statuses":[
        {"name":"shop/catalog:80","host_statuses":[
            {"address":{"socket_address":{"address":"127.0.1.40","port_value":15080}},"health_status":{"eds_health_status":"HEALTHY"}},
            {"address":{"socket_address":{"address":"127.0.1.42","port_value":15080}},
             "health_status":{"failed_outlier_check":true,"eds_health_status":"HEALTHY"}}]},
        {"name":"xds"}]}"#;

    #[test]
    fn calls_are_read_from_the_documents_of_envoy() {
        let stats = Stats::read(STATS.as_bytes(), CLUSTERS.as_bytes()).unwrap();
        assert_eq!(stats.called().into_iter().collect::<Vec<_>>(), ["catalog"]);
        let calls = &stats.calls["catalog"];
        assert_eq!((calls.answered, calls.failed, calls.retries), (60, 2, 3), "retried answers are not answers");
        assert_eq!((calls.handshakes, calls.ejections), (4, 1));
        assert_eq!((stats.updates, stats.rejections), (5, 1));
    }

    #[test]
    fn latency_falls_back_to_the_whole_time_where_the_interval_was_idle() {
        let stats = Stats::read(STATS.as_bytes(), CLUSTERS.as_bytes()).unwrap();
        assert_eq!(stats.calls["catalog"].recent, Some(Latency { p50: 1.05, p99: 43.1 }));
    }

    #[test]
    fn an_ejected_endpoint_is_told_from_a_healthy_one() {
        let stats = Stats::read(STATS.as_bytes(), CLUSTERS.as_bytes()).unwrap();
        let endpoints: Vec<_> = stats.calls["catalog"].endpoints.values().copied().collect();
        assert_eq!(endpoints, [Health::Healthy, Health::Ejected]);
    }
}
