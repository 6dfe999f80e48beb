//! From fields to a header block, without a dynamic table.

use super::{StaticIndex, huffman, integer};

/// Flags and prefix of the representations of RFC 7541 section 6.
const INDEXED: (u8, u32) = (0x80, 7);
const WITHOUT_INDEXING: (u8, u32) = (0x00, 4);
const NEVER_INDEXED: (u8, u32) = (0x10, 4);
const SIZE_UPDATE: (u8, u32) = (0x20, 5);

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
            Some(index) => self.with_index(out, index, value),
            None => {
                out.push(WITHOUT_INDEXING.0);
                self.string(out, name);
                self.string(out, value);
            }
        }
    }

    /// A field whose name is that of `index`: indexed if the static table has the value too, else a literal without
    /// indexing (sections 6.1 and 6.2.2).
    #[inline]
    pub fn with_index(self, out: &mut Vec<u8>, index: StaticIndex, value: &[u8]) {
        match index.of_value(value) {
            Some(full) => self.indexed(out, full),
            None => self.literal(out, WITHOUT_INDEXING, index, value),
        }
    }

    /// A field that no hop may put into a dynamic table, for secrets that are short enough to guess (sections 6.2.3
    /// and 7.1.3). A field that was received so has to be sent so.
    #[inline]
    pub fn never_indexed(self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        match StaticIndex::of_name(name) {
            Some(index) => self.literal(out, NEVER_INDEXED, index, value),
            None => {
                out.push(NEVER_INDEXED.0);
                self.string(out, name);
                self.string(out, value);
            }
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
    fn literal(self, out: &mut Vec<u8>, (flags, prefix): (u8, u32), name: StaticIndex, value: &[u8]) {
        integer::encode(out, flags, prefix, usize::from(name.first().get()));
        self.string(out, value);
    }

    #[inline]
    fn string(self, out: &mut Vec<u8>, octets: &[u8]) {
        if self.huffman {
            let len = huffman::encoded_len(octets);
            if len < octets.len() {
                integer::encode(out, HUFFMAN.0, HUFFMAN.1, len);
                return huffman::encode(octets, out);
            }
        }
        integer::encode(out, PLAIN.0, PLAIN.1, octets.len());
        out.extend_from_slice(octets);
    }
}

#[cfg(test)]
mod tests;
