//! Header compression (RFC 7541).
//!
//! The connection hands each whole header block to a [`Decoder`], which leaves the fields in a [`Fields`] arena, and
//! writes its own heads with an [`Encoder`]. Whether names and values are ones that HTTP/2 allows (RFC 9113 section
//! 8.2) is the connection's question.

mod decoder;
mod encoder;
mod error;
mod fields;
pub mod huffman;
mod integer;
mod static_table;
mod table;

pub use decoder::{Decoder, MAX_TABLE_SIZE};
pub use encoder::Encoder;
pub use error::DecodeError;
pub use fields::{Exceeded, Field, FieldLimits, Fields};
pub use static_table::StaticIndex;
