//! The logic: what to ask for, what was answered, what serves. Events and time in, requests and [`Resources`] out.
//!
//! `follow` decides what is subscribed to, `settle` what serves, `response` reads what came in, `request` writes what
//! goes out. A request is made when it can be sent ([`Client::next_request`]), so a server that does not read holds
//! nothing but names.

mod follow;
mod request;
mod response;
mod settle;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_config::{Refused, Resource};
use byrnie_proto::{Kind, envoy::envoy::config::core::v3::Node};
use foldhash::fast::RandomState;

pub use self::response::Received;

use crate::{
    held::{Entry, Good, Held, Version},
    resources::Resources,
};

/// How long an answer is waited for before what refers to it serves without (Envoy's `initial_fetch_timeout`).
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// The name of all that there is.
const WILDCARD: &str = "*";
/// How long the answer to giving up a name is waited for.
const PARTING_LIMIT: Duration = Duration::from_secs(2);

/// Which listeners are asked for from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listeners {
    /// All that the control plane shows this proxy (`*`).
    All,
    /// Those by name: `in`, `out`.
    Named(Vec<Arc<str>>),
}

/// The client of a control plane, over any number of streams that follow each other.
#[derive(Debug)]
pub struct Client {
    node: Node,
    tables: [Table; Kind::ALL.len()],
    stream: Stream,
    /// The wildcard was answered, on this stream, an earlier one or by what was kept on disk.
    answered: bool,
    keeps_bodies: bool,
    resources: Arc<Resources>,
    deadline: Option<Instant>,
}

/// The present stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    None,
    /// Nothing was sent yet: the first message carries the node (rule 2).
    New,
    Introduced,
}

/// All of one kind.
#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Arc<str>, Entry, RandomState>,
    /// `*` is subscribed to.
    wildcard: bool,
    /// A request of this kind was sent on this stream.
    opened: bool,
    subscribe: BTreeSet<Arc<str>>,
    unsubscribe: BTreeSet<Arc<str>>,
    replies: VecDeque<Reply>,
    /// Given up under `*` and not heard of since: the answer to that is still to come (rule 20), and must not be taken
    /// for the answer to a new question.
    given_up: HashMap<Arc<str>, Instant, RandomState>,
    /// Of those, the ones that are wanted again and wait for that answer.
    held_back: BTreeSet<Arc<str>>,
}

/// ACK or NACK.
#[derive(Debug)]
struct Reply {
    nonce: String,
    error: Option<String>,
}

/// A resource from an earlier process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub kind: Kind,
    pub name: String,
    pub version: String,
    pub body: Vec<u8>,
}

impl Client {
    /// A client that says it is `node`. With `keeps_bodies` the bytes of what serves are kept, for the disk.
    pub fn new(node: Node, listeners: &Listeners, keeps_bodies: bool) -> Self {
        let mut tables: [Table; Kind::ALL.len()] = Default::default();
        let table = &mut tables[Kind::Listener as usize];
        match listeners {
            Listeners::All => table.wildcard = true,
            Listeners::Named(names) => {
                table.entries.extend(names.iter().map(|name| (name.clone(), Entry::awaited(true, None))));
            }
        }
        let answered = !table.wildcard;
        let resources = Arc::default();
        Self { node, tables, stream: Stream::None, answered, keeps_bodies, resources, deadline: None }
    }

    /// A stream is open: everything is subscribed to anew, saying what is held already (rule 21).
    pub fn on_connected(&mut self, now: Instant) {
        self.renew(Stream::New, Some(now));
        // Of what only `*` covers and no version is held the server does not hear, so it would not hear that it is gone.
        for table in &mut self.tables {
            table.entries.retain(|_, entry| entry.named || entry.held.candidate().is_some());
        }
        self.settle(now);
    }

    /// The stream is gone. What serves goes on serving.
    pub fn on_disconnected(&mut self) {
        self.renew(Stream::None, None);
    }

    fn renew(&mut self, stream: Stream, now: Option<Instant>) {
        self.stream = stream;
        for table in &mut self.tables {
            table.opened = false;
            table.subscribe.clear();
            table.unsubscribe.clear();
            table.replies.clear();
            table.given_up.clear();
            table.held_back.clear();
            for entry in table.entries.values_mut() {
                entry.told = false;
                if let Held::Awaited { since } = &mut entry.held {
                    *since = now;
                }
            }
        }
        self.deadline = None;
    }

