//! How long a stream may take from its start: what the route says, and what a gRPC call asks for.

use std::time::Duration;

use byrnie_proto::envoy::envoy::config::route::v3::route_action::MaxStreamDuration;

use crate::{Refused, RequestHead, fields::At};

const TIMEOUT: &[u8] = b"grpc-timeout";

/// At most 8 digits (gRPC over HTTP2, "Requests").
const LARGEST: u64 = 99_999_999;

/// `RouteAction.MaxStreamDuration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamDuration {
    /// `max_stream_duration`; none is no limit.
    limit: Option<Duration>,
    /// What `grpc-timeout` counts for; none where it is passed on unseen.
    asked: Option<Asked>,
}

/// How a request's own `grpc-timeout` is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    /// `grpc_timeout_header_max`; none is no bound.
    most: Option<Duration>,
    /// `grpc_timeout_header_offset`, taken off.
    offset: Duration,
}

impl StreamDuration {
    /// Reads a `MaxStreamDuration`.
    pub(super) fn read(duration: &MaxStreamDuration, at: &At<'_>) -> Result<Self, Refused> {
        at.check(duration)?;
        let most = at.field("grpc_timeout_header_max").limit(&duration.grpc_timeout_header_max, None)?;
        let offset =
            at.field("grpc_timeout_header_offset").duration_or(&duration.grpc_timeout_header_offset, Duration::ZERO)?;
        Ok(Self {
            limit: at.field("max_stream_duration").limit(&duration.max_stream_duration, None)?,
            // Zero sets no bound; what is not there leaves the field alone.
            asked: duration.grpc_timeout_header_max.as_ref().map(|_| Asked { most, offset }),
        })
    }

    /// How long the stream of `request` may take from its start; none is for ever. Where that is limited, a gRPC call
    /// is given the limit in its `grpc-timeout`, in whole milliseconds, so that whoever reads it later is not the
    /// first to give up. Envoy's `refreshDurationTimeout` does the same, and like it this looks at the field of any
    /// request, gRPC or not.
    pub fn apply(&self, request: &mut RequestHead) -> Option<Duration> {
        let asked = self.asked.and_then(|asked| Some(asked.limit(read(request.fields().get(TIMEOUT)?)?)));
        let limit = asked.or(self.limit)?;
        if request.is_grpc() {
            request.fields_mut().set(TIMEOUT, written(limit).as_bytes());
        }
        Some(limit)
    }
}

impl Asked {
    fn limit(self, timeout: Duration) -> Duration {
        self.most.map_or(timeout, |most| timeout.min(most)).saturating_sub(self.offset)
    }
}

/// `300m`, in milliseconds rounded up. None where Envoy's `Grpc::Common::getGrpcTimeout` reads none; it takes spaces
/// before the unit, a sign, and zeros in front.
fn read(value: &[u8]) -> Option<Duration> {
    let (unit, number) = value.split_last()?;
    let number: i64 = std::str::from_utf8(number.trim_ascii()).ok()?.parse().ok()?;
    let number = u64::try_from(number).ok().filter(|number| *number <= LARGEST)?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_millis(number.div_ceil(1_000)),
        b'n' => Duration::from_millis(number.div_ceil(1_000_000)),
        _ => return None,
    })
}

/// In the finest unit from milliseconds up that needs no more than 8 digits.
fn written(timeout: Duration) -> String {
    let (mut number, mut unit) = (timeout.as_millis(), 'm');
    for (coarser, parts) in [('S', 1_000), ('M', 60), ('H', 60)] {
        if number > LARGEST.into() {
            (number, unit) = (number / parts, coarser);
        }
    }
    format!("{}{unit}", number.min(LARGEST.into()))
}

#[cfg(test)]
mod tests {
    use byrnie_proto::envoy::google::protobuf;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Durations of the route in milliseconds: of the stream, the most of a call, and what is taken off.
    fn route(limit: Option<u32>, most: Option<u32>, offset: Option<u32>) -> StreamDuration {
        let duration = |millis: u32| protobuf::Duration {
            seconds: i64::from(millis / 1_000),
            nanos: (millis % 1_000 * 1_000_000).cast_signed(),
        };
        let wire = MaxStreamDuration {
            max_stream_duration: limit.map(duration),
            grpc_timeout_header_max: most.map(duration),
            grpc_timeout_header_offset: offset.map(duration),
        };
        StreamDuration::read(&wire, &At::ROOT).unwrap()
    }

