//! What the run came to: a table, and whether the mesh did its job.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use super::{
    board::{Board, Edge},
    counts::Latency,
    faults::Failing,
    kind::Kind,
    mesh::ROUTE_FILE,
    split::{Seen, Wanted},
    view::{clock, millis},
};

const LEAST_SUCCESS: f64 = 99.0;
/// The first burst of failures is over by then, and catalog-3 had its third of the requests.
const FAILURES_ARE_DUE: (Duration, u64) = (Duration::from_secs(8), 100);
/// By then every combination of sidecars had its share: the rarest is one in ten.
const FLOWS_ARE_DUE: u64 = 100;
/// As catalog-policy.yaml says.
const ERRORS_UNTIL_EJECTED: u64 = 3;

/// Everything that the verdict rests on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The last picture.
    pub board: Board,
    /// Failed requests of the load by reason.
    pub failures: BTreeMap<String, u64>,
    /// Answers of the two versions since the route was last edited.
    pub split: Seen,
    /// The split that the route asks for, where it is one.
    pub wanted: Option<Wanted>,
    /// What the failing endpoint failed on purpose.
    pub failing: Failing,
    /// Files other than the route that the reader changed.
    pub edited: Vec<String>,
    /// How each process that ended by itself ended.
    pub ended: Vec<String>,
}

impl Facts {
    /// What is wrong; empty where the mesh did its job.
    pub fn findings(&self) -> Vec<String> {
        let mut findings = self.ended.clone();
        let (succeeded, failed) = self.board.load;
        let sum = succeeded + failed;
        if sum == 0 {
            findings.push("no request was answered".to_owned());
            return findings;
        }
        let success = 100.0 * succeeded as f64 / sum as f64;
        if success < LEAST_SUCCESS && self.is_resilience_judged() {
            findings.push(format!("{success:.2} % of {sum} requests succeeded, {LEAST_SUCCESS} % were wanted"));
        }
        findings.extend(self.plain_text());
        findings.extend(self.silent_flows());
        findings.extend(self.split_finding());
        findings.extend(self.resilience());
        let (answering, all) = self.board.sidecars;
        if answering < all {
            findings.push(format!("only {answering} of {all} sidecars answer"));
        }
        findings
    }

