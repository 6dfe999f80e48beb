//! The client against a server that does anything a server may do, in any order.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use byrnie_proto::{
    Kind::{self, Cluster, Endpoints, Listener, Route},
    envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};
use proptest::prelude::*;

use super::peer::{Peer, owned};
use crate::{
    client::{ANSWER_LIMIT, Listeners},
    held::{Entry, Good, Held},
    testing::{GARBAGE, body, resource},
};

type Key = (Kind, String);

/// How many names of each kind there are.
const NAMES: usize = 3;
const KINDS: [Kind; 4] = [Listener, Route, Cluster, Endpoints];

#[derive(Clone, Debug)]
enum Step {
    /// A resource is new or changed; the bits of `to` say what it refers to.
    Put {
        kind: usize,
        name: usize,
        to: u8,
        good: bool,
    },
    Remove {
        kind: usize,
        name: usize,
    },
    /// The server reads one request.
    Read,
    /// The server sends something of a kind: what it has to say on up to so many names.
    Send {
        kind: usize,
        most: usize,
    },
    /// It sends something that nobody asked for, or that nobody asked for any more.
    Push {
        kind: usize,
        name: usize,
    },
    Reconnect,
    Want(usize),
    Unwant(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = 0..KINDS.len();
    prop_oneof![
        6 => (kind.clone(), 0..NAMES, any::<u8>(), prop::bool::weighted(0.85))
            .prop_map(|(kind, name, to, good)| Step::Put { kind, name, to, good }),
        2 => (kind.clone(), 0..NAMES).prop_map(|(kind, name)| Step::Remove { kind, name }),
        6 => Just(Step::Read),
        8 => (kind.clone(), 1..4usize).prop_map(|(kind, most)| Step::Send { kind, most }),
        1 => (kind, 0..NAMES).prop_map(|(kind, name)| Step::Push { kind, name }),
        1 => Just(Step::Reconnect),
        2 => (0..NAMES).prop_map(Step::Want),
        1 => (0..NAMES).prop_map(Step::Unwant),
        1 => (0..20u64).prop_map(Step::Wait),
    ]
}

fn name(kind: Kind, at: usize) -> String {
    format!("{}{at}", kind.short().to_lowercase())
}

/// What there is.
#[derive(Clone)]
struct Thing {
    version: u32,
    to: Vec<Key>,
    good: bool,
}

/// A delta server: what one client subscribed to, and what it was sent.
#[derive(Default)]
struct Server {
    world: BTreeMap<Key, Thing>,
    versions: u32,
    wildcards: BTreeSet<Kind>,
    named: BTreeSet<Key>,
    sent: HashMap<Key, Option<u32>>,
    owed: BTreeSet<Key>,
    opened: BTreeSet<Kind>,
    nonces: u32,
    unanswered: BTreeSet<String>,
}

impl Server {
    fn new_stream(&mut self) {
        let (world, versions, nonces) = (std::mem::take(&mut self.world), self.versions, self.nonces);
        *self = Self { world, versions, nonces, ..Self::default() };
    }

    fn read(&mut self, request: DeltaDiscoveryRequest) {
        let kind: Kind = request.type_url.parse().unwrap();
        let first = self.opened.insert(kind);
        if !request.response_nonce.is_empty() {
            assert!(self.unanswered.remove(&request.response_nonce), "answered twice: {request:?}");
            assert!(request.resource_names_subscribe.is_empty() && request.resource_names_unsubscribe.is_empty());
        }
        assert!(first || request.initial_resource_versions.is_empty(), "rule 21: {request:?}");
        assert!(!first || !request.resource_names_subscribe.is_empty(), "rule 11: {request:?}");
        for (name, version) in &request.initial_resource_versions {
            self.sent.insert((kind, name.clone()), Some(version.parse().unwrap()));
        }
        for name in request.resource_names_unsubscribe {
            let key = (kind, name);
            assert!(self.named.remove(&key), "a phantom: {key:?}");
            self.owed.remove(&key);
            if self.wildcards.contains(&kind) {
                self.owed.insert(key);
            } else {
                self.sent.remove(&key);
            }
        }
        for name in request.resource_names_subscribe {
            if name == "*" {
                self.wildcards.insert(kind);
                continue;
            }
            let key = (kind, name);
            let current = self.world.get(&key).map(|thing| thing.version);
            // Rule 21: what the client has in the current version is not sent again on a new stream.
            let known = first && current.is_some() && self.sent.get(&key) == Some(&current);
            self.named.insert(key.clone());
            if !known {
                self.owed.insert(key);
            }
        }
    }

