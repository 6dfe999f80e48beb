//! Responses on their way, and what the client said to those before.

use std::{
    cell::OnceCell,
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_snapshot::{Resource, Version};

use super::nack::Nack;

/// How long a push waits for the ACK of the one before: some clients never ACK.
pub(crate) const ACK_LIMIT: Duration = Duration::from_secs(2);
/// How many unanswered responses are remembered; only a client that never ACKs comes here.
const REMEMBERED: usize = 64;
/// As many names are looked through rather than put in a set.
const FEW: usize = 16;

/// One response, sent and not yet answered.
pub(crate) struct Flight {
    pub nonce: u64,
    pub sent_at: Instant,
    /// What it changed at the client; in a full response less than what it held.
    pub changed: Vec<Arc<Resource>>,
    pub removed: Vec<Arc<str>>,
    /// What the client had in place of `changed` and `removed`, and may still use.
    pub replaced: Vec<Arc<Resource>>,
    /// The names of `changed` and `removed`, once somebody asked whether one is among them.
    pub names: OnceCell<foldhash::HashSet<Arc<str>>>,
}

/// A resource in a version that the client refused, and that nothing was accepted for since.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    pub version: Version,
    /// The client's words; `None` where something else in the response may be at fault, and this is sent once more.
    pub text: Option<Arc<str>>,
}

/// All responses of one kind.
#[derive(Default)]
pub(crate) struct Flights {
    on_their_way: VecDeque<Flight>,
    last: Option<(u64, Instant)>,
    /// What the client probably still uses, since it refused what came in its place.
    kept: HashMap<Arc<str>, Arc<Resource>>,
    /// Refused versions, not to be put in a full response again.
    pub quarantine: HashMap<Arc<str>, Version>,
    /// What was refused, or came with what was; unlike `nack` it outlives the next refusal.
    doubts: HashMap<Arc<str>, Doubt>,
    pub nack: Option<Nack>,
    pub sent: u64,
    pub acks: u64,
    pub nacks: u64,
}

/// A refused response, taken apart.
pub(crate) struct Refused {
    pub blamed: Vec<Arc<Resource>>,
    pub others: Vec<Arc<Resource>>,
}

impl Flights {
    /// The nonce of the last response.
    pub fn last_nonce(&self) -> Option<u64> {
        self.last.map(|(nonce, _)| nonce)
    }

    /// Since when the client owes an answer.
    pub fn pending_since(&self) -> Option<Instant> {
        self.on_their_way.front().map(|flight| flight.sent_at)
    }

    /// Until when a push has to wait for an ACK.
    pub fn wait_until(&self, now: Instant) -> Option<Instant> {
        let (_, sent_at) = self.last.filter(|_| !self.on_their_way.is_empty())?;
        Some(sent_at + ACK_LIMIT).filter(|until| *until > now)
    }

    /// Notes a response.
    pub fn launch(&mut self, flight: Flight) {
        self.sent += 1;
        self.last = Some((flight.nonce, flight.sent_at));
        if self.on_their_way.len() == REMEMBERED
            && let Some(oldest) = self.on_their_way.pop_front()
        {
            self.settle(&oldest);
        }
        self.on_their_way.push_back(flight);
    }

    /// The client accepted the response `nonce`, and by that (they are answered in order) all before it. Whether there
    /// was one on its way.
    pub fn ack(&mut self, nonce: u64) -> bool {
        let mut any = false;
        while self.on_their_way.front().is_some_and(|flight| flight.nonce <= nonce) {
            if let Some(flight) = self.on_their_way.pop_front() {
                self.settle(&flight);
                any = true;
            }
        }
        self.acks += u64::from(any);
        any
    }

    /// The client refused the response `nonce`. `None` where that was known already.
    pub fn nack(&mut self, nonce: u64, text: &str, now: Instant) -> Option<Refused> {
        if let Some(before) = nonce.checked_sub(1) {
            while self.on_their_way.front().is_some_and(|flight| flight.nonce <= before) {
                self.on_their_way.pop_front().inspect(|flight| self.settle(flight));
            }
        }
        let flight = self.on_their_way.pop_front_if(|flight| flight.nonce == nonce)?;
        self.nacks += 1;
        let nack = Nack::new(nonce, text, &flight.changed, now);
        for resource in flight.replaced {
            self.kept.entry(resource.name().clone()).or_insert(resource);
        }
        let is_blamed = |resource: &Arc<Resource>| nack.open.contains(resource.name());
        let (blamed, others) = flight.changed.into_iter().partition(is_blamed);
        self.nack = Some(nack);
        Some(Refused { blamed, others })
    }

    /// What the client may still use beside what it was sent last.
    pub fn clinging(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.on_their_way.iter().flat_map(|flight| &flight.replaced).chain(self.kept.values())
    }

    /// What the client has in place of a resource that it refused.
    pub fn kept(&self, name: &str) -> Option<&Arc<Resource>> {
        self.kept.get(name)
    }

    /// Whether something is on its way under a name.
    pub fn is_on_its_way(&self, name: &str) -> bool {
        self.on_their_way.iter().any(|flight| flight.holds(name))
    }

    /// Notes that these resources are not accepted; `text` as in [`Doubt`].
    pub fn doubt(&mut self, resources: &[Arc<Resource>], text: Option<&Arc<str>>) {
        let doubt = |resource: &Arc<Resource>| {
            (resource.name().clone(), Doubt { version: resource.version(), text: text.cloned() })
        };
        self.doubts.extend(resources.iter().map(doubt));
    }

    /// Notes that these resources are accepted, though others in their response are not.
    pub fn believe(&mut self, resources: &[Arc<Resource>]) {
        if !self.doubts.is_empty() {
            resources.iter().for_each(|resource| drop(self.doubts.remove(resource.name())));
        }
    }

    /// What was refused under a name.
    pub fn doubted(&self, name: &str) -> Option<&Doubt> {
        self.doubts.get(name)
    }

    /// The client has no interest in the name any more.
    pub fn forget(&mut self, name: &Arc<str>) {
        self.kept.remove(name);
        self.doubts.remove(name);
        self.quarantine.remove(name);
        if let Some(nack) = &mut self.nack
            && nack.open.contains(name)
        {
            nack.settle(u64::MAX, [name]);
        }
    }

    fn settle(&mut self, flight: &Flight) {
        let names = || flight.changed.iter().map(|resource| resource.name()).chain(&flight.removed);
        if !self.kept.is_empty() {
            names().for_each(|name| drop(self.kept.remove(name)));
        }
        if !self.doubts.is_empty() {
            names().for_each(|name| drop(self.doubts.remove(name)));
        }
        if let Some(nack) = &mut self.nack {
            nack.settle(flight.nonce, names());
        }
    }
}

impl Flight {
    fn holds(&self, name: &str) -> bool {
        if self.changed.len() + self.removed.len() <= FEW {
            return self.changed.iter().any(|resource| **resource.name() == *name)
                || self.removed.iter().any(|removed| **removed == *name);
        }
        let names = || self.changed.iter().map(|resource| resource.name()).chain(&self.removed).cloned().collect();
        self.names.get_or_init(names).contains(name)
    }
}
