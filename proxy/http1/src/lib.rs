//! HTTP/1.0 and HTTP/1.1 (RFC 9112) as a protocol core without I/O: bytes in, events out; commands in, bytes out.
//!
//! A [`Server`] receives requests and sends responses, a [`Client`] the reverse; a proxy holds one of each. The caller
//! owns the sockets and the buffers. It hands in what it has read, takes what was not understood yet back to present it
//! again with more behind it, and sends what the commands appended to its output. Heads and bodies are given as slices
//! of the input: nothing is allocated, and nothing borrows from the connection, so that commands can be given while an
//! event is held. Here a request goes through a proxy, and its response comes back:
//!
//! ```
//! use byrnie_http1::{Body, Client, Limits, Server, Space, client, server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut server, mut client) = (Server::new(Limits::default()), Client::new(Limits::default()));
//! let (mut up, mut down) = (Vec::new(), Vec::new());
//!
//! // What the proxy's client sent. `input` shrinks as it is understood.
//! let mut input = &b"POST /cart HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nConnection: x\r\nX: y\r\n\r\nbread"[..];
//! while let Some(event) = server.receive(&mut input, &mut Space::new())? {
//!     match event {
//!         server::Event::Request(request) => {
//!             assert_eq!((request.path(), request.authority()), ("/cart", Some("shop")));
//!             client
//!                 .request(&mut up, request.method(), request.path())?
//!                 .forward(request.end_to_end(), |_name, _value| true) // neither `Connection` nor what it names
//!                 .field("Via", "1.1 byrnie")
//!                 .end(request.body().into())?; // the core frames the body
//!         }
//!         server::Event::Data(data) => assert_eq!(client.send(&mut up, data)?, data.len()),
//!         server::Event::Trailers(trailers) => client.finish(&mut up, trailers.iter())?,
//!         server::Event::End => client.finish(&mut up, [])?,
//!     }
//! }
//! assert_eq!(up, b"POST /cart HTTP/1.1\r\nHost: shop\r\nVia: 1.1 byrnie\r\nContent-Length: 5\r\n\r\nbread");
//!
//! // What the server behind it answered.
//! let mut input = &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"[..];
//! while let Some(event) = client.receive(&mut input, &mut Space::new())? {
//!     match event {
//!         client::Event::Informational(interim) => {
//!             let head = server.inform(&mut down, interim.status())?;
//!             head.forward(interim.end_to_end(), |_, _| true).end(Body::None)?;
//!         }
//!         client::Event::Response(response) => {
//!             let head = server.respond(&mut down, response.status(), response.reason())?;
//!             head.forward(response.end_to_end(), |_, _| true).end((&response).into())?;
//!         }
//!         client::Event::Data(data) => assert_eq!(server.send(&mut down, data)?, data.len()),
//!         client::Event::Trailers(trailers) => server.finish(&mut down, trailers.iter())?,
//!         client::Event::End => server.finish(&mut down, [])?,
//!     }
//! }
//! assert_eq!(down, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
//! assert!(server.is_idle() && client.can_reuse());
//! # Ok(())
//! # }
//! ```
//!
//! # What a caller does besides
//! - Where `send` takes less than all, its output buffer is full ([`Limits::buffered_output`]): do not read on before it
//!   was sent, and offer the rest then.
//! - When the peer closes its side, call `end_of_input`: it tells a clean end from a message cut off.
//! - When `must_close` says so, send what is left and close. An [`Error`] is the peer's fault, a [`Misuse`] the caller's;
//!   after either nothing more is read or sent, but for the answer to a refused request ([`Server::may_respond`]).
//! - After 101, or 2xx to CONNECT, data is that of a tunnel; `finish` and `end_of_input` end a direction each.
//! - A connection in any state may be dropped.
//!
//! # Where it is strict
//! Recipients that read a message differently can be played off against each other (RFC 9112 section 11). What the RFC
//! lets a recipient mend is refused here, each with its own [`Error`]: lines that do not end with CR LF, folded fields,
//! white space around names, repeated or odd lengths, transfer codings other than one `chunked`, and so on. What a peer
//! can make grow has a bound in [`Limits`].
//!
//! A proxy's own side of Connection is done here (RFC 9110 section 7.6.1): hop-by-hop fields, and those that Connection
//! names, are not among [`Request::end_to_end`]. A name that is meant for every recipient (Host, Authorization, Cookie,
//! Cache-Control, Content-…, X-Forwarded-… and the like) is passed over, so that no peer takes one of them away.

mod body;
mod characters;
pub mod client;
mod error;
mod exchange;
mod head;
mod limits;
mod misuse;
pub mod server;
mod write;

pub use body::Trailers;
pub use client::Client;
pub use error::Error;
pub use head::{BodyLength, FieldIter, Request, Response, Space, TargetForm, Version};
pub use limits::Limits;
pub use misuse::Misuse;
pub use server::Server;
pub use write::{Body, HeadWriter};
