//! Whose turn it is: answers at once, news in the order in which nothing refers to what is not there yet, removals when
//! nothing refers to them any more.
//!
//! - Clusters come before their endpoints, and both before listeners and routes. Envoy withholds the ACK of a cluster
//!   until its endpoints came, so these never wait for it; listeners and routes do, since Envoy does not warm routes.
//! - Such a wait holds back pushes only, never an answer, and ends after 2 s: some clients never ACK.
//! - A cluster that is gone from the snapshot stays with the client as long as a listener or route that it accepted, or
//!   that is on its way, refers to it; its endpoints stay as long as the cluster. This ends after 30 s, with a warning.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_proto::Kind;
use byrnie_snapshot::{Resource, Sight, Snapshot};

use super::{Protocol, Session, compose::Draft, held::Sent, is_full, message::Response};

/// How long a removal waits for what refers to it.
pub(crate) const LEAVE_LIMIT: Duration = Duration::from_secs(30);
/// How long something from the client's earlier stream waits to be removed: what refers to it is not known before the
/// client subscribed to listeners and routes.
pub(crate) const SETTLE_LIMIT: Duration = Duration::from_secs(5);

impl Session {
    /// The next response, if one is due. To be called whenever one can be sent, until there is none.
    pub fn next_response(&mut self, snapshot: &Snapshot, now: Instant) -> Option<Response> {
        if let Some(response) = self.unknown.pop_front() {
            return Some(response);
        }
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| self.of(*kind).has_question()) {
            return Some(self.answer(kind, snapshot, now));
        }
        let news = Kind::ALL.into_iter().find_map(|kind| self.news(kind, snapshot, now));
        news.or_else(|| {
            // The way back: first what refers, then what is referred to.
            let order = [Kind::Listener, Kind::Route, Kind::Cluster, Kind::Endpoints, Kind::Secret];
            order.into_iter().find_map(|kind| self.withdraw(kind, snapshot, now))
        })
    }

    /// When [`next_response`](Self::next_response) may have more to say though nothing happened.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let waits = self.subscriptions.iter().any(|subscription| subscription.has_news());
        let acks = self.subscriptions.iter().filter(|_| waits).filter_map(|s| s.flights.wait_until(now));
        let leaves = self.subscriptions.iter().flat_map(|subscription| {
            let gate = subscription.flights.wait_until(now);
            subscription.leaving.iter().filter_map(move |(name, since)| {
                let limit = self.leave_limit(subscription.kind, name);
                [Some(*since + limit), gate].into_iter().flatten().filter(|at| *at > now).min()
            })
        });
        acks.chain(leaves).min()
    }

    fn answer(&mut self, kind: Kind, snapshot: &Snapshot, now: Instant) -> Response {
        let sight = &snapshot.sight(&self.client, kind);
        self.absorb(kind, sight);
        let draft = if self.is_full(kind) {
            self.sift(kind, sight, now);
            let freed = self.leavers_that_nothing_needs(kind);
            self.full(kind, freed, sight, now)
        } else {
            self.answer_part(kind, sight, now)
        };
        self.launch(kind, draft, now)
    }

    fn news(&mut self, kind: Kind, snapshot: &Snapshot, now: Instant) -> Option<Response> {
        loop {
            let suspects = self.of(kind).suspects.len();
            let response = self.some_news(kind, snapshot, now);
            // A group of suspects of which nothing is left must not hold back what waits behind it.
            if response.is_some() || self.of(kind).suspects.len() == suspects {
                return response;
            }
        }
    }

    fn some_news(&mut self, kind: Kind, snapshot: &Snapshot, now: Instant) -> Option<Response> {
        let subscription = self.of(kind);
        if !subscription.has_news() || subscription.flights.wait_until(now).is_some() {
            return None;
        }
        let clusters = self.of(Kind::Cluster);
        let only_rewarm = match kind {
            Kind::Endpoints => clusters.has_news(),
            Kind::Listener | Kind::Route if clusters.has_news() || clusters.flights.wait_until(now).is_some() => {
                return None;
            }
            _ => false,
        };
        let sight = &snapshot.sight(&self.client, kind);
        self.absorb(kind, sight);
        let suspects = self.of_mut(kind).suspects.pop_front().unwrap_or_default();
        let draft = if self.is_full(kind) {
            let tries = self.try_again(kind, suspects);
            let differs = self.sift(kind, sight, now);
            let freed = self.leavers_that_nothing_needs(kind);
            if !tries && !differs && freed.is_empty() {
                return None;
            }
            self.full(kind, freed, sight, now)
        } else if !suspects.is_empty() {
            self.part(kind, &suspects, sight, now)
        } else {
            let mut draft = self.news_part(kind, only_rewarm, sight, now);
            let freed = self.leavers_that_nothing_needs(kind);
            self.take_away(kind, freed, &mut draft);
            draft
        };
        (!draft.is_empty() || self.is_full(kind)).then(|| self.launch(kind, draft, now))
    }

    /// Removals that waited.
    fn withdraw(&mut self, kind: Kind, snapshot: &Snapshot, now: Instant) -> Option<Response> {
        let subscription = self.of(kind);
        if subscription.leaving.is_empty() || subscription.flights.wait_until(now).is_some() {
            return None;
        }
        let overdue = |(name, since): (&Arc<str>, &Instant)| *since + self.leave_limit(kind, name) <= now;
        if !subscription.recheck && !subscription.leaving.iter().any(overdue) {
            return None;
        }
        let freed = self.free_to_leave(kind, snapshot, now);
        self.of_mut(kind).recheck = false;
        if freed.is_empty() {
            return None;
        }
        let sight = &snapshot.sight(&self.client, kind);
        self.absorb(kind, sight);
        let draft = if self.is_full(kind) {
            self.sift(kind, sight, now);
            self.full(kind, freed, sight, now)
        } else {
            let mut draft = Draft::default();
            self.take_away(kind, freed, &mut draft);
            draft
        };
        Some(self.launch(kind, draft, now))
    }

    /// Lets a wildcard see the snapshot as it is now, whether that was told already or not: a response must not speak of
    /// another one, or what changes back before it is told goes unseen. Costs nothing where it is the same.
    fn absorb(&mut self, kind: Kind, sight: &Sight) {
        let subscription = self.of_mut(kind);
        subscription.moved = false;
        for name in subscription.held.advance(sight) {
            subscription.due.entry(name).or_insert(false);
        }
    }

    /// Works off the list where a response holds everything anyway: whether a resource differs from what the client
    /// has. What is gone starts to leave.
    fn sift(&mut self, kind: Kind, sight: &Sight, now: Instant) -> bool {
        let mut differs = false;
        for (name, _) in std::mem::take(&mut self.of_mut(kind).due) {
            let target = self.target(kind, &name, sight);
            let subscription = self.of_mut(kind);
            match (target, subscription.held.sent(&name)) {
                (Some(target), _) => {
                    subscription.leaving.remove(&name);
                    differs |= subscription.held.wants(&name) && !subscription.held.has(&target);
                }
                (None, Sent::Nothing) => {}
                (None, _) => {
                    subscription.leaving.entry(name).or_insert(now);
                    subscription.recheck = true;
                }
            }
        }
        differs
    }

    /// Lets a group that was refused with something bad into the next full response; whether there is one.
    fn try_again(&mut self, kind: Kind, suspects: Vec<Arc<str>>) -> bool {
        let subscription = self.of_mut(kind);
        for name in &suspects {
            subscription.flights.quarantine.remove(name);
        }
        subscription.tried = suspects;
        !subscription.tried.is_empty()
    }

    fn take_away(&mut self, kind: Kind, freed: Vec<Arc<str>>, draft: &mut Draft) {
        let subscription = self.of_mut(kind);
        for name in &freed {
            if let Sent::This(old) = subscription.held.sent(name) {
                draft.replaced.push(old);
            }
            subscription.held.record(name, Sent::Nothing);
        }
        draft.removed.extend(freed);
    }

    /// Listeners are what everything begins with: nothing refers to them, and they go first.
    fn leavers_that_nothing_needs(&mut self, kind: Kind) -> Vec<Arc<str>> {
        match kind {
            Kind::Listener => std::mem::take(&mut self.of_mut(kind).leaving).into_keys().collect(),
            _ => Vec::new(),
        }
    }

    /// Takes from `leaving` what may go now.
    fn free_to_leave(&mut self, kind: Kind, snapshot: &Snapshot, now: Instant) -> Vec<Arc<str>> {
        let needed = self.needed(kind, snapshot);
        let settled = self.is_settled(kind);
        let sight = snapshot.sight(&self.client, kind);
        let mut freed = Vec::new();
        let leaving = std::mem::take(&mut self.of_mut(kind).leaving);
        let mut stay = leaving.clone();
        for (name, since) in leaving {
            // It came back this very moment; the change that tells so is on its way and ends the leaving.
            if self.target(kind, &name, &sight).is_some() {
                continue;
            }
            let overdue = since + self.leave_limit(kind, &name) <= now;
            let free = match self.of(kind).held.sent(&name) {
                Sent::This(_) => !needed.contains(&name),
                Sent::Stale => settled && !needed.contains(&name),
                Sent::Nothing => {
                    stay.remove(&name);
                    continue;
                }
            };
            if !free && overdue && needed.contains(&name) {
                tracing::warn!(client = %self.client.workload, %kind, %name, "removed though the client still refers to it");
            }
            if free || overdue {
                stay.remove(&name);
                freed.push(name);
            }
        }
        self.of_mut(kind).leaving = stay;
        freed
    }

    /// Those of the leaving names that something refers to that the client has or may have.
    fn needed(&self, kind: Kind, snapshot: &Snapshot) -> HashSet<Arc<str>> {
        let leaving = &self.of(kind).leaving;
        let mut needed = HashSet::new();
        for referrer in referrers(kind) {
            for resource in self.may_have(*referrer) {
                let to = resource.refers().iter().filter(|to| to.kind == kind && leaving.contains_key(&to.name));
                let mut to = to.peekable();
                if to.peek().is_some() && self.is_in_use(resource, snapshot) {
                    needed.extend(to.map(|to| to.name.clone()));
                }
            }
        }
        needed
    }

    /// What the client has, or may have while an answer is awaited or was a refusal.
    fn may_have(&self, kind: Kind) -> impl Iterator<Item = &Arc<Resource>> {
        let subscription = self.of(kind);
        subscription.held.resources().chain(subscription.flights.clinging())
    }

    /// A route that is gone and that no listener refers to any more is not used, though in state of the world Envoy
    /// stays subscribed to it until the listener has drained, minutes later.
    fn is_in_use(&self, resource: &Resource, snapshot: &Snapshot) -> bool {
        let gone = resource.kind() == Kind::Route
            && self.protocol == Protocol::Sotw
            && self.of(Kind::Listener).opened
            && snapshot.find(&self.client, Kind::Route, resource.name()).is_none();
        let refers = |listener: &Arc<Resource>| {
            listener.refers().iter().any(|to| to.kind == Kind::Route && to.name == *resource.name())
        };
        !gone || self.may_have(Kind::Listener).any(refers)
    }

    /// Whether all that the client has of what could refer to `kind` is known.
    fn is_settled(&self, kind: Kind) -> bool {
        let quiet = |kind: &Kind| {
            let subscription = self.of(*kind);
            subscription.opened
                && !subscription.has_news()
                && !subscription.has_question()
                && subscription.flights.pending_since().is_none()
        };
        !self.aggregated || referrers(kind).iter().all(quiet)
    }

    fn leave_limit(&self, kind: Kind, name: &str) -> Duration {
        match self.of(kind).held.sent(name) {
            Sent::Stale => SETTLE_LIMIT,
            _ => LEAVE_LIMIT,
        }
    }

    /// Something of `kind` was sent, accepted, refused or given up: what it may have referred to may go now.
    pub(super) fn recheck(&mut self, kind: Kind) {
        for subscription in &mut self.subscriptions {
            subscription.recheck |= referrers(subscription.kind).contains(&kind);
        }
    }

    fn is_full(&self, kind: Kind) -> bool {
        self.protocol == Protocol::Sotw && is_full(kind)
    }
}

/// The kinds whose resources refer to this one.
fn referrers(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Cluster => &[Kind::Listener, Kind::Route],
        Kind::Endpoints => &[Kind::Cluster],
        Kind::Secret => &[Kind::Cluster, Kind::Listener],
        Kind::Listener => &[],
        Kind::Route => &[Kind::Listener],
    }
}
