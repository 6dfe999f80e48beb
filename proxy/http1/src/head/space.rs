//! Room for the fields of one head.

use std::mem::MaybeUninit;

use crate::{error::Error, limits::Limits};

/// Room on the stack for the fields of one head: 4 KiB that nobody initializes. A new one for each call of `receive`
/// costs nothing.
pub struct Space<'b> {
    fields: [MaybeUninit<httparse::Header<'b>>; Limits::MOST_FIELDS],
}

impl<'b> Space<'b> {
    /// Room for [`Limits::MOST_FIELDS`] fields.
    #[inline]
    pub const fn new() -> Self {
        Self { fields: [const { MaybeUninit::uninit() }; Limits::MOST_FIELDS] }
    }

    /// The first `count` places, or as many as there are.
    pub(super) fn first(&mut self, count: u32) -> &mut [MaybeUninit<httparse::Header<'b>>] {
        &mut self.fields[..Limits::MOST_FIELDS.min(count as usize)]
    }
}

/// RFC 9110 section 5.4: what a head breaks that has no place for its fields.
#[cold]
pub(super) fn too_many_fields(limits: &Limits) -> Error {
    Error::TooManyFields { limit: limits.fields.min(Limits::MOST_FIELDS as u32) }
}

impl Default for Space<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Space<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Space").finish_non_exhaustive()
    }
}
