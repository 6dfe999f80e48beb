//! The tables, in Markdown.

use std::fmt::Write;

use super::{Entry, Report, median, sorted};
use crate::{
    case::{Case, Unit},
    measure::Round,
    peers::Peer,
};

/// Ratios that are told: whose figure, over whose.
const RATIOS: [(Peer, Peer); 3] =
    [(Peer::Byrnie, Peer::Envoy), (Peer::Haproxy, Peer::Envoy), (Peer::Byrnie, Peer::Haproxy)];

impl Report {
    /// All tables, and what went wrong.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}. {} rounds of {} s, interleaved; `a (b)` is the best of the rounds and their median.\n",
            self.versions.join(", "),
            self.rounds,
            self.times.window.as_secs_f64()
        );
        if !self.cases.is_empty() {
            self.costs(&mut text);
            self.latencies(&mut text);
            self.throughput(&mut text);
            self.calls(&mut text);
        }
        self.processes(&mut text);
        self.scaling(&mut text);
        self.others(&mut text);
        self.errors(&mut text);
        text
    }

    fn costs(&self, text: &mut String) {
        let title = "CPU of the proxies: microseconds a request or connection, milliseconds a gigabyte; user + kernel";
        self.table(text, title, |entry| {
            let unit = entry.case.unit();
            let costs = entry.values(|round| round.cost(unit));
            let best = *costs.first()?;
            Some((best, format!("{}{}", best_and_median(best, &costs), split(entry, best, unit))))
        });
    }

    fn latencies(&self, text: &mut String) {
        let title = "Latency: p50, p99 in milliseconds; the ratios are those of p99";
        self.table(text, title, |entry| {
            let of = |share| move |round: &Round| round.tally.percentile(share).map_or(f64::NAN, |time| time / 1e3);
            if !entry.case.exchange.has_requests() || entry.case.unit() == Unit::Gigabyte {
                return None;
            }
            let (p50, p99) = (entry.values(of(50.0)), entry.values(of(99.0)));
            let (half, most) = (*p50.first()?, *p99.first()?);
            Some((most, format!("{}, {}", best_and_median(half, &p50), best_and_median(most, &p99))))
        });
    }

    fn throughput(&self, text: &mut String) {
        let title = "Throughput: requests, connections or megabytes a second; how busy the proxies' core and the load's were, %";
        self.table(text, title, |entry| {
            let unit = entry.case.unit();
            let scale = if unit == Unit::Gigabyte { 1e3 } else { 1.0 };
            let rate = |round: &Round| round.units(unit) / round.seconds * scale;
            let best = entry.rounds().iter().max_by(|a, b| rate(a).total_cmp(&rate(b)))?;
            let (busy, own) = (best.busy() * 100.0, best.own_busy() * 100.0);
            Some((rate(best), format!("{:.0}; {busy:.0}, {own:.0}", rate(best))))
        });
    }

    fn calls(&self, text: &mut String) {
        let Some(tool) = self.tool else { return };
        let title = format!("System calls of the proxies, each request, connection or gigabyte (`{}`)", tool.title());
        self.table(text, &title, |entry| entry.system_calls.map(|calls| (calls, figure(calls))));
    }

    /// A row for each case, a column for each peer, and the ratios of those that are there.
    fn table(&self, text: &mut String, title: &str, cell: impl Fn(&Entry) -> Option<(f64, String)>) {
        let ratios: Vec<_> = RATIOS.iter().filter(|(a, b)| self.peers.contains(a) && self.peers.contains(b)).collect();
        let names = self.peers.iter().map(|peer| peer.title().to_owned());
        let names = names.chain(ratios.iter().map(|(a, b)| format!("{} / {}", a.title(), b.title())));
        head(text, title, &names.collect::<Vec<_>>());
        for case in &self.cases {
            let value = |peer| self.entry(case, peer).filter(|entry| entry.errors() == 0).and_then(&cell);
            let mut cells: Vec<_> = self.peers.iter().map(|&peer| self.cell(case, peer, &cell)).collect();
            if cells.iter().all(String::is_empty) {
                continue;
            }
            cells.extend(ratios.iter().map(|(a, b)| match (value(*a), value(*b)) {
                (Some((a, _)), Some((b, _))) => format!("{:.2}", a / b),
                _ => String::new(),
            }));
            row(text, case.title, &cells);
        }
    }

    fn cell(&self, case: &Case, peer: Peer, cell: impl Fn(&Entry) -> Option<(f64, String)>) -> String {
        let Some(entry) = self.entry(case, peer) else { return String::new() };
        match (&entry.result, entry.errors()) {
            (Err(_), _) => "failed".to_owned(),
            (Ok(_), 0) => cell(entry).map(|(_, text)| text).unwrap_or_default(),
            (Ok(_), errors) => format!("{errors} errors"),
        }
    }

    fn processes(&self, text: &mut String) {
        let names: Vec<_> = self.peers.iter().map(|peer| peer.title().to_owned()).collect();
        head(
            text,
            "Start of the client's sidecar with 100 services, and resident memory in MiB, client's + server's",
            &names,
        );
        let starts = |peer: Peer| {
            let times = &self.starts.iter().find(|(known, _)| *known == peer)?.1;
            let times = sorted(times.iter().map(|time| time.as_secs_f64() * 1e3));
            Some(best_and_median(*times.first()?, &times))
        };
        let memory = |peer: Peer| self.memory.iter().find(|(known, _)| *known == peer).map(|(_, memory)| *memory);
        type Cell<'a> = Box<dyn Fn(Peer) -> Option<String> + 'a>;
        let rows: [(&str, Cell<'_>); 4] = [
            ("start to ready, ms", Box::new(starts)),
            ("idle", Box::new(|peer| memory(peer).map(|memory| mib(memory.idle)))),
            ("with 1,000 idle connections", Box::new(|peer| memory(peer).map(|memory| mib(memory.connected)))),
            ("after all cases", Box::new(|peer| memory(peer)?.after.map(mib))),
        ];
        for (name, cell) in &rows {
            let cells: Vec<_> = self.peers.iter().map(|&peer| cell(peer).unwrap_or_default()).collect();
            row(text, name, &cells);
        }
    }

    fn scaling(&self, text: &mut String) {
        if self.workers.is_empty() {
            return;
        }
        let names = ["throughput, two over one", "cores of the load, of the proxies, with two"];
        head(text, "Two workers with two cores, beside one with one", &names.map(str::to_owned));
        for (peer, scaling) in &self.workers {
            let busy = scaling.busy().map(|(own, proxy)| format!("{own:.2}, {proxy:.2}")).unwrap_or_default();
            let cells = [format!("{:.2}", scaling.throughput()), busy];
            row(text, &format!("{}: {}", peer.title(), scaling.title), &cells);
        }
        if self.cores < 3 {
            text.push_str("\nThere is no core for the load: it runs on the workers' cores, on one and then on both.\n");
        }
    }

    /// Other load on the machine makes all figures worse, and those of lean programs less so.
    fn others(&self, text: &mut String) {
        let shares = self.entries.iter().flat_map(|entry| entry.values(|round| round.others / round.seconds));
        if let Some(cores) = median(&sorted(shares)) {
            let _ = writeln!(text, "\nOther programs took {cores:.2} cores in the median window.");
        }
    }

    fn errors(&self, text: &mut String) {
        let mut lines = self.notes.clone();
        for entry in &self.entries {
            let (peer, case) = (entry.peer.title(), entry.case.name);
            match (&entry.result, entry.first_error()) {
                (Err(why), _) => lines.push(format!("{peer}, {case}: {why}")),
                (Ok(_), Some(first)) => {
                    lines.push(format!("{peer}, {case}: {} errors, the first: {first}", entry.errors()))
                }
                _ => {}
            }
        }
        if !lines.is_empty() {
            text.push('\n');
        }
        for line in lines {
            let _ = writeln!(text, "- {line}");
        }
    }
}

