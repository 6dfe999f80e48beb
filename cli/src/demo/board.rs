//! The picture of the running mesh that the view draws and the summary judges, made of samples taken twice a second.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use super::{
    counts::{Counts, Latency},
    endpoints::{Ejections, Endpoints, Health},
    kind::Kind,
    load::{Hops, Tally},
    mesh::{APPLICATIONS, CLIENT, Pod, is_of},
    split::{Seen, Wanted},
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
    /// Which sidecar each Pod has, in the order of the Pods.
    pub kinds: Vec<(&'static str, Kind)>,
    /// Who calls whom.
    pub edges: Vec<Edge>,
    /// What kind of sidecar calls what kind; every combination that the Pods make possible.
    pub flows: BTreeMap<(Kind, Kind), Flow>,
    /// The split that the route asks for, where it is one.
    pub wanted: Option<Wanted>,
    /// Answers of the two versions, recently.
    pub split: Seen,
    /// Endpoints of the called services, as their callers see them.
    pub endpoints: Vec<Endpoint>,
    /// Sidecars that answer, and all.
    pub sidecars: (usize, usize),
}

/// The calls of one application to one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The calling Pod.
    pub caller: &'static str,
    /// The called Service.
    pub callee: &'static str,
    /// Answers a second, recently.
    pub per_second: f64,
    /// Percent that succeeded, recently; `None` without answers.
    pub success: Option<f64>,
    /// Answers since the start.
    pub answered: u64,
    /// Tries of the sidecar after the first, since the start: requests that came to the called Pods beyond those sent.
    pub retries: u64,
    /// How often an endpoint was seen to be ejected.
    pub ejections: u64,
    /// Of the last seconds.
    pub recent: Option<Latency>,
    /// Since the start.
    pub overall: Option<Latency>,
    /// Requests with proven identities, without, and the identities.
    pub hops: Hops,
}

/// Requests over mTLS between two kinds of sidecar.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// Since the start.
    pub total: u64,
    /// Recently.
    pub per_second: f64,
}

/// One endpoint of a called service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The calling Pod.
    pub caller: &'static str,
    /// The Service.
    pub service: String,
    /// The Pod or, where it is none of the demo's, the address.
    pub name: String,
    /// Whether it is in use.
    pub health: Health,
}

/// What was seen of the mesh at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Since the traffic began.
    pub at: Duration,
    /// What came back to the load.
    pub tally: Tally,
    /// What the applications count, by Pod; of the load too.
    pub counts: BTreeMap<&'static str, Counts>,
    /// What the sidecars that answered say of their endpoints, by Pod.
    pub endpoints: BTreeMap<&'static str, Endpoints>,
    /// Which sidecar each Pod has.
    pub kinds: BTreeMap<&'static str, Kind>,
}

/// The samples that "recent" needs, and what only all samples together tell.
#[derive(Default)]
pub struct History {
    past: VecDeque<Sample>,
    split_from: Seen,
    ejections: Ejections,
}

impl Edge {
    /// Whether every request of which an answer tells went with proven identities.
    pub fn is_proved(&self) -> bool {
        self.hops.proved > 0 && self.hops.unproved == 0
    }
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
        sample.endpoints.iter().for_each(|(pod, endpoints)| self.ejections.look(pod, endpoints));
        let nothing = Sample::default();
        let earlier = self.past.front().unwrap_or(&nothing);
        let kind = |pod: Pod| Some((pod.name, *sample.kinds.get(pod.name)?));
        let mut board = Board {
            elapsed: sample.at,
            load: (sample.tally.succeeded, sample.tally.failed()),
            kinds: pods().filter_map(kind).collect(),
            flows: flows(&sample, earlier),
            wanted,
            split: sample.tally.split.since(earlier.tally.split.later(self.split_from)),
            sidecars: (sample.endpoints.len(), sample.kinds.len()),
            ..Board::default()
        };
        for caller in pods() {
            for callee in caller.calls() {
                board.edges.extend(edge(caller.name, callee, &sample, earlier, &self.ejections));
            }
            board.endpoints.extend(endpoints(caller, &sample, &name));
        }
        self.past.push_back(sample);
        board
    }
}

fn pods() -> impl Iterator<Item = Pod> {
    [CLIENT].into_iter().chain(APPLICATIONS)
}

