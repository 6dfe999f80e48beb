//! Desired state in: a directory of Kubernetes objects becomes [`byrnie_model::Update`]s and [`Finding`]s.
//!
//! ```text
//! files -> documents -> objects (checked) -> catalog (which definition is in force) -> index (joined) -> updates
//! ```
//!
//! [`Directory`] does all of it and watches; [`Index`] and [`objects`] know nothing of files, so that another source
//! can feed them.

mod directory;
mod field;
mod findings;
mod index;
pub mod objects;

pub use directory::{Batch, Directory, OpenError, check_text, read_once, read_texts};
pub use findings::{Finding, Severity};
pub use index::Index;
