//! What a proxy is told, as types that cannot be wrong: xDS resources read once, checked whole, and then only used.
//!
//! Each resource is read by [`Resource::read`] from the bytes that the control plane sent. A field that would change
//! behaviour and is not honoured is [refused](Refused) with its path, never passed over; what is honoured, without
//! effect here, and refused stands in one table a message (`fields` of each module), from which the reference in
//! `docs/proxy-fields.md` is made. Routing lives here too: a [`RequestHead`] is matched and edited without I/O, so that
//! the data path, tests and `byrnie explain` share it.

mod cluster;
mod endpoints;
mod fields;
mod format;
mod head;
mod http;
mod line;
mod listener;
mod re2;
mod refused;
mod resource;
mod route;
mod text;
mod tls;
mod value;

pub use cluster::{Cluster, Discovery, HealthCheck, HttpProbe, Probe, Protocol, Sockets};
pub use endpoints::{Endpoint, Endpoints};
pub use fields::{How, Row, Table, supported};
pub use head::{Fields, RequestHead, ResponseHead};
pub use http::Version;
pub use line::Of;
pub use listener::{
    Chain, ChainMatch, ClientCertificate, Direction, Filter, Http, Inspect, Listener, LocalReply, Routes, Seen, Tcp,
    Transport,
};
pub use refused::Refused;
pub use resource::{Reference, Resource};
pub use route::{Action, Forward, Redirect, Respond, Retry, Route, RouteTable, StreamDuration, Target};
pub use tls::{DownstreamTls, PeerName, UpstreamTls};
pub use value::Keepalive;
