//! What ends the program while it waits. It is the first process of its container, which the kernel keeps from signals that
//! it has no handler for: a Pod that is deleted meanwhile would be there until the end of its grace period.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// SIGTERM and SIGINT: remembered at first, so that what stands half done is finished, and later the end at once.
#[derive(Debug)]
pub struct Signals {
    /// The exit code of one that has come.
    come: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
}

impl Signals {
    /// From now on they are remembered.
    pub fn remember() -> io::Result<Self> {
        let signals = Self { come: Arc::default(), ends: Arc::default() };
        for (signal, code) in [(SIGTERM, 143), (SIGINT, 130)] {
            flag::register_usize(signal, Arc::clone(&signals.come), code)?;
            // After that: one that comes here while `end_at_once` runs is seen by either.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.ends))?;
        }
        Ok(signals)
    }

    /// From now on each ends the process. The exit code, if one has come before.
    pub fn end_at_once(&self) -> Option<u8> {
        self.ends.store(true, Ordering::SeqCst);
        u8::try_from(self.come.load(Ordering::SeqCst)).ok().filter(|code| *code != 0)
    }
}

#[cfg(test)]
mod tests {
    use signal_hook::low_level::raise;

    use super::*;

    #[test]
    fn a_signal_that_came_before_is_remembered_for_the_end() {
        let signals = Signals::remember().unwrap();
        raise(SIGTERM).unwrap();
        assert_eq!(signals.end_at_once(), Some(143));
        let none = Signals { come: Arc::default(), ends: Arc::default() };
        assert_eq!(none.end_at_once(), None);
    }
}
