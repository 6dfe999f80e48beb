use proptest::prelude::*;

use super::*;

fn decoded(input: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    decode(input, &mut out).map(|()| out)
}

fn encoded(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(input, &mut out);
    out
}

/// Octets from strings of 0 and 1, filled up with `fill`.
fn octets(bits: &str, fill: char) -> Vec<u8> {
    let mut bits = bits.replace(' ', "");
    while bits.len() % 8 > 0 {
        bits.push(fill);
    }
    bits.as_bytes().chunks(8).map(|octet| u8::from_str_radix(str::from_utf8(octet).unwrap(), 2).unwrap()).collect()
}

fn code_of(symbol: u16) -> String {
    let code = CODES[usize::from(symbol)];
    format!("{:0width$b}", code.bits, width = usize::from(code.length))
}

/// The first and the last code of lengths in appendix B; what lies between follows from the order.
#[test]
fn codes_are_those_of_appendix_b() {
    for (symbol, bits, length) in [
        (u16::from(b'0'), 0x0, 5),
        (u16::from(b't'), 0x9, 5),
        (u16::from(b' '), 0x14, 6),
        (u16::from(b'u'), 0x2d, 6),
        (u16::from(b':'), 0x5c, 7),
        (u16::from(b'z'), 0x7b, 7),
        (u16::from(b'&'), 0xf8, 8),
        (u16::from(b'Z'), 0xfd, 8),
        (u16::from(b'!'), 0x3f8, 10),
        (u16::from(b'?'), 0x3fc, 10),
        (u16::from(b'\''), 0x7fa, 11),
        (u16::from(b'|'), 0x7fc, 11),
        (u16::from(b'>'), 0xffb, 12),
        (0, 0x1ff8, 13),
        (u16::from(b'~'), 0x1ffd, 13),
        (u16::from(b'}'), 0x3ffd, 14),
        (u16::from(b'{'), 0x7ffe, 15),
        (208, 0x7fff2, 19),
        (128, 0xfffe6, 20),
        (177, 0x1fffe2, 21),
        (129, 0x3fffd2, 22),
        (1, 0x7fffd8, 23),
        (9, 0xffffea, 24),
        (199, 0x1ffffec, 25),
        (192, 0x3ffffe0, 26),
        (203, 0x7ffffde, 27),
        (249, 0xffffffe, 28),
        (10, 0x3ffffffc, 30),
        (22, 0x3ffffffe, 30),
        (EOS, 0x3fffffff, 30),
    ] {
        let code = CODES[usize::from(symbol)];
        assert_eq!((code.bits, code.length), (bits, length), "symbol {symbol}");
    }
}

#[test]
fn every_octet_is_decoded_at_every_place() {
    for octet in 0..=255 {
        for before in 0..20 {
            let mut plain = b"a".repeat(before);
            plain.push(octet);
            plain.extend_from_slice(b"zero, 1 and \xff?");
            assert_eq!(decoded(&encoded(&plain)), Ok(plain));
        }
    }
}

#[test]
fn nothing_stands_for_nothing() {
    assert_eq!(decoded(b""), Ok(vec![]));
    assert_eq!(encoded(b""), b"");
}

#[test]
fn eos_is_refused_wherever_it_stands() {
    let eos = code_of(EOS);
    for before in ["", &code_of(0x61), &code_of(0x61).repeat(30), &code_of(10)] {
        for after in ["", &code_of(0x61), &code_of(0x61).repeat(30)] {
            let input = octets(&format!("{before}{eos}{after}"), '1');
            assert_eq!(decoded(&input), Err(DecodeError::HuffmanEos));
        }
    }
}

#[test]
fn up_to_seven_ones_are_padding_and_eight_are_too_many() {
    for count in 0..40 {
        let plain = b"a".repeat(count);
        let bits = code_of(0x61).repeat(count);
        let exact = octets(&bits, '1');
        assert_eq!(decoded(&exact), Ok(plain));
        let mut more = exact.clone();
        for _ in 0..3 {
            more.push(0xff);
            assert_eq!(decoded(&more), Err(DecodeError::HuffmanPaddingTooLong), "{count} and {more:x?}");
        }
    }
}

#[test]
fn padding_with_a_zero_is_refused() {
    for count in 0..40 {
        let bits = code_of(u16::from(b'X')).repeat(count);
        for padding in ["11111110", "11111011", "11101"] {
            let input = octets(&format!("{bits}{padding}"), '1');
            assert_eq!(decoded(&input).is_err(), padding.len() == 8, "{count} and {padding}");
        }
        assert_eq!(decoded(&octets(&format!("{bits}11111110"), '1')), Err(DecodeError::HuffmanPaddingNotOnes));
    }
    // 7 bits of which the last is a zero, and a code cut short
    assert_eq!(decoded(&octets(&format!("{} {}", code_of(0x61).repeat(5), "1111110"), '1')), Err(DecodeError::HuffmanPaddingNotOnes));
    let long = octets(&code_of(1), '1');
    assert_eq!(decoded(&long[..2]), Err(DecodeError::HuffmanPaddingTooLong));
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(plain: Vec<u8>) {
        let code = encoded(&plain);
        prop_assert_eq!(code.len(), encoded_len(&plain));
        prop_assert_eq!(decoded(&code), Ok(plain));
    }

    #[test]
    fn text_is_decoded_behind_what_is_there(plain in "[ -~]{0,200}") {
        let mut out = b"before".to_vec();
        decode(&encoded(plain.as_bytes()), &mut out).unwrap();
        prop_assert_eq!(out, format!("before{plain}").as_bytes());
    }

    /// There is one code for each string: whatever is accepted is what the encoder would write.
    #[test]
    fn any_octets_are_refused_or_are_the_code_of_what_they_decode_to(
        input in prop_oneof![
            any::<Vec<u8>>(),
            prop::collection::vec(prop_oneof![Just(0xff_u8), Just(0xfe), any::<u8>()], 0..12),
        ]
    ) {
        if let Ok(plain) = decoded(&input) {
            prop_assert!(plain.len() * 5 <= input.len() * 8);
            prop_assert_eq!(encoded(&plain), input);
        }
    }
}
