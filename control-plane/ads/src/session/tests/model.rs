//! Random subscriptions, answers and changes, against a slow client model that is obviously right.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use byrnie_proto::Kind::{self, Cluster, Endpoints, Listener, Route};
use byrnie_snapshot::{Dialect, View};
use proptest::prelude::*;

use super::peer::{Peer, delta, resource};
use crate::session::{
    Protocol::{self, Delta, Sotw},
    Request, Response, TypeUrl, Wanted,
};

const KINDS: [Kind; 4] = [Cluster, Endpoints, Listener, Route];
const NAMES: [&str; 5] = ["*", "a", "b", "c", "d"];

#[derive(Clone, Debug)]
enum Step {
    /// A resource gets new content, in a view that may hide others.
    Put {
        kind: usize,
        name: usize,
        content: u8,
        narrow: bool,
        to: usize,
    },
    Remove {
        kind: usize,
        name: usize,
        narrow: bool,
    },
    Subscribe {
        kind: usize,
        names: Vec<usize>,
    },
    Unsubscribe {
        kind: usize,
        names: Vec<usize>,
    },
    /// The client reads one response.
    Read,
    /// The client answers the oldest response that it read.
    Answer {
        nack: bool,
    },
    Wait {
        ms: u64,
    },
    Reconnect,
}

/// What a client keeps, by the rules of the protocol document alone.
struct Model {
    peer: Peer,
    protocol: Protocol,
    kinds: BTreeMap<Kind, Kept>,
    read: Vec<Response>,
    /// Versions of everything that was on this stream, to see what was sent needlessly.
    needless: Vec<String>,
}

#[derive(Default)]
struct Kept {
    opened: bool,
    nonce: String,
    names: BTreeSet<String>,
    held: BTreeMap<String, String>,
    /// Names whose next resource is welcome even if unchanged.
    asked: BTreeSet<String>,
}

