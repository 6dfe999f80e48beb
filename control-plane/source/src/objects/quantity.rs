//! Quantities of CPU and memory.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A quantity as Kubernetes writes it, of at least 0: `100m`, `0.5`, `64Mi`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantity {
    text: Box<str>,
    number: f64,
}

/// A [`Quantity`] as a regular expression; that of the API server also takes exponents.
const PATTERN: &str = r"^[0-9]{1,15}(\.[0-9]{1,9})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$";
/// Digits, a point, more of them, and the unit.
const LONGEST: usize = 27;

const UNITS: [(&str, f64); 16] = [
    ("", 1.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
];

impl Quantity {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is less, for telling of limits below requests.
    pub fn is_below(&self, other: &Self) -> bool {
        self.number < other.number
    }

    fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if !(1..=15).contains(&whole.len()) || !(1..=9).contains(&fraction.len()) {
            return None;
        }
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        Some(Self { text: text.into(), number: number.parse::<f64>().ok()? * factor })
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 100m, 1 or 64Mi")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Quantity::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maxLength": LONGEST,
            "pattern": PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<Quantity, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_pattern_takes_is_read_and_nothing_else() {
        let pattern = regex::Regex::new(PATTERN).unwrap();
        for text in ["0", "1", "100m", "0.5", "64Mi", "2E", "999999999999999.123456789Ei"] {
            assert!(pattern.is_match(text) && text.len() <= LONGEST && read(text.into()).is_ok(), "{text}");
        }
        for text in ["", ".5", "1.", "1.2.3", "-1", "1 Mi", "64mi", "1e3", "Mi", "1234567890123456", "0.1234567891"] {
            assert!(!pattern.is_match(text) && read(text.into()).is_err(), "{text}");
        }
        assert_eq!(read(json!(2)).unwrap().text(), "2");
        let told = "invalid value: string \"-1\", expected a quantity such as 100m, 1 or 64Mi";
        assert_eq!(read(json!(-1)).unwrap_err(), told);
    }

    #[test]
    fn quantities_are_compared_over_their_units() {
        let is_below = |a: &str, b: &str| read(a.into()).unwrap().is_below(&read(b.into()).unwrap());
        assert!(is_below("999m", "1") && is_below("1M", "1Mi") && is_below("1023Ki", "1Mi"));
        assert!(!is_below("1000m", "1") && !is_below("1Mi", "1024Ki") && !is_below("0.1", "100m"));
    }
}
