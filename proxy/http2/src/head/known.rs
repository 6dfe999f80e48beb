//! Names with a meaning of their own here, by their first index in the static table (RFC 7541 appendix A).

pub(super) const AUTHORITY: u8 = 1;
pub(super) const METHOD: u8 = 2;
pub(super) const PATH: u8 = 4;
pub(super) const SCHEME: u8 = 6;
pub(super) const STATUS: u8 = 8;
/// Up to here stand pseudo-header fields.
pub(crate) const LAST_PSEUDO: u8 = 14;
pub(super) const CONTENT_LENGTH: u8 = 28;
pub(super) const HOST: u8 = 38;
pub(crate) const TRANSFER_ENCODING: u8 = 57;
