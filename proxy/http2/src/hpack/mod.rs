//! Header compression (RFC 7541).
//!
//! The connection hands each whole header block to a [`Decoder`], which leaves the fields in a [`Fields`] arena, and
//! writes its own heads with an [`Encoder`]. Whether names and values are ones that HTTP/2 allows (RFC 9113 section
//! 8.2) is the connection's question.
//!
//! # Why the encoder has no dynamic table and by default no Huffman code
//! A request of 12 fields (4 pseudo-header fields, 4 with a static name, 4 with others) was written and read in each
//! manner; instructions are those of callgrind, release build, per block:
//!
//! | | octets | written in | read in |
//! | --- | --- | --- | --- |
//! | static entries and plain literals | 280 | 1,830 instructions, 98 to 140 ns | 2,020 instructions, 142 ns |
//! | the same with Huffman code | 212 | 7,340 instructions, 467 ns | 8,440 instructions, 785 ns |
//! | every literal added to the dynamic table | 280 | | 4,350 instructions, 283 ns |
//! | every literal from the dynamic table | 12 | | 1,530 instructions, 104 ns |
//!
//! Between two sidecars the Huffman code saves 68 octets for 970 ns. References to the dynamic table save more octets
//! and little time, for values that repeat only: paths, request ids and trace contexts are new each time, and adding
//! such a value costs the reader twice the time of a plain one. On top of that come the writer's search for an entry
//! and up to 4 KiB of table on either side of each connection. What peers send is decoded in whatever manner it comes.

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
