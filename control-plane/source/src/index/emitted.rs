use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::Arc,
};

/// What the world was told of one kind of thing, and what it has to be told next.
pub struct Emitted<K, V> {
    told: HashMap<K, Arc<V>>,
    changed: BTreeMap<K, Option<Arc<V>>>,
}

impl<K: Ord + Hash + Clone, V: PartialEq> Emitted<K, V> {
    /// The value from now on, `None` for none. What equals the last one told is nothing to tell.
    pub fn set(&mut self, key: K, value: Option<V>) {
        if self.told.get(&key).map(|told| &**told) == value.as_ref() {
            self.changed.remove(&key);
            return;
        }
        self.changed.insert(key, value.map(Arc::new));
    }

    /// The value as it is now, told or not.
    pub fn get(&self, key: &K) -> Option<&Arc<V>> {
        match self.changed.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.told.get(key),
        }
    }

    /// What is to be told, in order; from then on it was told.
    pub fn take(&mut self) -> impl Iterator<Item = (K, Option<Arc<V>>)> {
        let changed = std::mem::take(&mut self.changed);
        for (key, value) in &changed {
            match value {
                Some(value) => drop(self.told.insert(key.clone(), value.clone())),
                None => drop(self.told.remove(key)),
            }
        }
        changed.into_iter()
    }
}

impl<K, V> Default for Emitted<K, V> {
    fn default() -> Self {
        Self { told: HashMap::new(), changed: BTreeMap::new() }
    }
}
