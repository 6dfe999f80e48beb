//! The real server over loopback, with a gRPC client.

mod fixture;
mod life;
mod secrets;
mod serving;
