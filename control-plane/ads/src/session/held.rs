//! What one client was sent of one kind, without a copy of the world: a wildcard client shares the maps of a snapshot,
//! a client of names keeps one pointer a name.

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet},
    hash::{Hash, Hasher},
    sync::Arc,
};

use byrnie_snapshot::{Resource, Sight, Version};

/// What the client has under a name, as far as this stream knows.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    /// Nothing.
    Nothing,
    /// Something from an earlier stream that differs from what this server has.
    Stale,
    /// This resource.
    This(Arc<Resource>),
}

/// What the client is subscribed to, and has.
pub(crate) enum Held {
    Named(Named),
    Wildcard(Wildcard),
}

/// Single names. Each is in exactly one of the two.
#[derive(Default)]
pub(crate) struct Named {
    have: foldhash::HashSet<ByName>,
    lack: foldhash::HashMap<Arc<str>, Lack>,
}

/// Everything that the client may see: `base`, but for the names in `fresh` and `overlay`.
#[derive(Default)]
pub(crate) struct Wildcard {
    base: Sight,
    /// What was never sent yet, by name, the last one first: the rest of a first answer that goes out in pieces.
    fresh: Vec<Arc<Resource>>,
    /// Where the client has something else than `base` says.
    overlay: HashMap<Arc<str>, Sent>,
    /// Names that were subscribed to beside `*`.
    explicit: HashSet<Arc<str>>,
}

#[derive(Clone, Copy)]
enum Lack {
    Nothing,
    Stale,
}

/// A resource in a set by name.
struct ByName(Arc<Resource>);

impl Default for Held {
    fn default() -> Self {
        Self::Named(Named::default())
    }
}

