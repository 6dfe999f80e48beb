//! Quantities of CPU and memory.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A [quantity](byrnie_model::Quantity) as a field of an object.
#[derive(Clone, Debug)]
pub(crate) struct Quantity(pub byrnie_model::Quantity);

/// What [`byrnie_model::Quantity::parse`] takes, beside its bound of length.
const PATTERN: &str = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$";
const LONGEST: usize = byrnie_model::Quantity::LONGEST;

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
                byrnie_model::Quantity::parse(text)
                    .map(Quantity)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
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
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<Quantity, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    fn is_matched(text: &str) -> bool {
        regex::Regex::new(PATTERN).unwrap().is_match(text) && text.len() <= LONGEST
    }

    #[test]
    fn texts_and_whole_numbers_are_read() {
        for text in ["100m", "0.5", "64Mi", "1e3", ".5", "1."] {
            assert!(is_matched(text), "{text}");
            assert_eq!(read(text.into()).unwrap().0.text(), text);
        }
        assert_eq!(read(json!(2)).unwrap().0.text(), "2");
        let told = "invalid value: string \"-1\", expected a quantity such as 100m, 1 or 64Mi";
        assert_eq!(read(json!(-1)).unwrap_err(), told);
    }

    proptest! {
        #[test]
        fn what_the_pattern_takes_is_read_and_nothing_else(
            text in r"\+?[0-9.]{0,3}[0-9]{0,18}([numkMGTPEKi]{0,2}|[eE][+-]?[0-9]{0,3})| ?[0-9.-]{1,2}[a-zA-Z ]{0,2}"
        ) {
            prop_assert_eq!(is_matched(&text), read(text.as_str().into()).is_ok());
        }
    }
}
