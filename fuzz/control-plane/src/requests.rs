//! A client that sends what it likes, and a world that changes meanwhile, against one session.
//!
//! The bytes are a script: each step takes a byte that tells what happens, and its arguments.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_ads::{
    session::{Dirty, Protocol, Response, Session, TypeUrl},
    take_bytes,
};
use byrnie_model::WorkloadName;
use byrnie_proto::{
    Kind,
    envoy::{
        envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
        google::{protobuf::StringValue, rpc::Status},
    },
};
use byrnie_snapshot::{Client, Dialect, Reference, Resource, Snapshot, View};
use prost::Message;

/// Names of resources, and names that requests ask for (`*` and what never exists included).
const NAMES: [&str; 8] = ["a", "b", "shop/cart:80", "workload", "trust", "*", "", "never"];
/// How many of them resources have.
const REAL: usize = 5;
/// A body that fills a response.
const LARGE: usize = 300 * 1024;

/// Plays `data` as a script.
pub fn run(data: &[u8]) {
    let mut tape = Tape(data);
    let mut play = Play::new(tape.byte(), data.len());
    while !tape.0.is_empty() {
        play.step(&mut tape);
    }
    play.settle();
}

/// The bytes that are left; zeros follow.
struct Tape<'a>(&'a [u8]);

impl<'a> Tape<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    fn kind(&mut self) -> Kind {
        Kind::ALL[self.below(Kind::ALL.len())]
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.below(NAMES.len())]
    }

    /// Each bit is one of [`NAMES`].
    fn names(&mut self) -> Vec<String> {
        let bits = self.byte();
        let named = NAMES.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        named.map(|(_, name)| (*name).to_owned()).collect()
    }
}

struct Play {
    session: Session,
    snapshot: Snapshot,
    now: Instant,
    salt: u64,
    denied: bool,
    acks_at_last: bool,
    /// What the hub's index would hold of this stream.
    subscribed: BTreeSet<(Kind, Arc<str>)>,
    wildcards: BTreeSet<Kind>,
    /// What the stream's mailbox would hold.
    mail: Dirty,
    secrets: HashMap<Arc<str>, Arc<Resource>>,
    nonces: HashSet<String>,
    last_nonces: HashMap<Kind, String>,
    /// The last state-of-the-world list, which an ACK repeats.
    listed: HashMap<Kind, Vec<String>>,
    /// The client has read these and answered none.
    read: Vec<Response>,
    /// Responses since something happened, and how many there may be.
    unprovoked: usize,
    limit: usize,
}

impl Play {
    fn new(flags: u8, length: usize) -> Self {
        let protocol = if flags & 1 == 0 { Protocol::Sotw } else { Protocol::Delta };
        let dialect = match flags & 2 {
            0 if protocol == Protocol::Delta && flags & 32 != 0 => Dialect::Micro,
            0 => Dialect::Envoy,
            _ => Dialect::Grpc,
        };
        let denied = flags & 8 != 0;
        let client = Client { workload: WorkloadName::new("shop", "cart-1"), dialect };
        let denial = denied.then(|| "no token".into());
        Self {
            session: Session::new(client, protocol, flags & 4 == 0, 7, denial),
            snapshot: Snapshot::default(),
            now: Instant::now(),
            salt: 7,
            denied,
            acks_at_last: flags & 16 == 0,
            subscribed: BTreeSet::new(),
            wildcards: BTreeSet::new(),
            mail: Dirty::default(),
            secrets: HashMap::new(),
            nonces: HashSet::new(),
            last_nonces: HashMap::new(),
            listed: HashMap::new(),
            read: Vec::new(),
            unprovoked: 0,
            limit: 64 + length,
        }
    }

    fn step(&mut self, tape: &mut Tape<'_>) {
        match tape.below(12) {
            0 => self.take(tape.bytes()),
            1 | 2 => self.request(tape),
            3 => self.answer(tape),
            4 | 5 => self.put(tape),
            6 => {
                let (view, kind, name) = (self.view(tape), tape.kind(), tape.below(REAL));
                self.publish(|snapshot| snapshot.remove(&view, kind, NAMES[name]));
            }
            7 => {
                let secluded = tape.byte() & 1 == 1;
                let workload = self.session.client().workload.clone();
                self.publish(|snapshot| snapshot.seclude(&workload, secluded));
            }
            8 => self.next(tape.byte() & 1 == 1).map_or((), |response| self.read.push(response)),
            9 => self.wait(Duration::from_millis(u64::from(tape.byte()) * 150)),
            10 => self.secret(tape),
            _ => self.reconnect(),
        }
    }

