//! Integers with a prefix of N bits (RFC 7541 section 5.1).

use super::DecodeError;

/// Five continuation octets hold 35 bits, which is enough for every u32; more of them can only be padding.
const CONTINUATION_OCTETS: usize = 5;

/// Reads an integer with a prefix of `prefix` bits (1 to 8) that starts in `first`, and takes the octets that belong
/// to it off the front of `rest`.
#[inline]
pub(super) fn decode(first: u8, prefix: u32, rest: &mut &[u8]) -> Result<u32, DecodeError> {
    let max = mask(prefix);
    let value = first & max;
    if value < max { Ok(u32::from(value)) } else { decode_long(max, rest) }
}

#[inline(never)]
fn decode_long(prefix: u8, rest: &mut &[u8]) -> Result<u32, DecodeError> {
    let mut value = u64::from(prefix);
    for position in 0..CONTINUATION_OCTETS {
        let (&octet, behind) = rest.split_first().ok_or(DecodeError::Truncated)?;
        *rest = behind;
        value += u64::from(octet & 0x7f) << (7 * position);
        if octet & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| DecodeError::IntegerOverflow);
        }
    }
    Err(DecodeError::IntegerOverflow)
}

/// Writes `value` with a prefix of `prefix` bits; `flags` are the bits in front of the prefix.
#[inline]
pub(super) fn encode(out: &mut Vec<u8>, flags: u8, prefix: u32, value: usize) {
    let max = mask(prefix);
    if value < usize::from(max) {
        out.push(flags | value as u8);
    } else {
        out.push(flags | max);
        encode_rest(out, value - usize::from(max));
    }
}

fn encode_rest(out: &mut Vec<u8>, mut rest: usize) {
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[inline]
fn mask(prefix: u32) -> u8 {
    debug_assert!((1..=8).contains(&prefix));
    (u32::from(u8::MAX) >> (8 - prefix)) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8], prefix: u32) -> Result<(u32, usize), DecodeError> {
        let (&first, mut rest) = bytes.split_first().unwrap();
        decode(first, prefix, &mut rest).map(|value| (value, bytes.len() - rest.len()))
    }

    fn encoded(prefix: u32, value: usize) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, 0, prefix, value);
        out
    }

    #[test]
    fn the_examples_of_appendix_c_1_hold() {
        for (prefix, value, bytes) in
            [(5, 10, &[0b01010][..]), (5, 1337, &[0b11111, 0b1001_1010, 0b1010]), (8, 42, &[0b10_1010])]
        {
            assert_eq!(encoded(prefix, value), bytes);
            assert_eq!(decoded(bytes, prefix), Ok((value as u32, bytes.len())));
        }
    }

    #[test]
    fn bits_in_front_of_the_prefix_are_left_out() {
        assert_eq!(decoded(&[0b1110_1010], 5), Ok((10, 1)));
    }

    #[test]
    fn the_largest_u32_is_taken_and_one_more_is_refused() {
        assert_eq!(decoded(&[0xff, 0x80, 0xff, 0xff, 0xff, 0x0f], 7), Ok((u32::MAX, 6)));
        assert_eq!(decoded(&[0xff, 0x81, 0xff, 0xff, 0xff, 0x0f], 7), Err(DecodeError::IntegerOverflow));
    }

    #[test]
    fn a_sixth_continuation_octet_is_refused_even_if_it_adds_nothing() {
        assert_eq!(decoded(&[0xff, 0x80, 0x80, 0x80, 0x80, 0x00], 7), Ok((127, 6)));
        assert_eq!(decoded(&[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 7), Err(DecodeError::IntegerOverflow));
    }

    #[test]
    fn an_integer_cut_short_is_refused() {
        for bytes in [&[0xff][..], &[0xff, 0x80]] {
            assert_eq!(decoded(bytes, 7), Err(DecodeError::Truncated));
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(value: u32, prefix in 1u32..=8) {
            let bytes = encoded(prefix, value as usize);
            prop_assert_eq!(decoded(&bytes, prefix), Ok((value, bytes.len())));
        }
    }
}