fn head(text: &mut String, title: &str, names: &[String]) {
    let _ = writeln!(text, "\n{title}\n");
    row(text, "", names);
    let _ = writeln!(text, "| --- {}|", "| --- ".repeat(names.len()));
}

fn row(text: &mut String, name: &str, cells: &[String]) {
    let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
}

/// `user + kernel` of the round that was best.
fn split(entry: &Entry, best: f64, unit: Unit) -> String {
    let round = entry.rounds().iter().find(|round| round.cost(unit) == best);
    let Some(share) = round.and_then(|round| round.cpu.user_share()) else { return String::new() };
    format!("; {} + {}", figure(best * share), figure(best * (1.0 - share)))
}

fn best_and_median(best: f64, values: &[f64]) -> String {
    match median(values) {
        Some(median) if values.len() > 1 => format!("{} ({})", figure(best), figure(median)),
        _ => figure(best),
    }
}

/// With three digits or so.
fn figure(value: f64) -> String {
    match value {
        small if small < 1.0 => format!("{small:.3}"),
        small if small < 10.0 => format!("{small:.2}"),
        middle if middle < 100.0 => format!("{middle:.1}"),
        large => format!("{large:.0}"),
    }
}

fn mib(bytes: [u64; 2]) -> String {
    let [client, server] = bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
    format!("{client:.1} + {server:.1}")
}