    /// The table and the verdict.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let (succeeded, failed) = self.board.load;
        let kind =
            |pod: &str| self.board.kinds.iter().find(|(name, _)| *name == pod).map_or("", |(_, kind)| kind.name());
        let rows = self.board.edges.iter().map(|edge| {
            let latency = |value: fn(&Latency) -> f64| millis(edge.overall.as_ref().map(value));
            [
                format!("{} ({}) -> {}", edge.caller, kind(edge.caller), edge.callee),
                edge.answered.to_string(),
                edge.retries.to_string(),
                edge.ejections.to_string(),
                latency(|latency| latency.p50),
                latency(|latency| latency.p99),
                if edge.is_proved() { "yes" } else { "NO" }.to_owned(),
            ]
        });
        let heading = ["calls", "answered", "retries", "ejections", "p50", "p99", "mTLS"].map(str::to_owned);
        for [name, cells @ ..] in std::iter::once(heading).chain(rows) {
            let cells: String = cells.iter().map(|cell| format!("{cell:>10}")).collect();
            push(&mut text, &format!("{name:<26}{cells}"));
        }
        push(&mut text, "");
        self.push_flows(&mut text);
        push(
            &mut text,
            &format!("\n{} of traffic: {succeeded} requests succeeded, {failed} failed", clock(self.board.elapsed)),
        );
        for (reason, count) in &self.failures {
            push(&mut text, &format!("  {count} x {reason}"));
        }
        push(&mut text, &format!("catalog-3 failed {} requests on purpose", self.failing.sum));
        if let Some([v1, v2]) = self.split.percent() {
            let wanted = self.wanted.map(Wanted::percent);
            let wanted = wanted.map_or("not judged: the route is no plain split".to_owned(), |[v1, v2]| {
                format!("wanted {v1:.1}/{v2:.1}")
            });
            push(&mut text, &format!("split of cart: {v1:.1}/{v2:.1} of {} answers ({wanted})", self.split.sum()));
        }
        if !self.is_resilience_judged() {
            let files = if self.edited.is_empty() { ROUTE_FILE.to_owned() } else { self.edited.join(", ") };
            push(&mut text, &format!("success, retries and ejections are not judged: {files} changed"));
        }
        text
    }

    /// What comes of the reader's edits is no fault of the mesh; a route that still is a split leaves all as it was.
    fn is_resilience_judged(&self) -> bool {
        self.edited.is_empty() && self.wanted.is_some()
    }

    fn push_flows(&self, text: &mut String) {
        for kind in [Kind::Micro, Kind::Envoy] {
            let pods: Vec<_> = self.board.kinds.iter().filter(|(_, of)| *of == kind).map(|(pod, _)| *pod).collect();
            if !pods.is_empty() {
                push(text, &format!("{kind:<6}is the sidecar of {}", pods.join(", ")));
            }
        }
        let seconds = self.board.elapsed.as_secs_f64();
        for ((from, to), flow) in &self.board.flows {
            let rate = if seconds > 0.0 { flow.total as f64 / seconds } else { 0.0 };
            push(text, &format!("{from:<6}-> {to:<6}{:>8} requests over mTLS, {rate:.1} a second", flow.total));
        }
    }

    fn plain_text(&self) -> Vec<String> {
        let finding = |edge: &Edge| match (edge.hops.unproved, edge.hops.proved) {
            (0, 0) if edge.answered >= FLOWS_ARE_DUE => {
                Some(format!("no call of {} to {} was proven", edge.caller, edge.callee))
            }
            (0, _) => None,
            (count, _) => Some(format!("{count} requests of {} reached {} in plain text", edge.caller, edge.callee)),
        };
        self.board.edges.iter().filter_map(finding).collect()
    }

    fn silent_flows(&self) -> Vec<String> {
        let due = self.board.load.0 >= FLOWS_ARE_DUE && self.edited.is_empty();
        let silent = self.board.flows.iter().filter(|(_, flow)| due && flow.total == 0);
        silent
            .map(|((from, to), _)| {
                format!("no request went over mTLS from a sidecar of kind {from} to one of kind {to}")
            })
            .collect()
    }

    fn split_finding(&self) -> Option<String> {
        let wanted = self.wanted?;
        if wanted.explains(self.split)? {
            return None;
        }
        let ([v1, v2], [wanted_v1, wanted_v2]) = (self.split.percent()?, wanted.percent());
        let sum = self.split.sum();
        Some(format!(
            "cart was split {v1:.1}/{v2:.1} over {sum} answers where {wanted_v1:.1}/{wanted_v2:.1} was wanted: more than chance explains"
        ))
    }

    fn resilience(&self) -> Vec<String> {
        if !self.is_resilience_judged() {
            return Vec::new();
        }
        let mut findings = Vec::new();
        let Failing { sum: failed, longest_series } = &self.failing;
        let (after, requests) = FAILURES_ARE_DUE;
        if *failed == 0 && self.board.elapsed >= after && self.board.load.0 >= requests {
            findings.push("catalog-3 failed no request, so it got none while it was failing".to_owned());
        }
        if *failed > 0 && self.board.edges.iter().all(|edge| edge.retries == 0) {
            findings.push(format!("catalog-3 failed {failed} requests and none was tried again"));
        }
        for (caller, series) in longest_series {
            let ejected = self.board.edges.iter().any(|edge| edge.caller == caller && edge.ejections > 0);
            if *series >= ERRORS_UNTIL_EJECTED && !ejected {
                findings.push(format!(
                    "catalog-3 failed {series} requests of {caller} in a row, whose sidecar was never seen to eject it"
                ));
            }
        }
        findings
    }
}

