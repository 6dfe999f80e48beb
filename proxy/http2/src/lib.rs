//! HTTP/2 (RFC 9113, with HPACK of RFC 7541) as a protocol core without I/O.

mod connection;
mod error;
mod event;
mod flow;
mod frame;
mod head;
pub mod hpack;
mod limits;
mod output;
mod stream;

pub use connection::{Connection, HeadWriter, PeerSettings, RequestHead, Role};
pub use error::{ConnectionError, ErrorCode, Flood, Malformed, Refused, Scope, Violation};
pub use event::{Cause, Event};
pub use head::{Request, Response};
pub use hpack::{FieldLimits, Fields};
pub use limits::{Config, Limits, Windows};
pub use stream::Key;
