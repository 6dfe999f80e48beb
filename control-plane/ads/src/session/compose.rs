//! One response: which resources and which removals it holds, and what the client has once it got it.

use std::{cell::OnceCell, collections::HashMap, mem, sync::Arc, time::Instant};

use byrnie_proto::Kind;
use byrnie_snapshot::{Resource, Sight, Version};

use super::{
    NOT_FOUND, PERMISSION_DENIED, Protocol, Session,
    flight::Flight,
    held::Sent,
    is_full,
    message::{ResourceError, Response, TypeUrl},
};

/// Where a response that may be cut is cut, in bytes of resources.
pub(crate) const CUT: usize = 256 * 1024;
/// Where the list of names that are removed or missing is cut.
const NAMES_CUT: usize = 10_000;

/// A response in the making.
#[derive(Default)]
pub(super) struct Draft {
    pub resources: Vec<Arc<Resource>>,
    /// Those resources that the client did not have like this, where that is not all of them.
    pub changed: Option<Vec<Arc<Resource>>>,
    pub removed: Vec<Arc<str>>,
    pub replaced: Vec<Arc<Resource>>,
    pub errors: Vec<ResourceError>,
    size: usize,
}

/// Why a name is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It may have changed.
    Changed,
    /// It is to be sent even if unchanged, though nobody asked: its cluster changed, or it was refused with another.
    Rewarm,
    /// The client asked.
    Asked,
}

impl Draft {
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.removed.is_empty() && self.errors.is_empty()
    }

    pub fn is_cut(&self) -> bool {
        self.size >= CUT || self.removed.len() + self.errors.len() >= NAMES_CUT
    }

    fn add(&mut self, resource: Arc<Resource>) {
        self.size += resource.body().len() + resource.name().len() + 100;
        self.resources.push(resource);
    }
}

impl Session {
    /// Part of the answer to what was asked.
    pub(super) fn answer_part(&mut self, kind: Kind, sight: &Sight, now: Instant) -> Draft {
        let mut draft = Draft::default();
        while !draft.is_cut()
            && let Some(name) = self.of_mut(kind).owed.pop_first()
        {
            self.of_mut(kind).due.remove(&name);
            self.look_at(kind, &name, Why::Asked, sight, now, &mut draft);
        }
        while !draft.is_cut()
            && let Some(resource) = self.of_mut(kind).held.next_fresh()
        {
            self.of_mut(kind).due.remove(resource.name());
            draft.add(resource);
        }
        self.of_mut(kind).must_answer = false;
        draft
    }

    /// Part of what changed; with `only_rewarm`, of what the client waits for.
    pub(super) fn news_part(&mut self, kind: Kind, only_rewarm: bool, sight: &Sight, now: Instant) -> Draft {
        let mut draft = Draft::default();
        let mut later = Vec::new();
        while !draft.is_cut()
            && let Some((name, rewarm)) = self.of_mut(kind).due.pop_first()
        {
            if only_rewarm && !rewarm {
                later.push(name);
                continue;
            }
            let why = if rewarm { Why::Rewarm } else { Why::Changed };
            self.look_at(kind, &name, why, sight, now, &mut draft);
        }
        self.of_mut(kind).due.extend(later.into_iter().map(|name| (name, false)));
        draft
    }

    /// These names, once more.
    pub(super) fn part(&mut self, kind: Kind, names: &[Arc<str>], sight: &Sight, now: Instant) -> Draft {
        let mut draft = Draft::default();
        for name in names {
            self.of_mut(kind).due.remove(name);
            self.look_at(kind, name, Why::Rewarm, sight, now, &mut draft);
        }
        draft
    }