    /// The limit of a request with these fields, and the `grpc-timeout` that it goes on with.
    fn applied(route: StreamDuration, fields: &[(&str, &str)]) -> (Option<Duration>, Option<String>) {
        let mut head = RequestHead::default();
        head.begin(b"POST", b"http", b"cart", b"/shop.Cart/Unary");
        for (name, value) in fields {
            head.fields_mut().push(name.as_bytes(), value.as_bytes());
        }
        let limit = route.apply(&mut head);
        let goes_on = head.fields().get(TIMEOUT).map(|value| String::from_utf8(value.to_vec()).unwrap());
        (limit, goes_on)
    }

    fn call(route: StreamDuration, timeout: &str) -> (Option<Duration>, Option<String>) {
        applied(route, &[("content-type", "application/grpc"), ("grpc-timeout", timeout)])
    }

    #[test]
    fn all_units_are_read_and_what_is_finer_than_a_millisecond_is_rounded_up() {
        for (value, timeout) in [
            ("2H", DAY / 12),
            ("3M", millis(180_000)),
            ("4S", millis(4_000)),
            ("300m", millis(300)),
            ("300000u", millis(300)),
            ("299001u", millis(300)),
            ("1u", millis(1)),
            ("99000001n", millis(100)),
            ("1n", millis(1)),
            ("0n", millis(0)),
            ("99999999H", DAY / 24 * 99_999_999),
        ] {
            assert_eq!(read(value.as_bytes()), Some(timeout), "{value}");
        }
    }

    #[test]
    fn what_envoy_takes_for_no_timeout_is_none() {
        for value in ["", "S", "1", "1s", "1h", "never", "100000000m", "-1S", "1.5S", "0x1S", "1S,2S", "1 2S", "+S"] {
            assert_eq!(read(value.as_bytes()), None, "{value:?}");
        }
        for value in ["+1S", "000000000001S", "1 S"] {
            assert_eq!(read(value.as_bytes()), Some(millis(1_000)), "{value:?}");
        }
        assert_eq!(read(b"-0S"), Some(Duration::ZERO));
        assert_eq!(read(b"99999999999999999999S"), None);
        assert_eq!(read(b"\xffS"), None);
    }

    #[test]
    fn a_timeout_is_written_in_the_finest_unit_that_fits() {
        for (timeout, value) in [
            (millis(0), "0m"),
            (millis(300), "300m"),
            (millis(99_999_999), "99999999m"),
            (millis(100_000_000), "100000S"),
            (DAY / 24 * 99_999_999, "99999999H"),
            (DAY * 99_999, "2399976H"),
            (DAY * 1_500, "2160000M"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(written(timeout), value);
        }
    }

    #[test]
    fn a_call_has_the_time_that_it_asks_for_within_what_the_route_says() {
        let honours = route(None, Some(0), None);
        assert_eq!(call(honours, "299001u"), (Some(millis(300)), Some("300m".to_owned())));
        assert_eq!(call(honours, "never"), (None, Some("never".to_owned())));
        assert_eq!(applied(honours, &[("content-type", "application/grpc")]), (None, None));
        assert_eq!(call(route(None, Some(200), None), "1S"), (Some(millis(200)), Some("200m".to_owned())));
        assert_eq!(call(route(None, Some(200), Some(50)), "1S"), (Some(millis(150)), Some("150m".to_owned())));
        assert_eq!(call(route(None, Some(0), Some(50)), "40m"), (Some(millis(0)), Some("0m".to_owned())));
        // Without a most the field says nothing, and nothing is taken off.
        assert_eq!(call(route(None, None, Some(50)), "1S"), (None, Some("1S".to_owned())));
        assert_eq!(call(route(Some(400), None, None), "1S"), (Some(millis(400)), Some("400m".to_owned())));
        assert_eq!(call(route(Some(400), Some(0), None), "1S"), (Some(millis(1_000)), Some("1000m".to_owned())));
        assert_eq!(call(route(Some(400), Some(0), None), "never"), (Some(millis(400)), Some("400m".to_owned())));
        assert_eq!(call(route(Some(0), None, None), "1S"), (None, Some("1S".to_owned())));
    }

    #[test]
    fn a_request_that_is_no_call_has_its_time_too_and_goes_on_as_it_came() {
        let honours = route(None, Some(0), None);
        assert_eq!(applied(honours, &[("grpc-timeout", "299001u")]), (Some(millis(300)), Some("299001u".to_owned())));
        assert_eq!(applied(route(Some(400), None, None), &[]), (Some(millis(400)), None));
    }
}
