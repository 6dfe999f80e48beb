//! A scripted client at the other end of a session, and the world that it is shown.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_model::{ObjectKind, Origin, WorkloadName};
use byrnie_proto::{Kind, envoy::google::protobuf::StringValue};
use byrnie_snapshot::{Client, Dialect, Reference, Resource, Snapshot, View};

use crate::session::{Dirty, Outcome, Protocol, Request, Response, Session, Wanted};

pub struct Peer {
    pub session: Session,
    pub snapshot: Snapshot,
    pub now: Instant,
    protocol: Protocol,
    wanted: HashMap<Kind, Vec<String>>,
}

pub fn client(dialect: Dialect) -> Client {
    Client { workload: WorkloadName::new("shop", "cart-1"), dialect }
}

/// A resource that refers to others, given as `CDS:name`.
pub fn resource(kind: Kind, name: &str, content: &str, refers: &[(Kind, &str)]) -> Resource {
    let refers = refers.iter().map(|(kind, name)| Reference { kind: *kind, name: (*name).into() });
    Resource::new(kind, name, &StringValue { value: format!("{name} {content}") })
        .referring(refers)
        .from_origins([Origin::of(ObjectKind::Service, "shop", name)])
}

impl Peer {
    pub fn new(protocol: Protocol) -> Self {
        Self::of(protocol, Dialect::Envoy)
    }

    pub fn of(protocol: Protocol, dialect: Dialect) -> Self {
        Self {
            session: Session::new(client(dialect), protocol, true, 7, None),
            snapshot: Snapshot::default(),
            now: Instant::now(),
            protocol,
            wanted: HashMap::new(),
        }
    }

    /// The same client on a new stream, perhaps of another server.
    pub fn reconnect(&mut self) {
        let salt = self.session.salt + 1;
        self.session = Session::new(self.session.client.clone(), self.protocol, true, salt, None);
        self.wanted.clear();
    }

    /// Changes the world and tells the session as the hub does.
    pub fn publish(&mut self, change: impl FnOnce(&mut Snapshot)) {
        let old = self.snapshot.clone();
        change(&mut self.snapshot);
        let mut dirty = Dirty::default();
        for change in self.snapshot.changes(&old) {
            let client = self.session.client();
            if !client.sees(&change.view) {
                continue;
            }
            let concerns = |name: &Arc<str>| match change.view {
                View::Asked => name.starts_with(&*change.name),
                _ => *name == change.name,
            };
            let subscribed = self.session.subscribed(change.kind).into_iter().filter(concerns);
            dirty.names.extend(subscribed.map(|name| (change.kind, name)));
            if client.covers(&change.view) {
                dirty.wildcards.insert(change.kind);
            }
        }
        self.session.on_dirty(dirty);
    }

    pub fn put(&mut self, kind: Kind, name: &str, content: &str, refers: &[(Kind, &str)]) {
        let resource = resource(kind, name, content, refers);
        self.publish(|snapshot| snapshot.put(View::Common, resource));
    }

    pub fn remove(&mut self, kind: Kind, name: &str) {
        self.publish(|snapshot| snapshot.remove(&View::Common, kind, name));
    }

    /// A cluster with its endpoints.
    pub fn put_cluster(&mut self, name: &str, content: &str) {
        self.put(Kind::Endpoints, name, "one", &[]);
        self.put(Kind::Cluster, name, content, &[(Kind::Endpoints, name)]);
    }

    pub fn request(&mut self, request: Request) -> Outcome {
        self.session.on_request(request, &self.snapshot, self.now)
    }

    /// Subscribes to more names, in the words of the protocol; no name at all is the empty list.
    pub fn want(&mut self, kind: Kind, names: &[&str]) -> Outcome {
        let all = self.wanted.entry(kind).or_default();
        all.extend(names.iter().map(|name| (*name).to_owned()));
        let wanted = match self.protocol {
            Protocol::Sotw => Wanted::Sotw { names: all.clone(), version: String::new() },
            Protocol::Delta => delta(names, &[], &[]),
        };
        self.spontaneous(kind, wanted)
    }

