//! The classes of bytes of RFC 9110 section 5.6 and RFC 3986 section 2.

/// RFC 9110 section 5.6.2: a token, as methods, field names and connection options are.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().fold(true, |all, &byte| all & is_token_byte(byte))
}

/// RFC 9110 section 5.6.2: `tchar`.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// RFC 9110 section 5.5: bytes of a field value, visible, blank, tab or above 0x7f.
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    // A tab looks like a fault here; it is rare enough to look again.
    let fine = |word| below(word, 0x20) | equal(word, 0x7f) == 0;
    are_words(bytes, fine) || bytes.iter().all(|byte| is_value_byte(*byte))
}

/// RFC 9110 section 5.5: no control character but tab.
pub(crate) fn is_value_byte(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7f) || byte == b'\t'
}

/// RFC 9112 section 3.2: what a target may hold, in any form: visible ASCII without the fragment's `#`.
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    let fine = |word| below(word, 0x21) | equal(word, 0x7f) | equal(word, b'#') | (word & HIGH) == 0;
    are_words(bytes, fine) || bytes.iter().all(|byte| is_target_byte(*byte))
}

/// RFC 9112 section 3.2: a byte of a target.
pub(crate) fn is_target_byte(byte: u8) -> bool {
    (0x21..0x7f).contains(&byte) && byte != b'#'
}

/// The top bit of each byte of a word.
const HIGH: u64 = 0x80 * EACH;
/// One in each byte of a word.
const EACH: u64 = u64::from_ne_bytes([1; 8]);

/// Whether `bytes` are `fine`, eight at a time. The last eight overlap those before them. Fewer than eight are not.
#[inline]
fn are_words(bytes: &[u8], fine: impl Fn(u64) -> bool) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else {
        return false;
    };
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().all(|word| fine(u64::from_ne_bytes(*word))) && fine(u64::from_ne_bytes(*last))
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

/// RFC 3986 section 3.2.2: a byte of a registered name, `%` of an escape included.
pub(crate) fn is_host_byte(byte: u8) -> bool {
    HOST[usize::from(byte)]
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
static HOST: [bool; 256] = table(b"-._~!$&'()*+,;=%");

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
            let host = byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
            assert_eq!(is_host_byte(byte), host, "{byte:#x}");
        }
    }
}
