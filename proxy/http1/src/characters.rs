//! The classes of bytes of RFC 9110 section 5.6 and RFC 3986 section 2.

/// RFC 9110 section 5.6.2: a token, as methods, field names and connection options are.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && are_in(&TOKEN, bytes)
}

/// RFC 9110 section 5.6.2: `tchar`.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// RFC 9110 section 5.5: bytes of a field value, visible, blank, tab or above 0x7f.
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    // A tab looks like a fault here; it is rare enough to look again.
    let suspect = |word| below(word, 0x20) | equal(word, 0x7f);
    are_clear_words(bytes, suspect) || bytes.iter().all(|byte| is_value_byte(*byte))
}

/// RFC 9110 section 5.5: no control character but tab.
pub(crate) fn is_value_byte(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7f) || byte == b'\t'
}

/// RFC 9112 section 3.2: what a target may hold, in any form: visible ASCII without the fragment's `#`.
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    let suspect = |word| below(word, 0x21) | equal(word, 0x7f) | equal(word, b'#') | (word & HIGH);
    are_clear_words(bytes, suspect) || bytes.iter().all(|byte| is_target_byte(*byte))
}

/// RFC 9112 section 3.2: a byte of a target.
pub(crate) fn is_target_byte(byte: u8) -> bool {
    (0x21..0x7f).contains(&byte) && byte != b'#'
}

/// The top bit of each byte of a word.
const HIGH: u64 = 0x80 * EACH;
/// One in each byte of a word.
const EACH: u64 = u64::from_ne_bytes([1; 8]);

/// Whether nothing in `bytes` is `suspect` (not zero), eight at a time. The last eight overlap those before them. Of fewer
/// than eight it is not known.
#[inline]
fn are_clear_words(bytes: &[u8], suspect: impl Fn(u64) -> u64) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else {
        return false;
    };
    let (words, _) = bytes.as_chunks::<8>();
    let suspect = |word: &[u8; 8]| suspect(u64::from_ne_bytes(*word));
    words.iter().fold(suspect(last), |found, word| found | suspect(word)) == 0
}

/// Whether `table` holds all of `bytes`. Eight in a row, without a way out in between, cost less than a plain loop.
#[inline]
fn are_in(table: &[bool; 256], bytes: &[u8]) -> bool {
    let holds = |all: bool, byte: &u8| all & table[usize::from(*byte)];
    let (eights, rest) = bytes.as_chunks::<8>();
    eights.iter().fold(rest.iter().fold(true, holds), |all, eight| eight.iter().fold(all, holds))
}

/// Not zero if a byte of `word` is below `limit`, which is at most 0x80.
#[inline]
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(EACH * u64::from(limit)) & !word & HIGH
}

/// Not zero if a byte of `word` is `byte`.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (EACH * u64::from(byte)), 1)
}

/// RFC 3986 section 3.2.2: a registered name, maybe empty. In an escape, `%` stands in front of two hexadecimal digits.
pub(crate) fn is_host(bytes: &[u8]) -> bool {
    are_in(&HOST, bytes) || is_escaped_host(bytes)
}

#[cold]
fn is_escaped_host(bytes: &[u8]) -> bool {
    let mut parts = bytes.split(|byte| *byte == b'%');
    let escaped = |part: &[u8]| part.len() >= 2 && part[..2].iter().all(u8::is_ascii_hexdigit);
    parts.next().is_some_and(|part| are_in(&HOST, part)) && parts.all(|part| escaped(part) && are_in(&HOST, part))
}

/// RFC 9110 section 5.6.3: OWS, the blanks around a list's elements.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

static TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");
static HOST: [bool; 256] = table(b"-._~!$&'()*+,;=");

/// Letters, digits and `others`.
const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut other = 0;
    while other < others.len() {
        table[others[other] as usize] = true;
        other += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_at_a_time_are_judged_as_one_by_one() {
        for length in [1, 7, 8, 9, 16, 23] {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    assert_eq!(is_field_value(&text), is_value_byte(byte), "{byte:#x} at {at} of {length}");
                    assert_eq!(is_target(&text), is_target_byte(byte), "{byte:#x} at {at} of {length}");
                }
            }
        }
        assert!(is_field_value(b"") && is_target(b"") && !is_token(b""));
        assert!(is_field_value(b"tab\tand\xff") && !is_field_value(b"tab\tand nul\0"));
    }

    #[test]
    fn tokens_and_hosts_hold_what_the_grammars_list() {
        for byte in 0..=255_u8 {
            let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token(&[byte]), token, "{byte:#x}");
            let host = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
            assert_eq!(is_host(&[byte]), host, "{byte:#x}");
            for (at, length) in [(0, 8), (7, 8), (8, 9), (3, 17)] {
                let mut text = vec![b'z'; length];
                text[at] = byte;
                assert_eq!((is_token(&text), is_host(&text)), (token, host), "{byte:#x} at {at} of {length}");
            }
        }
        for (text, is_one) in
            [("", true), ("a%41", true), ("%4a%4Ab", true), ("%", false), ("a%4", false), ("%g0", false)]
        {
            assert_eq!(is_host(text.as_bytes()), is_one, "{text}");
        }
        assert!(!is_host(b"a b%41") && !is_host(b"%41\\"));
    }
}
