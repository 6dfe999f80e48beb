//! What the fuzz targets run: a function from bytes to nothing that panics where the mesh breaks a promise.
//!
//! The seeds go through the same functions in `control-plane/tests/seeds.rs`.

pub mod documents;
pub mod requests;
