//! The static table (RFC 7541 section 2.3.1 and appendix A), by index and by name.

use std::fmt;
use std::num::NonZeroU8;

/// A place in the static table, 1 to 61. As a pattern it lets code switch on a name without comparing bytes; where
/// several entries share a name, a [`Field`](super::Field) carries the first of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StaticIndex(NonZeroU8);

macro_rules! entries {
    ($($index:literal $constant:ident $name:literal $value:literal;)*) => {
        impl StaticIndex {
            $(
                #[doc = concat!("`", $name, ": ", $value, "`")]
                pub const $constant: Self = Self::of($index);
            )*
        }

        const NAMES: [&[u8]; PLACES] = [b"", $($name.as_bytes(),)* b"", b""];
        const VALUES: [&[u8]; PLACES] = [b"", $($value.as_bytes(),)* b"", b""];
    };
}

/// Entries of the static table; the dynamic table's newest entry has the index after it (section 2.3.3).
pub(super) const LEN: usize = 61;

/// The tables by index are filled up to a power of two, so that a masked index needs no check.
const PLACES: usize = 64;

entries! {
    1 AUTHORITY ":authority" "";
    2 METHOD_GET ":method" "GET";
    3 METHOD_POST ":method" "POST";
    4 PATH_ROOT ":path" "/";
    5 PATH_INDEX ":path" "/index.html";
    6 SCHEME_HTTP ":scheme" "http";
    7 SCHEME_HTTPS ":scheme" "https";
    8 STATUS_200 ":status" "200";
    9 STATUS_204 ":status" "204";
    10 STATUS_206 ":status" "206";
    11 STATUS_304 ":status" "304";
    12 STATUS_400 ":status" "400";
    13 STATUS_404 ":status" "404";
    14 STATUS_500 ":status" "500";
    15 ACCEPT_CHARSET "accept-charset" "";
    16 ACCEPT_ENCODING "accept-encoding" "gzip, deflate";
    17 ACCEPT_LANGUAGE "accept-language" "";
    18 ACCEPT_RANGES "accept-ranges" "";
    19 ACCEPT "accept" "";
    20 ACCESS_CONTROL_ALLOW_ORIGIN "access-control-allow-origin" "";
    21 AGE "age" "";
    22 ALLOW "allow" "";
    23 AUTHORIZATION "authorization" "";
    24 CACHE_CONTROL "cache-control" "";
    25 CONTENT_DISPOSITION "content-disposition" "";
    26 CONTENT_ENCODING "content-encoding" "";
    27 CONTENT_LANGUAGE "content-language" "";
    28 CONTENT_LENGTH "content-length" "";
    29 CONTENT_LOCATION "content-location" "";
    30 CONTENT_RANGE "content-range" "";
    31 CONTENT_TYPE "content-type" "";
    32 COOKIE "cookie" "";
    33 DATE "date" "";
    34 ETAG "etag" "";
    35 EXPECT "expect" "";
    36 EXPIRES "expires" "";
    37 FROM "from" "";
    38 HOST "host" "";
    39 IF_MATCH "if-match" "";
    40 IF_MODIFIED_SINCE "if-modified-since" "";
    41 IF_NONE_MATCH "if-none-match" "";
    42 IF_RANGE "if-range" "";
    43 IF_UNMODIFIED_SINCE "if-unmodified-since" "";
    44 LAST_MODIFIED "last-modified" "";
    45 LINK "link" "";
    46 LOCATION "location" "";
    47 MAX_FORWARDS "max-forwards" "";
    48 PROXY_AUTHENTICATE "proxy-authenticate" "";
    49 PROXY_AUTHORIZATION "proxy-authorization" "";
    50 RANGE "range" "";
    51 REFERER "referer" "";
    52 REFRESH "refresh" "";
    53 RETRY_AFTER "retry-after" "";
    54 SERVER "server" "";
    55 SET_COOKIE "set-cookie" "";
    56 STRICT_TRANSPORT_SECURITY "strict-transport-security" "";
    57 TRANSFER_ENCODING "transfer-encoding" "";
    58 USER_AGENT "user-agent" "";
    59 VARY "vary" "";
    60 VIA "via" "";
    61 WWW_AUTHENTICATE "www-authenticate" "";
}

/// The names that several entries share, as the first of them.
impl StaticIndex {
    /// `:method`
    pub const METHOD: Self = Self::METHOD_GET;
    /// `:path`
    pub const PATH: Self = Self::PATH_ROOT;
    /// `:scheme`
    pub const SCHEME: Self = Self::SCHEME_HTTP;
    /// `:status`
    pub const STATUS: Self = Self::STATUS_200;
}

impl StaticIndex {
    const fn of(index: u8) -> Self {
        Self(NonZeroU8::new(index).expect("the static table starts at 1"))
    }

    /// The entry with this index, if it is one of 1 to 61.
    #[inline]
    pub fn new(index: u32) -> Option<Self> {
        if index as usize <= LEN { NonZeroU8::new(index as u8).map(Self) } else { None }
    }

    /// 1 to 61.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Whether the name is that of a pseudo-header field (RFC 9113 section 8.3).
    #[inline]
    pub fn is_pseudo(self) -> bool {
        self.get() <= 14
    }