    /// Adds to the draft what is to be said on one name.
    fn look_at(&mut self, kind: Kind, name: &Arc<str>, why: Why, sight: &Sight, now: Instant, draft: &mut Draft) {
        let target = self.target(kind, name, sight);
        let keeps = self.protocol == Protocol::Delta || is_full(kind);
        let subscription = self.of_mut(kind);
        if !subscription.held.wants(name) {
            // Given up beside a wildcard that does not cover it.
            if why == Why::Asked && subscription.held.is_wildcard() {
                draft.removed.push(name.clone());
            }
            return;
        }
        let sent = subscription.held.sent(name);
        match (target, sent) {
            (Some(target), sent) => {
                subscription.leaving.remove(name);
                let same = matches!(&sent, Sent::This(sent) if sent.version() == target.version());
                if same && why == Why::Changed {
                    return;
                }
                if let Sent::This(old) = sent
                    && !same
                {
                    draft.replaced.push(old);
                }
                subscription.held.record(name, Sent::This(target.clone()));
                draft.add(target);
            }
            // Asked for again while it is kept for the sake of what refers to it.
            (None, Sent::This(old)) if why == Why::Asked && keeps && kind != Kind::Listener => {
                subscription.leaving.entry(name.clone()).or_insert(now);
                subscription.recheck = true;
                draft.add(old);
            }
            (None, sent) if why == Why::Asked => self.answer_missing(kind, name, sent, draft),
            (None, Sent::Nothing) => {
                if why == Why::Rewarm && self.protocol == Protocol::Delta {
                    draft.removed.push(name.clone());
                }
            }
            (None, _) => {
                // Where omission means nothing, nothing can be taken back: the client drops what it does not refer to.
                if keeps {
                    subscription.leaving.entry(name.clone()).or_insert(now);
                    subscription.recheck = true;
                }
            }
        }
    }

    fn answer_missing(&mut self, kind: Kind, name: &Arc<str>, sent: Sent, draft: &mut Draft) {
        let denied = kind == Kind::Secret && self.denial.is_some();
        if self.protocol == Protocol::Delta {
            if let Sent::This(old) = sent {
                draft.replaced.push(old);
            }
            self.of_mut(kind).held.record(name, Sent::Nothing);
            draft.removed.push(name.clone());
        }
        // In delta `removed_resources` says NOT_FOUND already.
        if self.protocol == Protocol::Sotw || denied {
            draft.errors.push(self.missing(kind, name));
        }
    }

    /// Why a name is not there.
    fn missing(&self, kind: Kind, name: &Arc<str>) -> ResourceError {
        let (code, message) = match &self.denial {
            Some(denial) if kind == Kind::Secret => (PERMISSION_DENIED, denial.clone()),
            _ => {
                let workload = &self.client.workload;
                (NOT_FOUND, format!("no {kind} resource {name:?} is shown to workload {workload}").into())
            }
        };
        ResourceError { name: name.clone(), code, message }
    }

    /// A full response (state of the world, clusters and listeners): all that is subscribed to, and what was taken away
    /// but is still needed, except for `freed`.
    pub(super) fn full(&mut self, kind: Kind, freed: Vec<Arc<str>>, sight: &Sight, now: Instant) -> Draft {
        let mut draft = Draft::default();
        let owed = mem::take(&mut self.of_mut(kind).owed);
        let subscription = self.of_mut(kind);
        subscription.must_answer = false;
        let all = self.all_of(kind, &freed, sight, now);
        let changed = self.note_full(kind, &all, &freed, &mut draft);
        let subscription = self.of(kind);
        for resource in all {
            match subscription.flights.quarantine.get(resource.name()) {
                Some(refused) if *refused == resource.version() => {
                    draft.resources.extend(subscription.flights.kept(resource.name()).cloned());
                }
                _ => draft.resources.push(resource),
            }
        }
        for name in subscription.leaving.keys() {
            if let Sent::This(old) = subscription.held.sent(name) {
                draft.resources.push(old);
            }
        }
        let absent = owed.iter().filter(|name| matches!(self.of(kind).held.sent(name), Sent::Nothing));
        draft.errors = absent.map(|name| self.missing(kind, name)).collect();
        draft.changed = Some(changed);
        draft.removed = freed;
        draft
    }

