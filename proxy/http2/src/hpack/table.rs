//! The dynamic table (RFC 7541 sections 2.3.2 and 4).
//!
//! Names and values lie in one ring of bytes and their places in another ring, both allocated when the first entry
//! arrives. Names that the static table has are not stored again.

use std::collections::VecDeque;

use super::StaticIndex;

/// What each entry counts for beyond its name and value (section 4.1).
const OVERHEAD: usize = 32;

/// The ring's first allocation.
const FIRST_ALLOCATION: usize = 256;

/// Where an entry lies, in a form that is small enough to copy.
///
/// 16 bits are enough for every place and length, since the table ends at [`super::MAX_TABLE_SIZE`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    at: u16,
    /// Octets in the ring: 0 if the name is a static one.
    name: u16,
    value: u16,
    /// The first static entry with the name.
    index: Option<StaticIndex>,
}

impl Entry {
    #[inline]
    pub(super) fn index(&self) -> Option<StaticIndex> {
        self.index
    }

    #[inline]
    pub(super) fn name_len(&self) -> usize {
        self.index.map_or(usize::from(self.name), |index| index.name().len())
    }

    #[inline]
    pub(super) fn value_len(&self) -> usize {
        usize::from(self.value)
    }

    #[inline]
    fn stored(&self) -> usize {
        usize::from(self.name) + usize::from(self.value)
    }

    /// As section 4.1 counts it.
    fn size(&self) -> usize {
        self.name_len() + self.value_len() + OVERHEAD
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    ring: Box<[u8]>,
    /// Where the next entry goes.
    next: usize,
    /// Octets of the ring that entries take.
    stored: usize,
    /// The newest first.
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
}

impl Table {
    /// Takes no memory before the first entry. `max` is at most [`super::MAX_TABLE_SIZE`].
    pub(super) fn new(max: u32) -> Self {
        Self { max: max as usize, ..Self::default() }
    }

    /// The size that the encoder chose last.
    pub(super) fn max(&self) -> u32 {
        self.max as u32
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry at `position`, the newest being 0.
    #[inline]
    pub(super) fn get(&self, position: usize) -> Option<Entry> {
        self.entries.get(position).copied()
    }

    /// Follows a size update: entries that no longer fit are evicted (section 4.3).
    pub(super) fn resize(&mut self, max: u32) {
        self.max = max as usize;
        self.evict_down_to(self.max);
    }

    /// Adds an entry after evicting what it leaves no space for; one that is larger than the whole table leaves the
    /// table empty (section 4.4). `name` counts only if `index` is none.
    pub(super) fn insert(&mut self, index: Option<StaticIndex>, name: &[u8], value: &[u8]) {
        let size = index.map_or(name.len(), |index| index.name().len()) + value.len() + OVERHEAD;
        if size > self.max {
            return self.evict_down_to(0);
        }
        self.evict_down_to(self.max - size);
        let name = if index.is_some() { &[] } else { name };
        let stored = name.len() + value.len();
        if self.stored + stored > self.ring.len() {
            self.grow(self.stored + stored);
        }
        self.entries.push_front(Entry {
            at: self.next as u16,
            name: name.len() as u16,
            value: value.len() as u16,
            index,
        });
        self.write(name);
        self.write(value);
        self.stored += stored;
        self.size += size;
    }

    /// Appends the octets of the name, unless it is a static one, and behind them those of the value.
    #[inline]
    pub(super) fn append(&self, entry: Entry, out: &mut Vec<u8>) {
        self.append_octets(usize::from(entry.at), entry.stored(), out);
    }

    /// Appends the octets of the name, unless it is a static one.
    #[inline]
    pub(super) fn append_name(&self, entry: Entry, out: &mut Vec<u8>) {
        self.append_octets(usize::from(entry.at), usize::from(entry.name), out);
    }

    /// Heap memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.ring.len() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Returns the memory that the entries do not use.
    pub(super) fn rest(&mut self) {
        if self.ring.len() > self.stored {
            self.relocate(self.stored);
        }
        self.entries.shrink_to_fit();
    }

    #[inline]
    fn append_octets(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        if let Some(octets) = self.ring.get(at..at + len) {
            out.extend_from_slice(octets);
        } else {
            out.extend_from_slice(&self.ring[at..]);
            out.extend_from_slice(&self.ring[..at + len - self.ring.len()]);
        }
    }

    fn write(&mut self, octets: &[u8]) {
        let (front, back) = octets.split_at(octets.len().min(self.ring.len() - self.next));
        self.ring[self.next..][..front.len()].copy_from_slice(front);
        self.ring[..back.len()].copy_from_slice(back);
        self.next += octets.len();
        if self.next >= self.ring.len() {
            self.next -= self.ring.len();
        }
    }

    fn evict_down_to(&mut self, size: usize) {
        while self.size > size {
            let oldest = self.entries.pop_back().expect("a size above zero is that of entries");
            self.size -= oldest.size();
            self.stored -= oldest.stored();
        }
    }

    fn grow(&mut self, needed: usize) {
        let doubled = (self.ring.len() * 2).clamp(FIRST_ALLOCATION, self.max.max(FIRST_ALLOCATION));
        self.relocate(doubled.max(needed));
    }

    /// Moves the entries to the start of a new ring.
    fn relocate(&mut self, capacity: usize) {
        let mut octets = Vec::with_capacity(capacity);
        for position in (0..self.entries.len()).rev() {
            let entry = self.entries[position];
            self.entries[position].at = octets.len() as u16;
            self.append(entry, &mut octets);
        }
        self.next = if octets.len() < capacity { octets.len() } else { 0 };
        octets.resize(capacity, 0);
        self.ring = octets.into_boxed_slice();
    }
}

#[cfg(test)]
mod tests;
