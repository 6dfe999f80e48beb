//! Which connections of a Pod go to its sidecar, as data: [`Rules`] made from [`Settings`], rendered for
//! `iptables-restore`, put in force, taken away, and proven. It knows nothing of the mesh but ports and a user.
//!
//! The binary `byrnie-init` does so in an init container; [docs/redirection.md] is what its users read.
//!
//! [docs/redirection.md]: https://github.com/byrnie/byrnie/blob/main/docs/redirection.md

mod arguments;
mod backend;
mod check;
mod kernel;
mod netlink;
mod present;
mod ready;
mod render;
mod rules;
mod settings;
mod signals;
mod values;
mod verdict;

pub use arguments::{Arguments, BackendChoice, Ipv6, Task};
pub use backend::{Backend, BackendError};
pub use check::{CheckError, Proof, check};
pub use kernel::{Applied, ApplyError, apply, clean, families};
pub use ready::await_ready;
pub use render::dry_run;
pub use rules::{Chain, Family, Match, Rule, Rules, Target};
pub use settings::{Exclusions, SettingError, Settings};
pub use signals::Signals;
pub use values::{Cidr, Ids, Interface, List, Port, Ports, ValueError};
pub use verdict::{Packet, Verdict, Way};
