//! From fields to a header block, without a dynamic table.

use super::{Field, StaticIndex, huffman, integer};

/// Flags and prefix of the representations of RFC 7541 section 6.
const INDEXED: (u8, u32) = (0x80, 7);
const SIZE_UPDATE: (u8, u32) = (0x20, 5);

/// Flags of literals, in front of a prefix of 4 bits.
const WITHOUT_INDEXING: u8 = 0x00;
const NEVER_INDEXED: u8 = 0x10;
const LITERAL_PREFIX: u8 = 0x0f;

/// Flag and prefix of the strings of section 5.2.
const PLAIN: (u8, u32) = (0x00, 7);
const HUFFMAN: (u8, u32) = (0x80, 7);

/// Writes fields as static entries and as literals without indexing, so that it has no state at all and any connection
/// may share it. Every method appends one representation to `out`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoder {
    /// Write strings in the Huffman code where that is shorter.
    pub huffman: bool,
}

impl Encoder {
    /// Strings as they are.
    pub const PLAIN: Self = Self { huffman: false };

    /// A field, in the shortest form that needs no dynamic table (sections 6.1 and 6.2.2).
    #[inline]
    pub fn field(self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        match StaticIndex::of_name(name) {
            Some(first) => self.with_first(out, first, value),
            None => self.literal_name(out, WITHOUT_INDEXING, name, value),
        }
    }

    /// A field whose name is that of `index`: indexed if the static table has the value too, else a literal without
    /// indexing (sections 6.1 and 6.2.2).
    #[inline]
    pub fn with_index(self, out: &mut Vec<u8>, index: StaticIndex, value: &[u8]) {
        self.with_first(out, index.first(), value);
    }

    /// A field that no hop may put into a dynamic table, for secrets that are short enough to guess (sections 6.2.3
    /// and 7.1.3). A field that was received so has to be sent so.
    #[inline]
    pub fn never_indexed(self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        match StaticIndex::of_name(name) {
            Some(first) => self.literal(out, NEVER_INDEXED, first, value),
            None => self.literal_name(out, NEVER_INDEXED, name, value),
        }
    }

    /// A field as it was received, with what the decoder found out about it: no name is looked up, and what was never
    /// indexed stays so.
    #[inline]
    pub fn forward(self, out: &mut Vec<u8>, field: Field<'_>) {
        let flags = if field.never_indexed { NEVER_INDEXED } else { WITHOUT_INDEXING };
        match field.index {
            None => self.literal_name(out, flags, field.name, field.value),
            Some(first) => match first.with_value(field.value) {
                Some(full) if !field.never_indexed => self.indexed(out, full),
                _ => self.literal(out, flags, first, field.value),
            },
        }
    }

    /// Name and value of a static entry (section 6.1).
    #[inline]
    pub fn indexed(self, out: &mut Vec<u8>, index: StaticIndex) {
        integer::encode(out, INDEXED.0, INDEXED.1, usize::from(index.get()));
    }

    /// `:status` with a status of three digits.
    #[inline]
    pub fn status(self, out: &mut Vec<u8>, status: u16) {
        debug_assert!((100..1000).contains(&status));
        let digit = |divisor: u16| b'0' + (status / divisor % 10) as u8;
        self.with_index(out, StaticIndex::STATUS, &[digit(100), digit(10), digit(1)]);
    }

    /// A size update of the dynamic table (section 6.3). An encoder without one owes the peer a single update to 0 if
    /// the peer lowers SETTINGS_HEADER_TABLE_SIZE below 4,096 (section 4.2).
    #[inline]
    pub fn size_update(self, out: &mut Vec<u8>, size: u32) {
        integer::encode(out, SIZE_UPDATE.0, SIZE_UPDATE.1, size as usize);
    }

    #[inline]
    fn with_first(self, out: &mut Vec<u8>, first: StaticIndex, value: &[u8]) {
        match first.with_value(value) {
            Some(full) => self.indexed(out, full),
            None => self.literal(out, WITHOUT_INDEXING, first, value),
        }
    }

    /// A literal whose name is that of a static entry, all of which need at most two octets.
    #[inline]
    fn literal(self, out: &mut Vec<u8>, flags: u8, first: StaticIndex, value: &[u8]) {
        match first.get() {
            index @ ..LITERAL_PREFIX => out.push(flags | index),
            index => out.extend_from_slice(&[flags | LITERAL_PREFIX, index - LITERAL_PREFIX]),
        }
        self.string(out, value);
    }

    #[inline]
    fn literal_name(self, out: &mut Vec<u8>, flags: u8, name: &[u8], value: &[u8]) {
        out.push(flags);
        self.string(out, name);
        self.string(out, value);
    }

    #[inline]
    fn string(self, out: &mut Vec<u8>, octets: &[u8]) {
        if self.huffman && encode_if_shorter(out, octets) {
            return;
        }
        integer::encode(out, PLAIN.0, PLAIN.1, octets.len());
        out.extend_from_slice(octets);
    }
}

fn encode_if_shorter(out: &mut Vec<u8>, octets: &[u8]) -> bool {
    let len = huffman::encoded_len(octets);
    let is_shorter = len < octets.len();
    if is_shorter {
        integer::encode(out, HUFFMAN.0, HUFFMAN.1, len);
        huffman::encode(octets, out);
    }
    is_shorter
}

#[cfg(test)]
mod tests;
