//! Which Pods get a sidecar and why, and what becomes of a Pod that gets one. Pure: JSON values in and out.
//!
//! ```text
//! Pod, Namespace, Settings -> decide -> Inject, or Skip with its reason
//! Pod, Settings            -> injected -> the Pod with all that is ours -> patch: the JSON Patch that leads there
//! ```
//!
//! What stands in a Pod that has its sidecar already is brought to the same state, so that asking twice is as asking
//! once. [docs/injection.md] is what its users read.
//!
//! [docs/injection.md]: https://github.com/byrnie/byrnie/blob/main/docs/injection.md

mod annotation;
mod choices;
mod decide;
mod inject;
mod lifecycle;
mod merge;
mod patch;
mod pod;
mod probes;
mod quantity;
mod refusal;
mod settings;
mod template;

pub use annotation::Annotation;
pub use choices::{Choices, Place};
pub use decide::{Cause, Decision, Reason, decide};
pub use inject::injected;
pub use patch::{Operation, patch};
pub use refusal::Refusal;
pub use settings::{Namespace, Resources, Settings};
