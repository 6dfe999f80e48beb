//! Requests: what they accept or refuse, and what they subscribe to.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Instant,
};

use byrnie_proto::Kind;
use byrnie_snapshot::{Dialect, Resource, Sight, Snapshot, Version};

use super::{
    Outcome, Protocol, Session, compose,
    flight::Refused,
    held::Sent,
    is_full,
    message::{Request, Wanted},
};

const WILDCARD: &str = "*";

impl Session {
    /// Takes in a request. The names that it asks for are answered by the next calls of
    /// [`next_response`](Self::next_response).
    pub fn on_request(&mut self, request: Request, snapshot: &Snapshot, now: Instant) -> Outcome {
        let kind = request.kind;
        let sight = &snapshot.sight(&self.client, kind);
        let issued = self.read_nonce(&request.nonce);
        let mut outcome = Outcome::default();
        if let Some(nonce) = issued {
            self.on_answer(kind, nonce, request.error.as_deref(), now, &mut outcome);
        }
        let subscription = self.of(kind);
        let first = !subscription.opened;
        // State of the world: a request that answers an older response than the last is superseded by the one that
        // will answer the last. Delta: what a request subscribes to counts whatever it answers.
        let current =
            first || request.nonce.is_empty() || issued.is_some() && issued == subscription.flights.last_nonce();
        match request.wanted {
            Wanted::Sotw { names, version } if current => self.want_all(kind, &names, &version, sight, &mut outcome),
            Wanted::Sotw { .. } => {}
            Wanted::Delta { subscribe, unsubscribe, initial } => {
                let initial = if first { initial } else { HashMap::new() };
                self.open_delta(kind, subscribe.is_empty(), &initial, sight);
                self.unwant(kind, unsubscribe, &mut outcome);
                self.want_more(kind, subscribe, &initial, sight, &mut outcome);
            }
        }
        outcome.wildcard = self.of(kind).held.is_wildcard();
        outcome
    }

    fn on_answer(&mut self, kind: Kind, nonce: u64, error: Option<&str>, now: Instant, outcome: &mut Outcome) {
        let flights = &mut self.of_mut(kind).flights;
        match error {
            None => outcome.acked = flights.ack(nonce),
            Some(text) => {
                if let Some(refused) = flights.nack(nonce, text, now) {
                    outcome.nack = flights.nack.clone();
                    outcome.refused = self.on_refused(kind, refused);
                }
            }
        }
        self.recheck(kind);
    }

    /// One bad resource must not take others with it: Envoy refuses a whole response for one that fails its validation,
    /// and often does not say which. So what came with it is sent once more without it, or in halves until the bad one
    /// is alone. gRPC (gRFC A46) and the micro-proxy keep the valid ones anyway. Returned is what counts as refused.
    fn on_refused(&mut self, kind: Kind, refused: Refused) -> Vec<Arc<Resource>> {
        let full = self.protocol == Protocol::Sotw && is_full(kind);
        let tries_again = self.client.dialect == Dialect::Envoy;
        let subscription = self.of_mut(kind);
        let Refused { blamed, others } = refused;
        let text = subscription.flights.nack.as_ref().map(|nack| Arc::from(&*nack.text));
        subscription.flights.doubt(&blamed, text.as_ref());
        if !tries_again {
            // Any of them may be the bad one, and it will not be known which.
            if blamed.is_empty() {
                subscription.flights.doubt(&others, text.as_ref());
                return others;
            }
            subscription.flights.believe(&others);
            return blamed;
        }
        subscription.flights.doubt(&others, None);
        if full {
            let versions = blamed.iter().chain(&others).map(|resource| (resource.name().clone(), resource.version()));
            subscription.flights.quarantine.extend(versions);
        }
        let names: Vec<Arc<str>> = others.iter().map(|resource| resource.name().clone()).collect();
        let group = if blamed.is_empty() { names.len().div_ceil(2) } else { names.len() };
        subscription.suspects.extend(names.chunks(group.max(1)).map(<[_]>::to_vec));
        blamed
    }

