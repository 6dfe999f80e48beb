//! The xDS server: one stream for each client, subscriptions, ACK and NACK, order, push.
//!
//! Snapshots come in through [`Hub::publish`]; it tells those streams alone that subscribed to what changed, by a set in
//! their mailbox. A stream moves messages between the wire, its mailbox and its [`Session`](session::Session), which
//! holds all the logic and no I/O: what the client has, what it is owed, whose turn it is. Responses are made when they
//! can be sent and written from bytes that all streams share.
//!
//! The control plane gives a [`Gate`] (who is let in) and [`Secrets`] (the certificate authority), serves
//! [`Ads::routes`], and shows [`Hub::clients`], [`Hub::dump`], [`Hub::figures`] and what clients report of their calls
//! ([`Loads`]). How the clients stand to a route or policy is counted by [`Tallies`].

mod answers;
mod body;
mod client_status;
mod connection;
mod counters;
mod entrance;
mod gate;
mod hub;
mod incoming;
mod index;
mod load;
mod mailbox;
mod requests;
mod secret;
mod service;
pub mod session;
mod shared;
mod stream;
mod tally;
mod wire;

pub use client_status::{ClientStatus, Dump, DumpedResource, KindStatus, NackStatus, Sync};
pub use counters::{DELAY_BOUNDS, Figures};
pub use gate::{Admission, Caller, Gate};
pub use hub::Hub;
pub use incoming::take_bytes;
pub use load::{Counts, Load, Loads, WINDOW};
pub use secret::{LeafSecret, Secrets};
pub use service::{Ads, tuned};
pub use tally::{Looked, Refusal, Tallies, Tally};
