//! Moments as Kubernetes writes them.

use std::time::SystemTime;

use time::OffsetDateTime;

/// `Time` of meta/v1: RFC 3339, whole seconds.
pub fn seconds(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let (hour, minute, second) = time.to_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", date(time))
}

/// `MicroTime` of meta/v1: RFC 3339 with six digits of a second.
pub fn micro(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let (hour, minute, second, micro) = time.to_hms_micro();
    format!("{}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z", date(time))
}

fn date(time: OffsetDateTime) -> String {
    format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_is_written_as_kubernetes_reads_it() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 1_234_000);
        assert_eq!(seconds(time), "2023-11-14T22:13:20Z");
        assert_eq!(micro(time), "2023-11-14T22:13:20.001234Z");
    }
}