    /// The name of the entry.
    #[inline]
    pub fn name(self) -> &'static [u8] {
        BY_INDEX[self.at()].name
    }

    /// The value of the entry; empty for most.
    #[inline]
    pub fn value(self) -> &'static [u8] {
        BY_INDEX[self.at()].value
    }

    /// The first entry with the same name.
    #[inline]
    pub fn first(self) -> Self {
        BY_INDEX[self.at()].first
    }

    /// The first entry with this name.
    ///
    /// One table look-up and at most one comparison.
    #[inline]
    pub fn of_name(name: &[u8]) -> Option<Self> {
        let candidate = BY_NAME[slot(name)]?;
        (candidate.name() == name).then_some(candidate)
    }

    /// The entry with this value among those with the name of `self`, which is the first of them.
    #[inline]
    pub(super) fn with_value(self, value: &[u8]) -> Option<Self> {
        if self.get() > LAST_WITH_VALUE {
            return value.is_empty().then_some(self);
        }
        let full = match (self, value) {
            (Self::METHOD, b"GET") => Self::METHOD_GET,
            (Self::METHOD, b"POST") => Self::METHOD_POST,
            (Self::PATH, b"/") => Self::PATH_ROOT,
            (Self::PATH, b"/index.html") => Self::PATH_INDEX,
            (Self::SCHEME, b"http") => Self::SCHEME_HTTP,
            (Self::SCHEME, b"https") => Self::SCHEME_HTTPS,
            (Self::STATUS, b"200") => Self::STATUS_200,
            (Self::STATUS, b"204") => Self::STATUS_204,
            (Self::STATUS, b"206") => Self::STATUS_206,
            (Self::STATUS, b"304") => Self::STATUS_304,
            (Self::STATUS, b"400") => Self::STATUS_400,
            (Self::STATUS, b"404") => Self::STATUS_404,
            (Self::STATUS, b"500") => Self::STATUS_500,
            (Self::ACCEPT_ENCODING, b"gzip, deflate") => Self::ACCEPT_ENCODING,
            (Self::AUTHORITY | Self::ACCEPT_CHARSET, b"") => self,
            _ => return None,
        };
        Some(full)
    }

    #[inline]
    fn at(self) -> usize {
        usize::from(self.get()) % PLACES
    }
}

impl fmt::Debug for StaticIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.name().escape_ascii())
    }
}

/// The last index whose entry has a value.
const LAST_WITH_VALUE: u8 = StaticIndex::ACCEPT_ENCODING.0.get();

#[derive(Clone, Copy)]
struct Entry {
    name: &'static [u8],
    value: &'static [u8],
    /// The first entry with the same name.
    first: StaticIndex,
}

/// By index. Index 0 and those above [`LEN`] are no entries.
static BY_INDEX: [Entry; PLACES] = entries_by_index();

/// The first entry with each name, by [`slot`].
static BY_NAME: [Option<StaticIndex>; SLOTS] = entries_by_slot();

const SLOTS: usize = 128;

/// The factors were searched for, so that no two of the 52 names share a slot; the table's construction checks it.
#[inline]
const fn slot(name: &[u8]) -> usize {
    match name {
        [] => 0,
        [only] => *only as usize % SLOTS,
        [first, .., last] => (name.len().wrapping_mul(89) + *first as usize * 66 + *last as usize) % SLOTS,
    }
}

const fn entries_by_index() -> [Entry; PLACES] {
    let mut entries = [Entry { name: b"", value: b"", first: StaticIndex::AUTHORITY }; PLACES];
    let mut index = 1;
    while index <= LEN {
        let mut first = 1;
        while !same(NAMES[first], NAMES[index]) {
            first += 1;
        }
        entries[index] = Entry { name: NAMES[index], value: VALUES[index], first: StaticIndex::of(first as u8) };
        index += 1;
    }
    entries
}

const fn entries_by_slot() -> [Option<StaticIndex>; SLOTS] {
    let mut by_slot: [Option<StaticIndex>; SLOTS] = [None; SLOTS];
    let entries = entries_by_index();
    let mut index = 1;
    while index <= LEN {
        let Entry { name, first, .. } = entries[index];
        if let Some(other) = by_slot[slot(name)] {
            assert!(other.get() == first.get(), "two names share a slot");
        }
        by_slot[slot(name)] = Some(first);
        index += 1;
    }
    by_slot
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = StaticIndex> {
        (1..=LEN as u32).map(|index| StaticIndex::new(index).unwrap())
    }

    #[test]
    fn every_name_is_found_as_its_first_entry() {
        for index in all() {
            let first = all().find(|candidate| candidate.name() == index.name());
            assert_eq!(StaticIndex::of_name(index.name()), first);
            assert_eq!(Some(index.first()), first);
        }
    }

    #[test]
    fn every_entry_is_found_by_name_and_value() {
        for index in all() {
            assert_eq!(index.first().with_value(index.value()), Some(index));
            assert_eq!(index.first().with_value(b"no such value"), None);
        }
        assert_eq!(StaticIndex::METHOD.with_value(b""), None);
    }

    #[test]
    fn a_name_that_differs_in_any_octet_is_not_found() {
        for index in all() {
            let mut name = index.name().to_vec();
            for at in 0..name.len() {
                name[at] ^= 0x20;
                assert_eq!(StaticIndex::of_name(&name), None);
                name[at] ^= 0x20;
            }
            name.push(b'x');
            assert_eq!(StaticIndex::of_name(&name), None);
        }
        for name in [&b""[..], b"x", b":", b"x-request-id"] {
            assert_eq!(StaticIndex::of_name(name), None);
        }
    }

    #[test]
    fn indexes_outside_of_the_table_are_none() {
        for index in [0, 62, 256, 257, u32::MAX] {
            assert_eq!(StaticIndex::new(index), None);
        }
    }

    #[test]
    fn an_index_serves_as_a_pattern() {
        let kind = match StaticIndex::of_name(b":path") {
            Some(StaticIndex::PATH) => "path",
            _ => "other",
        };
        assert_eq!(kind, "path");
    }
}
