//! The series as Prometheus reads them.

use std::{fmt, sync::Arc};

use byrnie_runtime::metrics::{Collector, ConstCounter, ConstGauge, DescriptorEncoder, EncodeMetric};
use prometheus_client::{
    encoding::{MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::{
    Telemetry,
    cells::{Cells, Connections, Count, DURATIONS, Histogram, SIZES},
    labels::{self, Labels},
    registry::Registry,
};

impl Collector for Telemetry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.encode_requests(encoder)?;
        self.encode_connections(encoder)?;
        let series = self.requests.len() + self.connections.len();
        let help = "Label sets of requests and connections";
        gauge(encoder, "byrnie_proxy_label_sets", help, i64::try_from(series).unwrap_or(i64::MAX))?;
        let dropped = self.log.as_ref().map_or(0, |(_, sink)| sink.dropped());
        counter(encoder, "byrnie_access_log_dropped_lines", "Lines that nobody took in time", dropped)
    }
}

impl Telemetry {
    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let of = &self.requests;
        family(
            encoder,
            of,
            "byrnie_requests",
            "Requests that are over",
            MetricType::Counter,
            |_, cells, mut metric| {
                let total: u64 = cells.iter().map(|cells| cells.total()).sum();
                metric.encode_counter::<NoLabelSet, u64, f64>(&total, None)
            },
        )?;
        let help = "From the request's head to the end of its response";
        family(
            encoder,
            of,
            "byrnie_request_duration_milliseconds",
            help,
            MetricType::Histogram,
            |_, cells, metric| histogram(metric, cells.iter().map(|cells| &cells.durations), &DURATIONS, 1_000.0),
        )?;
        let help = "Octets of the request's body";
        family(encoder, of, "byrnie_request_bytes", help, MetricType::Histogram, |_, cells, metric| {
            histogram(metric, cells.iter().map(|cells| &cells.received), &SIZES, 1.0)
        })?;
        let help = "Octets of the response's body";
        family(encoder, of, "byrnie_response_bytes", help, MetricType::Histogram, |_, cells, metric| {
            histogram(metric, cells.iter().map(|cells| &cells.sent), &SIZES, 1.0)
        })
    }

    fn encode_connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut counted = |name: &str, help: &str, closed: bool, count: fn(&Connections) -> &Count| {
            family(encoder, &self.connections, name, help, MetricType::Counter, |labels, cells, mut metric| {
                if labels::are_of_closed(labels) != closed {
                    return Ok(());
                }
                let total: u64 = cells.iter().map(|cells| count(cells).read()).sum();
                metric.encode_counter::<NoLabelSet, u64, f64>(&total, None)
            })
        };
        counted("byrnie_tcp_connections_opened", "Connections of octets", false, |cells| &cells.opened)?;
        counted("byrnie_tcp_connections_closed", "Connections of octets that are over", true, |cells| &cells.closed)?;
        counted("byrnie_tcp_sent_bytes", "Octets to clients", false, |cells| &cells.sent)?;
        counted("byrnie_tcp_received_bytes", "Octets of clients", false, |cells| &cells.received)
    }
}

/// One metric of all label sets. Nothing is said of one that has none.
fn family<C: Cells>(
    encoder: &mut DescriptorEncoder<'_>,
    registry: &Registry<Labels, C>,
    name: &str,
    help: &str,
    kind: MetricType,
    mut show: impl FnMut(&Labels, &[Arc<C>], MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if registry.len() == 0 {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    let mut shown = Ok(());
    registry.each(|labels, cells| {
        if shown.is_ok() {
            shown = metric.encode_family(labels).and_then(|metric| show(labels, cells, metric));
        }
    });
    shown
}

/// The sum of several workers' histograms, in units of `scale` of what was observed.
fn histogram<'a, const N: usize>(
    mut metric: MetricEncoder<'_>,
    of: impl Iterator<Item = &'a Histogram<N>>,
    bounds: &[u64; N],
    scale: f64,
) -> fmt::Result {
    let mut counts = vec![0; N + 1];
    let sum: u64 = of.map(|histogram| histogram.add_to(&mut counts)).sum();
    let bounds = bounds.iter().map(|bound| *bound as f64 / scale).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    metric.encode_histogram::<NoLabelSet>(sum as f64 / scale, count, &buckets, None)
}

/// A number that goes up and down.
pub fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

/// A number that grows; `_total` is appended to its name.
pub fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
}
