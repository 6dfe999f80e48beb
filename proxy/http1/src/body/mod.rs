//! Bodies: how long one is (RFC 9112 section 6.3), and taking it apart as its bytes come in (sections 6.2 and 7.1).

pub(crate) mod chunked;
mod extension;
pub(crate) mod incoming;
mod length;
mod trailers;

#[cfg(test)]
mod tests;

pub(crate) use incoming::{Incoming, Piece};
pub use length::BodyLength;
pub(crate) use length::RequestMethod;
pub use trailers::Trailers;
pub(crate) use trailers::is_allowed as is_allowed_trailer;
