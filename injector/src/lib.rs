//! Which Pods get a sidecar and why, what becomes of a Pod that gets one, and the webhook that an API server asks.
//!
//! ```text
//! Pod, Settings            -> injected -> the Pod with all that is ours
//! Pod, Namespace, Settings -> decide -> Inject with that Pod, or Skip with its reason
//! both Pods                -> patch -> the JSON Patch that leads from one to the other
//! AdmissionReview          -> review -> the same, as bytes
//! ```
//!
//! All of that is pure: JSON values in and out. Above it stands the process: `server` reads what comes by TLS, `webhook`
//! has it answered, `steward` keeps the registration and knows whether the API server would be answered (`registration`
//! is what it writes, `trial` how it tries), and `mesh` follows what MeshConfig says, and `injector` is the whole from start to
//! end.
//!
//! What stands in a Pod that has its sidecar already is brought to the same state, so that asking twice is as asking
//! once. [docs/injection.md] is what its users read.
//!
//! [docs/injection.md]: https://github.com/byrnie/byrnie/blob/main/docs/injection.md

mod annotation;
mod certificate;
mod choices;
mod decide;
mod inject;
mod injector;
mod lifecycle;
mod merge;
mod mesh;
mod patch;
mod pod;
mod probes;
mod refusal;
mod registration;
pub mod review;
mod scrape;
mod server;
mod settings;
mod steward;
mod taken;
mod template;
mod trial;
mod webhook;

pub use annotation::Annotation;
pub use choices::{Choices, Place};
pub use decide::{Cause, Decision, Reason, decide};
pub use inject::injected;
pub use injector::{Injector, Options, StartError};
pub use patch::{Operation, patch};
pub use pod::{has_sidecar, is_injected};
pub use refusal::Refusal;
pub use settings::{Namespace, ProxyKind, Resources, Settings};
