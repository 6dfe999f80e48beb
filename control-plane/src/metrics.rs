//! The xDS server's figures and those of the pipeline, as metrics.

use std::{fmt, sync::Arc, time::Duration};

use byrnie_ads::{DELAY_BOUNDS, Hub};
use byrnie_proto::Kind;
use byrnie_runtime::metrics::{Collector, ConstCounter, ConstGauge, DescriptorEncoder, EncodeMetric, Metrics};
use prometheus_client::{encoding::NoLabelSet, metrics::MetricType};

use crate::current::Current;

/// Registers everything that the control plane counts.
pub fn register(metrics: &Metrics, hub: Arc<Hub>, current: Current) {
    metrics.collect(Figures { hub, current });
}

/// Asked on each scrape.
struct Figures {
    hub: Arc<Hub>,
    current: Current,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.hub.figures();
        let by_kind = [
            ("byrnie_xds_responses", "responses sent", figures.responses),
            ("byrnie_xds_resources", "resources sent", figures.resources),
            ("byrnie_xds_resource_bytes", "bytes of resources sent", figures.bytes),
            ("byrnie_xds_acks", "responses that clients accepted", figures.acks),
            ("byrnie_xds_nacks", "responses that clients refused", figures.nacks),
        ];
        for (name, help, values) in by_kind {
            per_kind(&mut encoder, name, help, values)?;
        }
        let plain = [
            ("byrnie_xds_streams", "streams accepted", figures.streams),
            ("byrnie_xds_streams_refused", "streams refused", figures.refused_streams),
            ("byrnie_xds_requests", "requests read", figures.requests),
            ("byrnie_xds_snapshots", "snapshots published", figures.snapshots),
            ("byrnie_load_reports", "load reports read", figures.load_reports),
        ];
        for (name, help, value) in plain {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        push_delay(&mut encoder, &figures)?;
        let state = self.current.load();
        gauge(&mut encoder, "byrnie_xds_streams_open", "streams that are open", figures.open_streams)?;
        gauge(&mut encoder, "byrnie_config_findings", "findings in force", state.findings.len() as u64)?;
        gauge(&mut encoder, "byrnie_mesh_services", "services", state.world.services().count() as u64)?;
        gauge(&mut encoder, "byrnie_mesh_workloads", "workloads", state.world.workloads().count() as u64)?;
        built(&mut encoder, &state.built)
    }
}

/// Prometheus's client takes buckets that are not cumulative, the last one without an end.
fn push_delay(encoder: &mut DescriptorEncoder<'_>, figures: &byrnie_ads::Figures) -> fmt::Result {
    let bounds = DELAY_BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::MAX]);
    let buckets: Vec<(f64, u64)> = bounds.zip(figures.push_delay).collect();
    let (name, help) = ("byrnie_xds_push_delay_seconds", "from a change in force to the first response sent for it");
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    let (sum, count) = (figures.push_delay_sum.as_secs_f64(), figures.push_delay.iter().sum());
    metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

fn built(encoder: &mut DescriptorEncoder<'_>, built: &byrnie_snapshot::Built) -> fmt::Result {
    let values = [
        (Kind::Cluster, built.clusters),
        (Kind::Endpoints, built.endpoints),
        (Kind::Listener, built.listeners),
        (Kind::Route, built.routes),
    ];
    let metric = ConstCounter::new(0u64);
    let mut family =
        encoder.encode_descriptor("byrnie_snapshot_resources_built", "resources built", None, metric.metric_type())?;
    for (kind, value) in values {
        ConstCounter::new(value).encode(family.encode_family(&[("kind", kind.short())])?)?;
    }
    Ok(())
}

fn per_kind(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: [u64; Kind::ALL.len()],
) -> fmt::Result {
    let metric = ConstCounter::new(0u64);
    let mut family = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
    for (kind, value) in Kind::ALL.into_iter().zip(values) {
        ConstCounter::new(value).encode(family.encode_family(&[("kind", kind.short())])?)?;
    }
    Ok(())
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}