    /// A message comes in, perhaps one that is none.
    fn take(&mut self, bytes: &[u8]) {
        self.unprovoked = 0;
        let Ok(taken) = take_bytes(&mut self.session, bytes, &self.snapshot, self.now) else { return };
        let Some((kind, outcome)) = taken else { return };
        for name in outcome.unsubscribed {
            assert!(self.subscribed.remove(&(kind, name)), "ended a subscription that the index does not know");
        }
        self.subscribed.extend(outcome.subscribed.into_iter().map(|name| (kind, name)));
        if outcome.wildcard {
            self.wildcards.insert(kind);
        } else {
            self.wildcards.remove(&kind);
        }
        let names = self.session.subscribed(kind);
        let known: BTreeSet<_> = names.iter().map(|name| (kind, name.clone())).collect();
        assert_eq!(known.len(), names.len(), "subscribed to one name twice");
        let indexed: BTreeSet<_> = self.subscribed.iter().filter(|(of, _)| *of == kind).cloned().collect();
        assert_eq!(known, indexed, "the index knows other subscriptions than the session");
        let standing = self.session.standing(kind).expect("there was a request");
        assert_eq!((standing.names, standing.wildcard), (known.len(), outcome.wildcard));
        assert!(standing.acks + standing.nacks <= standing.sent, "more answers than responses");
    }

    /// A request that is well formed, but otherwise anything.
    fn request(&mut self, tape: &mut Tape<'_>) {
        let flags = tape.byte();
        let kind = tape.kind();
        let nonce = match flags & 3 {
            0 => String::new(),
            1 | 2 => self.last_nonces.get(&kind).cloned().unwrap_or_default(),
            _ => format!("7.{:x}", tape.byte()),
        };
        let error = (flags & 12 == 12).then(|| String::from_utf8_lossy(tape.bytes()).into_owned());
        let type_url =
            if flags >> 4 == 15 { "type.googleapis.com/other".to_owned() } else { kind.type_url().to_owned() };
        let names = tape.names();
        let bytes = match self.session.protocol() {
            Protocol::Sotw => {
                self.listed.insert(kind, names.clone());
                self.sotw(type_url, nonce, error, names)
            }
            Protocol::Delta => {
                let unsubscribe = if flags & 16 == 0 { Vec::new() } else { tape.names() };
                let initial = if flags & 32 == 0 { Vec::new() } else { tape.names() };
                let initial = initial.into_iter().map(|name| (self.claim(kind, &name, flags), name));
                let initial_resource_versions = initial.map(|(version, name)| (name, version)).collect();
                DeltaDiscoveryRequest {
                    type_url,
                    response_nonce: nonce,
                    error_detail: error.map(status),
                    resource_names_subscribe: names,
                    resource_names_unsubscribe: unsubscribe,
                    initial_resource_versions,
                    ..DeltaDiscoveryRequest::default()
                }
                .encode_to_vec()
            }
        };
        self.take(&bytes);
    }

    /// The version that a client claims to have: true or made up.
    fn claim(&self, kind: Kind, name: &str, flags: u8) -> String {
        let found = self.snapshot.find(self.session.client(), kind, name).filter(|_| flags & 64 == 0);
        found.map_or_else(|| "0123456789abcdef".to_owned(), |resource| resource.version().to_string())
    }

    fn sotw(&self, type_url: String, nonce: String, error: Option<String>, names: Vec<String>) -> Vec<u8> {
        DiscoveryRequest {
            type_url,
            response_nonce: nonce,
            error_detail: error.map(status),
            resource_names: names,
            ..DiscoveryRequest::default()
        }
        .encode_to_vec()
    }

    /// The oldest response that was read is accepted or refused, with words that may name a resource.
    fn answer(&mut self, tape: &mut Tape<'_>) {
        let (refuses, name) = (tape.byte() & 3 == 3, tape.name());
        if !self.read.is_empty() {
            let response = self.read.remove(0);
            self.answer_to(&response, refuses.then(|| format!("error in {name}: it is bad")));
        }
    }

