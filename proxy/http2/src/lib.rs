//! HTTP/2 (RFC 9113, with HPACK of RFC 7541) as a protocol core without I/O.

pub mod hpack;
