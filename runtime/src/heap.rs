//! What a process frees goes back to the system, so that its memory follows what it holds and not its busiest moment.
//!
//! glibc keeps freed pages for later unless they are the last ones of a heap (mallopt(3), `M_TRIM_THRESHOLD`), and one
//! long-lived allocation behind a burst of large bodies holds the room of all of them. malloc_trim(3) gives back what lies
//! in between too. Under other C libraries nothing is done here.
#![allow(unsafe_code)]

use std::{fs, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked at.
pub const PERIOD: Duration = Duration::from_secs(5);

/// So much more than was left the last time is worth the work. Small enough not to matter, large enough that an idle
/// process is left alone.
const WORTH: u64 = 512 << 10;

/// Gives back what is free each [`PERIOD`] in which the process has grown. Runs until it is dropped.
///
/// While one heap is walked, threads that allocate from it wait: 25 MiB in pieces of 64 KiB took 3 to 4 ms.
pub async fn keep() {
    let mut looks = interval(PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = 0;
    loop {
        looks.tick().await;
        let now = resident();
        left = match now > left + WORTH {
            true => {
                give_back();
                resident()
            }
            // What went by itself is no room to grow into unseen.
            false => now.min(left),
        };
    }
}

/// Resident memory in octets, or nothing where it is not told: `/proc/self/statm` counts pages, and no page is smaller
/// than 4 KiB.
fn resident() -> u64 {
    let told = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    told.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}

/// Gives freed pages of all heaps back to the system.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) has no precondition and may be called from any thread (MT-Safe); it moves nothing that is
    // allocated.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn room_between_what_is_held_goes_back() {
        // Too small for pages of their own; each second one is freed, and the last one holds the end of the heap.
        let mut held: Vec<_> = (0..800).map(|_| Some(vec![1_u8; 64 << 10])).collect();
        let full = resident();
        for gap in held.iter_mut().step_by(2) {
            *gap = None;
        }
        give_back();
        let freed = full.saturating_sub(resident());
        assert!(freed > 16 << 20, "{freed} octets of 25 MiB");
        assert!(held.iter().flatten().all(|octets| octets.iter().all(|octet| *octet == 1)));
    }
}