fn per_second(count: u64, now: &Sample, earlier: &Sample) -> f64 {
    let seconds = now.at.saturating_sub(earlier.at).as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// None before the first answer.
fn edge(
    caller: &'static str,
    callee: &'static str,
    now: &Sample,
    earlier: &Sample,
    ejections: &Ejections,
) -> Option<Edge> {
    let after = now.counts.get(caller)?.calls.get(callee).filter(|calls| calls.answered > 0)?;
    let before = earlier.counts.get(caller).and_then(|counts| counts.calls.get(callee)).cloned().unwrap_or_default();
    let answered = after.answered.saturating_sub(before.answered);
    let failed = after.failed.saturating_sub(before.failed).min(answered);
    let called = now.counts.iter().filter(|(pod, _)| is_of(pod, callee));
    let arrived: u64 = called.filter_map(|(_, counts)| counts.arrived.get(caller)).sum();
    let overall = after.times.latency();
    Some(Edge {
        caller,
        callee,
        per_second: per_second(answered, now, earlier),
        success: (answered > 0).then(|| 100.0 * (answered - failed) as f64 / answered as f64),
        answered: after.answered,
        retries: arrived.saturating_sub(after.sent),
        ejections: ejections.count(caller, callee),
        recent: after.times.since(&before.times).latency().or(overall),
        overall,
        hops: now.tally.hops_between(caller, |pod| is_of(pod, callee)),
    })
}

fn flows(now: &Sample, earlier: &Sample) -> BTreeMap<(Kind, Kind), Flow> {
    let mut flows = BTreeMap::<_, Flow>::new();
    for caller in pods() {
        for callee in APPLICATIONS.into_iter().filter(|callee| caller.does_call(callee.name)) {
            let (Some(from), Some(to)) = (now.kinds.get(caller.name), now.kinds.get(callee.name)) else { continue };
            let proved = |sample: &Sample| sample.tally.hops_between(caller.name, |pod| pod == callee.name).proved;
            let flow = flows.entry((*from, *to)).or_default();
            flow.total += proved(now);
            flow.per_second += per_second(proved(now).saturating_sub(proved(earlier)), now, earlier);
        }
    }
    flows
}

/// Those that a sidecar has, as an Envoy, for services that its application does not call are left out.
fn endpoints<'a>(
    caller: Pod,
    now: &'a Sample,
    name: &'a impl Fn(SocketAddr) -> Option<&'static str>,
) -> impl Iterator<Item = Endpoint> + 'a {
    let known = now.endpoints.get(caller.name).into_iter().flat_map(|endpoints| &endpoints.0);
    known.filter(move |(service, _)| caller.does_call(service)).flat_map(move |(service, endpoints)| {
        endpoints.iter().map(move |(address, health)| Endpoint {
            caller: caller.name,
            service: service.clone(),
            name: name(*address).map_or_else(|| address.to_string(), str::to_owned),
            health: *health,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{apps::Proof, counts::Calls};

    fn sample(second: u64, answered: u64, failed: u64, split: Seen) -> Sample {
        let address = "127.0.1.42:15080".parse().unwrap();
        let seen = |service: &str| (service.to_owned(), [(address, Health::Ejected)].into());
        let calls = Calls { sent: answered + 1, answered, failed, ..Calls::default() };
        let web = Counts { calls: [("catalog".to_owned(), calls)].into(), ..Counts::default() };
        let arrived = |count| Counts { arrived: [("web-1".to_owned(), count)].into(), ..Counts::default() };
        let mut tally = Tally { split, succeeded: answered, ..Tally::default() };
        let proof = Proof { caller: "web".to_owned(), callee: "catalog".to_owned() };
        let hops = Hops { proved: answered, unproved: 0, proof: Some(proof) };
        tally.hops.insert(("web-1".to_owned(), "catalog-2".to_owned()), hops);
        Sample {
            at: Duration::from_secs(second),
            tally,
            counts: [("web-1", web), ("catalog-1", arrived(answered)), ("catalog-2", arrived(4))].into(),
            endpoints: [("web-1", Endpoints([seen("catalog"), seen("web")].into()))].into(),
            kinds: [("web-1", Kind::Micro), ("catalog-2", Kind::Envoy)].into(),
        }
    }

    #[test]
    fn recent_figures_forget_what_is_older_than_ten_seconds() {
        let mut history = History::default();
        let name = |_| Some("catalog-3");
        history.board(sample(1, 100, 100, Seen { v1: 0, v2: 100 }), None, name);
        history.board(sample(2, 200, 100, Seen { v1: 90, v2: 110 }), None, name);
        let board = history.board(sample(12, 600, 100, Seen { v1: 450, v2: 150 }), None, name);
        let edge = &board.edges[0];
        assert_eq!((edge.caller, edge.callee, edge.answered), ("web-1", "catalog", 600));
        assert_eq!(edge.per_second, 40.0);
        assert_eq!(edge.success, Some(100.0), "the failures are older");
        assert_eq!(board.split, Seen { v1: 360, v2: 40 });
        assert_eq!(board.flows, [((Kind::Micro, Kind::Envoy), Flow { total: 600, per_second: 40.0 })].into());
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
        let edge = &board.edges[0];
        assert!(edge.is_proved());
        assert_eq!(edge.hops.proof.as_ref().unwrap().callee, "catalog");
        assert_eq!((edge.success, edge.ejections), (Some(50.0), 1));
        assert_eq!(edge.retries, 3, "14 came of 11 that were sent");
        let (caller, name) = ("web-1", "catalog-3".to_owned());
        let expected = Endpoint { caller, service: "catalog".to_owned(), name, health: Health::Ejected };
        assert_eq!(board.endpoints, [expected], "web-1 does not call web");
    }
}
