use std::time::Duration;

use byrnie_tests::process::Usage;

/// A fleet that came to hold what it asked for.
#[derive(Clone, Debug, Default)]
pub struct Converged {
    pub took: Duration,
    pub cpu: f64,
    pub bytes: u64,
}

/// One change that reached all who follow it.
#[derive(Clone, Debug, Default)]
pub struct Propagated {
    pub latencies: Vec<Duration>,
    pub cpu: f64,
    pub bytes: u64,
}

/// What one run measured.
#[derive(Clone, Debug)]
pub struct Report {
    services: usize,
    clients: usize,
    names: Option<usize>,
    /// From the start of the process until it was ready.
    pub ready: Duration,
    pub idle: Option<Usage>,
    pub end: Option<Usage>,
    pub converge: Converged,
    pub changes: Vec<Propagated>,
    pub reconnect: Converged,
}

impl Report {
    pub fn new(services: usize, clients: usize, names: Option<usize>) -> Self {
        Self {
            services,
            clients,
            names,
            ready: Duration::ZERO,
            idle: None,
            end: None,
            converge: Converged::default(),
            changes: Vec::new(),
            reconnect: Converged::default(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let (p50, p99, max) = self.latency();
        let names = self.names.map(|n| format!(", {n} names each")).unwrap_or_default();
        let (cpu, bytes) = self.per_change();
        [
            format!("{} services x {} clients{names}, delta", self.services, self.clients),
            format!("ready       {:.2} s", self.ready.as_secs_f64()),
            format!("converge    {:.2} s, server CPU {:.2} s, {} read", self.converge.took.as_secs_f64(), self.converge.cpu, mib(self.converge.bytes)),
            format!("one change  p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms; server CPU {cpu:.1} ms, {bytes:.0} bytes ({} changes)", self.changes.len()),
            format!("reconnect   {:.2} s, server CPU {:.2} s", self.reconnect.took.as_secs_f64(), self.reconnect.cpu),
            format!("memory      idle {}, end {}, peak {}", mib(resident(self.idle)), mib(resident(self.end)), mib(self.end.map_or(0, |usage| usage.peak_resident_bytes))),
        ]
        .join("\n")
    }

    /// For programs: seconds, milliseconds, bytes.
    pub fn json(&self) -> String {
        let (p50, p99, max) = self.latency();
        let (cpu, bytes) = self.per_change();
        serde_json::json!({
            "services": self.services, "clients": self.clients, "names": self.names,
            "ready_s": self.ready.as_secs_f64(), "converge_s": self.converge.took.as_secs_f64(), "converge_cpu_s": self.converge.cpu, "converge_bytes": self.converge.bytes,
            "change_p50_ms": p50, "change_p99_ms": p99, "change_max_ms": max, "change_cpu_ms": cpu, "change_bytes": bytes,
            "reconnect_s": self.reconnect.took.as_secs_f64(), "reconnect_cpu_s": self.reconnect.cpu,
            "rss_idle": resident(self.idle), "rss_end": resident(self.end), "rss_peak": self.end.map_or(0, |usage| usage.peak_resident_bytes),
        })
        .to_string()
    }

    /// p50, p99 and maximum over all receipts of all changes, in milliseconds.
    fn latency(&self) -> (f64, f64, f64) {
        let mut all: Vec<_> =
            self.changes.iter().flat_map(|change| &change.latencies).map(|l| l.as_secs_f64() * 1e3).collect();
        all.sort_by(f64::total_cmp);
        let at = |share: f64| {
            all.get(((all.len() as f64 * share) as usize).min(all.len().saturating_sub(1))).copied().unwrap_or(0.0)
        };
        (at(0.5), at(0.99), at(1.0))
    }

    /// Server CPU in milliseconds and bytes sent, per change. The kernel counts CPU in steps of 10 ms: the mean of many.
    fn per_change(&self) -> (f64, f64) {
        let n = self.changes.len().max(1) as f64;
        let cpu: f64 = self.changes.iter().map(|change| change.cpu).sum();
        let bytes: u64 = self.changes.iter().map(|change| change.bytes).sum();
        (cpu * 1e3 / n, bytes as f64 / n)
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}

fn resident(usage: Option<Usage>) -> u64 {
    usage.map_or(0, |usage| usage.resident_bytes)
}