    fn answer_to(&mut self, response: &Response, error: Option<String>) {
        let type_url = response.type_url.as_str().to_owned();
        let nonce = response.nonce.clone();
        let bytes = match self.session.protocol() {
            Protocol::Sotw => {
                let names = match response.type_url {
                    TypeUrl::Known(kind) => self.listed.get(&kind).cloned().unwrap_or_default(),
                    TypeUrl::Unknown(_) => Vec::new(),
                };
                self.sotw(type_url, nonce, error, names)
            }
            Protocol::Delta => DeltaDiscoveryRequest {
                type_url,
                response_nonce: nonce,
                error_detail: error.map(status),
                ..DeltaDiscoveryRequest::default()
            }
            .encode_to_vec(),
        };
        self.take(&bytes);
    }

    fn put(&mut self, tape: &mut Tape<'_>) {
        let (view, kind, name) = (self.view(tape), tape.kind(), NAMES[tape.below(REAL)]);
        let (content, other) = (tape.byte(), NAMES[tape.below(REAL)]);
        let refers: &[(Kind, &str)] = match kind {
            Kind::Cluster => &[(Kind::Endpoints, other), (Kind::Secret, "trust")],
            Kind::Listener => &[(Kind::Route, other), (Kind::Cluster, other), (Kind::Secret, "workload")],
            Kind::Route => &[(Kind::Cluster, other)],
            Kind::Endpoints | Kind::Secret => &[],
        };
        let refers = refers.iter().map(|(kind, name)| Reference { kind: *kind, name: (*name).into() });
        let value = if content > 250 { "x".repeat(LARGE) } else { format!("{}", content & 3) };
        let resource = Resource::new(kind, name, &StringValue { value }).referring(refers);
        self.publish(|snapshot| snapshot.put(view, resource));
    }

    fn view(&self, tape: &mut Tape<'_>) -> View {
        let client = self.session.client();
        match tape.below(5) {
            0 => View::Workload(client.workload.clone()),
            1 if client.dialect == Dialect::Grpc => View::Namespace(client.dialect, client.workload.namespace().into()),
            1 => View::Namespace(Dialect::Envoy, client.workload.namespace().into()),
            2 if client.dialect == Dialect::Micro => View::Dialect(Dialect::Micro),
            2 => View::Dialect(Dialect::Envoy),
            _ => View::Common,
        }
    }

    /// The world changes, and the mailbox is told as the hub tells it.
    fn publish(&mut self, change: impl FnOnce(&mut Snapshot)) {
        self.unprovoked = 0;
        let old = self.snapshot.clone();
        change(&mut self.snapshot);
        for change in self.snapshot.changes(&old) {
            if !self.session.client().sees(&change.view) {
                continue;
            }
            if self.wildcards.contains(&change.kind) && self.session.client().covers(&change.view) {
                self.mail.wildcards.insert(change.kind);
            }
            if &*change.name == "*" {
                self.mail.views.insert(change.kind);
            } else if self.subscribed.contains(&(change.kind, change.name.clone())) {
                self.mail.names.insert((change.kind, change.name));
            }
        }
    }

    fn secret(&mut self, tape: &mut Tape<'_>) {
        let (name, content) = (NAMES[tape.below(REAL)], tape.byte());
        if !self.session.wants_secret(name) {
            return;
        }
        self.unprovoked = 0;
        let secret = Arc::new(Resource::new(Kind::Secret, name, &StringValue { value: format!("{}", content & 3) }));
        self.secrets.insert(secret.name().clone(), secret.clone());
        self.session.on_secret(secret);
    }

    fn wait(&mut self, time: Duration) {
        self.unprovoked = 0;
        self.now += time;
    }

    fn reconnect(&mut self) {
        self.salt += 1;
        self.unprovoked = 0;
        let denial = self.denied.then(|| "no token".into());
        let (client, protocol) = (self.session.client().clone(), self.session.protocol());
        self.session = Session::new(client, protocol, true, self.salt, denial);
        self.subscribed.clear();
        self.wildcards.clear();
        self.mail = Dirty::default();
        self.secrets.clear();
        self.last_nonces.clear();
        self.listed.clear();
        self.read.clear();
    }

