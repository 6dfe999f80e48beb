//! All figures of all rounds.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Entry, Memory, Report};
use crate::{measure::Round, peers::Peer, workers::Scaling};

impl Report {
    /// Seconds and bytes, latencies in microseconds, costs in CPU microseconds a request or connection and milliseconds
    /// a gigabyte.
    pub fn json(&self) -> String {
        json!({
            "rounds": self.rounds, "window_seconds": self.times.window.as_secs_f64(), "cores": self.cores,
            "versions": self.versions,
            "cases": self.entries.iter().map(entry).collect::<Vec<_>>(),
            "starts": self.starts.iter().map(starts).collect::<Vec<_>>(),
            "memory": self.memory.iter().map(memory).collect::<Vec<_>>(),
            "workers": self.workers.iter().map(workers).collect::<Vec<_>>(),
            "notes": self.notes,
        })
        .to_string()
    }
}

fn entry(entry: &Entry) -> Value {
    let rounds: Vec<_> = entry.rounds().iter().map(|one| round(entry, one)).collect();
    json!({
        "case": entry.case.name, "peer": entry.peer.title(), "failure": entry.result.as_ref().err(),
        "rounds": rounds, "system_calls": entry.system_calls,
    })
}

fn round(entry: &Entry, round: &Round) -> Value {
    json!({
        "seconds": round.seconds, "requests": round.tally.requests, "bytes": round.tally.bytes,
        "errors": round.tally.errors, "first_error": round.tally.first_error,
        "p50": round.tally.percentile(50.0), "p99": round.tally.percentile(99.0),
        "cost": round.cost(entry.case.unit()), "cpu_seconds": round.cpu.seconds(),
        "user_share": round.cpu.user_share(), "own_cpu_seconds": round.own,
        "other_cpu_seconds": round.others,
    })
}

fn starts((peer, times): &(Peer, Vec<Duration>)) -> Value {
    json!({ "peer": peer.title(), "seconds": times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>() })
}

fn memory((peer, memory): &(Peer, Memory)) -> Value {
    json!({ "peer": peer.title(), "idle": memory.idle, "connected": memory.connected, "after": memory.after })
}

fn workers((peer, scaling): &(Peer, Scaling)) -> Value {
    let rates = |rounds: &[Round]| -> Vec<_> {
        rounds.iter().map(|round| round.tally.requests as f64 / round.seconds).collect()
    };
    json!({
        "peer": peer.title(), "case": scaling.title, "one_requests_per_second": rates(&scaling.one),
        "two_requests_per_second": rates(&scaling.two), "throughput": scaling.throughput(),
        "load_and_proxy_cores": scaling.busy(),
    })
}