    /// All that the client is to have, by name.
    fn all_of(&mut self, kind: Kind, freed: &[Arc<str>], sight: &Sight, now: Instant) -> Vec<Arc<Resource>> {
        let mut all: Vec<Arc<Resource>> = Vec::new();
        match self.of(kind).held.base() {
            Some(base) => all.extend(base.iter().cloned()),
            None => {
                for name in self.of(kind).held.subscribed() {
                    match self.target(kind, &name, sight) {
                        Some(target) => {
                            self.of_mut(kind).leaving.remove(&name);
                            all.push(target);
                        }
                        // Gone this very moment, so that no change told it yet: it leaves like any other.
                        None if freed.contains(&name) || kind == Kind::Listener => {}
                        None => {
                            let subscription = self.of_mut(kind);
                            if !matches!(subscription.held.sent(&name), Sent::Nothing) {
                                subscription.leaving.entry(name).or_insert(now);
                            }
                        }
                    }
                }
            }
        }
        all.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// Notes that the client gets `all` and loses `freed`. Returned is what it did not have.
    fn note_full(
        &mut self,
        kind: Kind,
        all: &[Arc<Resource>],
        freed: &[Arc<str>],
        draft: &mut Draft,
    ) -> Vec<Arc<Resource>> {
        let subscription = self.of_mut(kind);
        let mut changed = Vec::new();
        let tried = mem::take(&mut subscription.tried);
        let is_news = |resource: &&Arc<Resource>| !subscription.held.has(resource) || tried.contains(resource.name());
        for resource in all.iter().filter(is_news) {
            if let Sent::This(old) = subscription.held.sent(resource.name())
                && old.version() != resource.version()
            {
                draft.replaced.push(old);
            }
            changed.push(resource.clone());
        }
        for name in freed {
            if let Sent::This(old) = subscription.held.sent(name) {
                draft.replaced.push(old);
            }
        }
        let stays = |name: &Arc<str>| (name.clone(), subscription.held.sent(name));
        let keep: HashMap<_, _> = subscription.leaving.keys().map(stays).collect();
        if subscription.held.is_wildcard() {
            subscription.held.all_sent(keep);
        } else {
            changed.iter().for_each(|resource| subscription.held.record(resource.name(), Sent::This(resource.clone())));
            freed.iter().for_each(|name| subscription.held.record(name, Sent::Nothing));
        }
        for resource in &changed {
            let refused = subscription.flights.quarantine.get(resource.name());
            if refused.is_some_and(|refused| *refused != resource.version()) {
                subscription.flights.quarantine.remove(resource.name());
            }
        }
        changed
    }

    /// Gives the draft its nonce and remembers what is on its way.
    pub(super) fn launch(&mut self, kind: Kind, draft: Draft, now: Instant) -> Response {
        let Draft { resources, changed, removed, replaced, errors, .. } = draft;
        let changed = changed.unwrap_or_else(|| resources.clone());
        if kind == Kind::Cluster {
            changed.iter().for_each(|cluster| self.rewarm_endpoints(cluster));
        }
        let (number, nonce) = self.fresh_nonce();
        let version = (self.protocol == Protocol::Sotw).then(|| version(resources.iter()));
        let on_wire = if self.protocol == Protocol::Delta { removed.clone() } else { Vec::new() };
        let names = OnceCell::new();
        self.of_mut(kind).flights.launch(Flight { nonce: number, sent_at: now, changed, removed, replaced, names });
        self.recheck(kind);
        Response {
            protocol: self.protocol,
            type_url: TypeUrl::Known(kind),
            nonce,
            version,
            resources,
            removed: on_wire,
            errors,
        }
    }

    /// Envoy warms a changed cluster until its endpoints come again, changed or not; in delta it does not even ask.
    fn rewarm_endpoints(&mut self, cluster: &Resource) {
        let resumed = self.of(Kind::Cluster).resumed && !self.of(Kind::Endpoints).opened;
        for endpoints in cluster.refers().iter().filter(|reference| reference.kind == Kind::Endpoints) {
            if resumed {
                self.rewarm.insert(endpoints.name.clone());
            } else if !self.of(Kind::Endpoints).owed.contains(&endpoints.name) {
                self.touch(Kind::Endpoints, endpoints.name.clone(), true);
            }
        }
    }
}

/// The version of a set of resources: the same for the same content, on any replica and after a restart.
pub(crate) fn version<'a>(resources: impl Iterator<Item = &'a Arc<Resource>>) -> Version {
    let mut resources: Vec<_> = resources.map(|resource| (resource.name(), resource.version())).collect();
    resources.sort_unstable();
    let mut text = String::new();
    for (name, version) in resources {
        use std::fmt::Write;
        let _ = write!(text, "{name}\0{version}\0");
    }
    Version::of(text.as_bytes())
}
