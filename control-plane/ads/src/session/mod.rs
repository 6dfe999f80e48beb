//! The logic of one stream: requests, changes and time in, responses out; no I/O, no clock, no task.
//!
//! A response is computed when it can be sent ([`Session::next_response`]), from the snapshot of that moment, so a slow
//! reader skips states instead of queueing them. The floors: `order` decides whose turn it is, `compose` makes the
//! response, `subscribe` reads requests, and below lie `Subscription`, `Held` (what the client has) and `Flights` (what
//! is on its way).

mod compose;
mod flight;
mod footing;
mod held;
mod message;
mod nack;
mod order;
mod subscribe;
mod subscription;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use byrnie_proto::Kind;
use byrnie_snapshot::{Client, Resource, Sight};

pub use message::{Protocol, Request, ResourceError, Response, TypeUrl, Wanted};
pub use nack::{Blamed, Nack};

pub(crate) use compose::version;
pub(crate) use footing::Footing;

use self::{held::Held, subscription::Subscription};

/// How many answers to unknown types wait at most.
const UNKNOWN_LIMIT: usize = 16;
/// gRPC status codes, as `ResourceError` carries them.
const NOT_FOUND: i32 = 5;
const PERMISSION_DENIED: i32 = 7;
const UNIMPLEMENTED: i32 = 12;

/// One stream of one client.
pub struct Session {
    client: Client,
    protocol: Protocol,
    /// Whether one stream carries all kinds, so that their order can be kept.
    aggregated: bool,
    salt: u64,
    nonces: u64,
    subscriptions: [Subscription; Kind::ALL.len()],
    secrets: HashMap<Arc<str>, Arc<Resource>>,
    /// Why there are no secrets for this client.
    denial: Option<Arc<str>>,
    unknown: VecDeque<Response>,
    /// Endpoints of clusters that changed since the client's earlier stream, to be sent when it subscribes.
    rewarm: HashSet<Arc<str>>,
}

/// What a request changed, for the index of subscribers and the logs.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Names that are subscribed to now and were not before.
    pub subscribed: Vec<Arc<str>>,
    /// Names that were subscribed to.
    pub unsubscribed: Vec<Arc<str>>,
    /// Whether the kind is subscribed to as a whole.
    pub wildcard: bool,
    /// Whether the request accepted a response.
    pub acked: bool,
    /// The response that it refused.
    pub nack: Option<Nack>,
    /// The resources of it that count as refused.
    pub refused: Vec<Arc<Resource>>,
}

/// What changed in the world since the session looked last; it coalesces.
#[derive(Debug, Default)]
pub struct Dirty {
    /// Changed names that the client subscribed to by name.
    pub names: BTreeSet<(Kind, Arc<str>)>,
    /// Kinds of which something changed that a wildcard sees.
    pub wildcards: BTreeSet<Kind>,
    /// Kinds that the client is shown another view of.
    pub views: BTreeSet<Kind>,
}

impl Session {
    /// A session of `client`; `salt` tells its nonces from those of other streams. `denial` says why the client gets
    /// no secrets, where it gets none.
    pub fn new(client: Client, protocol: Protocol, aggregated: bool, salt: u64, denial: Option<Arc<str>>) -> Self {
        Self {
            client,
            protocol,
            aggregated,
            salt,
            nonces: 0,
            subscriptions: Kind::ALL.map(Subscription::new),
            secrets: HashMap::new(),
            denial,
            unknown: VecDeque::new(),
            rewarm: HashSet::new(),
        }
    }

    /// Whose stream this is.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Which protocol it speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The world changed.
    pub fn on_dirty(&mut self, dirty: Dirty) {
        for (kind, name) in dirty.names {
            self.touch(kind, name, false);
        }
        for kind in dirty.views {
            let subscription = self.of_mut(kind);
            for name in subscription.held.subscribed() {
                subscription.due.entry(name).or_insert(false);
            }
            subscription.moved = subscription.held.is_wildcard();
        }
        for kind in dirty.wildcards {
            let subscription = self.of_mut(kind);
            subscription.moved = subscription.held.is_wildcard();
        }
    }

    /// A secret of this client alone is new or was renewed.
    pub fn on_secret(&mut self, secret: Arc<Resource>) {
        let name = secret.name().clone();
        self.secrets.insert(name.clone(), secret);
        self.touch(Kind::Secret, name, false);
    }

    /// Whether a secret is subscribed to, by a client that may have it.
    pub fn wants_secret(&self, name: &str) -> bool {
        self.denial.is_none() && self.of(Kind::Secret).held.names(name)
    }

    /// A request for a type that is not served: answered once, empty, so that the client does not wait.
    pub fn on_unknown(&mut self, type_url: &str, is_answer: bool, names: Vec<String>) {
        if is_answer || self.unknown.len() == UNKNOWN_LIMIT {
            return;
        }
        let message: Arc<str> = byrnie_proto::UnknownType(type_url.to_owned()).to_string().into();
        let names: BTreeSet<Arc<str>> = names.into_iter().filter(|name| name != "*").map(Arc::from).collect();
        let error =
            |name: &Arc<str>| ResourceError { name: name.clone(), code: UNIMPLEMENTED, message: message.clone() };
        let errors = names.iter().map(error).collect();
        let removed = if self.protocol == Protocol::Delta { names.into_iter().collect() } else { Vec::new() };
        let (_, nonce) = self.fresh_nonce();
        self.unknown.push_back(Response {
            protocol: self.protocol,
            type_url: TypeUrl::Unknown(type_url.into()),
            nonce,
            version: None,
            resources: Vec::new(),
            removed,
            errors,
        });
    }

