//! An encoder that uses all of RFC 7541, written for clarity: the table is a list of pairs.

use std::collections::VecDeque;

use super::*;

pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// How to write a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Use an entry that has name and value, if there is one.
    pub(super) whole_entry: bool,
    /// Refer to a name that a table has.
    pub(super) entry_name: bool,
    /// Of the entries that would do, take the one counted from the last.
    pub(super) from_the_last: bool,
    pub(super) literal: Literal,
    pub(super) huffman_name: bool,
    pub(super) huffman_value: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Literal {
    Incremental,
    Without,
    Never,
}

pub(super) struct ReferenceEncoder {
    pub(super) table: VecDeque<Pair>,
    max: usize,
    limit: u32,
    lowest: Option<u32>,
}

impl ReferenceEncoder {
    pub(super) fn new(limit: u32) -> Self {
        Self { table: VecDeque::new(), max: limit as usize, limit, lowest: None }
    }

    pub(super) fn size(&self) -> usize {
        self.table.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
    }

    /// SETTINGS_HEADER_TABLE_SIZE came in.
    pub(super) fn limit(&mut self, limit: u32) {
        self.limit = limit;
        self.lowest = Some(self.lowest.unwrap_or(limit).min(limit));
    }

    /// Starts a block with the updates that are due, and with a voluntary one if a size is given.
    pub(super) fn start(&mut self, out: &mut Vec<u8>, wish: Option<u32>) {
        let lowest = self.lowest.take().filter(|&lowest| (lowest as usize) < self.max);
        if let Some(lowest) = lowest {
            self.update(out, lowest);
        }
        if let Some(wish) = wish {
            self.update(out, wish.min(self.limit));
        }
    }

    fn update(&mut self, out: &mut Vec<u8>, size: u32) {
        integer::encode(out, 0x20, 5, size as usize);
        self.max = size as usize;
        self.evict(self.max);
    }

    fn evict(&mut self, size: usize) {
        while self.size() > size {
            self.table.pop_back();
        }
    }

    /// Writes a field and says whether it was marked as never indexed.
    pub(super) fn field(&mut self, out: &mut Vec<u8>, field: &Pair, manner: Manner) -> bool {
        let whole = self.find(manner.from_the_last, |name, value| name == field.0 && value == field.1);
        if let Some(index) = whole.filter(|_| manner.whole_entry) {
            integer::encode(out, 0x80, 7, index);
            return false;
        }
        let index = self.find(manner.from_the_last, |name, _| name == field.0).filter(|_| manner.entry_name);
        let (flags, prefix) = match manner.literal {
            Literal::Incremental => (0x40, 6),
            Literal::Without => (0x00, 4),
            Literal::Never => (0x10, 4),
        };
        integer::encode(out, flags, prefix, index.unwrap_or(0));
        if index.is_none() {
            string(out, &field.0, manner.huffman_name);
        }
        string(out, &field.1, manner.huffman_value);
        if manner.literal == Literal::Incremental {
            self.insert(field.clone());
        }
        manner.literal == Literal::Never
    }

    fn insert(&mut self, field: Pair) {
        let size = field.0.len() + field.1.len() + 32;
        self.evict(self.max.saturating_sub(size));
        if size <= self.max {
            self.table.push_front(field);
        }
    }

    fn find(&self, from_the_last: bool, wanted: impl Fn(&[u8], &[u8]) -> bool) -> Option<usize> {
        let fixed = (1..=static_table::LEN as u32).filter_map(StaticIndex::new);
        let fixed = fixed.map(|index| (index.name(), index.value()));
        let own = self.table.iter().map(|(name, value)| (&name[..], &value[..]));
        let mut found = (1..).zip(fixed.chain(own)).filter(|(_, (name, value))| wanted(name, value));
        let found = if from_the_last { found.last() } else { found.next() };
        found.map(|(index, _)| index)
    }
}

fn string(out: &mut Vec<u8>, octets: &[u8], is_huffman: bool) {
    if is_huffman {
        integer::encode(out, 0x80, 7, huffman::encoded_len(octets));
        huffman::encode(octets, out);
    } else {
        integer::encode(out, 0, 7, octets.len());
        out.extend_from_slice(octets);
    }
}