    /// The next response. `early`: the snapshot is newer than what the mailbox has told.
    fn next(&mut self, early: bool) -> Option<Response> {
        if !early {
            self.session.on_dirty(std::mem::take(&mut self.mail));
        }
        let response = self.session.next_response(&self.snapshot, self.now)?;
        self.unprovoked += 1;
        assert!(self.unprovoked <= self.limit, "responses without end: {response:?}");
        self.check(&response);
        Some(response)
    }

    fn check(&mut self, response: &Response) {
        assert!(self.nonces.insert(response.nonce.clone()), "the nonce was there before: {response:?}");
        let is_sotw = self.session.protocol() == Protocol::Sotw;
        assert_eq!(response.protocol, self.session.protocol());
        assert_eq!(response.version.is_some(), is_sotw && matches!(response.type_url, TypeUrl::Known(_)));
        assert!(response.removed.is_empty() || !is_sotw, "state of the world removes nothing: {response:?}");
        let mut names = HashSet::new();
        let sent = response.resources.iter().map(|resource| resource.name());
        for name in sent.clone().chain(&response.removed) {
            assert!(names.insert(name.clone()), "one name twice: {response:?}");
        }
        let mut wrong = HashSet::new();
        for error in &response.errors {
            assert!(wrong.insert(&error.name), "one name wrong twice: {response:?}");
            assert!(sent.clone().all(|name| *name != error.name), "sent and wrong: {response:?}");
        }
        let TypeUrl::Known(kind) = response.type_url else {
            assert!(response.resources.is_empty());
            return;
        };
        self.last_nonces.insert(kind, response.nonce.clone());
        assert!(response.resources.iter().all(|resource| resource.kind() == kind), "of another kind: {response:?}");
        assert!(
            kind != Kind::Secret || !self.denied || response.resources.is_empty(),
            "a secret for whom has no right"
        );
        let is_wanted =
            |name: &Arc<str>| self.wildcards.contains(&kind) || self.subscribed.contains(&(kind, name.clone()));
        assert!(names.iter().all(is_wanted), "not subscribed to: {response:?}");
    }

    /// Whatever happened, it comes to rest, and then the client has been sent what it wants.
    fn settle(&mut self) {
        for response in std::mem::take(&mut self.read) {
            self.answer_if_polite(&response);
        }
        for _ in 0..2 * self.limit {
            self.unprovoked = 0;
            if let Some(response) = self.next(false) {
                self.answer_if_polite(&response);
                continue;
            }
            match self.session.deadline(self.now) {
                Some(deadline) => {
                    assert!(deadline > self.now, "looks again without end");
                    self.now = deadline;
                }
                None => return self.check_rest(),
            }
        }
        panic!("does not come to rest");
    }

    fn answer_if_polite(&mut self, response: &Response) {
        if self.acks_at_last {
            self.answer_to(response, None);
        }
    }

    fn check_rest(&self) {
        for kind in Kind::ALL {
            let Some(standing) = self.session.standing(kind) else {
                assert_eq!(self.session.resources(kind).count(), 0, "{kind}: never asked for");
                continue;
            };
            assert!(!standing.has_news, "{kind}: at rest with something to say");
            let has: HashMap<_, _> = self.session.resources(kind).map(|r| (r.name().clone(), r.version())).collect();
            let sight = self.snapshot.sight(self.session.client(), kind);
            let all: Vec<_> =
                if kind == Kind::Secret { self.secrets.values().collect() } else { sight.iter().collect() };
            let covered = sight.wildcard();
            let by_wildcard = |name: &Arc<str>| self.wildcards.contains(&kind) && covered.get(name).is_some();
            let is_wanted = |name: &Arc<str>| by_wildcard(name) || self.subscribed.contains(&(kind, name.clone()));
            for resource in &all {
                let wanted = is_wanted(resource.name()).then(|| resource.version());
                assert_eq!(has.get(resource.name()), wanted.as_ref(), "{kind} {}", resource.name());
            }
            // Nothing takes back what a partial state of the world does not repeat.
            if self.session.protocol() == Protocol::Delta || kind.has_wildcard() {
                let gone = has.keys().find(|name| all.iter().all(|resource| resource.name() != *name));
                assert_eq!(gone, None, "{kind}: is gone and was not taken away");
            }
        }
    }
}

fn status(message: String) -> Status {
    Status { message, ..Status::default() }
}