    /// Listeners that are wanted on demand: new ones, and those that are no longer wanted.
    pub fn on_demand(&mut self, wanted: &[Arc<str>], unwanted: &[Arc<str>], now: Instant) {
        let since = self.is_connected().then_some(now);
        let table = &mut self.tables[Kind::Listener as usize];
        for name in unwanted {
            table.unwant(name, now);
        }
        for name in wanted {
            table.want(name, since);
        }
        self.settle(now);
    }

    /// Time went by: to be called at [`deadline`](Self::deadline).
    pub fn on_time(&mut self, now: Instant) {
        self.settle(now);
    }

    /// When something is waited for no longer.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What serves now.
    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// Takes in what served in an earlier process. What this one cannot honour is left out and returned.
    pub(crate) fn restore(&mut self, kept: Vec<Kept>, now: Instant) -> Vec<(Kind, String, Refused)> {
        let mut refused = Vec::new();
        for Kept { kind, name, version, body } in kept {
            match self.read(kind, &name, &version, &body) {
                Ok(good) => {
                    self.answered |= kind == Kind::Listener;
                    let table = &mut self.tables[kind as usize];
                    let named = !table.wildcard;
                    let entry = table.entries.entry(name.into()).or_insert_with(|| Entry::awaited(named, None));
                    entry.held = Held::Live(Arc::new(good));
                }
                Err(why) => refused.push((kind, name, why)),
            }
        }
        self.settle(now);
        refused
    }

    /// All that serves, for the disk.
    pub(crate) fn serving(&self) -> Vec<(Kind, Arc<str>, Arc<Good>)> {
        let of = |kind: Kind| {
            let served = move |(name, entry): (&Arc<str>, &Entry)| {
                entry.serving.as_ref().map(|good| (kind, name.clone(), good.clone()))
            };
            self.tables[kind as usize].entries.iter().filter_map(served)
        };
        Kind::ALL.into_iter().flat_map(of).collect()
    }

    fn read(&self, kind: Kind, name: &str, version: &str, body: &[u8]) -> Result<Good, Refused> {
        let resource = Resource::read(kind, name, body)?;
        let references = resource.references().into_boxed_slice();
        let body = self.keeps_bodies.then(|| body.into());
        Ok(Good { version: Version::from(version), resource, references, body })
    }

    fn is_connected(&self) -> bool {
        self.stream != Stream::None
    }

    fn table(&self, kind: Kind) -> &Table {
        &self.tables[kind as usize]
    }

    fn table_mut(&mut self, kind: Kind) -> &mut Table {
        &mut self.tables[kind as usize]
    }
}

impl Table {
    /// Subscribes to `name`, if that is not so already. A name that comes back before the server heard that it was given
    /// up is asked for again, and answered again (rule 18); one that comes back later waits for its parting answer.
    fn want(&mut self, name: &Arc<str>, since: Option<Instant>) {
        // Whatever a resource refers to by this name, all is not meant.
        if **name == *WILDCARD {
            return;
        }
        let entry = self.entries.entry(name.clone()).or_insert_with(|| Entry::awaited(false, since));
        entry.referred = true;
        if !std::mem::replace(&mut entry.named, true) {
            if self.unsubscribe.remove(name) {
                entry.told = true;
                self.given_up.remove(name);
            }
            let waits = self.given_up.contains_key(name);
            let names = if waits { &mut self.held_back } else { &mut self.subscribe };
            names.insert(name.clone());
        }
    }

    /// Gives up the subscription to `name`. What `*` covers stays where it is there.
    fn unwant(&mut self, name: &Arc<str>, now: Instant) {
        let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.named) else { return };
        entry.named = false;
        self.subscribe.remove(name);
        self.held_back.remove(name);
        if std::mem::take(&mut entry.told) {
            self.unsubscribe.insert(name.clone());
            if self.wildcard {
                self.given_up.insert(name.clone(), now);
            }
        }
        entry.referred = self.wildcard && entry.held.candidate().is_some();
    }

    /// The server spoke of `name`. Whether that was on parting from it, while it is wanted again already.
    fn heard_of(&mut self, name: &str) -> bool {
        if self.given_up.remove(name).is_none() {
            return false;
        }
        let back = self.held_back.take(name);
        back.map(|name| self.subscribe.insert(name)).is_some()
    }

    /// Waits no longer for what a server does not say.
    fn end_partings(&mut self, now: Instant) {
        let overdue: Vec<_> = self
            .given_up
            .iter()
            .filter(|(_, since)| **since + PARTING_LIMIT <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in overdue {
            self.heard_of(&name);
        }
    }
}

#[cfg(test)]
mod tests;
