//! From a header block to fields, keeping the dynamic table in step with the peer's encoder.

use super::fields::{Name, Span};
use super::table::Table;
use super::{DecodeError, FieldLimits, Fields, StaticIndex, huffman, integer, static_table};

/// The largest dynamic table that a [`Decoder`] supports, and so the largest SETTINGS_HEADER_TABLE_SIZE to announce.
pub const MAX_TABLE_SIZE: u32 = 64 << 10;

/// The receiving half of one connection's header compression.
///
/// It holds no heap memory until the peer adds an entry to the dynamic table, and then little more than the entries.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// SETTINGS_HEADER_TABLE_SIZE as acknowledged.
    limit: u32,
    /// The least that `limit` was since the last block, if that is below the size in use: the next block starts with
    /// an update to this or less (section 4.2).
    required_update: Option<u32>,
}

impl Decoder {
    /// `max_table_size` is what the peer's encoder may assume before its first block: 4,096 unless a setting was
    /// acknowledged before (RFC 9113 section 6.5.2). Above [`MAX_TABLE_SIZE`] it counts as that.
    pub fn new(max_table_size: u32) -> Self {
        let limit = max_table_size.min(MAX_TABLE_SIZE);
        Self { table: Table::new(limit), limit, required_update: None }
    }

    /// SETTINGS_HEADER_TABLE_SIZE as in force.
    pub fn max_table_size(&self) -> u32 {
        self.limit
    }

    /// A new SETTINGS_HEADER_TABLE_SIZE, to be set when the peer has acknowledged it. Above [`MAX_TABLE_SIZE`] it
    /// counts as that. Below the size in use, the peer owes an update at the start of its next block (section 4.2).
    pub fn set_max_table_size(&mut self, size: u32) {
        self.limit = size.min(MAX_TABLE_SIZE);
        if self.limit < self.required_update.unwrap_or(self.table.max()) {
            self.required_update = Some(self.limit);
        }
    }

    /// Decodes one whole header block, that of a HEADERS or PUSH_PROMISE frame and its CONTINUATION frames, into
    /// `fields`, which is cleared first. A block that goes over `limits` is decoded all the same, but the first field
    /// over them and what follows is left out of `fields`, which [says so](Fields::exceeded).
    ///
    /// # Errors
    /// The block breaks a rule of RFC 7541; `fields` is empty then, and the decoder cannot be used further.
    ///
    /// # Panics
    /// If the block has 1 GiB or more.
    pub fn decode(&mut self, block: &[u8], limits: &FieldLimits, fields: &mut Fields) -> Result<(), DecodeError> {
        assert!(block.len() < 1 << 30, "a header block of {} bytes", block.len());
        fields.begin(block);
        let decoded = self.decode_block(Block { rest: block, len: block.len() }, limits, fields);
        if decoded.is_err() {
            fields.clear();
        }
        decoded
    }

