//! Clients without a wire, and a world of a few resources that come from routes.

use std::{
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Waker},
    time::Instant,
};

use byrnie_model::{ObjectKind, ObjectRef, Origin};
use byrnie_proto::{Kind, envoy::google::protobuf::StringValue};
use byrnie_snapshot::{Client, Dialect, Resource, Snapshot, View};

use crate::{
    Hub, Tallies, Tally,
    connection::Connection,
    session::{Protocol, Request, Response, Session, Wanted},
};

/// A client that does what a test says, by the calls that a stream makes.
pub struct Proxy {
    hub: Arc<Hub>,
    connection: Arc<Connection>,
}

impl Proxy {
    pub fn open(hub: &Arc<Hub>, id: &str, dialect: Dialect) -> Self {
        let client = Client { workload: id.parse().unwrap(), dialect };
        static IDS: AtomicU64 = AtomicU64::new(1);
        let stream = IDS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let session = Session::new(client, Protocol::Delta, true, stream, None);
        let connection = Arc::new(Connection::new(stream, session, None, "test".into(), Instant::now()));
        hub.open(&connection);
        Self { hub: Arc::clone(hub), connection }
    }

    pub fn envoy(hub: &Arc<Hub>, id: &str) -> Self {
        Self::open(hub, id, Dialect::Envoy)
    }

    /// Subscribes, by names or, where there are none, to everything.
    pub fn want(&self, kind: Kind, names: &[&str]) {
        self.request(kind, String::new(), None, names, &[]);
    }

    pub fn give_up(&self, kind: Kind, names: &[&str]) {
        self.request(kind, String::new(), None, &[], names);
    }

    /// All that can be sent now.
    pub fn hear(&self) -> Vec<Response> {
        let letters = self.connection.mailbox.take(&Context::from_waker(Waker::noop()));
        let mut session = self.connection.session();
        letters.into_iter().for_each(|(dirty, _)| session.on_dirty(dirty));
        let snapshot = self.hub.snapshot();
        std::iter::from_fn(|| session.next_response(&snapshot, Instant::now())).collect()
    }

    /// Accepts all that is sent.
    pub fn settle(&self) {
        loop {
            let responses = self.hear();
            if responses.is_empty() {
                return;
            }
            responses.iter().for_each(|response| self.answer(response, None));
        }
    }

    pub fn answer(&self, response: &Response, error: Option<&str>) {
        let crate::session::TypeUrl::Known(kind) = response.type_url else { panic!("{response:?}") };
        self.request(kind, response.nonce.clone(), error, &[], &[]);
    }

    pub fn close(self) {
        self.hub.close(&self.connection);
    }

    fn request(&self, kind: Kind, nonce: String, error: Option<&str>, subscribe: &[&str], unsubscribe: &[&str]) {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (subscribe, unsubscribe) = (own(subscribe), own(unsubscribe));
        let wanted = Wanted::Delta { subscribe, unsubscribe, initial: Default::default() };
        let request = Request { kind, nonce, error: error.map(str::to_owned), wanted };
        let outcome = self.connection.session().on_request(request, &self.hub.snapshot(), Instant::now());
        self.hub.unsubscribe(&self.connection, kind, &outcome.unsubscribed);
        self.hub.subscribe(&self.connection, kind, &outcome.subscribed);
        self.hub.set_wildcard(&self.connection, kind, outcome.wildcard);
        self.hub.answers.note_refused(&outcome.refused);
    }
}

/// A hub, and who counts.
pub struct Mesh {
    pub hub: Arc<Hub>,
    pub tallies: Tallies,
}

impl Mesh {
    pub fn new() -> Self {
        let hub = Hub::new(Snapshot::default());
        let tallies = Tallies::new(Arc::clone(&hub));
        Self { hub, tallies }
    }

    /// Brings a change into force, with the generations of the objects that it is of.
    pub fn publish(&mut self, objects: &[(&str, Option<i64>)], change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = self.hub.snapshot();
        change(&mut snapshot);
        let objects = objects.iter().map(|(name, generation)| (route(name), *generation));
        self.tallies.advance(&snapshot, objects);
        self.hub.publish(snapshot);
    }

    /// What changed: `web 1: 1/2`, with refusals: `web 1: 1/2 shop/cart-1 refused RDS web: no`.
    pub fn look(&mut self) -> Vec<String> {
        let looked = self.tallies.look(usize::MAX);
        assert!(looked.done);
        looked.changed.iter().map(|(object, tally)| text(object, tally.as_ref())).collect()
    }
}

pub fn text(object: &ObjectRef, tally: Option<&Tally>) -> String {
    let Some(tally) = tally else { return format!("{} gone", object.name) };
    let refusals = tally.refusals.iter().map(|refusal| {
        format!(" {} refused {} {}: {}", refusal.client, refusal.kind.short(), refusal.resource, refusal.text)
    });
    let Tally { generation, accepted, needing, .. } = tally;
    format!("{} {generation}: {accepted}/{needing}{}", object.name, refusals.collect::<String>())
}

pub fn route(name: &str) -> ObjectRef {
    Origin::of(ObjectKind::HTTPRoute, "shop", name).object
}

/// A resource that comes from routes, and as all do from a Service.
pub fn put(snapshot: &mut Snapshot, view: View, kind: Kind, name: &str, content: &str, routes: &[&str]) {
    let origins = routes.iter().map(|name| Origin::of(ObjectKind::HTTPRoute, "shop", name));
    let resource = Resource::new(kind, name, &StringValue { value: format!("{name} {content}") })
        .from_origins(origins.chain([Origin::of(ObjectKind::Service, "shop", name)]));
    snapshot.put(view, resource);
}

/// A route table for all clients.
pub fn table(snapshot: &mut Snapshot, name: &str, content: &str, routes: &[&str]) {
    put(snapshot, View::Common, Kind::Route, name, content, routes);
}
