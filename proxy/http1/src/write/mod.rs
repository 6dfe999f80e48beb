//! Messages on their way out: heads (RFC 9112 sections 3 to 5) and bodies (sections 6 and 7) into the caller's buffer.

pub(crate) mod body;
mod decimal;
pub(crate) mod head;

pub use head::{Body, HeadWriter};
