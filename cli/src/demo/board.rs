//! The picture of the running mesh that the view draws and the summary judges, made of samples taken twice a second.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use super::{
    apps::Proof,
    load::Tally,
    split::{Seen, Wanted},
    stats::{Health, Latency, Stats},
};

/// How far back "recent" reaches.
pub const RECENT: Duration = Duration::from_secs(10);

/// The picture at one moment.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// How long the traffic runs.
    pub elapsed: Duration,
    /// Requests of the load that succeeded and failed since the start.
    pub load: (u64, u64),
    /// Who calls whom.
    pub edges: Vec<Edge>,
    /// The split that the route asks for, where it is one.
    pub wanted: Option<Wanted>,
    /// Answers of the two versions, recently.
    pub split: Seen,
    /// Endpoints of the called services.
    pub endpoints: Vec<Endpoint>,
    /// Sidecars that answer, and all.
    pub sidecars: (usize, usize),
}

/// The calls of one sidecar to one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The calling Pod.
    pub caller: &'static str,
    /// The called Service.
    pub callee: String,
    /// Answers a second, recently.
    pub per_second: f64,
    /// Percent that succeeded, recently; `None` without answers.
    pub success: Option<f64>,
    /// Answers since the start.
    pub answered: u64,
    /// Tries after the first, since the start.
    pub retries: u64,
    /// TLS handshakes, since the start.
    pub handshakes: u64,
    /// How often an endpoint was ejected.
    pub ejections: u64,
    /// Of the last seconds.
    pub recent: Option<Latency>,
    /// Since the start.
    pub overall: Option<Latency>,
    /// The identities at both ends.
    pub proof: Option<Proof>,
}

/// One endpoint of a called service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The Service.
    pub service: String,
    /// The Pod or, where it is none of the demo's, the address.
    pub name: String,
    /// Whether it is in use.
    pub health: Health,
}

/// What was seen of the mesh at one moment: the tally of the load, and the counts of each sidecar that answered.
pub struct Sample {
    /// Since the traffic began.
    pub at: Duration,
    /// What came back to the load.
    pub tally: Tally,
    /// By Pod.
    pub sidecars: BTreeMap<&'static str, Stats>,
    /// How many sidecars there are.
    pub expected: usize,
}

/// The samples that "recent" needs.
#[derive(Default)]
pub struct History {
    past: VecDeque<Sample>,
    split_from: Seen,
}

impl History {
    /// The split was changed: what came before these answers says nothing about it.
    pub fn restart_split(&mut self, from: Seen) {
        self.split_from = from;
    }

    /// Adds a sample and draws the picture at its moment.
    pub fn board(
        &mut self,
        sample: Sample,
        wanted: Option<Wanted>,
        name: impl Fn(SocketAddr) -> Option<&'static str>,
    ) -> Board {
        while self.past.get(1).is_some_and(|second| sample.at.saturating_sub(second.at) >= RECENT) {
            self.past.pop_front();
        }
        let earlier = self.past.front();
        let split_from = earlier.map(|past| past.tally.split).unwrap_or_default().later(self.split_from);
        let mut board = Board {
            elapsed: sample.at,
            load: (sample.tally.succeeded, sample.tally.failed()),
            wanted,
            split: sample.tally.split.since(split_from),
            sidecars: (sample.sidecars.len(), sample.expected),
            ..Board::default()
        };
        for (caller, stats) in &sample.sidecars {
            for callee in stats.called() {
                board.edges.push(edge(caller, callee, &sample, earlier));
                board.endpoints.extend(endpoints(callee, stats, &name));
            }
        }
        self.past.push_back(sample);
        board
    }
}