    /// Names of a kind on which there is something to say.
    fn due(&self, kind: Kind) -> Vec<Key> {
        let mut due: BTreeSet<Key> = self.owed.iter().filter(|key| key.0 == kind).cloned().collect();
        let subscribed = |key: &Key| self.named.contains(key) || self.wildcards.contains(&key.0);
        for (key, thing) in self.world.iter().filter(|(key, _)| key.0 == kind && subscribed(key)) {
            if self.sent.get(key) != Some(&Some(thing.version)) {
                due.insert(key.clone());
            }
        }
        for (key, sent) in self.sent.iter().filter(|(key, _)| key.0 == kind && subscribed(key)) {
            if sent.is_some() && !self.world.contains_key(key) {
                due.insert(key.clone());
            }
        }
        due.into_iter().collect()
    }

    fn response(&mut self, kind: Kind, keys: &[Key]) -> DeltaDiscoveryResponse {
        self.nonces += 1;
        let nonce = self.nonces.to_string();
        self.unanswered.insert(nonce.clone());
        let type_url = kind.type_url().to_owned();
        let mut response = DeltaDiscoveryResponse { type_url, nonce, ..Default::default() };
        for key in keys {
            self.owed.remove(key);
            let thing = self.world.get(key);
            self.sent.insert(key.clone(), thing.map(|thing| thing.version));
            match thing {
                Some(thing) => {
                    let to: Vec<_> = thing.to.iter().map(|(kind, name)| (*kind, &**name)).collect();
                    let value = if thing.good { body(kind, &key.1, &to) } else { GARBAGE.to_vec() };
                    response.resources.push(resource(kind, &key.1, &thing.version.to_string(), value));
                }
                None => response.removed_resources.push(key.1.clone()),
            }
        }
        response
    }
}

struct Model {
    peer: Peer,
    server: Server,
    wanted: BTreeSet<String>,
    wildcard: bool,
    /// What served after the last step.
    serving: HashMap<Key, Arc<Good>>,
}

impl Model {
    fn new(wildcard: bool) -> Self {
        let listeners = if wildcard { Listeners::All } else { Listeners::Named(vec![name(Listener, 0).into()]) };
        let (peer, server) = (Peer::new(&listeners), Server::default());
        Self { peer, server, wanted: BTreeSet::new(), wildcard, serving: HashMap::new() }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Put { kind, name: at, to, good } => {
                let kind = KINDS[kind];
                self.server.versions += 1;
                let thing = Thing { version: self.server.versions, to: references(kind, to), good };
                self.server.world.insert((kind, name(kind, at)), thing);
            }
            Step::Remove { kind, name: at } => {
                self.server.world.remove(&(KINDS[kind], name(KINDS[kind], at)));
            }
            Step::Read => {
                if let Some(request) = self.peer.client.next_request() {
                    self.server.read(request);
                }
            }
            Step::Send { kind, most } => {
                let due: Vec<_> = self.server.due(KINDS[kind]).into_iter().take(most).collect();
                if !due.is_empty() {
                    self.send(KINDS[kind], &due);
                }
            }
            Step::Push { kind, name: at } => self.push(KINDS[kind], name(KINDS[kind], at)),
            Step::Reconnect => {
                self.server.new_stream();
                self.peer.reconnect();
            }
            Step::Want(at) => {
                let name = name(Listener, at);
                self.peer.want(&[&name]);
                self.wanted.insert(name);
            }
            Step::Unwant(at) => {
                let name = name(Listener, at);
                if self.wanted.remove(&name) && (self.wildcard || at != 0) {
                    self.peer.unwant(&[&name]);
                }
            }
            Step::Wait(seconds) => self.peer.wait(Duration::from_secs(seconds)),
        }
        self.nothing_breaks();
    }

