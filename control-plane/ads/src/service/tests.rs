//! The real server over loopback, with a gRPC client.

pub(crate) mod fixture;
mod life;
mod load;
mod micro;
mod secrets;
mod serving;