fn push(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{board::Flow, load::Hops};

    fn good() -> Facts {
        let edge = |caller, callee, retries, ejections| Edge {
            caller,
            callee,
            per_second: 40.0,
            success: Some(100.0),
            answered: 800,
            retries,
            ejections,
            recent: None,
            overall: None,
            hops: Hops { proved: 800, ..Hops::default() },
        };
        let edges = vec![edge("client", "web", 0, 0), edge("web-1", "catalog", 23, 3)];
        let flow = Flow { total: 400, per_second: 20.0 };
        Facts {
            board: Board {
                load: (800, 0),
                edges,
                kinds: vec![("client", Kind::Micro), ("web-1", Kind::Envoy)],
                flows: [((Kind::Micro, Kind::Envoy), flow), ((Kind::Envoy, Kind::Envoy), flow)].into(),
                sidecars: (8, 8),
                elapsed: Duration::from_secs(20),
                ..Board::default()
            },
            split: Seen { v1: 715, v2: 85 },
            wanted: Wanted::read(include_str!("mesh/cart-route.yaml")),
            failing: Failing { sum: 30, longest_series: [("web-1".to_owned(), 3)].into() },
            ..Facts::default()
        }
    }

    fn only_finding(spoil: impl FnOnce(&mut Facts)) -> String {
        let mut facts = good();
        spoil(&mut facts);
        let findings = facts.findings();
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.into_iter().next().unwrap()
    }

    #[test]
    fn a_mesh_that_did_its_job_has_no_finding() {
        assert_eq!(good().findings(), Vec::<String>::new());
    }

    #[test]
    fn each_way_to_fail_is_a_finding_that_says_which() {
        assert!(only_finding(|facts| facts.board.load = (780, 20)).contains("97.50 % of 800"));
        assert!(only_finding(|facts| facts.board.load = (0, 0)).contains("no request"));
        assert!(only_finding(|facts| facts.board.edges[0].hops.proved = 0).contains("no call of client to web"));
        assert!(
            only_finding(|facts| facts.board.edges[1].hops.unproved = 3)
                .contains("3 requests of web-1 reached catalog")
        );
        let silent = only_finding(|facts| {
            facts.board.flows.insert((Kind::Micro, Kind::Envoy), Flow::default());
        });
        assert!(silent.contains("from a sidecar of kind micro to one of kind envoy"), "{silent}");
        assert!(only_finding(|facts| facts.split = Seen { v1: 400, v2: 400 }).contains("50.0/50.0 over 800"));
        assert!(only_finding(|facts| facts.board.edges[1].retries = 0).contains("none was tried again"));
        assert!(only_finding(|facts| facts.board.edges[1].ejections = 0).contains("never seen to eject"));
        assert!(only_finding(|facts| facts.failing = Failing::default()).contains("failed no request"));
        assert!(only_finding(|facts| facts.ended.push("sidecar of web-1 ended".into())).contains("web-1"));
        assert!(only_finding(|facts| facts.board.sidecars = (6, 8)).contains("only 6 of 8"));
    }

    #[test]
    fn the_summary_names_the_kinds_and_what_flows_between_them() {
        let text = good().text();
        for line in [
            "web-1 (envoy) -> catalog         800        23         3",
            "micro is the sidecar of client",
            "envoy is the sidecar of web-1",
            "micro -> envoy      400 requests over mTLS, 20.0 a second",
        ] {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
    }

    #[test]
    fn what_the_reader_edited_is_not_held_against_the_mesh() {
        let mut facts = good();
        facts.edited.push("catalog-policy.yaml".to_owned());
        facts.board.load = (600, 200);
        (facts.board.edges[1].retries, facts.board.edges[1].ejections) = (0, 0);
        (facts.wanted, facts.split) = (None, Seen { v1: 0, v2: 800 });
        assert_eq!(facts.findings(), Vec::<String>::new());
        assert!(facts.text().contains("not judged: catalog-policy.yaml changed"));
    }

    #[test]
    fn nothing_is_asked_of_a_backend_that_had_no_time_to_fail() {
        let mut facts = good();
        facts.failing = Failing { sum: 2, longest_series: [("web-1".to_owned(), 2)].into() };
        facts.board.edges[1].ejections = 0;
        assert_eq!(facts.findings(), Vec::<String>::new());
        facts.failing = Failing::default();
        facts.board.edges[1].retries = 0;
        facts.board.elapsed = Duration::from_secs(3);
        assert_eq!(facts.findings(), Vec::<String>::new());
    }
}
