//! Times of the day from the monotonic clock, written without work while the second is the same.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// The day's clock is looked at so often: it may be set while the process runs.
const TRUST: Duration = Duration::from_secs(1);

/// One of a worker.
#[derive(Debug)]
pub struct Clock {
    /// The same moment by both clocks.
    at: (Instant, SystemTime),
    second: u64,
    text: [u8; 19],
}

impl Clock {
    pub fn new() -> Self {
        Self { at: (Instant::now(), SystemTime::now()), second: u64::MAX, text: [0; 19] }
    }

    /// `then` in RFC 3339 with milliseconds, as of `now`: `2016-04-15T20:17:00.310Z`.
    pub fn write(&mut self, out: &mut Vec<u8>, then: Instant, now: Instant) {
        if now.saturating_duration_since(self.at.0) >= TRUST {
            self.at = (Instant::now(), SystemTime::now());
        }
        let since_1970 = self.day_time(then).duration_since(UNIX_EPOCH).unwrap_or_default();
        if since_1970.as_secs() != self.second {
            self.second = since_1970.as_secs();
            self.text = written(self.second);
        }
        out.extend_from_slice(&self.text);
        let millis = since_1970.subsec_millis();
        out.push(b'.');
        out.extend([millis / 100, millis / 10 % 10, millis % 10].map(digit));
        out.push(b'Z');
    }

    fn day_time(&self, then: Instant) -> SystemTime {
        let (at, day) = self.at;
        let moved = match then.checked_duration_since(at) {
            Some(after) => day.checked_add(after),
            None => day.checked_sub(at.saturating_duration_since(then)),
        };
        moved.unwrap_or(day)
    }
}

/// `2016-04-15T20:17:00`
fn written(second: u64) -> [u8; 19] {
    let of = |second| OffsetDateTime::from_unix_timestamp(second).ok();
    let time = i64::try_from(second).ok().and_then(of).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut text = *b"0000-00-00T00:00:00";
    let year = time.year().unsigned_abs();
    let parts = [
        (0, year / 100),
        (2, year % 100),
        (5, u32::from(u8::from(time.month()))),
        (8, u32::from(time.day())),
        (11, u32::from(time.hour())),
        (14, u32::from(time.minute())),
        (17, u32::from(time.second())),
    ];
    for (at, part) in parts {
        (text[at], text[at + 1]) = (digit(part / 10 % 10), digit(part % 10));
    }
    text
}

fn digit(number: u32) -> u8 {
    b'0' + number as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_milliseconds_and_the_second_is_kept() {
        let start = Instant::now();
        let mut clock = Clock { at: (start, UNIX_EPOCH + Duration::from_millis(1_460_751_420_310)), ..Clock::new() };
        let mut at = |then| {
            let mut out = Vec::new();
            clock.write(&mut out, then, start);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(at(start), "2016-04-15T20:17:00.310Z");
        assert_eq!(at(start + Duration::from_millis(5)), "2016-04-15T20:17:00.315Z");
        assert_eq!(at(start + Duration::from_millis(700)), "2016-04-15T20:17:01.010Z");
        assert_eq!(at(start - Duration::from_millis(400)), "2016-04-15T20:16:59.910Z");
        assert_eq!(&written(951_782_400), b"2000-02-29T00:00:00");
    }
}
