//! What serves: a version takes the place of the one before it when all that it refers to was answered, as Envoy warms
//! clusters and listeners. Endpoints first, listeners last, so that each kind finds the one below it settled.

use std::{collections::HashSet, mem, sync::Arc, time::Instant};

use byrnie_config::Reference;
use byrnie_proto::Kind;
use foldhash::fast::RandomState;

use super::{ANSWER_LIMIT, Client, PARTING_LIMIT, follow::DOWN};
use crate::{
    held::{Entry, Held},
    resources::{State, Unsettled},
};

impl Client {
    /// Brings subscriptions and what serves in line with what is held.
    pub(super) fn settle(&mut self, now: Instant) {
        self.tables.iter_mut().for_each(|table| table.end_partings(now));
        self.follow(now);
        let mut changed = self.promote(now);
        changed.extend(self.demote());
        if !changed.is_empty() {
            self.follow(now);
        }
        changed.extend(self.sweep());
        self.publish(&changed, now);
        self.deadline = self.next_deadline(now);
    }

    /// Lets serve what is warm.
    fn promote(&mut self, now: Instant) -> Vec<(Kind, Arc<str>)> {
        let mut changed = Vec::new();
        for kind in DOWN.into_iter().rev() {
            let is_warm = |(name, entry): (&Arc<str>, &Entry)| {
                let candidate = entry.warming()?;
                candidate.references.iter().all(|to| self.is_answered(to, now)).then(|| name.clone())
            };
            let warm: Vec<_> = self.table(kind).entries.iter().filter_map(is_warm).collect();
            for name in warm {
                if let Some(entry) = self.table_mut(kind).entries.get_mut(&name) {
                    entry.serving = entry.held.candidate().cloned();
                    changed.push((kind, name));
                }
            }
        }
        changed
    }

    /// Whether nothing better is to be expected soon: something serves, or there is none, or it cannot be honoured, or
    /// its answer is overdue.
    fn is_answered(&self, to: &Reference, now: Instant) -> bool {
        let Some(entry) = self.table(to.kind).entries.get(&to.name) else { return true };
        entry.serving.is_some()
            || match &entry.held {
                Held::Awaited { since } => since.is_some_and(|since| since + ANSWER_LIMIT <= now),
                Held::Live(_) => false,
                Held::Refused { serving, .. } => serving.is_none(),
                Held::Withdrawn => true,
            }
    }

    /// Takes out of service what is not there any more. Route tables and endpoints stay as long as something refers to
    /// them (Envoy ignores their removal); clusters go, but not from under something older that serves until its
    /// replacement is warm: the server has taken back a cluster once the new route was accepted.
    fn demote(&mut self) -> Vec<(Kind, Arc<str>)> {
        let mut changed = Vec::new();
        self.take_out(Kind::Listener, |_| true, &mut changed);
        let needed = self.needed_by_superseded();
        self.take_out(Kind::Cluster, |name| !needed.contains(name), &mut changed);
        changed
    }

    fn take_out(&mut self, kind: Kind, free: impl Fn(&Arc<str>) -> bool, changed: &mut Vec<(Kind, Arc<str>)>) {
        for (name, entry) in &mut self.table_mut(kind).entries {
            if entry.serving.is_some() && entry.held.candidate().is_none() && free(name) {
                entry.serving = None;
                changed.push((kind, name.clone()));
            }
        }
    }

    fn needed_by_superseded(&self) -> HashSet<Arc<str>, RandomState> {
        let referrers = [Kind::Listener, Kind::Route].into_iter().flat_map(|kind| self.table(kind).entries.values());
        let superseded = referrers.filter(|entry| entry.is_superseded()).filter_map(|entry| entry.serving.as_ref());
        let references = superseded.flat_map(|good| good.references.iter());
        references.filter(|to| to.kind == Kind::Cluster).map(|to| to.name.clone()).collect()
    }

    fn publish(&mut self, changed: &[(Kind, Arc<str>)], now: Instant) {
        let unsettled = self.unsettled();
        let warm = self.resources.warm || self.is_warm(now);
        let same = changed.is_empty() && warm == self.resources.warm && *unsettled == *self.resources.unsettled;
        if same {
            return;
        }
        let mut resources = mem::take(&mut self.resources);
        let next = Arc::make_mut(&mut resources);
        for (kind, name) in changed {
            let serving = self.table(*kind).entries.get(name).and_then(|entry| entry.serving.as_ref());
            next.set(*kind, name, serving);
        }
        let is_absent = |it: &&Unsettled| it.kind == Kind::Listener && it.state == State::Withdrawn;
        let absent = unsettled.iter().filter(is_absent).map(|it| it.name.clone()).collect();
        if *next.absent != absent {
            next.absent = Arc::new(absent);
        }
        next.unsettled = unsettled.into();
        next.warm = warm;
        self.resources = resources;
    }

    /// In the order of kinds and names.
    fn unsettled(&self) -> Vec<Unsettled> {
        let mut all = Vec::new();
        for kind in DOWN {
            for (name, entry) in &self.table(kind).entries {
                let state = match &entry.held {
                    Held::Awaited { .. } => State::Awaited,
                    Held::Withdrawn => State::Withdrawn,
                    Held::Refused { why, .. } => State::Refused(why.clone()),
                    Held::Live(good) if entry.warming().is_some() => State::Warming(good.version.clone()),
                    Held::Live(_) => continue,
                };
                all.push(Unsettled { kind, name: name.clone(), state });
            }
        }
        all.sort_unstable_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        all
    }

    /// Whether all listeners serve that can, and all that were asked for by name were answered.
    fn is_warm(&self, now: Instant) -> bool {
        let settled = |(name, entry): (&Arc<str>, &Entry)| {
            let to = Reference { kind: Kind::Listener, name: name.clone() };
            entry.serving.is_some() || self.is_answered(&to, now)
        };
        self.answered && self.table(Kind::Listener).entries.iter().all(settled)
    }

    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let entries = self.tables.iter().flat_map(|table| table.entries.values());
        let limits = entries.filter_map(|entry| match entry.held {
            Held::Awaited { since } => since.map(|since| since + ANSWER_LIMIT),
            _ => None,
        });
        let partings = self.tables.iter().filter(|table| !table.held_back.is_empty());
        let partings = partings.flat_map(|table| table.given_up.values().map(|since| *since + PARTING_LIMIT));
        limits.chain(partings).filter(|limit| *limit > now).min()
    }
}