    /// Gives up names.
    pub fn unwant(&mut self, kind: Kind, names: &[&str]) -> Outcome {
        let all = self.wanted.entry(kind).or_default();
        all.retain(|name| !names.contains(&name.as_str()));
        let wanted = match self.protocol {
            Protocol::Sotw => Wanted::Sotw { names: all.clone(), version: String::new() },
            Protocol::Delta => delta(&[], names, &[]),
        };
        self.spontaneous(kind, wanted)
    }

    /// A request that is no answer: in state of the world it repeats the last nonce.
    fn spontaneous(&mut self, kind: Kind, wanted: Wanted) -> Outcome {
        let last = self.session.of(kind).flights.last_nonce();
        let nonce = match self.protocol {
            Protocol::Sotw => last.map(|nonce| self.session.write_nonce(nonce)).unwrap_or_default(),
            Protocol::Delta => String::new(),
        };
        self.request(Request { kind, nonce, error: None, wanted })
    }

    pub fn answer(&mut self, response: &Response, error: Option<&str>) -> Outcome {
        let crate::session::TypeUrl::Known(kind) = response.type_url else { panic!("{response:?}") };
        let wanted = match self.protocol {
            Protocol::Sotw => {
                let version = response.version.map(|version| version.to_string()).unwrap_or_default();
                Wanted::Sotw { names: self.wanted.get(&kind).cloned().unwrap_or_default(), version }
            }
            Protocol::Delta => delta(&[], &[], &[]),
        };
        self.request(Request { kind, nonce: response.nonce.clone(), error: error.map(str::to_owned), wanted })
    }

    pub fn ack(&mut self, response: &Response) -> Outcome {
        self.answer(response, None)
    }

    /// All that can be sent now.
    pub fn drain(&mut self) -> Vec<Response> {
        std::iter::from_fn(|| self.session.next_response(&self.snapshot, self.now)).collect()
    }

    /// All that is sent until nothing is left, to a client that accepts everything.
    pub fn settle(&mut self) -> Vec<Response> {
        let mut all = Vec::new();
        loop {
            let responses = self.drain();
            if responses.is_empty() {
                return all;
            }
            responses.iter().for_each(|response| drop(self.ack(response)));
            all.extend(responses);
        }
    }

    /// What is sent now, as text: `CDS +a +b -c !d`.
    pub fn sent(&mut self) -> Vec<String> {
        self.drain().iter().map(text).collect()
    }

    pub fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

pub fn delta(subscribe: &[&str], unsubscribe: &[&str], initial: &[(&str, &str)]) -> Wanted {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let initial = initial.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
    Wanted::Delta { subscribe: own(subscribe), unsubscribe: own(unsubscribe), initial }
}

pub fn text(response: &Response) -> String {
    let kind = match &response.type_url {
        crate::session::TypeUrl::Known(kind) => kind.short(),
        crate::session::TypeUrl::Unknown(text) => text,
    };
    let names: BTreeSet<_> = response.resources.iter().map(|resource| resource.name().to_string()).collect();
    assert_eq!(names.len(), response.resources.len(), "rule 6: never one name twice: {response:?}");
    let mut words = vec![kind.to_owned()];
    words.extend(names.iter().map(|name| format!("+{name}")));
    words.extend(response.removed.iter().map(|name| format!("-{name}")));
    words.extend(response.errors.iter().map(|error| format!("!{}", error.name)));
    words.join(" ")
}

pub fn version(peer: &Peer, kind: Kind, name: &str) -> String {
    let found: Option<&Arc<Resource>> = peer.snapshot.find(peer.session.client(), kind, name);
    found.map(|resource| resource.version().to_string()).unwrap_or_default()
}
