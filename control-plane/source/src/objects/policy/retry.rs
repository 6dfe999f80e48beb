//! `spec.retry` of a TrafficPolicy.

use std::{borrow::Cow, fmt, time::Duration};

use byrnie_model::policy::{Backoff, Retry, RetryOn};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::{
    field::Cursor,
    objects::scalar::{Bounded, Span},
};

/// Words of Envoy's `retry_on` (router filter, x-envoy-retry-on) that need no further field.
const HTTP_WORDS: [&str; 9] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "http3-post-connect-failure",
];

/// Words of Envoy's `retry_grpc_on` (x-envoy-retry-grpc-on).
const GRPC_WORDS: [&str; 5] = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];

/// What is tried again, how often, and when.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RetrySpec {
    /// Tries after the first; 0 turns retries off. Default: 2
    #[schemars(extend("default" = 2))]
    attempts: Option<Bounded<0, 100>>,
    /// What is tried again, in place of the default, which is connect-failure, refused-stream and reset-before-request:
    /// failures of which the application has seen nothing. A status from 400 to 599, or one of 5xx, gateway-error,
    /// reset, reset-before-request, connect-failure, envoy-ratelimited, retriable-4xx, refused-stream,
    /// http3-post-connect-failure, and for gRPC cancelled, deadline-exceeded, internal, resource-exhausted, unavailable.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    when: Vec<On>,
    /// The longest that each try may take. Without it only the whole call is limited.
    per_try_timeout: Option<Span>,
    /// Pauses between tries.
    backoff: Option<BackoffSpec>,
}

/// Pauses between tries, which double each time, with jitter.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BackoffSpec {
    /// The first pause. Without any backoff it is 25ms.
    base: Span,
    /// The longest pause, not shorter than base. Default: 10 times base
    max: Option<Span>,
}

#[derive(Clone, Debug)]
struct On(RetryOn);

impl RetrySpec {
    pub(super) fn read(&self, at: Cursor<'_>) -> Retry {
        let when_at = at.key("when");
        for (index, On(on)) in self.when.iter().enumerate() {
            if self.when[..index].iter().any(|On(earlier)| earlier == on) {
                when_at.index(index).refuse("is there twice");
            }
        }
        let backoff = self.backoff.map(|backoff| {
            let at = at.key("backoff");
            let (base, max) = (positive(backoff.base, at.key("base")), backoff.max.map(|max| max.0));
            if let Some(max) = max.filter(|max| *max < base) {
                at.key("max").refuse(format!("{max:?} is shorter than backoff.base, {base:?}"));
            }
            Backoff { base, max }
        });
        Retry {
            // Two, as without any object.
            attempts: self.attempts.map_or(2, u32::from),
            on: self.when.iter().map(|On(on)| on.clone()).collect(),
            per_try_timeout: self.per_try_timeout.map(|span| positive(span, at.key("perTryTimeout"))),
            backoff,
        }
    }
}

/// A duration that must be longer than nothing.
pub(super) fn positive(span: Span, at: Cursor<'_>) -> Duration {
    if span.0.is_zero() {
        at.refuse("is 0s: a longer duration is accepted, or leave the field out");
    }
    span.0
}

impl<'de> Deserialize<'de> for On {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = On;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a status code from 400 to 599 or one of ")?;
                let words: Vec<_> = HTTP_WORDS.iter().chain(&GRPC_WORDS).copied().collect();
                f.write_str(&words.join(", "))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<On, E> {
                match u16::try_from(number) {
                    Ok(code @ 400..=599) => Ok(On(RetryOn::Status(code))),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<On, E> {
                match u64::try_from(number) {
                    Ok(number) => self.visit_u64(number),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<On, E> {
                if let Ok(number) = word.parse() {
                    return self.visit_u64(number);
                }
                if !HTTP_WORDS.contains(&word) && !GRPC_WORDS.contains(&word) {
                    return Err(E::invalid_value(de::Unexpected::Str(word), &self));
                }
                Ok(On(RetryOn::Condition(word.into())))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for On {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RetryOn".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = HTTP_WORDS.iter().chain(&GRPC_WORDS).copied().collect();
        json_schema!({
            "description": "A status, or a word of Envoy's retry_on or retry_grpc_on.",
            "x-kubernetes-int-or-string": true,
            "minimum": 400,
            "maximum": 599,
            "pattern": format!("^([45][0-9][0-9]|{})$", words.join("|")),
        })
    }
}
