//! The fields of one header block.

use super::StaticIndex;

/// Octets that each field counts for beyond its name and value (RFC 7541 section 4.1).
const OVERHEAD: usize = 32;

/// What [`Fields::rest`] leaves allocated: the bytes of a common head.
const REST_BYTES: usize = 4096;
const REST_FIELDS: usize = 64;

/// Keeps every place in the arena within 32 bits.
const LARGEST_LIST: u32 = 1 << 30;

/// How much one header block may bring. Over a limit the block is decoded to its end, so that the dynamic table stays
/// in step with the peer's (RFC 9113 section 10.5.1), but nothing more is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLimits {
    /// Names and values in octets, and 32 for each field: what SETTINGS_MAX_HEADER_LIST_SIZE announces (RFC 9113
    /// section 6.5.2). Default 64 KiB; above 1 GiB it counts as 1 GiB.
    pub list_size: u32,
    /// Fields, pseudo-header fields included. Default 100.
    pub count: u16,
    /// Octets of one name. Default 1 KiB.
    pub name: u32,
    /// Octets of one value. Default 32 KiB.
    pub value: u32,
}

impl Default for FieldLimits {
    fn default() -> Self {
        Self { list_size: 64 << 10, count: 100, name: 1 << 10, value: 32 << 10 }
    }
}

/// The limit of [`FieldLimits`] that a block went over first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exceeded {
    /// [`FieldLimits::list_size`]
    ListSize,
    /// [`FieldLimits::count`]
    Count,
    /// [`FieldLimits::name`]
    NameLength,
    /// [`FieldLimits::value`]
    ValueLength,
}

/// One field, in the words of RFC 9110 section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// As received; not checked against RFC 9113 section 8.2.1.
    pub name: &'a [u8],
    /// As received; not checked against RFC 9113 section 8.2.1.
    pub value: &'a [u8],
    /// The first entry of the static table with this name, however the name was sent.
    pub index: Option<StaticIndex>,
    /// The sender asks every hop to send it as a literal that is never indexed (RFC 7541 section 6.2.3).
    pub never_indexed: bool,
}

impl Field<'_> {
    /// Whether this is a pseudo-header field (RFC 9113 section 8.3), a defined one or not.
    #[inline]
    pub fn is_pseudo(&self) -> bool {
        self.name.first() == Some(&b':')
    }
}

/// An arena for the fields of one header block. Its owner uses it for block after block, so that in the steady state
/// nothing is allocated.
///
/// It holds the block itself, so that plain literals need no copy of their own, and behind it what came out of
/// Huffman codes and of the dynamic table.
#[derive(Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    size: usize,
    exceeded: Option<Exceeded>,
}

/// Where a field's octets lie.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Unused if `index` is set.
    name: Span,
    /// Unused if `full` is set.
    value: Span,
    index: Option<StaticIndex>,
    /// The static entry that is the whole field.
    full: Option<StaticIndex>,
    never_indexed: bool,
}

/// Octets in the arena.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    at: u32,
    len: u32,
}

impl Span {
    pub(super) fn between(start: usize, end: usize) -> Self {
        Self { at: start as u32, len: (end - start) as u32 }
    }

    #[inline]
    pub(super) fn len(self) -> usize {
        self.len as usize
    }

    #[inline]
    fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.at as usize..][..self.len as usize]
    }
}

/// A name that was read but not yet stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name {
    /// The first entry with the name.
    Static(StaticIndex),
    Bytes(Span),
}

impl Name {
    #[inline]
    pub(super) fn len(self) -> usize {
        match self {
            Self::Static(index) => index.name().len(),
            Self::Bytes(span) => span.len(),
        }
    }
}

