//! Worlds in, snapshots out: what is built, what is built again, and how little.
#![allow(clippy::unwrap_used)]

mod building;
mod golden;
mod micro;
mod origins;
mod random;
mod sample;
mod text;
