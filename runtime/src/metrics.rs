//! The metrics of a process: families with label sets, written as OpenMetrics text.
//!
//! Whoever measures registers its families at start and keeps them; the admin server encodes on scrape. Names are
//! `byrnie_<component>_<thing>_<unit>[_total]`, written out in full where they are registered so that they can be
//! searched for. Look a label set up once per connection (`get_or_create_owned`), not per request.

use std::{
    collections::BTreeSet,
    fmt::{self, Debug},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

pub use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric},
    metrics::{counter::ConstCounter, counter::Counter, gauge::ConstGauge, gauge::Gauge, histogram::Histogram},
};
use prometheus_client::{
    encoding::text,
    metrics::family::{Family, MetricConstructor},
    registry::{Metric, Registry},
};

use crate::process::Usage;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds for durations in seconds, from a local reply to a wait that someone complains about.
pub const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Counters by label set: a struct that derives `EncodeLabelSet`, or `[(&'static str, V); N]`.
pub type Counters<L> = Family<L, Counter>;
/// Gauges by label set.
pub type Gauges<L> = Family<L, Gauge>;
/// Histograms by label set.
pub type Histograms<L> = Family<L, Histogram, Bounds>;

/// What tells the members of a family apart: enums and names from the model, never paths, addresses or raw headers.
pub trait Labels: EncodeLabelSet + Clone + Eq + Hash + Debug + Send + Sync + 'static {}
impl<L: EncodeLabelSet + Clone + Eq + Hash + Debug + Send + Sync + 'static> Labels for L {}