    /// What the client was sent of `kind` and, as far as is known, has.
    pub fn resources(&self, kind: Kind) -> impl Iterator<Item = &Arc<Resource>> {
        self.of(kind).held.resources()
    }

    /// The names of `kind` that are subscribed to by name.
    pub fn subscribed(&self, kind: Kind) -> Vec<Arc<str>> {
        self.of(kind).held.subscribed()
    }

    /// How many names of all kinds are subscribed to by name.
    pub fn names_count(&self) -> usize {
        self.subscriptions.iter().map(|subscription| subscription.held.names_count()).sum()
    }

    /// Something of `kind` may have changed, and it is not known what.
    pub(crate) fn look_again(&mut self, kind: Kind) {
        self.on_dirty(Dirty { views: BTreeSet::from([kind]), ..Dirty::default() });
    }

    /// The subscription to `kind`, once there was a request for it.
    pub fn standing(&self, kind: Kind) -> Option<Standing<'_>> {
        let subscription = self.of(kind);
        subscription.opened.then(|| Standing {
            wildcard: subscription.held.is_wildcard(),
            names: subscription.held.names_count(),
            last_nonce: subscription.flights.last_nonce().map(|nonce| self.write_nonce(nonce)),
            sent: subscription.flights.sent,
            acks: subscription.flights.acks,
            nacks: subscription.flights.nacks,
            pending_since: subscription.flights.pending_since(),
            has_news: subscription.has_news() || subscription.has_question(),
            nack: subscription.flights.nack.as_ref(),
            denial: self.denial.as_ref().filter(|_| kind == Kind::Secret),
        })
    }

    fn of(&self, kind: Kind) -> &Subscription {
        &self.subscriptions[kind as usize]
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Subscription {
        &mut self.subscriptions[kind as usize]
    }

    /// Puts a name on the list, if it is subscribed to.
    fn touch(&mut self, kind: Kind, name: Arc<str>, even_unchanged: bool) {
        let subscription = self.of_mut(kind);
        if subscription.held.wants(&name) {
            *subscription.due.entry(name).or_insert(false) |= even_unchanged;
        }
    }

    /// What the client is to have under a name; `sight` is what it is shown of this kind.
    fn target(&self, kind: Kind, name: &str, sight: &Sight) -> Option<Arc<Resource>> {
        match &self.of(kind).held {
            Held::Wildcard(wild) if !wild.has_right_to(name) => None,
            _ => self.shown(kind, name, sight),
        }
    }

    /// What the client gets under a name if it asks.
    fn shown(&self, kind: Kind, name: &str, sight: &Sight) -> Option<Arc<Resource>> {
        if kind == Kind::Secret {
            return self.secrets.get(name).cloned();
        }
        let built = || byrnie_snapshot::of_pod(sight.pods()?, kind, name).map(Arc::new);
        sight.get(name).cloned().or_else(built)
    }

    fn fresh_nonce(&mut self) -> (u64, String) {
        self.nonces += 1;
        (self.nonces, self.write_nonce(self.nonces))
    }

    fn write_nonce(&self, nonce: u64) -> String {
        format!("{:x}.{nonce:x}", self.salt)
    }

    /// The number of a nonce that this stream issued.
    fn read_nonce(&self, text: &str) -> Option<u64> {
        let (salt, nonce) = text.split_once('.')?;
        let salt = u64::from_str_radix(salt, 16).ok()?;
        let nonce = u64::from_str_radix(nonce, 16).ok()?;
        (salt == self.salt && nonce >= 1 && nonce <= self.nonces).then_some(nonce)
    }
}

/// How a subscription stands, to be shown.
#[derive(Debug)]
pub struct Standing<'a> {
    /// Whether everything is subscribed to.
    pub wildcard: bool,
    /// How many names are subscribed to by name.
    pub names: usize,
    /// The nonce of the last response.
    pub last_nonce: Option<String>,
    /// How many responses were sent.
    pub sent: u64,
    /// How many requests accepted one.
    pub acks: u64,
    /// How many refused one.
    pub nacks: u64,
    /// Since when an ACK is awaited.
    pub pending_since: Option<Instant>,
    /// Whether there is something that was not sent yet.
    pub has_news: bool,
    /// The last NACK.
    pub nack: Option<&'a Nack>,
    /// Why the client gets none of this kind.
    pub denial: Option<&'a Arc<str>>,
}

/// Whether a state-of-the-world response of this kind holds everything: what it omits is deleted.
fn is_full(kind: Kind) -> bool {
    kind.has_wildcard()
}

impl Held {
    /// Whether the client has exactly this.
    fn has(&self, resource: &Resource) -> bool {
        matches!(self.sent(resource.name()), held::Sent::This(sent) if sent.version() == resource.version())
    }
}
