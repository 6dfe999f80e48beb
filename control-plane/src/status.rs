//! What the mesh says of an operator's objects, where they are: the status at the API server.
//!
//! ```text
//! World, findings -> desired (what each object is to be told) -+
//!                                                              +-> book (what is due) -> writer -> API server
//! sums over the replicas -> programmed ------------------------+
//! ```
//!
//! Only the holder of the Lease writes. What is there is read first, so that entries of other controllers and the times
//! of what has not changed stay, and nothing is written that is there already.

mod book;
mod desired;
mod document;
mod events;
mod programmed;
mod writer;

pub use self::writer::{Figures, StatusWriter};