    fn send(&mut self, kind: Kind, keys: &[Key]) {
        let response = self.server.response(kind, keys);
        if !self.peer.client.table(kind).opened {
            // Nothing of this kind was asked for on this stream, so nobody answers.
            self.server.unanswered.remove(&response.nonce);
        }
        self.peer.client.on_response(response, self.peer.now);
    }

    /// Something the server does not owe, as it may have been on its way: it must not be taken for subscribed to.
    fn push(&mut self, kind: Kind, name: String) {
        let key = (kind, name);
        if !self.server.named.contains(&key) && !self.server.wildcards.contains(&kind) {
            let thing = Thing { version: 0, to: Vec::new(), good: true };
            let before = self.server.world.insert(key.clone(), thing);
            let sent = self.server.sent.get(&key).cloned();
            self.send(kind, std::slice::from_ref(&key));
            match before {
                Some(before) => self.server.world.insert(key.clone(), before),
                None => self.server.world.remove(&key),
            };
            match sent {
                Some(sent) => self.server.sent.insert(key, sent),
                None => self.server.sent.remove(&key),
            };
        }
    }

    /// What serves from now on has what it needs, or the server had its chance; and what served on keeps what it had.
    fn nothing_breaks(&mut self) {
        let serving: HashMap<_, _> =
            self.peer.client.serving().into_iter().map(|(kind, name, good)| ((kind, name.to_string()), good)).collect();
        for (key, good) in &serving {
            let stays = self.serving.get(key).is_some_and(|before| Arc::ptr_eq(before, good));
            for to in &good.references {
                let entry = self.peer.client.table(to.kind).entries.get(&to.name);
                let entry = entry.unwrap_or_else(|| panic!("{to:?} was given up"));
                let to = (to.kind, to.name.to_string());
                if !stays {
                    assert!(entry.serving.is_some() || self.had_its_chance(entry), "{key:?} without {to:?}: {entry:?}");
                } else if self.serving.contains_key(&to) && entry.serving.is_none() {
                    let referrer = &self.peer.client.table(key.0).entries[&*key.1];
                    assert!(matches!(entry.held, Held::Withdrawn), "{key:?} lost {to:?}: {entry:?}");
                    assert!(to.0 == Cluster && !referrer.is_superseded(), "{key:?} lost {to:?} too early");
                }
            }
        }
        self.serving = serving;
    }

    fn had_its_chance(&self, entry: &Entry) -> bool {
        match &entry.held {
            Held::Awaited { since } => since.is_some_and(|since| self.peer.now >= since + ANSWER_LIMIT),
            Held::Live(_) => false,
            Held::Refused { serving, .. } => serving.is_none(),
            Held::Withdrawn => true,
        }
    }

    /// Lets everything arrive, and all waits end.
    fn settle(&mut self) {
        for _ in 0..100 {
            let mut quiet = true;
            while let Some(request) = self.peer.client.next_request() {
                quiet = false;
                self.server.read(request);
            }
            for kind in KINDS {
                let due = self.server.due(kind);
                if !due.is_empty() {
                    quiet = false;
                    self.send(kind, &due);
                }
            }
            if quiet {
                self.peer.wait(Duration::from_secs(60));
                if !self.peer.client.has_request() {
                    return;
                }
            }
        }
        panic!("it never comes to rest");
    }

