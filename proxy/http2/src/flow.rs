//! Flow control (RFC 9113 sections 5.2 and 6.9): what the peer may still send, and what we may.

use crate::frame::MAX_31_BITS;

/// A window that we grant. What arrives takes from it; what the caller is done with is given back by halves.
#[derive(Debug)]
pub(crate) struct Granted {
    /// Octets that the peer may still send. Below zero if the window was made smaller (section 6.9.2).
    available: i64,
    /// Octets that were released, and that the peer has not been told of.
    released: u32,
}

impl Granted {
    pub(crate) fn new(available: u32) -> Self {
        Self { available: i64::from(available), released: 0 }
    }

    /// Takes what arrived. False if the peer had no right to send it.
    #[inline]
    #[must_use]
    pub(crate) fn take(&mut self, octets: u32) -> bool {
        let left = self.available - i64::from(octets);
        if octets > 0 && left < 0 {
            return false;
        }
        self.available = left;
        true
    }

    /// Gives back; returns the increment of the WINDOW_UPDATE that is due, if one is. `size` is the whole window.
    #[inline]
    pub(crate) fn release(&mut self, octets: u32, size: u32) -> Option<u32> {
        self.released += octets;
        self.give_back(i64::from(size / 2))
    }

    /// As [`release`](Self::release) for the window that streams share: what slow readers hold of it does not count, so
    /// that the others never wait for them.
    #[inline]
    pub(crate) fn release_shared(&mut self, octets: u32, size: u32) -> Option<u32> {
        self.released += octets;
        self.give_back(self.available.min(i64::from(size / 2)))
    }

    #[inline]
    fn give_back(&mut self, enough: i64) -> Option<u32> {
        if self.released == 0 || i64::from(self.released) < enough {
            return None;
        }
        let increment = std::mem::take(&mut self.released);
        self.available += i64::from(increment);
        Some(increment)
    }

    /// Octets that were released, and that the peer has not been told of.
    #[cfg(test)]
    pub(crate) fn owed(&self) -> u32 {
        self.released
    }

    /// Follows a change of our SETTINGS_INITIAL_WINDOW_SIZE, once it is acknowledged (section 6.9.2).
    pub(crate) fn shrink(&mut self, before: u32, now: u32) {
        self.available -= i64::from(before) - i64::from(now);
    }
}

/// A window that the peer grants us (section 6.9.2: it may be below zero).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed(i32);

impl Allowed {
    pub(crate) fn new(window: u32) -> Self {
        Self(i32::try_from(window).expect("a window is at most 2^31-1"))
    }

    #[inline]
    pub(crate) fn octets(self) -> u32 {
        u32::try_from(self.0).unwrap_or(0)
    }

    /// Takes what is sent, at most [`octets`](Self::octets).
    #[inline]
    pub(crate) fn take(&mut self, octets: u32) {
        self.0 -= i32::try_from(octets).expect("no more than the window is sent");
    }

    /// Opens by WINDOW_UPDATE. False if that is beyond 2^31-1 (section 6.9.1).
    #[inline]
    #[must_use]
    pub(crate) fn open(&mut self, increment: u32) -> bool {
        let sum = i64::from(self.0) + i64::from(increment);
        let fits = sum <= i64::from(MAX_31_BITS);
        if fits {
            self.0 = i32::try_from(sum).expect("checked against 2^31-1");
        }
        fits
    }

    /// Follows a change of SETTINGS_INITIAL_WINDOW_SIZE (section 6.9.2). False if that is beyond 2^31-1.
    #[must_use]
    pub(crate) fn adjust(&mut self, before: u32, now: u32) -> bool {
        let sum = i64::from(self.0) + i64::from(now) - i64::from(before);
        let adjusted = i32::try_from(sum);
        if let Ok(window) = adjusted {
            self.0 = window;
        }
        adjusted.is_ok()
    }
}
