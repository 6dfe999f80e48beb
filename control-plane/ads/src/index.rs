//! Who subscribed to what: a change is told to those alone whom it concerns.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    task::Waker,
    time::Instant,
};

use byrnie_proto::Kind;
use byrnie_snapshot::{Change, View, names};
use foldhash::HashMap;

use crate::{connection::Connection, mailbox::Mark};

/// The name of a change that stands for a view as a whole.
const WHOLE_VIEW: &str = "*";

/// How something is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Name,
    Wildcard,
}

/// All open streams and their subscriptions.
#[derive(Default)]
pub(crate) struct Index {
    streams: BTreeMap<u64, Arc<Connection>>,
    wildcards: [BTreeMap<u64, Arc<Connection>>; Kind::ALL.len()],
    /// Subscribers sorted by id: a new stream has the highest, so it goes to the end.
    names: [HashMap<Arc<str>, Vec<Arc<Connection>>>; Kind::ALL.len()],
    /// Those of the names that hold an address, in order: a change of a pod concerns all of its ports.
    addresses: [BTreeSet<Arc<str>>; Kind::ALL.len()],
}

impl Index {
    /// All streams, the oldest first.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.streams.values()
    }

    /// How many names somebody subscribed to.
    pub fn names_count(&self) -> usize {
        self.names.iter().map(|names| names.len()).sum()
    }

    pub fn open(&mut self, connection: Arc<Connection>) {
        self.streams.insert(connection.id, connection);
    }

    pub fn close(&mut self, id: u64) {
        self.streams.remove(&id);
        for wildcards in &mut self.wildcards {
            wildcards.remove(&id);
        }
    }

    pub fn subscribe(&mut self, connection: &Arc<Connection>, kind: Kind, names: &[Arc<str>]) {
        for name in names {
            let subscribers = self.names[kind as usize].entry(name.clone()).or_default();
            if subscribers.is_empty() && names::outbound_address(name).is_some() {
                self.addresses[kind as usize].insert(name.clone());
            }
            // Usually a new stream; the search would read every connection that it passes.
            if subscribers.last().is_none_or(|last| last.id < connection.id) {
                subscribers.push(connection.clone());
            } else if let Err(at) = subscribers.binary_search_by_key(&connection.id, |subscriber| subscriber.id) {
                subscribers.insert(at, connection.clone());
            }
        }
    }

    pub fn unsubscribe(&mut self, id: u64, kind: Kind, names: &[Arc<str>]) {
        let index = &mut self.names[kind as usize];
        for name in names {
            let Some(subscribers) = index.get_mut(name) else { continue };
            if let Ok(at) = subscribers.binary_search_by_key(&id, |subscriber| subscriber.id) {
                subscribers.remove(at);
            }
            if subscribers.is_empty() {
                index.remove(name);
                self.addresses[kind as usize].remove(name);
            }
        }
    }

    pub fn set_wildcard(&mut self, connection: &Arc<Connection>, kind: Kind, wildcard: bool) {
        if wildcard {
            self.wildcards[kind as usize].insert(connection.id, connection.clone());
        } else {
            self.wildcards[kind as usize].remove(&connection.id);
        }
    }

    /// Who subscribed to a name, each once, and whether by name or by a wildcard that may cover it.
    pub fn subscribers(&self, kind: Kind, name: &str) -> Vec<(Arc<Connection>, By)> {
        let named = self.names[kind as usize].get(name).map_or(&[][..], Vec::as_slice);
        let is_named = |id: &u64| named.binary_search_by_key(id, |subscriber| subscriber.id).is_ok();
        let wildcards = self.wildcards[kind as usize].iter().filter(|(id, _)| !is_named(id));
        let wildcards = wildcards.map(|(_, subscriber)| (subscriber.clone(), By::Wildcard));
        named.iter().map(|subscriber| (subscriber.clone(), By::Name)).chain(wildcards).collect()
    }

    /// Tells all subscribers of one name, whatever they see.
    pub fn tell(&self, kind: Kind, name: &Arc<str>, now: Instant) -> Vec<Waker> {
        let subscribers = self.names[kind as usize].get(name).into_iter().flatten();
        subscribers.filter_map(|subscriber| subscriber.mailbox.mark(&Mark::Name(kind, name), now)).collect()
    }

    /// Tells everyone what changed for them. Returned are those to wake.
    pub fn tell_changes(&self, changes: &[Change], now: Instant) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for change in changes {
            if &*change.name == WHOLE_VIEW {
                let viewers = self.streams.values().filter(|stream| stream.client.sees(&change.view));
                wakers.extend(viewers.filter_map(|viewer| viewer.mailbox.mark(&Mark::View(change.kind), now)));
                continue;
            }
            for name in self.changed_names(change) {
                let subscribers = self.names[change.kind as usize].get(name).into_iter().flatten();
                let viewers = subscribers.filter(|subscriber| subscriber.client.sees(&change.view));
                wakers.extend(viewers.filter_map(|viewer| viewer.mailbox.mark(&Mark::Name(change.kind, name), now)));
            }
        }
        // Changes come grouped by view and kind, so a wildcard is asked once a group.
        for group in changes.chunk_by(|a, b| a.kind == b.kind && a.view == b.view) {
            let Change { view, kind, .. } = &group[0];
            let viewers = self.wildcards[*kind as usize].values().filter(|stream| stream.client.covers(view));
            wakers.extend(viewers.filter_map(|viewer| viewer.mailbox.mark(&Mark::Wildcard(*kind), now)));
        }
        wakers
    }

    /// The names that somebody subscribed to and that a change may concern.
    fn changed_names<'a>(&'a self, change: &'a Change) -> Vec<&'a Arc<str>> {
        if change.view != View::Asked {
            return vec![&change.name];
        }
        let from = (Bound::Included(&*change.name), Bound::Unbounded);
        let names = self.addresses[change.kind as usize].range::<str, _>(from);
        names.take_while(|name| name.starts_with(&*change.name)).collect()
    }
}