    /// At rest the client serves what the server has, and is subscribed to what that needs.
    fn is_at_rest(&self) {
        let client = &self.peer.client;
        assert!(self.server.unanswered.is_empty(), "no answer to {:?}", self.server.unanswered);
        for kind in KINDS {
            let told: BTreeSet<_> = self.server.named.iter().filter(|key| key.0 == kind).map(|key| &*key.1).collect();
            let entries = &client.table(kind).entries;
            let named: BTreeSet<_> = entries.iter().filter(|(_, entry)| entry.named).map(|(name, _)| &**name).collect();
            assert_eq!(told, named, "{kind}");
            for (name, entry) in entries {
                let key = (kind, name.to_string());
                match self.server.world.get(&key) {
                    Some(thing) if thing.good => {
                        let version = entry.serving.as_ref().map(|good| good.version.to_string());
                        assert_eq!(version, Some(thing.version.to_string()), "{key:?}");
                    }
                    Some(_) => assert!(matches!(entry.held, Held::Refused { .. }), "{key:?}"),
                    None => assert!(matches!(entry.held, Held::Withdrawn), "{key:?}"),
                }
            }
        }
        for (key, thing) in &self.server.world {
            let wanted = self.wildcard || self.wanted.contains(&key.1) || key.1 == name(Listener, 0);
            if key.0 == Listener && thing.good && wanted {
                assert!(client.resources().listeners.contains_key(&*key.1), "{key:?}");
            }
        }
        let needed: BTreeSet<Key> = client
            .serving()
            .into_iter()
            .flat_map(|(_, _, good)| {
                good.references.iter().map(|to| (to.kind, to.name.to_string())).collect::<Vec<_>>()
            })
            .collect();
        let asked: BTreeSet<Key> = self.server.named.iter().filter(|key| key.0 != Listener).cloned().collect();
        assert_eq!(asked, needed, "subscribed to what something that serves refers to, and to nothing else");
    }
}

fn references(kind: Kind, bits: u8) -> Vec<Key> {
    let pick =
        |kind: Kind, bits: u8| (0..NAMES).filter(move |at| bits & (1 << at) != 0).map(move |at| (kind, name(kind, at)));
    match kind {
        Listener => pick(Route, bits).chain(pick(Cluster, bits >> NAMES)).collect(),
        Route => pick(Cluster, bits).collect(),
        Cluster => pick(Endpoints, bits).take(1).collect(),
        Endpoints | Kind::Secret => Vec::new(),
    }
}

fn run(wildcard: bool, steps: Vec<Step>) {
    let mut model = Model::new(wildcard);
    for step in steps {
        model.run(step);
    }
    model.settle();
    model.is_at_rest();
    // A new stream of a server that knows nothing new brings nothing but answers to what is not held.
    let before = model.peer.client.resources().clone();
    model.server.new_stream();
    model.peer.reconnect();
    while let Some(request) = model.peer.client.next_request() {
        model.server.read(request);
    }
    for kind in KINDS {
        for key in model.server.due(kind) {
            let good = model.server.world.get(&key).is_some_and(|thing| thing.good);
            assert!(!good, "sent again though it is held: {key:?}");
        }
    }
    model.settle();
    model.is_at_rest();
    assert_eq!(before.versions(Listener).count(), model.peer.client.resources().versions(Listener).count());
    let unwanted: Vec<String> = model.wanted.iter().cloned().collect();
    let unwanted: Vec<&str> = unwanted.iter().map(String::as_str).collect();
    model.peer.client.on_demand(&[], &owned(&unwanted), model.peer.now);
    model.wanted.clear();
}

proptest! {

    #[test]
    fn a_client_of_everything_ends_with_what_the_server_has(steps in prop::collection::vec(step(), 0..80)) {
        run(true, steps);
    }

    #[test]
    fn a_client_of_names_ends_with_what_it_asked_for(steps in prop::collection::vec(step(), 0..80)) {
        run(false, steps);
    }
}
