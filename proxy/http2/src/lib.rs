//! HTTP/2 (RFC 9113, with HPACK of RFC 7541) as a protocol core without I/O: octets in, events out; commands in, octets
//! out. For both roles, with no runtime, no clock and no thread of its own.
//!
//! # One exchange
//!
//! ```
//! use byrnie_http2::{Config, Connection, Event, Fields, RequestHead};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Connection::client(Config::default());
//! let mut server = Connection::server(Config::default());
//! // Decoded heads live here. One arena serves all connections of a thread.
//! let mut fields = Fields::new();
//!
//! let mut head = client.open(&RequestHead {
//!     method: b"GET",
//!     scheme: Some(b"http"),
//!     authority: Some(b"cart.shop"),
//!     path: Some(b"/items"),
//!     protocol: None,
//! })?;
//! head.field(b"accept", b"*/*");
//! head.finish(true)?;
//!
//! // What one end has to write is what the other reads; here it is carried by hand.
//! let wire = client.output().to_vec();
//! client.wrote(wire.len());
//! let mut input = &wire[..];
//! while let Some(event) = server.receive(&mut input, &mut fields)? {
//!     if let Event::Request { stream, head, .. } = event {
//!         assert_eq!(head.path(), Some(&b"/items"[..]));
//!         // The event borrows from `wire` and `fields` only: the connection is free for commands.
//!         let mut head = server.respond(stream, 200)?;
//!         head.field(b"content-length", b"5");
//!         head.finish(false)?;
//!         assert_eq!(server.send(stream, b"hello", true)?, 5);
//!     }
//! }
//!
//! let wire = server.output().to_vec();
//! server.wrote(wire.len());
//! let mut input = &wire[..];
//! while let Some(event) = client.receive(&mut input, &mut fields)? {
//!     match event {
//!         Event::Response { head, .. } => assert_eq!(head.status(), 200),
//!         Event::Data { stream, bytes, end } => {
//!             assert!(bytes == b"hello" && end);
//!             // Passed on: the peer may send as much again.
//!             client.release(stream, bytes.len());
//!         }
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Driving a connection
//!
//! A turn of the caller's loop:
//!
//! 1. Read into a buffer, behind what [`receive`](Connection::receive) left the last time (at most 16,393 octets: one
//!    frame that is not whole, never DATA). The buffer may be shared by many connections, since nothing points into
//!    it between turns.
//! 2. Call `receive` until it returns `None`, and give commands as events ask for them.
//! 3. Ask [`next_writable`](Connection::next_writable) until it returns `None`; each stream that it names may
//!    [`send`](Connection::send) on.
//! 4. Write [`output`](Connection::output) once, and say how much went by [`wrote`](Connection::wrote). Then 3 again if
//!    streams may have waited for room.
//! 5. When `receive` fails, or the connection [is finished](Connection::is_finished): write the output, close.
//!
//! Once a second call [`tick`](Connection::tick), which fills the budgets of [`Limits`]; after some silence
//! [`rest`](Connection::rest), which frees what an idle connection does not need. Timeouts are the caller's, as the
//! clock is.
//!
//! **Backpressure** needs nothing but this: what `send` does not take stays with the caller, who does not read more
//! of its source before `next_writable` names the stream; what `release` is not told of stays out of the peer's
//! window. So a slow reader binds at most [`Windows`] on one side and [`Limits::buffered_output`] on the other.
//!
//! **Ends.** A message ends with `end` in an event, or with trailers. A stream has ended when both directions have,
//! and its [`Key`] is stale once its body is released; a stale key is answered with [`Refused::Gone`] and can never
//! reach another stream. [`reset`](Connection::reset) is safe in any state. An [`Event::Reset`] whose [`Cause`] [is
//! unprocessed](Cause::is_unprocessed) may be tried again, whatever the method. Before the transport is closed,
//! [`drain`](Connection::drain).
//!
//! **Rules.** Each message that an event brings keeps RFC 9113 section 8: names are lower-case tokens, values have no
//! control character, lengths are true, nothing belongs to a connection of HTTP/1.1. So it can be written to HTTP/1.1
//! as it is, with two things to do: several `cookie` fields become one (section 8.2.3), and `:authority` becomes
//! Host.
//!
//! # Where the RFC is
//!
//! | RFC 9113 | in |
//! | --- | --- |
//! | 3.4 preface, 4.1 frames, 4.2 sizes | `connection/receive.rs`: `preface`, `frame`, `check_header` |
//! | 4.3, 6.2, 6.10 header blocks; 8.1 messages | `connection/heads.rs`: `headers`, `continuation`, `decode_block`, `request`, `response`, `trailers_received` |
//! | 5.1 states of a stream | `stream.rs`: `Phase`, `Streams`; frames that come late: `is_ignored`, `late`, `late_block` |
//! | 5.2, 6.9 flow control | `flow.rs`; `window_update`, `release`, `send`, `adjust_windows` |
//! | 5.4 errors | `error.rs`; `fail`, `fail_stream` |
//! | 6.1 DATA | `connection/data.rs` |
//! | 6.3 PRIORITY, 6.4 RST_STREAM, 6.7 PING, 6.8 GOAWAY | `connection/control.rs`; `drain` |
//! | 6.5 SETTINGS | `connection/settings.rs` |
//! | 8.2, 8.3, 8.5 fields and targets; RFC 8441 | `head.rs`, `head/rules.rs` |
//! | 10.5 denial of service | `limits.rs` |
//! | RFC 7541 | [`hpack`] |
//!
//! Server push (section 8.4) is refused, priorities (5.3) are ignored, and a connection starts with prior knowledge
//! or ALPN: there is no upgrade from HTTP/1.1 (section 3.1).

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

pub use connection::{Connection, HeadWriter, PeerSettings, Role};
pub use error::{ConnectionError, ErrorCode, Flood, Malformed, Refused, Scope, Violation};
pub use event::{Cause, Event};
pub use head::{Request, RequestHead, Response};
pub use hpack::{FieldLimits, Fields};
pub use limits::{Config, Limits, Windows};
pub use stream::Key;
