//! Byrnie's micro-proxy: an xDS client that carries a workload's traffic as Envoy would.
//!
//! Two halves. The control half (one thread, tokio) talks to the control plane, keeps the identity, checks the health
//! of endpoints, answers on the admin port, and assembles what it learnt into one immutable [`config::Config`]. The
//! data half is [`worker`]s: each a thread with an event loop of its own that carries connections by the configuration
//! in force. They meet in [`shared::Shared`] only.

pub mod admin;
pub mod agent;
pub mod config;
pub mod control;
mod conversation;
mod grpc_health;
pub mod pod;
pub mod run;
pub mod settings;
pub mod shared;
pub mod telemetry;
pub mod tls;
pub mod worker;

pub use byrnie_keeper as identity;