fn edge(caller: &'static str, callee: &str, now: &Sample, earlier: Option<&Sample>) -> Edge {
    let calls = |sample: &Sample| sample.sidecars.get(caller)?.calls.get(callee).cloned();
    let after = calls(now).unwrap_or_default();
    let before = earlier.and_then(calls).unwrap_or_default();
    let seconds = now.at.saturating_sub(earlier.map(|sample| sample.at).unwrap_or_default()).as_secs_f64();
    let answered = after.answered.saturating_sub(before.answered);
    let failed = after.failed.saturating_sub(before.failed).min(answered);
    let pod_of_service = |pod: &&String| pod.starts_with(callee);
    let proof = now.tally.proofs.keys().find(pod_of_service).and_then(|pod| now.tally.proofs.get(pod));
    Edge {
        caller,
        callee: callee.to_owned(),
        per_second: if seconds > 0.0 { answered as f64 / seconds } else { 0.0 },
        success: (answered > 0).then(|| 100.0 * (answered - failed) as f64 / answered as f64),
        answered: after.answered,
        retries: after.retries,
        handshakes: after.handshakes,
        ejections: after.ejections,
        recent: after.recent,
        overall: after.overall,
        proof: proof.cloned(),
    }
}

fn endpoints<'a>(
    callee: &'a str,
    stats: &'a Stats,
    name: &'a impl Fn(SocketAddr) -> Option<&'static str>,
) -> impl Iterator<Item = Endpoint> + 'a {
    let known = stats.calls.get(callee).into_iter().flat_map(|calls| &calls.endpoints);
    known.map(|(address, health)| Endpoint {
        service: callee.to_owned(),
        name: name(*address).map_or_else(|| address.to_string(), str::to_owned),
        health: *health,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::stats::Calls;

    fn sample(second: u64, answered: u64, failed: u64, split: Seen) -> Sample {
        let endpoints = [("127.0.1.42:15080".parse().unwrap(), Health::Ejected)].into();
        let calls = Calls { answered, failed, retries: 3, endpoints, ..Calls::default() };
        let stats = Stats { calls: [("catalog".to_owned(), calls)].into(), ..Stats::default() };
        let mut tally = Tally { split, succeeded: answered, ..Tally::default() };
        let proof = Proof { caller: "web".to_owned(), callee: "catalog".to_owned() };
        tally.proofs.insert("catalog-2".to_owned(), proof);
        Sample { at: Duration::from_secs(second), tally, sidecars: [("web-1", stats)].into(), expected: 2 }
    }

    #[test]
    fn recent_figures_forget_what_is_older_than_ten_seconds() {
        let mut history = History::default();
        let name = |_| Some("catalog-3");
        history.board(sample(1, 100, 100, Seen { v1: 0, v2: 100 }), None, name);
        history.board(sample(2, 200, 100, Seen { v1: 90, v2: 110 }), None, name);
        let board = history.board(sample(12, 600, 100, Seen { v1: 450, v2: 150 }), None, name);
        let edge = &board.edges[0];
        assert_eq!((edge.caller, edge.callee.as_str(), edge.answered), ("web-1", "catalog", 600));
        assert_eq!(edge.per_second, 40.0);
        assert_eq!(edge.success, Some(100.0), "the failures are older");
        assert_eq!(board.split, Seen { v1: 360, v2: 40 });
        assert_eq!(board.sidecars, (1, 2));
    }

    #[test]
    fn after_an_edit_of_the_route_only_its_own_answers_show_the_split() {
        let mut history = History::default();
        history.board(sample(1, 100, 0, Seen { v1: 90, v2: 10 }), None, |_| None);
        history.restart_split(Seen { v1: 180, v2: 20 });
        let board = history.board(sample(3, 300, 0, Seen { v1: 230, v2: 70 }), None, |_| None);
        assert_eq!(board.split, Seen { v1: 50, v2: 50 });
    }

    #[test]
    fn an_edge_has_the_identities_and_the_endpoints_their_pods() {
        let board = History::default().board(sample(1, 10, 5, Seen::default()), None, |_| Some("catalog-3"));
        assert_eq!(board.edges[0].proof.as_ref().unwrap().callee, "catalog");
        assert_eq!(board.edges[0].success, Some(50.0));
        let expected =
            Endpoint { service: "catalog".to_owned(), name: "catalog-3".to_owned(), health: Health::Ejected };
        assert_eq!(board.endpoints, [expected]);
    }
}
