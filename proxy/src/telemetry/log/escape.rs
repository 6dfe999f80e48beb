//! What a peer wrote, put where it can end neither the field nor the line.

/// Of one text: a request must not push those of others out of the buffer.
pub const LONGEST: usize = 4 << 10;

/// What follows a text that was cut.
const CUT: &[u8] = b"...";

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Between quotes of a line: `"` and `\` with a `\` before them, all that is not printable ASCII as `\x0a`.
pub fn text(out: &mut Vec<u8>, value: &[u8]) {
    escaped(
        out,
        value,
        |octet| matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\'),
        |out, octet| match octet {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', octet]),
            _ => out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]]),
        },
    );
}

/// As a string of JSON with its quotes. UTF-8 stays; of anything else each octet above ASCII is taken for a character
/// of Latin-1.
pub fn json(out: &mut Vec<u8>, value: &[u8]) {
    let is_utf8 = value.is_ascii() || std::str::from_utf8(shortened(value)).is_ok();
    out.push(b'"');
    let stays = |octet: u8| match octet {
        b'"' | b'\\' | 0x7f => false,
        0x80.. => is_utf8,
        _ => octet >= b' ',
    };
    escaped(out, value, stays, |out, octet| match octet {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', octet]),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]]);
        }
    });
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, value: &[u8], stays: impl Fn(u8) -> bool, mut escape: impl FnMut(&mut Vec<u8>, u8)) {
    let short = shortened(value);
    let mut rest = short;
    while let Some(at) = rest.iter().position(|octet| !stays(*octet)) {
        out.extend_from_slice(&rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    if short.len() < value.len() {
        out.extend_from_slice(CUT);
    }
}

/// Not more than is written, and not half a character of UTF-8.
fn shortened(value: &[u8]) -> &[u8] {
    if value.len() <= LONGEST {
        return value;
    }
    let is_inside = |at: &usize| value[*at] & 0xc0 == 0x80;
    let end = (LONGEST - 3..=LONGEST).rev().find(|at| !is_inside(at)).unwrap_or(LONGEST);
    &value[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped_text(value: &[u8]) -> String {
        let mut out = Vec::new();
        text(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn escaped_json(value: &[u8]) -> String {
        let mut out = Vec::new();
        json(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_and_quotes_cannot_be_made_up() {
        assert_eq!(escaped_text(b"/a\" 200\n[fake]\\"), r#"/a\" 200\x0a[fake]\\"#);
        assert_eq!(escaped_text("Gr\u{fc}n".as_bytes()), r"Gr\xc3\xbcn");
        assert_eq!(escaped_json(b"a\"\\\n\x7f"), r#""a\"\\\u000a\u007f""#);
        assert_eq!(escaped_json("Gr\u{fc}n".as_bytes()), "\"Gr\u{fc}n\"");
        assert_eq!(escaped_json(b"Gr\xfcn"), r#""Gr\u00fcn""#);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "\u{20ac}".repeat(LONGEST);
        let cut = escaped_json(long.as_bytes());
        assert!(cut.ends_with("\u{20ac}...\"") && cut.len() <= LONGEST + 5, "{}", cut.len());
        assert_eq!(escaped_text(&[b'a'; LONGEST]), "a".repeat(LONGEST));
    }

    /// The octets that a line stands for.
    fn unescaped(text: &str) -> Vec<u8> {
        let (mut octets, mut rest) = (Vec::new(), text.as_bytes());
        while let [first, tail @ ..] = rest {
            rest = match (first, tail) {
                (b'\\', [b'x', high, low, tail @ ..]) => {
                    let digits = std::str::from_utf8(&[*high, *low]).unwrap().to_owned();
                    octets.push(u8::from_str_radix(&digits, 16).unwrap());
                    tail
                }
                (b'\\', [octet, tail @ ..]) => {
                    octets.push(*octet);
                    tail
                }
                (octet, tail) => {
                    octets.push(*octet);
                    tail
                }
            };
        }
        octets
    }

    proptest! {
        #[test]
        fn a_text_is_printable_and_tells_its_octets(value: Vec<u8>) {
            let line = escaped_text(&value);
            prop_assert!(line.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
            let bare = line.replace(r"\\", "").replace(r#"\""#, "");
            prop_assert!(!bare.contains('"'));
            prop_assert_eq!(unescaped(&line), value);
        }

        #[test]
        fn any_octets_are_one_string_of_json(value: Vec<u8>) {
            let line = escaped_json(&value);
            prop_assert!(!line.contains(|c: char| c.is_ascii_control()));
            let read: String = serde_json::from_str(&line).unwrap();
            let meant = String::from_utf8(value.clone()).unwrap_or_else(|_| value.iter().map(|octet| char::from(*octet)).collect());
            prop_assert_eq!(read, meant);
        }

        #[test]
        fn any_text_is_the_same_in_json(value: String) {
            prop_assert_eq!(serde_json::from_str::<String>(&escaped_json(value.as_bytes())).unwrap(), value);
        }
    }
}
