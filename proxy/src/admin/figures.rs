//! Facts of the moment, read on scrape: connections, endpoints, the control plane, the certificate.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use byrnie_balance::{Health, Resource};
use byrnie_runtime::metrics::{Collector, ConstCounter, ConstGauge, DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;

use crate::{
    identity::Current,
    shared::Shared,
    telemetry::{counter, gauge},
};

/// Where the facts are.
pub struct Figures {
    /// What the two halves have in common.
    pub shared: Arc<Shared>,
    /// The client of the control plane.
    pub xds: byrnie_xds::Handle,
    /// Who this is.
    pub identity: Arc<Current>,
}

/// All clusters of one name in metrics.
#[derive(Debug, Default)]
struct Upstream {
    healthy: u64,
    degraded: u64,
    unhealthy: u64,
    ejected: u64,
    connections: u64,
    active: u64,
    pending: u64,
    retries: u64,
}

/// Name, help, value.
type Gauge = (&'static str, &'static str, fn(&Upstream) -> u64);

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let connections = i64::try_from(self.shared.open_connections()).unwrap_or(i64::MAX);
        gauge(encoder, "byrnie_proxy_connections", "Open connections to either side", connections)?;
        self.encode_control_plane(encoder)?;
        self.encode_certificate(encoder)?;
        self.encode_upstreams(encoder)
    }
}

impl Figures {
    fn encode_control_plane(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.xds.figures();
        let generation = i64::try_from(self.shared.config.load().generation).unwrap_or(i64::MAX);
        let refused = |unsettled: &&byrnie_xds::Unsettled| matches!(unsettled.state, byrnie_xds::State::Refused(_));
        let refused = self.xds.resources().borrow().unsettled.iter().filter(refused).count();
        let connected = i64::from(figures.connected_since.is_some());
        gauge(encoder, "byrnie_proxy_config_generation", "Configurations that were put in force", generation)?;
        gauge(encoder, "byrnie_proxy_xds_connected", "Whether there is a stream from the control plane", connected)?;
        let help = "Resources whose last version cannot be honoured";
        gauge(encoder, "byrnie_proxy_xds_refused_resources", help, i64::try_from(refused).unwrap_or(i64::MAX))?;
        for (name, help, value) in [
            ("byrnie_proxy_xds_streams", "Streams that were opened", figures.connects),
            ("byrnie_proxy_xds_stream_failures", "Tries without a stream, and streams that ended", figures.failures),
            ("byrnie_proxy_xds_acks", "Responses that were accepted", figures.acks),
            ("byrnie_proxy_xds_nacks", "Responses that were refused, in part or as a whole", figures.nacks),
            ("byrnie_proxy_xds_updates", "Resources that were new or changed", figures.updates),
            ("byrnie_proxy_xds_removals", "Resources that were taken back", figures.removals),
        ] {
            counter(encoder, name, help, value)?;
        }
        Ok(())
    }

    fn encode_certificate(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(identity) = self.identity.load() else { return Ok(()) };
        let expiry = ConstGauge::new(unix_seconds(identity.not_after()));
        let (name, help) = ("byrnie_certificate_expiry_timestamp_seconds", "End of the own certificate, since 1970");
        expiry.encode(encoder.encode_descriptor(name, help, None, expiry.metric_type())?)
    }

    fn encode_upstreams(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let upstreams = self.upstreams();
        if upstreams.is_empty() {
            return Ok(());
        }
        let help = "Endpoints by health; those that are ejected are unhealthy";
        let name = "byrnie_upstream_endpoints";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (cluster, upstream) in &upstreams {
            let by_health =
                [("healthy", upstream.healthy), ("degraded", upstream.degraded), ("unhealthy", upstream.unhealthy)];
            for (health, count) in by_health {
                let labels = [("cluster", cluster.as_str()), ("health", health)];
                ConstGauge::new(signed(count)).encode(family.encode_family(&labels)?)?;
            }
        }
        let gauges: [Gauge; 4] = [
            ("byrnie_upstream_ejected_endpoints", "Endpoints that are ejected", |upstream| upstream.ejected),
            ("byrnie_upstream_connections", "Connections to endpoints", |upstream| upstream.connections),
            ("byrnie_upstream_requests_active", "Requests on a connection", |upstream| upstream.active),
            ("byrnie_upstream_requests_pending", "Requests that wait for one", |upstream| upstream.pending),
        ];
        for (name, help, value) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (cluster, upstream) in &upstreams {
                let labels = [("cluster", cluster.as_str())];
                ConstGauge::new(signed(value(upstream))).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Tries after the first";
        let mut family = encoder.encode_descriptor("byrnie_upstream_retries", help, None, MetricType::Counter)?;
        for (cluster, upstream) in &upstreams {
            let labels = [("cluster", cluster.as_str())];
            ConstCounter::new(upstream.retries).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// By the name that the control plane chose for metrics: one that is an address would have no end.
    fn upstreams(&self) -> BTreeMap<String, Upstream> {
        let config = self.shared.config.load();
        let mut all: BTreeMap<String, Upstream> = BTreeMap::new();
        for upstream in config.upstreams.values() {
            let sums = all.entry(upstream.cluster.stat.to_string()).or_default();
            for (_, _, host) in upstream.hosts.iter() {
                match host.health() {
                    Health::Healthy => sums.healthy += 1,
                    Health::Degraded => sums.degraded += 1,
                    Health::Unhealthy => sums.unhealthy += 1,
                }
                sums.ejected += u64::from(host.is_ejected());
            }
            let count = |resource| u64::from(upstream.breakers.count(resource));
            sums.connections += count(Resource::Connections);
            sums.active += count(Resource::Requests);
            sums.pending += count(Resource::Pending);
        }
        self.shared.telemetry.each_cluster(|cluster, calls| {
            let upstream = config.upstreams.get(cluster);
            if let Some(sums) = upstream.and_then(|upstream| all.get_mut(&*upstream.cluster.stat)) {
                sums.retries += calls.retries;
            }
        });
        all
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
