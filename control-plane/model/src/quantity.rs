/// An amount of a resource as Kubernetes writes it, of at least 0: `100m`, `0.5`, `64Mi`, `1e3`.
///
/// The grammar and the value are those of an API server (`ParseQuantity` of `k8s.io/apimachinery`, in `pkg/api/resource`),
/// within [`LONGEST`](Self::LONGEST) octets and two digits of an exponent. What is below 0 is none: a Pod is refused with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    text: Box<str>,
    /// In thousand millionths, which is as fine as it gets: what is finer is rounded up.
    nanos: u128,
}

/// Suffixes, with the power of 2 and that of 10 that they stand for.
const SUFFIXES: [(&str, u32, i32); 16] = [
    ("", 0, 0),
    ("n", 0, -9),
    ("u", 0, -6),
    ("m", 0, -3),
    ("k", 0, 3),
    ("M", 0, 6),
    ("G", 0, 9),
    ("T", 0, 12),
    ("P", 0, 15),
    ("E", 0, 18),
    ("Ki", 10, 0),
    ("Mi", 20, 0),
    ("Gi", 30, 0),
    ("Ti", 40, 0),
    ("Pi", 50, 0),
    ("Ei", 60, 0),
];

/// What is above counts as this.
const MOST: u128 = i64::MAX as u128 * 1_000_000_000;

/// Whether the text is a [`Quantity`].
pub fn is_quantity(text: &str) -> bool {
    Quantity::parse(text).is_some()
}

impl Quantity {
    /// As many octets as a text may have, so that no number is above 128 bits: 20 digits of `Ei` are below 2^127.
    pub const LONGEST: usize = 20;

    /// Reads a text; `None` where it is no quantity.
    pub fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if text.len() > Self::LONGEST || fraction.contains('.') {
            return None;
        }
        let (twos, tens) = match SUFFIXES.iter().find(|(name, ..)| *name == suffix) {
            Some((_, twos, tens)) => (*twos, *tens),
            None => (0, exponent(suffix)?),
        };
        // It is no number where there is no digit on either side.
        let digits: u128 = [whole, fraction].concat().parse().ok()?;
        let tens = tens + 9 - i32::try_from(fraction.len()).ok()?;
        let power = 10_u128.saturating_pow(tens.unsigned_abs());
        let scaled = digits << twos;
        let nanos = if tens < 0 { scaled.div_ceil(power) } else { scaled.saturating_mul(power) };
        Some(Self { text: text.into(), nanos: nanos.min(MOST) })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is less, over their units.
    pub fn is_below(&self, other: &Self) -> bool {
        self.nanos < other.nanos
    }
}

/// `e3`, `E-12`
fn exponent(suffix: &str) -> Option<i32> {
    let power = suffix.strip_prefix(['e', 'E'])?;
    let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
    let is_short = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_short.then(|| power.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_told_from_other_texts() {
        for good in [
            "0",
            "1",
            "+1",
            "100m",
            "0.5",
            ".5",
            "1.",
            "007",
            "128Mi",
            "64Mi",
            "1e3",
            "2E-1",
            "1e+3",
            ".5e10",
            "3E",
            "3E5",
            "9223372036854775807",
            "99999999999999999999",
            "999999999999999999Ei",
            "1e99",
            "1e-99",
        ] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "+",
            "-1",
            "++1",
            "1.2.3",
            "100 m",
            " 1",
            "1 ",
            "1mi",
            "64mi",
            "1e",
            "e3",
            "1e+",
            "1e1.5",
            "1e999",
            "1e+-1",
            "Mi",
            ".Mi",
            "100MB",
            "1MiB",
            "1i",
            "٣",
            "much",
            "100000000000000000000",
        ] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }

    #[test]
    fn quantities_are_compared_over_their_units() {
        let parsed = |text: &str| Quantity::parse(text).unwrap();
        for (less, more) in [
            ("999m", "1"),
            ("1M", "1Mi"),
            ("1023Ki", "1Mi"),
            ("0.9Ei", "1Ei"),
            ("1e2", "1e3"),
            ("0", "1n"),
            ("1E", "7E"),
            ("9E", "99999999999999999999"),
        ] {
            assert!(parsed(less).is_below(&parsed(more)), "{less} {more}");
            assert!(!parsed(more).is_below(&parsed(less)), "{more} {less}");
        }
        for (one, other) in [
            ("1000m", "1"),
            ("0.7", "700m"),
            ("0.1", "100m"),
            ("1Mi", "1024Ki"),
            ("1e3", "1k"),
            ("2E-1", "200m"),
            (".5Gi", "512Mi"),
            ("1.", "1"),
            ("3E", "3e18"),
            ("1e99", "999999999999999999Ei"),
            // Rounded up.
            ("0.1n", "1n"),
            ("1e-99", "1n"),
            ("0e-99", "0"),
            ("0.00000000000001Ki", "1n"),
        ] {
            assert!(!parsed(one).is_below(&parsed(other)) && !parsed(other).is_below(&parsed(one)), "{one} {other}");
        }
    }
}
