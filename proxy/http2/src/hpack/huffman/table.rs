//! The code of RFC 7541 appendix B. It is canonical: codes of one length are consecutive in the order of the symbols,
//! and each length goes on where the shorter one ended. So the lengths say all, and the rest is computed from them.

/// The symbol that no string may hold.
pub(super) const EOS: u16 = 256;

const SYMBOLS: usize = 257;
const SHORTEST: u8 = 5;
const LONGEST: u8 = 30;

/// Codes up to this length are looked up at once; all letters, digits and the common punctuation have one.
pub(super) const SHORT: u8 = 8;

/// Bits of each symbol's code.
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

/// The code of one symbol, in the lower `length` bits.
#[derive(Clone, Copy)]
pub(super) struct Code {
    pub(super) bits: u32,
    pub(super) length: u8,
}

/// A symbol and how many bits its code takes.
#[derive(Clone, Copy)]
pub(super) struct Symbol {
    pub(super) octet: u8,
    /// 0: the code is longer than [`SHORT`].
    pub(super) length: u8,
}

/// All codes of one length.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) length: u8,
    /// The last of them, moved to the upper end of 32 bits and filled up with ones.
    pub(super) last: u32,
    first: u32,
    /// Where its symbols start in [`ORDERED`].
    start: usize,
}

impl Group {
    /// The symbol whose code the upper bits of `bits` are, if they are not above [`Group::last`].
    pub(super) fn symbol(&self, bits: u32) -> u16 {
        ORDERED[self.start + ((bits >> (32 - self.length)) - self.first) as usize]
    }
}

/// By symbol.
pub(super) static CODES: [Code; SYMBOLS] = codes();

/// By the next [`SHORT`] bits.
pub(super) static BY_BITS: [Symbol; 1 << SHORT] = symbols_by_bits();

/// The lengths above [`SHORT`], in ascending order.
pub(super) static LONG: [Group; LONG_LENGTHS] = long_groups();

/// Symbols in the order of their codes.
static ORDERED: [u16; SYMBOLS] = ordered();

const LONG_LENGTHS: usize = {
    let mut count = 0;
    let mut length = SHORT + 1;
    while length <= LONGEST {
        count += (symbols_of(length) > 0) as usize;
        length += 1;
    }
    count
};

const fn symbols_of(length: u8) -> usize {
    let mut count = 0;
    let mut symbol = 0;
    while symbol < SYMBOLS {
        count += (LENGTHS[symbol] == length) as usize;
        symbol += 1;
    }
    count
}

const fn ordered() -> [u16; SYMBOLS] {
    let mut ordered = [0; SYMBOLS];
    let mut at = 0;
    let mut length = SHORTEST;
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] == length {
                ordered[at] = symbol as u16;
                at += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    assert!(at == SYMBOLS);
    ordered
}

const fn codes() -> [Code; SYMBOLS] {
    let mut codes = [Code { bits: 0, length: 0 }; SYMBOLS];
    let ordered = ordered();
    let mut next = 0;
    let mut length = SHORTEST;
    let mut at = 0;
    while at < SYMBOLS {
        let symbol = ordered[at] as usize;
        next <<= LENGTHS[symbol] - length;
        length = LENGTHS[symbol];
        codes[symbol] = Code { bits: next, length };
        next += 1;
        at += 1;
    }
    assert!(next == 1 << LONGEST, "the codes fill the space");
    codes
}

const fn symbols_by_bits() -> [Symbol; 1 << SHORT] {
    let mut by_bits = [Symbol { octet: 0, length: 0 }; 1 << SHORT];
    let codes = codes();
    let mut symbol = 0;
    while symbol < SYMBOLS {
        let Code { bits, length } = codes[symbol];
        if length <= SHORT {
            let mut at = (bits as usize) << (SHORT - length);
            let end = (bits as usize + 1) << (SHORT - length);
            while at < end {
                by_bits[at] = Symbol { octet: symbol as u8, length };
                at += 1;
            }
        }
        symbol += 1;
    }
    by_bits
}

const fn long_groups() -> [Group; LONG_LENGTHS] {
    let mut groups = [Group { length: 0, last: 0, first: 0, start: 0 }; LONG_LENGTHS];
    let (codes, ordered) = (codes(), ordered());
    let mut group = 0;
    let mut start = 0;
    let mut length = SHORTEST;
    while length <= LONGEST {
        let count = symbols_of(length);
        if length > SHORT && count > 0 {
            let first = codes[ordered[start] as usize].bits;
            let end = (first as u64 + count as u64) << (32 - length);
            groups[group] = Group { length, last: (end - 1) as u32, first, start };
            group += 1;
        }
        start += count;
        length += 1;
    }
    groups
}
