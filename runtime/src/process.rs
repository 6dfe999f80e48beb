//! What a process costs, read from `/proc`.

use std::{fs, io, path::Path};

/// Clock ticks a second in `/proc/PID/stat`: `USER_HZ` of proc(5), 100 in the ABI of every Linux that Byrnie runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The resources that one process uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Resident memory now (`VmRSS`).
    pub resident_bytes: u64,
    /// The most resident memory so far (`VmHWM`).
    pub peak_resident_bytes: u64,
    /// User and system time of all threads, ended ones included.
    pub cpu_seconds: f64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// When it started, in seconds since 1970.
    pub start_time_seconds: f64,
}

impl Usage {
    /// Of this process.
    pub fn of_self() -> io::Result<Self> {
        Self::read(Path::new("/proc/self"))
    }

    /// Of the process `pid`, which must belong to this user.
    pub fn of(pid: u32) -> io::Result<Self> {
        Self::read(Path::new(&format!("/proc/{pid}")))
    }

    fn read(directory: &Path) -> io::Result<Self> {
        let status = fs::read_to_string(directory.join("status"))?;
        let stat = fs::read_to_string(directory.join("stat"))?;
        let (cpu_ticks, start_ticks) = ticks(&stat).ok_or_else(|| unreadable("stat"))?;
        let boot = fs::read_to_string("/proc/stat")?;
        let boot = number_after(&boot, "btime").ok_or_else(|| unreadable("/proc/stat"))?;
        Ok(Self {
            resident_bytes: 1024 * number_after(&status, "VmRSS:").ok_or_else(|| unreadable("VmRSS"))?,
            peak_resident_bytes: 1024 * number_after(&status, "VmHWM:").ok_or_else(|| unreadable("VmHWM"))?,
            cpu_seconds: cpu_ticks as f64 / TICKS_PER_SECOND,
            open_fds: fs::read_dir(directory.join("fd"))?.count() as u64,
            start_time_seconds: boot as f64 + start_ticks as f64 / TICKS_PER_SECOND,
        })
    }
}

/// User plus system time and the start time. The second field of `stat` is the command in brackets, which may hold
/// blanks and brackets itself, so counting starts behind the last one.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((field(14)? + field(15)?, field(22)?))
}

fn number_after(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} of the process is not as proc(5) has it"))
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn this_process_has_memory_descriptors_and_a_start_in_the_past() {
        let usage = Usage::of_self().unwrap();
        assert!(usage.resident_bytes > 500_000 && usage.peak_resident_bytes >= usage.resident_bytes / 2, "{usage:?}");
        assert!(usage.open_fds >= 3, "{usage:?}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(usage.start_time_seconds < now + 2.0 && usage.start_time_seconds > now - 86_400.0, "{usage:?} {now}");
    }

    #[test]
    fn an_open_file_is_counted() {
        let held: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        assert!(Usage::of_self().unwrap().open_fds >= held.len() as u64);
    }

    #[test]
    fn a_command_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 90 0 0 0 12 30 0 0 20 0 1 0 4711 1 2 3";
        assert_eq!(ticks(stat), Some((42, 4711)));
        assert_eq!(ticks("7 (short) S 1"), None);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        // Above the largest pid that Linux gives out (PID_MAX_LIMIT, 2^22).
        assert_eq!(Usage::of(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
