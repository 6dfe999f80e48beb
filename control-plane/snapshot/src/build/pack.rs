//! Small wire values: `Any`, wrappers, durations, percentages, where xDS comes from.

use std::{collections::HashMap, time::Duration};

use byrnie_proto::envoy::{
    envoy::{
        config::core::v3::{
            AggregatedConfigSource, ApiVersion, ConfigSource, TcpKeepalive, TypedExtensionConfig,
            config_source::ConfigSourceSpecifier,
        },
        r#type::{
            matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
            v3::{FractionalPercent, Percent, fractional_percent::DenominatorType},
        },
    },
    google::protobuf::{self, Any, Struct, UInt32Value, UInt64Value, Value, value},
};
use prost::{Message, Name};

/// Packs a message with its type URL.
pub fn any<T: Message + Name>(message: &T) -> Any {
    Any { type_url: T::type_url(), value: message.encode_to_vec() }
}

/// A packed extension under a name.
pub fn extension<T: Message + Name>(name: &str, message: &T) -> TypedExtensionConfig {
    TypedExtensionConfig { name: name.to_owned(), typed_config: Some(any(message)) }
}

/// A map of one entry. Maps of more are not built anywhere: their order on the wire is by chance, and with it the
/// version of the resource.
pub fn single<V>(key: &str, value: V) -> HashMap<String, V> {
    HashMap::from([(key.to_owned(), value)])
}

/// A struct of one text.
pub fn text_struct(key: &str, text: impl Into<String>) -> Struct {
    Struct { fields: single(key, Value { kind: Some(value::Kind::StringValue(text.into())) }) }
}

/// A duration; what does not fit into the wire's 64 bits is not a duration that anybody waits for.
pub fn duration(duration: Duration) -> protobuf::Duration {
    protobuf::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos().cast_signed(),
    }
}

/// A number that is present.
pub fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

/// A long number that is present.
pub fn long(value: u64) -> UInt64Value {
    UInt64Value { value }
}

/// Percent that are present, 0 to 100.
pub fn percent(value: u8) -> Option<Percent> {
    Some(Percent { value: f64::from(value) })
}

/// `numerator` in a million.
pub fn millionths(numerator: u32) -> FractionalPercent {
    FractionalPercent { numerator, denominator: DenominatorType::Million.into() }
}

/// RE2 over the whole text.
pub fn regex(regex: impl Into<String>) -> RegexMatcher {
    RegexMatcher { regex: regex.into(), engine_type: None }
}

/// The whole text, as it is.
pub fn exact(text: &str) -> StringMatcher {
    StringMatcher { match_pattern: Some(MatchPattern::Exact(text.to_owned())), ..Default::default() }
}

/// A text by RE2.
pub fn by_regex(text: &str) -> StringMatcher {
    StringMatcher { match_pattern: Some(MatchPattern::SafeRegex(regex(text))), ..Default::default() }
}

/// From the stream that brought the resource that says so. The first answer is awaited for 15 s, Envoy's default: the
/// stream answers at once, and a shorter wait would let a cluster replace a serving one before it has endpoints.
pub fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    }
}

/// Finds out about a peer whose host is gone. The application's own keep-alive only reaches the sidecar, and nothing
/// else here ever closes a quiet connection. Five minutes are below what firewalls and load balancers remember.
pub fn keepalive() -> Option<TcpKeepalive> {
    Some(TcpKeepalive { keepalive_probes: number(4), keepalive_time: number(300), keepalive_interval: number(30) })
}