impl Model {
    fn new(protocol: Protocol, dialect: Dialect) -> Self {
        let kinds = KINDS.map(|kind| (kind, Kept::default())).into();
        Self { peer: Peer::of(protocol, dialect), protocol, kinds, read: Vec::new(), needless: Vec::new() }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put { kind, name, content, narrow, to } => {
                let refers: &[(Kind, &str)] = match KINDS[kind] {
                    Cluster => &[(Endpoints, NAMES[name])],
                    Endpoints => &[],
                    Listener => &[(Route, NAMES[to]), (Cluster, NAMES[to])],
                    _ => &[(Cluster, NAMES[to])],
                };
                let resource = resource(KINDS[kind], NAMES[name], &format!("{content} {to}"), refers);
                let view = self.view(narrow);
                self.peer.publish(|snapshot| snapshot.put(view, resource));
            }
            Step::Remove { kind, name, narrow } => {
                let view = self.view(narrow);
                self.peer.publish(|snapshot| snapshot.remove(&view, KINDS[kind], NAMES[name]));
            }
            Step::Subscribe { kind, names } => self.subscribe(KINDS[kind], &names),
            Step::Unsubscribe { kind, names } => self.unsubscribe(KINDS[kind], &names),
            Step::Read => self.read(),
            Step::Answer { nack } => {
                if !self.read.is_empty() {
                    let response = self.read.remove(0);
                    self.answer(&response, nack);
                }
            }
            Step::Wait { ms } => self.peer.wait(Duration::from_millis(ms)),
            Step::Reconnect => self.reconnect(),
        }
    }

    fn view(&self, narrow: bool) -> View {
        let client = self.peer.session.client();
        match client.dialect {
            _ if !narrow => View::Common,
            Dialect::Micro => View::Workload(client.workload.clone()),
            dialect => View::Namespace(dialect, "shop".into()),
        }
    }

    fn read(&mut self) {
        let Some(response) = self.peer.session.next_response(&self.peer.snapshot, self.peer.now) else { return };
        let TypeUrl::Known(kind) = response.type_url else { panic!() };
        let kept = self.kinds.get_mut(&kind).unwrap();
        kept.nonce.clone_from(&response.nonce);
        let full = self.protocol == Sotw && kind.has_wildcard();
        let mut now = BTreeMap::new();
        let wildcard = kept.names.contains("*");
        for resource in &response.resources {
            let (name, version) = (resource.name().to_string(), resource.version().to_string());
            let asked = kept.asked.remove(&name);
            // Endpoints go again for the sake of their cluster, and a full response repeats all.
            if !asked && !full && kind != Endpoints && kept.held.get(&name) == Some(&version) {
                self.needless.push(format!("{kind} {name}"));
            }
            assert!(now.insert(name, version).is_none(), "one name twice");
        }
        // A response on its way may cross an unsubscription: the client ignores what it does not want.
        now.retain(|name, _| wildcard || kept.names.contains(name));
        for name in &response.removed {
            assert!(self.protocol == Delta);
            kept.asked.remove(&**name);
            kept.held.remove(&**name);
        }
        if full {
            kept.held = now;
        } else {
            kept.held.extend(now);
        }
        self.read.push(response);
    }

    fn answer(&mut self, response: &Response, nack: bool) {
        let TypeUrl::Known(kind) = response.type_url else { panic!() };
        let kept = &self.kinds[&kind];
        let wanted = match self.protocol {
            Sotw => Wanted::Sotw { names: kept.names.iter().cloned().collect(), version: String::new() },
            Delta => delta(&[], &[], &[]),
        };
        // The words name no resource, so that nothing is put aside because of them.
        let error = nack.then(|| "refused".to_owned());
        self.peer.request(Request { kind, nonce: response.nonce.clone(), error, wanted });
    }

    fn subscribe(&mut self, kind: Kind, names: &[usize]) {
        let names: BTreeSet<_> = names.iter().map(|name| NAMES[*name].to_owned()).collect();
        let kept = self.kinds.get_mut(&kind).unwrap();
        // State of the world lists everything, so only a new name is a question; delta asks for each name it says.
        let repeats = |name: &&String| self.protocol == Sotw && kept.names.contains(*name);
        let asked: Vec<_> = names.iter().filter(|name| !repeats(name)).cloned().collect();
        kept.asked.extend(asked);
        if names.contains("*") {
            kept.asked.extend(NAMES.map(str::to_owned));
        }
        kept.names.extend(names.iter().cloned());
        let subscribe: Vec<&str> = names.iter().map(String::as_str).collect();
        self.send(kind, delta(&subscribe, &[], &[]));
    }

    fn unsubscribe(&mut self, kind: Kind, names: &[usize]) {
        let kept = self.kinds.get_mut(&kind).unwrap();
        let names: BTreeSet<_> = names.iter().map(|name| NAMES[*name]).collect();
        kept.names.retain(|name| !names.contains(name.as_str()));
        if !kept.names.contains("*") {
            kept.held.retain(|name, _| kept.names.contains(name));
        }
        // Under a wildcard a name that is given up is sent once more.
        kept.asked.extend(names.iter().map(|name| (*name).to_owned()));
        let unsubscribe: Vec<_> = names.into_iter().collect();
        self.send(kind, delta(&[], &unsubscribe, &[]));
    }

    fn send(&mut self, kind: Kind, changes: Wanted) {
        let kept = self.kinds.get_mut(&kind).unwrap();
        // A first request without a name would be a wildcard by the old rule, which has tests of its own.
        if !kept.opened && kept.names.is_empty() {
            return;
        }
        kept.opened = true;
        let names = kept.names.iter().cloned().collect();
        let (nonce, wanted) = match self.protocol {
            Sotw => (kept.nonce.clone(), Wanted::Sotw { names, version: String::new() }),
            Delta => (String::new(), changes),
        };
        self.peer.request(Request { kind, nonce, error: None, wanted });
    }

    fn reconnect(&mut self) {
        self.peer.reconnect();
        self.read.clear();
        for kind in KINDS {
            let kept = self.kinds.get_mut(&kind).unwrap();
            kept.nonce.clear();
            kept.asked.clear();
            if kept.names.is_empty() {
                kept.opened = false;
                continue;
            }
            // What the client has is what the server has, or else it is sent, be it that it comes back by then.
            let sight = self.peer.snapshot.sight(self.peer.session.client(), kind);
            let version = |name: &str| sight.get(name).map(|resource| resource.version().to_string());
            let known = |name: &str| self.protocol == Delta && kept.held.get(name).cloned() == version(name);
            kept.asked = NAMES.iter().filter(|name| !known(name)).map(|name| (*name).to_owned()).collect();
            let names: Vec<&str> = kept.names.iter().map(String::as_str).collect();
            let initial: Vec<_> = kept.held.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect();
            let wanted = delta(&names, &[], &initial);
            self.send(kind, wanted);
        }
    }

    /// Reads and accepts everything until nothing comes, however long it takes.
    fn settle(&mut self) {
        for _ in 0..200 {
            let before = self.read.len();
            self.read();
            if !self.read.is_empty() {
                let response = self.read.remove(0);
                self.answer(&response, false);
            } else if before == 0 {
                match self.peer.session.deadline(self.peer.now) {
                    Some(deadline) => self.peer.now = deadline,
                    None => return,
                }
            }
        }
        panic!("it does not come to rest");
    }

    fn check(&self) {
        assert!(self.needless.is_empty(), "sent needlessly: {:?}", self.needless);
        for (kind, kept) in &self.kinds {
            let sight = self.peer.snapshot.sight(self.peer.session.client(), *kind);
            let covered = sight.wildcard();
            let by_wildcard = |name: &str| kept.names.contains("*") && covered.get(name).is_some();
            let wanted = |name: &str| by_wildcard(name) || kept.names.contains(name);
            let expected: BTreeMap<_, _> = sight
                .iter()
                .filter(|resource| wanted(resource.name()))
                .map(|resource| (resource.name().to_string(), resource.version().to_string()))
                .collect();
            let mut held = kept.held.clone();
            if self.protocol == Sotw && !kind.has_wildcard() {
                // Nothing takes back what a partial response does not repeat.
                held.retain(|name, _| expected.contains_key(name));
            }
            assert_eq!(held, expected, "{kind}");
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let kind = 0..KINDS.len();
    let name = 1..NAMES.len();
    let names = || prop::collection::vec(prop_oneof![1 => Just(0), 6 => 1..NAMES.len()], 1..3);
    prop_oneof![
        4 => (kind.clone(), name.clone(), 0..3u8, any::<bool>(), name.clone())
            .prop_map(|(kind, name, content, narrow, to)| Step::Put { kind, name, content, narrow, to }),
        2 => (kind.clone(), name, any::<bool>())
            .prop_map(|(kind, name, narrow)| Step::Remove { kind, name, narrow }),
        2 => (kind.clone(), names()).prop_map(|(kind, names)| Step::Subscribe { kind, names }),
        1 => (kind, names()).prop_map(|(kind, names)| Step::Unsubscribe { kind, names }),
        4 => Just(Step::Read),
        3 => prop::bool::weighted(0.2).prop_map(|nack| Step::Answer { nack }),
        1 => (1..3000u64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Reconnect),
    ]
}

fn run(protocol: Protocol, dialect: Dialect, steps: Vec<Step>) {
    let mut model = Model::new(protocol, dialect);
    steps.into_iter().for_each(|step| model.step(step));
    model.settle();
    model.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_delta_client_ends_with_what_it_subscribed_to(steps in prop::collection::vec(step(), 0..60)) {
        run(Delta, Dialect::Grpc, steps);
    }

    #[test]
    fn a_sotw_client_ends_with_what_it_subscribed_to(steps in prop::collection::vec(step(), 0..60)) {
        run(Sotw, Dialect::Grpc, steps);
    }

    #[test]
    fn a_micro_proxy_ends_with_its_own_and_what_it_asked_for(steps in prop::collection::vec(step(), 0..60)) {
        run(Delta, Dialect::Micro, steps);
    }
}
