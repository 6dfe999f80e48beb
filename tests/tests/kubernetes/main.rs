//! Against a real API server. The modules share one, but for those that kill it.

mod cli;
mod crds;
mod envoy;
mod harness;
mod identity;
mod installed;
mod source;
