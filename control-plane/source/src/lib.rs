//! Desired state in: the objects of a directory or of an API server become [`byrnie_model::Update`]s and [`Finding`]s.
//!
//! ```text
//! files -> documents -> objects (checked) -> catalog (which definition is in force) -+
//!                                                                                    +-> index (joined) -> updates
//! watches -> objects (checked) -> mirror (what the API server holds) ----------------+
//! ```
//!
//! [`Directory`] and [`Kubernetes`] do all of it and watch; [`Index`] and [`objects`] know of neither.

mod batch;
pub mod crds;
mod directory;
mod field;
mod findings;
mod index;
mod kubernetes;
pub mod objects;

pub use batch::Batch;
pub use directory::{Directory, OpenError, check_text, read_once, read_texts};
pub use findings::{Finding, Severity};
pub use index::Index;
pub use kubernetes::{
    Access, AccessError, CallError, Calls, Candidate, Cluster, Few, Forward, Held, Kubernetes, Leadership, ObjectPath,
    ReviewError, Reviewed, Scope, Standing, TokenReviews, Turn, WatchState, Watches, moment, secret,
};
