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
    while !bits.len().is_multiple_of(8) {
        bits.push(fill);
    }
    bits.as_bytes().chunks(8).map(|octet| u8::from_str_radix(str::from_utf8(octet).unwrap(), 2).unwrap()).collect()
}

fn code_of(symbol: u16) -> String {
    let code = CODES[usize::from(symbol)];
    format!("{:0width$b}", code.bits, width = usize::from(code.length))
}

/// The first and the last code of each length, as the RFC lists them; what lies between follows from the order.
#[test]
fn codes_are_those_of_appendix_b() {
    let corners = [
        (48, 0x0, 5),
        (116, 0x9, 5),
        (32, 0x14, 6),
        (117, 0x2d, 6),
        (58, 0x5c, 7),
        (122, 0x7b, 7),
        (38, 0xf8, 8),
        (90, 0xfd, 8),
        (33, 0x3f8, 10),
        (63, 0x3fc, 10),
        (39, 0x7fa, 11),
        (124, 0x7fc, 11),
        (35, 0xffa, 12),
        (62, 0xffb, 12),
        (0, 0x1ff8, 13),
        (126, 0x1ffd, 13),
        (94, 0x3ffc, 14),
        (125, 0x3ffd, 14),
        (60, 0x7ffc, 15),
        (123, 0x7ffe, 15),
        (92, 0x7fff0, 19),
        (208, 0x7fff2, 19),
        (128, 0xfffe6, 20),
        (226, 0xfffed, 20),
        (153, 0x1fffdc, 21),
        (230, 0x1fffe8, 21),
        (129, 0x3fffd2, 22),
        (233, 0x3fffeb, 22),
        (1, 0x7fffd8, 23),
        (239, 0x7ffff4, 23),
        (9, 0xffffea, 24),
        (237, 0xfffff5, 24),
        (199, 0x1ffffec, 25),
        (235, 0x1ffffef, 25),
        (192, 0x3ffffe0, 26),
        (255, 0x3ffffee, 26),
        (203, 0x7ffffde, 27),
        (254, 0x7fffff0, 27),
        (2, 0xfffffe2, 28),
        (249, 0xffffffe, 28),
        (10, 0x3ffffffc, 30),
        (256, 0x3fffffff, 30),
    ];
    for (symbol, bits, length) in corners {
        let code = CODES[symbol];
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
        let exact = octets(&code_of(0x61).repeat(count), '1');
        assert_eq!(decoded(&exact), Ok(plain));
        for more in 1..=2 {
            let longer = [&exact[..], &[0xff].repeat(more)].concat();
            assert_eq!(decoded(&longer), Err(DecodeError::HuffmanPaddingTooLong), "{count} and {more}");
        }
    }
}

#[test]
fn padding_that_is_not_all_ones_is_refused() {
    for count in 0..40 {
        // 5 bits each; with 7, 4, 1, 6 and 3 more ones to the end of the last octet in turn
        let bits = code_of(0x61).repeat(count);
        for zero in 0..bits.len().next_multiple_of(8) - bits.len() {
            let mut input = octets(&bits, '1');
            *input.last_mut().unwrap() ^= 1 << zero;
            let plain = decoded(&input);
            // five bits or more may be another symbol, to which the check does not apply
            assert!(plain == Err(DecodeError::HuffmanPaddingNotOnes) || plain.unwrap().len() > count);
        }
    }
    assert_eq!(decoded(&octets(&code_of(0x61), '0')), Err(DecodeError::HuffmanPaddingNotOnes));
}

#[test]
fn a_code_cut_short_is_refused() {
    for symbol in [1, 9, 10, 200, 249] {
        let whole = octets(&code_of(symbol), '1');
        assert!(decoded(&whole).is_ok());
        for end in 1..whole.len() {
            let cut = decoded(&whole[..end]);
            assert!(
                matches!(cut, Err(DecodeError::HuffmanPaddingTooLong | DecodeError::HuffmanPaddingNotOnes)),
                "{symbol} and {end}: {cut:?}"
            );
        }
    }
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
        prop_assert_eq!(out, format!("before{plain}").into_bytes());
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
