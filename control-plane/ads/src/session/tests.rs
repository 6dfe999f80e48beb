//! The rules of the xDS protocol, one by one, from a scripted client's side. The numbers are those of
//! `docs/xds.md`, where each rule has its source.

mod model;
mod order;
mod peer;
mod rules;
mod wildcard;
