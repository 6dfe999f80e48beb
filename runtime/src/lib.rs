//! Process furniture shared by all Byrnie binaries: logs, metrics, the admin server, listening, draining, backoff.
//!
//! It knows nothing of the mesh. `main` uses it in this order: [`logs::init`], [`listen::bind`] for every port (so that
//! a bad start fails before anything runs), [`admin::serve`], then [`shutdown::Drain`] when a signal comes.

pub mod admin;
pub mod backoff;
pub mod heap;
pub mod listen;
pub mod logs;
pub mod metrics;
pub mod peers;
pub mod process;
pub mod shutdown;
pub mod told;