impl Held {
    /// Whether everything is subscribed to.
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Wildcard(_))
    }

    /// Whether the client wants to hear of `name`.
    pub fn wants(&self, name: &str) -> bool {
        match self {
            Self::Named(_) => self.names(name),
            Self::Wildcard(wild) => wild.has_right_to(name) || wild.overlay.contains_key(name),
        }
    }

    /// Whether a wildcard covers `name`, be it there or not.
    pub fn covers(&self, name: &str) -> bool {
        matches!(self, Self::Wildcard(wild) if wild.covers(name))
    }

    /// Whether `name` is subscribed to by name.
    pub fn names(&self, name: &str) -> bool {
        match self {
            Self::Named(named) => named.have.contains(name) || named.lack.contains_key(name),
            Self::Wildcard(wild) => wild.explicit.contains(name),
        }
    }

    /// How many names are subscribed to by name.
    pub fn names_count(&self) -> usize {
        match self {
            Self::Named(named) => named.have.len() + named.lack.len(),
            Self::Wildcard(wild) => wild.explicit.len(),
        }
    }

    /// The names that are subscribed to by name.
    pub fn subscribed(&self) -> Vec<Arc<str>> {
        match self {
            Self::Named(named) => named.have.iter().map(|r| r.0.name()).chain(named.lack.keys()).cloned().collect(),
            Self::Wildcard(wild) => wild.explicit.iter().cloned().collect(),
        }
    }

    /// What the client has under `name`.
    pub fn sent(&self, name: &str) -> Sent {
        match self {
            Self::Named(named) => match (named.have.get(name), named.lack.get(name)) {
                (Some(resource), _) => Sent::This(resource.0.clone()),
                (None, Some(Lack::Stale)) => Sent::Stale,
                (None, _) => Sent::Nothing,
            },
            Self::Wildcard(wild) => wild.sent(name),
        }
    }

    /// Notes what the client has now. A name that nobody subscribed to is not kept.
    pub fn record(&mut self, name: &Arc<str>, sent: Sent) {
        match self {
            Self::Named(named) if named.have.contains(&**name) || named.lack.contains_key(name) => {
                named.put(name.clone(), sent);
            }
            Self::Named(_) => {}
            Self::Wildcard(wild) => wild.record(name.clone(), sent),
        }
    }

    /// Subscribes to a name, which may be subscribed to already. `has` says what the client has of it from before.
    pub fn subscribe(&mut self, name: &Arc<str>, has: Option<Sent>) {
        match self {
            Self::Named(named) if named.have.contains(&**name) || named.lack.contains_key(name) => {}
            Self::Named(named) => named.put(name.clone(), Sent::Nothing),
            Self::Wildcard(wild) => drop(wild.explicit.insert(name.clone())),
        }
        if let Some(has) = has {
            self.record(name, has);
        }
    }

    /// Ends a subscription by name; whether there was one.
    pub fn unsubscribe(&mut self, name: &str) -> bool {
        match self {
            Self::Named(named) => named.have.remove(name) || named.lack.remove(name).is_some(),
            Self::Wildcard(wild) => wild.unsubscribe(name),
        }
    }

    /// Subscribes to everything beside the names. All of `sight` is fresh but what the client has already; returned is
    /// where it has something else.
    pub fn widen(&mut self, sight: Sight) -> Vec<Arc<str>> {
        let Self::Named(named) = self else { return Vec::new() };
        let named = std::mem::take(named);
        let mut wild = Wildcard { base: sight.wildcard(), ..Wildcard::default() };
        wild.explicit = named.have.iter().map(|r| r.0.name()).chain(named.lack.keys()).cloned().collect();
        wild.fresh = wild.base.iter().filter(|r| !wild.explicit.contains(r.name())).cloned().collect();
        wild.fresh.sort_unstable_by(|a, b| b.name().cmp(a.name()));
        for ByName(resource) in named.have {
            wild.record(resource.name().clone(), Sent::This(resource));
        }
        for (name, lack) in named.lack {
            wild.record(name, lack.into());
        }
        let differing = wild.overlay.keys().cloned().collect();
        *self = Self::Wildcard(wild);
        differing
    }

    /// Believes a client that says what it has from an earlier stream, `versions` by name. Returned are the names that
    /// it has in another version than `base`, then those that `base` has not.
    pub fn believe(&mut self, versions: &HashMap<String, String>) -> [Vec<Arc<str>>; 2] {
        let Self::Wildcard(wild) = self else { return Default::default() };
        wild.fresh.retain(|resource| !versions.contains_key(&**resource.name()));
        let [mut other, mut gone] = <[Vec<Arc<str>>; 2]>::default();
        for (name, version) in versions.iter().filter(|(name, _)| !wild.explicit.contains(&***name)) {
            match wild.base.get(name) {
                Some(resource) if Version::parse(version) == Some(resource.version()) => {}
                Some(resource) => other.push(resource.name().clone()),
                None => gone.push(Arc::from(&**name)),
            }
        }
        let stale = other.iter().chain(&gone).map(|name| (name.clone(), Sent::Stale));
        wild.overlay.extend(stale);
        [other, gone]
    }

    /// Ends the subscription to everything; the names stay.
    pub fn narrow(&mut self) {
        let Self::Wildcard(wild) = self else { return };
        let mut named = Named::default();
        for name in &wild.explicit {
            named.put(name.clone(), wild.sent(name));
        }
        *self = Self::Named(named);
    }

    /// Moves a wildcard on to `sight` and names what changed, but for what the first answer brings anyway.
    pub fn advance(&mut self, sight: &Sight) -> Vec<Arc<str>> {
        match self {
            Self::Named(_) => Vec::new(),
            Self::Wildcard(wild) => wild.advance(sight),
        }
    }

    /// Takes the next one of what was never sent.
    pub fn next_fresh(&mut self) -> Option<Arc<Resource>> {
        let Self::Wildcard(wild) = self else { return None };
        while let Some(resource) = wild.fresh.pop() {
            // Whoever dropped out of `base` meanwhile was never sent and needs no word.
            if let Some(current) = wild.base.get(resource.name()) {
                return Some(current.clone());
            }
        }
        wild.fresh.shrink_to_fit();
        None
    }

    /// Whether the first answer is not complete yet.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Wildcard(wild) if !wild.fresh.is_empty())
    }

    /// Notes that all of `base` was sent; what differs goes to `keep`.
    pub fn all_sent(&mut self, keep: HashMap<Arc<str>, Sent>) {
        if let Self::Wildcard(wild) = self {
            wild.fresh = Vec::new();
            wild.overlay = keep;
        }
    }

    /// All that a wildcard shall have.
    pub fn base(&self) -> Option<&Sight> {
        match self {
            Self::Named(_) => None,
            Self::Wildcard(wild) => Some(&wild.base),
        }
    }

    /// All that the client has.
    pub fn resources(&self) -> Box<dyn Iterator<Item = &Arc<Resource>> + '_> {
        match self {
            Self::Named(named) => Box::new(named.have.iter().map(|r| &r.0)),
            Self::Wildcard(wild) => {
                let base =
                    wild.base.iter().filter(|r| !wild.overlay.contains_key(r.name()) && !wild.is_fresh(r.name()));
                let over = wild.overlay.values().filter_map(|sent| match sent {
                    Sent::This(resource) => Some(resource),
                    _ => None,
                });
                Box::new(base.chain(over))
            }
        }
    }
}

