//! Which endpoint is asked next.

mod availability;
mod check;
mod cluster;
mod edf;
mod ejection;
mod host;
mod hosts;
mod limits;
mod picker;

pub use check::{Answer, Check, Checks, Transition};
pub use cluster::FirstCheck;
pub use ejection::{Ejection, FailureShare, Outcome, Swept, Verdict};
pub use host::{Flags, Health, Host, Reported};
pub use hosts::{HostIndex, Hosts, Member, Membership};
pub use limits::{Breakers, Limits, Resource, Retries};
pub use picker::{Picker, Policy, Tried};
