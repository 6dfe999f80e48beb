//! Places in the worker's tables that cannot be mistaken for those of a predecessor.

use slab::Slab;

/// Where something stands, and which of those that stood there it is: a late event never reaches a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// As a token of the event loop.
    pub fn token(self) -> mio::Token {
        mio::Token((self.generation as usize) << 32 | self.index as usize)
    }
}

impl From<mio::Token> for Key {
    fn from(token: mio::Token) -> Self {
        Self { index: token.0 as u32, generation: (token.0 >> 32) as u32 }
    }
}

/// A table whose entries are found by [`Key`].
#[derive(Debug)]
pub struct Table<T> {
    slots: Slab<(u32, T)>,
    generation: u32,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Slab::new(), generation: 0 }
    }
}

impl<T> Table<T> {
    /// Puts in what `make` makes of its own key.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        // The top bits stay free for tokens that are no keys.
        self.generation = (self.generation + 1) & 0x3fff_ffff;
        let entry = self.slots.vacant_entry();
        let index = u32::try_from(entry.key()).expect("a process has fewer than 2^32 sockets");
        let key = Key { index, generation: self.generation };
        entry.insert((self.generation, make(key)));
        key
    }

    /// What stands at `key`, if it is still that.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        self.slots
            .get(key.index as usize)
            .filter(|(generation, _)| *generation == key.generation)
            .map(|(_, value)| value)
    }

    /// What stands at `key`, if it is still that.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize);
        slot.filter(|(generation, _)| *generation == key.generation).map(|(_, value)| value)
    }

    /// Takes it out.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        Some(self.slots.remove(key.index as usize).1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|(_, (_, value))| value)
    }

    /// All keys of now.
    pub fn keys(&self) -> Vec<Key> {
        let key = |(index, (generation, _)): (usize, &(u32, T))| Key { index: index as u32, generation: *generation };
        self.slots.iter().map(key).collect()
    }
}