impl Fields {
    /// Without any heap memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.size = 0;
        self.exceeded = None;
    }

    /// Fields stored.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no field is stored.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The size of the stored fields as RFC 7541 section 4.1 counts it: name, value and 32 octets for each.
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The limit that made the decoder leave out a field and all after it, if one did.
    #[inline]
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// The fields in the order of the block.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Field<'_>> + DoubleEndedIterator + Clone {
        self.entries.iter().map(|entry| self.resolve(entry))
    }

    /// The field at `position`, counted from 0.
    #[inline]
    pub fn field(&self, position: usize) -> Option<Field<'_>> {
        self.entries.get(position).map(|entry| self.resolve(entry))
    }

    /// Adds a field that came from elsewhere than a block. No limit applies.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        let value_at = at + name.len();
        let name = self.name(Span::between(at, value_at));
        let value = Span::between(value_at, self.bytes.len());
        self.size += name.len() + value.len() + OVERHEAD;
        self.store(name, value, false);
    }

    /// Heap memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Forgets the fields and returns memory that only a large block needed.
    pub fn rest(&mut self) {
        self.clear();
        self.bytes.shrink_to(REST_BYTES);
        self.entries.shrink_to(REST_FIELDS);
    }

    #[inline]
    fn resolve(&self, entry: &Entry) -> Field<'_> {
        let name = match entry.index {
            Some(index) => index.name(),
            None => entry.name.of(&self.bytes),
        };
        let value = match entry.full {
            Some(full) => full.value(),
            None => entry.value.of(&self.bytes),
        };
        Field { name, value, index: entry.index, never_indexed: entry.never_indexed }
    }
}

/// The decoder's side.
impl Fields {
    /// Starts over with a block whose octets spans may refer to from 0.
    #[inline]
    pub(super) fn begin(&mut self, block: &[u8]) {
        self.clear();
        self.bytes.extend_from_slice(block);
    }

    /// Octets that spans may refer to. What is appended stays until [`Fields::take_back`].
    #[inline]
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    #[inline]
    pub(super) fn mark(&self) -> usize {
        self.bytes.len()
    }

    /// Removes what was appended since `mark`.
    #[inline]
    pub(super) fn take_back(&mut self, mark: usize) {
        self.bytes.truncate(mark);
    }

    #[inline]
    pub(super) fn octets(&self, span: Span) -> &[u8] {
        span.of(&self.bytes)
    }

    /// Finds out whether the octets of a name are a static one.
    #[inline]
    pub(super) fn name(&self, span: Span) -> Name {
        StaticIndex::of_name(span.of(&self.bytes)).map_or(Name::Bytes(span), Name::Static)
    }

    /// Counts one more field, or notes the limit that forbids it.
    #[inline]
    pub(super) fn admit(&mut self, name: usize, value: usize, limits: &FieldLimits) -> bool {
        let size = self.size + name + value + OVERHEAD;
        let is_within = name <= limits.name as usize
            && value <= limits.value as usize
            && size <= limits.list_size.min(LARGEST_LIST) as usize
            && self.entries.len() < usize::from(limits.count)
            && self.exceeded.is_none();
        if is_within {
            self.size = size;
        } else if self.exceeded.is_none() {
            self.exceeded = Some(if name > limits.name as usize {
                Exceeded::NameLength
            } else if value > limits.value as usize {
                Exceeded::ValueLength
            } else if self.entries.len() >= usize::from(limits.count) {
                Exceeded::Count
            } else {
                Exceeded::ListSize
            });
        }
        is_within
    }

    /// Stores a field that [`Fields::admit`] counted.
    #[inline]
    pub(super) fn store(&mut self, name: Name, value: Span, never_indexed: bool) {
        let (index, name) = match name {
            Name::Static(index) => (Some(index), Span::default()),
            Name::Bytes(span) => (None, span),
        };
        self.entries.push(Entry { name, value, index, full: None, never_indexed });
    }

    /// Stores a static entry that [`Fields::admit`] counted.
    #[inline]
    pub(super) fn store_static(&mut self, full: StaticIndex) {
        let (name, value) = (Span::default(), Span::default());
        self.entries.push(Entry { name, value, index: Some(full.first()), full: Some(full), never_indexed: false });
    }
}
