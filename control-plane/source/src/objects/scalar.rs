//! Scalars of Kubernetes schemas that are more than a string or a number.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A whole number between two bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bounded<const LEAST: i64, const MOST: i64>(i64);

/// A port number.
pub type Port = Bounded<1, 65_535>;

/// A share of a hundred.
pub type Percent = Bounded<0, 100>;

/// A count that fits Envoy's `UInt32Value`.
pub type Count = Bounded<0, { u32::MAX as i64 }>;

/// A [`Span`] as a regular expression; the API server's `duration()` takes whatever it matches.
pub(crate) const SPAN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// A duration as Gateway API writes it (GEP-2257): one to four of hours, minutes, seconds and milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A moment as Kubernetes writes it (RFC 3339), in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

/// A number or a name, as `targetPort` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberOrName {
    /// `8080`
    Number(u16),
    /// `http`
    Name(String),
}

impl<const LEAST: i64, const MOST: i64> Bounded<LEAST, MOST> {
    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl Port {
    /// The port.
    pub fn number(self) -> u16 {
        u16::try_from(self.0).expect("checked when it was read")
    }
}

impl<const LEAST: i64, const MOST: i64> From<Bounded<LEAST, MOST>> for u32 {
    fn from(bounded: Bounded<LEAST, MOST>) -> Self {
        Self::try_from(bounded.0).expect("bounds of counts lie within u32")
    }
}

impl From<Percent> for u8 {
    fn from(percent: Percent) -> Self {
        Self::try_from(percent.0).expect("checked when it was read")
    }
}

impl<'de, const LEAST: i64, const MOST: i64> Deserialize<'de> for Bounded<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<const LEAST: i64, const MOST: i64>;
        impl<const LEAST: i64, const MOST: i64> de::Visitor<'_> for Visitor<LEAST, MOST> {
            type Value = Bounded<LEAST, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {LEAST} to {MOST}")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                if (LEAST..=MOST).contains(&number) {
                    return Ok(Bounded(number));
                }
                Err(E::invalid_value(de::Unexpected::Signed(number), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                match i64::try_from(number) {
                    Ok(number) => self.visit_i64(number),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }
        }
        deserializer.deserialize_i64(Visitor)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 10s, 1m30s or 250ms")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                duration(text).map(Span).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a moment such as 2026-01-31T12:00:00Z")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                let moment = OffsetDateTime::parse(text, &Rfc3339);
                let moment = moment.map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
                Ok(Timestamp(moment.unix_timestamp()))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl<'de> Deserialize<'de> for NumberOrName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = NumberOrName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port's name or a number from 1 to 65535")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<NumberOrName, E> {
                match u16::try_from(number) {
                    Ok(port) if port > 0 => Ok(NumberOrName::Number(port)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<NumberOrName, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<NumberOrName, E> {
                Ok(NumberOrName::Name(name.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<const LEAST: i64, const MOST: i64> JsonSchema for Bounded<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Bounded{LEAST}To{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let format = if MOST > i64::from(i32::MAX) { "int64" } else { "int32" };
        json_schema!({"type": "integer", "format": format, "minimum": LEAST, "maximum": MOST})
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Four parts of five digits and `ms`.
        json_schema!({"type": "string", "maxLength": 28, "pattern": SPAN})
    }
}

/// Reads what [`SPAN`] matches.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=5).contains(&digits) {
            return None;
        }
        let (number, unit) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let (millis, length) = match unit.as_bytes() {
            [b'm', b's', ..] => (1, 2),
            [b'h', ..] => (3_600_000, 1),
            [b'm', ..] => (60_000, 1),
            [b's', ..] => (1_000, 1),
            _ => return None,
        };
        total += Duration::from_millis(number * millis);
        rest = &unit[length..];
        if rest.is_empty() {
            return Some(total);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_one_to_four_parts_of_up_to_five_digits() {
        let good =
            [("0s", 0), ("250ms", 250), ("1m30s", 90_000), ("1h1m1s1ms", 3_661_001), ("99999h", 99_999 * 3_600_000)];
        for (text, millis) in good {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "1.5s", "-1s", "100000s", "1s1s1s1s1s", "1d", "1s ", "1us"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_moment_is_read_in_any_offset() {
        let read = |text: &str| serde_json::from_value::<Timestamp>(text.into()).map(|moment| moment.0);
        assert_eq!(read("1970-01-01T00:01:00Z").unwrap(), 60);
        assert_eq!(read("1970-01-01T01:01:00.5+01:00").unwrap(), 60);
        let error = read("yesterday").unwrap_err().to_string();
        assert_eq!(error, "invalid value: string \"yesterday\", expected a moment such as 2026-01-31T12:00:00Z");
    }

    #[test]
    fn a_number_out_of_bounds_is_told_the_bounds() {
        let error = serde_json::from_value::<Port>(70_000.into()).unwrap_err().to_string();
        assert_eq!(error, "invalid value: integer `70000`, expected a whole number from 1 to 65535");
        let error = serde_json::from_value::<Port>("80".into()).unwrap_err().to_string();
        assert_eq!(error, "invalid type: string \"80\", expected a whole number from 1 to 65535");
    }
}