impl Named {
    fn put(&mut self, name: Arc<str>, sent: Sent) {
        let lack = match sent {
            Sent::This(resource) => {
                self.lack.remove(&name);
                if self.lack.is_empty() {
                    // A first answer passes all names through here, and a map keeps its room.
                    self.lack = foldhash::HashMap::default();
                }
                self.have.replace(ByName(resource));
                return;
            }
            Sent::Nothing => Lack::Nothing,
            Sent::Stale => Lack::Stale,
        };
        self.have.remove(&*name);
        self.lack.insert(name, lack);
    }
}

impl Wildcard {
    /// Whether the client is to have what is there under `name`.
    pub fn has_right_to(&self, name: &str) -> bool {
        self.explicit.contains(name) || self.covers(name)
    }

    fn covers(&self, name: &str) -> bool {
        !self.base.is_partly_covered() || self.base.get(name).is_some()
    }

    fn unsubscribe(&mut self, name: &str) -> bool {
        let was = self.explicit.remove(name);
        if was && !self.covers(name) {
            self.overlay.remove(name);
        }
        was
    }

    fn is_fresh(&self, name: &str) -> bool {
        self.fresh_at(name).is_ok()
    }

    fn fresh_at(&self, name: &str) -> Result<usize, usize> {
        self.fresh.binary_search_by(|r| name.cmp(&**r.name()))
    }

    fn sent(&self, name: &str) -> Sent {
        if let Some(sent) = self.overlay.get(name) {
            return sent.clone();
        }
        match self.base.get(name) {
            Some(resource) if !self.is_fresh(name) => Sent::This(resource.clone()),
            _ => Sent::Nothing,
        }
    }

    fn record(&mut self, name: Arc<str>, sent: Sent) {
        if !self.fresh.is_empty()
            && let Ok(at) = self.fresh_at(&name)
        {
            self.fresh.remove(at);
        }
        let as_base = match (&sent, self.base.get(&name)) {
            (Sent::Nothing, None) => true,
            (Sent::This(sent), Some(base)) => sent.version() == base.version(),
            _ => false,
        };
        if as_base {
            self.overlay.remove(&name);
        } else {
            self.overlay.insert(name, sent);
        }
    }

    fn advance(&mut self, sight: &Sight) -> Vec<Arc<str>> {
        let sight = sight.wildcard();
        let changed = sight.changes(&self.base);
        let before: Vec<_> = changed.iter().map(|name| self.sent(name)).collect();
        self.base = sight;
        for (name, before) in changed.iter().zip(before) {
            // The first answer brings a fresh name anyway, in the state of that moment.
            if !self.is_fresh(name) {
                self.record(name.clone(), before);
            }
        }
        changed.into_iter().filter(|name| !self.is_fresh(name)).collect()
    }
}

impl From<Lack> for Sent {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::Nothing => Self::Nothing,
            Lack::Stale => Self::Stale,
        }
    }
}

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        self.0.name()
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for ByName {}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        str::hash(self.0.name(), state);
    }
}