    /// Heap memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.table.memory()
    }

    /// Returns the memory that the dynamic table's entries do not use.
    pub fn rest(&mut self) {
        self.table.rest();
    }

    fn decode_block(
        &mut self,
        mut block: Block<'_>,
        limits: &FieldLimits,
        fields: &mut Fields,
    ) -> Result<(), DecodeError> {
        self.size_updates(&mut block)?;
        while let Some(first) = block.next() {
            let (indexing, prefix) = match first {
                0x80.. => {
                    let index = block.integer(first, 7)?;
                    self.indexed(index, limits, fields)?;
                    continue;
                }
                0x40.. => (Indexing::Incremental, 6),
                0x20.. => return Err(DecodeError::SizeUpdateMisplaced),
                0x10.. => (Indexing::Never, 4),
                _ => (Indexing::Without, 4),
            };
            let index = block.integer(first, prefix)?;
            self.literal(&mut block, index, indexing, limits, fields)?;
        }
        Ok(())
    }

    /// Section 6.3: none to two updates, which stand before the first field.
    #[inline]
    fn size_updates(&mut self, block: &mut Block<'_>) -> Result<(), DecodeError> {
        let mut updates = 0;
        while let Some(first @ 0x20..0x40) = block.peek() {
            updates += 1;
            if updates > 2 {
                return Err(DecodeError::SizeUpdateRepeated);
            }
            block.next();
            let size = block.integer(first, 5)?;
            let limit = self.required_update.take().unwrap_or(self.limit);
            if size > limit {
                return Err(DecodeError::SizeUpdateAboveLimit { size, limit });
            }
            self.table.resize(size);
        }
        match self.required_update {
            Some(limit) if block.peek().is_some() => Err(DecodeError::SizeUpdateMissing { limit }),
            _ => Ok(()),
        }
    }

    /// Section 6.1.
    #[inline]
    fn indexed(&self, index: u32, limits: &FieldLimits, fields: &mut Fields) -> Result<(), DecodeError> {
        if let Some(index) = StaticIndex::new(index) {
            if fields.admit(index.name().len(), index.value().len(), limits) {
                fields.store_static(index);
            }
            return Ok(());
        }
        let entry = self.dynamic(index)?;
        if fields.admit(entry.name_len(), entry.value_len(), limits) {
            let start = fields.mark();
            self.table.append(entry, fields.bytes());
            let end = fields.mark();
            let value_at = end - entry.value_len();
            let name = entry.index().map_or(Name::Bytes(Span::between(start, value_at)), Name::Static);
            fields.store(name, Span::between(value_at, end), false);
        }
        Ok(())
    }

    /// Section 6.2. `index` is that of the name, 0 for one that follows.
    #[inline]
    fn literal(
        &mut self,
        block: &mut Block<'_>,
        index: u32,
        indexing: Indexing,
        limits: &FieldLimits,
        fields: &mut Fields,
    ) -> Result<(), DecodeError> {
        let mark = fields.mark();
        let name = if let Some(index) = StaticIndex::new(index) {
            Name::Static(index.first())
        } else if index == 0 {
            let name = block.string(fields)?;
            fields.name(name)
        } else {
            self.dynamic_name(index, indexing, fields)?
        };
        let value = block.string(fields)?;
        if let Indexing::Incremental = indexing {
            self.insert(name, value, fields);
        }
        if fields.admit(name.len(), value.len(), limits) {
            fields.store(name, value, matches!(indexing, Indexing::Never));
        } else {
            fields.take_back(mark);
        }
        Ok(())
    }

    /// The name of a dynamic entry. It is copied into the arena, since the entry may be evicted before the name is
    /// used (section 4.4), except where nobody will look at it.
    fn dynamic_name(&self, index: u32, indexing: Indexing, fields: &mut Fields) -> Result<Name, DecodeError> {
        let entry = self.dynamic(index)?;
        if let Some(index) = entry.index() {
            return Ok(Name::Static(index));
        }
        let start = fields.mark();
        if fields.exceeded().is_none() || matches!(indexing, Indexing::Incremental) {
            self.table.append_name(entry, fields.bytes());
        }
        Ok(Name::Bytes(Span::between(start, fields.mark())))
    }

    fn insert(&mut self, name: Name, value: Span, fields: &Fields) {
        let value = fields.octets(value);
        match name {
            Name::Static(index) => self.table.insert(Some(index), &[], value),
            Name::Bytes(name) => self.table.insert(None, fields.octets(name), value),
        }
    }

    /// The entry with an index past the static table (section 2.3.3).
    #[inline]
    fn dynamic(&self, index: u32) -> Result<super::table::Entry, DecodeError> {
        let position = (index as usize).checked_sub(static_table::LEN + 1).ok_or(DecodeError::IndexZero)?;
        let last = (static_table::LEN + self.table.len()) as u32;
        self.table.get(position).ok_or(DecodeError::IndexOutOfTable { index, last })
    }
}

/// How a literal asks to be treated by the dynamic table, here and at later hops.
#[derive(Clone, Copy)]
enum Indexing {
    /// Section 6.2.1.
    Incremental,
    /// Section 6.2.2.
    Without,
    /// Section 6.2.3.
    Never,
}

/// What is left of a header block.
struct Block<'a> {
    rest: &'a [u8],
    /// Of the whole block.
    len: usize,
}

impl Block<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    #[inline]
    fn integer(&mut self, first: u8, prefix: u32) -> Result<u32, DecodeError> {
        integer::decode(first, prefix, &mut self.rest)
    }

    /// Section 5.2. A plain string is already in the arena, which starts with the block.
    #[inline]
    fn string(&mut self, fields: &mut Fields) -> Result<Span, DecodeError> {
        let first = self.next().ok_or(DecodeError::Truncated)?;
        let len = self.integer(first, 7)? as usize;
        let start = self.len - self.rest.len();
        let (octets, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        if first & 0x80 == 0 {
            return Ok(Span::between(start, start + len));
        }
        let start = fields.mark();
        huffman::decode(octets, fields.bytes())?;
        Ok(Span::between(start, fields.mark()))
    }
}

#[cfg(test)]
mod tests;