    /// A state-of-the-world request lists all that is wanted.
    fn want_all(&mut self, kind: Kind, names: &[String], version: &str, sight: &Sight, outcome: &mut Outcome) {
        let subscription = self.of_mut(kind);
        let first = !std::mem::replace(&mut subscription.opened, true);
        let listed = fingerprint(names);
        if std::mem::replace(&mut subscription.listed, listed) == listed && !first {
            return;
        }
        subscription.ever_named |= !names.is_empty();
        let star = names.iter().any(|name| name == WILDCARD) && kind != Kind::Secret;
        let wildcard = star || names.is_empty() && !subscription.ever_named && kind.has_wildcard();
        let widened = wildcard && !subscription.held.is_wildcard();
        if widened {
            self.of_mut(kind).widen(sight.clone());
        } else if !wildcard && subscription.held.is_wildcard() {
            subscription.narrow();
        }
        let listed: HashSet<&str> = names.iter().map(String::as_str).filter(|name| *name != WILDCARD).collect();
        self.unlist(kind, &listed, outcome);
        for name in listed {
            if !self.of(kind).held.names(name) {
                let name = self.intern(kind, name, sight);
                let subscription = self.of_mut(kind);
                subscription.held.subscribe(&name, None);
                subscription.owed.insert(name.clone());
                outcome.subscribed.push(name);
            }
        }
        let subscription = self.of_mut(kind);
        // A client that comes back to a wildcard with the very state that it would be sent needs nothing.
        let complete = first
            && wildcard
            && !star
            && subscription
                .held
                .base()
                .is_some_and(|base| Version::parse(version) == Some(compose::version(base.iter())));
        if complete {
            subscription.held.all_sent(HashMap::new());
        } else if widened || first && !names.is_empty() {
            subscription.must_answer = true;
        }
    }

    /// Ends the subscriptions to names that a state-of-the-world request no longer lists.
    fn unlist(&mut self, kind: Kind, listed: &HashSet<&str>, outcome: &mut Outcome) {
        let subscription = self.of_mut(kind);
        let gone: Vec<_> =
            subscription.held.subscribed().into_iter().filter(|name| !listed.contains(&**name)).collect();
        for name in gone {
            subscription.unsubscribe(&name);
            outcome.unsubscribed.push(name);
        }
        if !outcome.unsubscribed.is_empty() {
            self.recheck(kind);
        }
    }

    /// The first delta request of a kind; without names it is a wildcard.
    fn open_delta(&mut self, kind: Kind, nameless: bool, initial: &HashMap<String, String>, sight: &Sight) {
        let subscription = self.of(kind);
        if subscription.opened {
            return;
        }
        let legacy = nameless && kind.has_wildcard();
        let subscription = self.of_mut(kind);
        subscription.opened = true;
        subscription.resumed = !initial.is_empty();
        if legacy {
            self.widen_delta(kind, initial, sight);
        }
    }

    fn widen_delta(&mut self, kind: Kind, initial: &HashMap<String, String>, sight: &Sight) {
        let subscription = self.of_mut(kind);
        subscription.must_answer = true;
        subscription.widen(sight.clone());
        let [other, gone] = subscription.held.believe(initial);
        subscription.owed.extend(other);
        subscription.due.extend(gone.into_iter().map(|name| (name, false)));
    }

    fn unwant(&mut self, kind: Kind, names: Vec<String>, outcome: &mut Outcome) {
        for name in names {
            let subscription = self.of_mut(kind);
            if name == WILDCARD {
                subscription.narrow();
                continue;
            }
            let name: Arc<str> = name.into();
            if subscription.unsubscribe(&name) {
                // Under a wildcard the client may still have a right to it, and must be told what became of it.
                if subscription.held.is_wildcard() {
                    subscription.owed.insert(name.clone());
                }
                outcome.unsubscribed.push(name);
            }
        }
        self.recheck(kind);
    }

    fn want_more(
        &mut self,
        kind: Kind,
        names: Vec<String>,
        initial: &HashMap<String, String>,
        sight: &Sight,
        outcome: &mut Outcome,
    ) {
        for name in names {
            if name == WILDCARD {
                match self.of(kind).held.is_wildcard() || kind == Kind::Secret {
                    true => self.of_mut(kind).must_answer = true,
                    false => self.widen_delta(kind, initial, sight),
                }
                continue;
            }
            let target = self.shown(kind, &name, sight);
            let has = initial.get(&name).map(|text| match &target {
                Some(target) if Version::parse(text) == Some(target.version()) => Sent::This(target.clone()),
                _ => Sent::Stale,
            });
            let name = target.map_or_else(|| name.into(), |target| target.name().clone());
            let rewarm = kind == Kind::Endpoints && self.rewarm.remove(&name);
            let subscription = self.of_mut(kind);
            if !subscription.held.names(&name) {
                outcome.subscribed.push(name.clone());
            }
            let known = matches!(has, Some(Sent::This(_))) && !rewarm;
            subscription.held.subscribe(&name, has);
            if !known {
                subscription.owed.insert(name);
            }
        }
    }

    /// The shared text of a name, where there is one: a subscription to what exists costs no copy of the name.
    fn intern(&self, kind: Kind, name: &str, sight: &Sight) -> Arc<str> {
        self.shown(kind, name, sight).map_or_else(|| name.into(), |target| target.name().clone())
    }
}

fn fingerprint(names: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}