/// The upper bounds of a histogram's buckets, ascending, without the infinite one.
#[derive(Clone, Copy, Debug)]
pub struct Bounds(&'static [f64]);

impl MetricConstructor<Histogram> for Bounds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// A handle to the metrics of this process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Registered>>);

#[derive(Debug, Default)]
struct Registered {
    registry: Registry,
    names: BTreeSet<&'static str>,
}

impl Metrics {
    /// No metrics but those of the process itself.
    pub fn new() -> Self {
        let metrics = Self::default();
        metrics.collect(ProcessMetrics);
        metrics
    }

    /// Registers counters; `name` ends in `_total`.
    pub fn counters<L: Labels>(&self, name: &'static str, help: &'static str) -> Counters<L> {
        debug_assert!(name.ends_with("_total"), "the counter {name} does not end in _total");
        self.register(name, help, Family::default())
    }

    /// Registers gauges.
    pub fn gauges<L: Labels>(&self, name: &'static str, help: &'static str) -> Gauges<L> {
        self.register(name, help, Family::default())
    }

    /// Registers histograms with these upper bounds, [`SECONDS`] for instance.
    pub fn histograms<L: Labels>(
        &self,
        name: &'static str,
        help: &'static str,
        bounds: &'static [f64],
    ) -> Histograms<L> {
        self.register(name, help, Family::new_with_constructor(Bounds(bounds)))
    }

    /// Registers a counter without labels; `name` ends in `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        debug_assert!(name.ends_with("_total"), "the counter {name} does not end in _total");
        self.register(name, help, Counter::default())
    }

    /// Registers a gauge without labels.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.register(name, help, Gauge::default())
    }

    /// Registers a histogram without labels.
    pub fn histogram(&self, name: &'static str, help: &'static str, bounds: &'static [f64]) -> Histogram {
        self.register(name, help, Bounds(bounds).new_metric())
    }

    /// Registers something that is asked for its values on each scrape.
    pub fn collect(&self, collector: impl Collector) {
        self.locked(|registered| registered.registry.register_collector(Box::new(collector)));
    }

    /// All metrics as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut encoded = String::new();
        let outcome = self.locked(|registered| text::encode(&mut encoded, &registered.registry));
        outcome.expect("writing to a string does not fail");
        encoded
    }

    fn register<M: Metric + Clone>(&self, name: &'static str, help: &'static str, metric: M) -> M {
        debug_assert!(name.starts_with("byrnie_"), "the metric {name} does not start with byrnie_");
        self.locked(|registered| {
            let fresh = registered.names.insert(name);
            debug_assert!(fresh, "the metric {name} is registered twice");
            // The encoder appends `_total` to counters and a full stop to the help.
            let stem = name.strip_suffix("_total").unwrap_or(name);
            registered.registry.register(stem, help, metric.clone());
        });
        metric
    }

    fn locked<R>(&self, use_it: impl FnOnce(&mut Registered) -> R) -> R {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The process's own metrics, under the names that all Prometheus clients give them.
#[derive(Debug)]
struct ProcessMetrics;

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        // Without a readable /proc there is nothing to say, and the other metrics are still worth having.
        let Ok(usage) = Usage::of_self() else { return Ok(()) };
        let mut gauge = |name: &str, help: &str, value: f64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge("process_resident_memory_bytes", "Resident memory", usage.resident_bytes as f64)?;
        gauge("byrnie_process_resident_memory_peak_bytes", "Most resident memory", usage.peak_resident_bytes as f64)?;
        gauge("process_open_fds", "Open file descriptors", usage.open_fds as f64)?;
        gauge("process_start_time_seconds", "Start, since 1970", usage.start_time_seconds)?;
        let cpu = ConstCounter::new(usage.cpu_seconds);
        let help = "User and system CPU time";
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type ByKind = [(&'static str, &'static str); 1];

    #[test]
    fn each_label_set_has_a_line_of_its_own() {
        let metrics = Metrics::new();
        let pushes: Counters<ByKind> = metrics.counters("byrnie_ads_pushes_total", "Responses sent");
        pushes.get_or_create(&[("kind", "cluster")]).inc_by(3);
        pushes.get_or_create_owned(&[("kind", "route")]).inc();
        let text = metrics.encode();
        assert!(text.contains("# TYPE byrnie_ads_pushes counter"), "{text}");
        assert!(text.contains("\nbyrnie_ads_pushes_total{kind=\"cluster\"} 3\n"), "{text}");
        assert!(text.contains("\nbyrnie_ads_pushes_total{kind=\"route\"} 1\n"), "{text}");
    }

    #[test]
    fn gauges_and_histograms_are_written_with_their_values() {
        let metrics = Metrics::new();
        metrics.gauge("byrnie_ads_clients", "Connected clients").set(7);
        let build = metrics.histogram("byrnie_snapshot_build_seconds", "Time to build", &[0.1, 1.0]);
        build.observe(0.05);
        build.observe(0.5);
        let waits: Histograms<ByKind> = metrics.histograms("byrnie_ads_ack_seconds", "Time to an ACK", SECONDS);
        waits.get_or_create(&[("kind", "route")]).observe(0.002);
        let text = metrics.encode();
        for line in [
            "byrnie_ads_clients 7",
            "byrnie_snapshot_build_seconds_count 2",
            "byrnie_snapshot_build_seconds_bucket{le=\"0.1\"} 1",
            "byrnie_snapshot_build_seconds_bucket{le=\"+Inf\"} 2",
            "byrnie_ads_ack_seconds_bucket{le=\"0.0025\",kind=\"route\"} 1",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_process_is_measured_on_each_scrape() {
        let metrics = Metrics::new();
        let value = |name: &str| {
            let text = metrics.encode();
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).map(str::to_owned);
            line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse::<f64>().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 500_000.0);
        assert!(value("byrnie_process_resident_memory_peak_bytes") > 500_000.0);
        assert!(value("process_start_time_seconds") > 1.6e9);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        let before = value("process_open_fds");
        // More than other tests of this process could close meanwhile.
        let held: Vec<_> = (0..200).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        assert!(value("process_open_fds") > before, "{} files are open", held.len());
    }

    #[test]
    #[should_panic(expected = "byrnie_x_total is registered twice")]
    fn a_name_is_registered_once() {
        let metrics = Metrics::new();
        metrics.counter("byrnie_x_total", "One");
        metrics.counter("byrnie_x_total", "Two");
    }
}
