//! Heads: request and status lines (RFC 9112 sections 3 and 4) and their fields (section 5).
//!
//! The roles hand in the bytes at the front of their input; a head comes out as borrowed slices, with all that framing,
//! routing and persistence need found in one pass over the fields (`survey`).

pub(crate) mod authority;
mod fault;
pub(crate) mod fields;
pub(crate) mod known;
mod length;
pub(crate) mod line;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod section;
mod space;
mod survey;
pub(crate) mod target;

#[cfg(test)]
mod tests;

pub use fields::FieldIter;
pub use length::BodyLength;
pub(crate) use length::RequestMethod;
pub use request::Request;
pub use response::Response;
pub use space::Space;
pub use target::TargetForm;

/// The version of a message (RFC 9112 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// RFC 9112 section 9.3: whether the connection goes on after a message, by its version and connection options.
fn persists(version: Version, close: bool, keep_alive: bool) -> bool {
    !close && (version == Version::Http11 || keep_alive)
}
