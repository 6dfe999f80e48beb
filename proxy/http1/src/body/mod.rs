//! Bodies: taking one apart as its bytes come in (RFC 9112 sections 6.2 and 7.1).

pub(crate) mod chunked;
mod extension;
pub(crate) mod incoming;
mod piece;
mod trailers;

#[cfg(test)]
mod tests;

pub(crate) use incoming::Incoming;
pub(crate) use piece::Piece;
pub use trailers::Trailers;
pub(crate) use trailers::is_allowed as is_allowed_trailer;
