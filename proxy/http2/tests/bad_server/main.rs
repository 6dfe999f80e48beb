//! The client's role against a server that breaks the rules: what h2spec does to a server, mirrored, and what only a
//! client can be sent. No sockets: [`script`] feeds frames to a connection in memory, whole and octet by octet, and
//! writes down what came of it in the words that [`script::cases`] explains.
//!
//! The cases stand by the sections of RFC 9113 ([`starting`], [`framing`], [`streams`], [`definitions`], [`messages`],
//! [`limits`] for section 10.5) and RFC 7541 ([`compression`]). h2spec accepts a connection that just ends for nearly
//! every error; here the code of each GOAWAY and RST_STREAM is part of the case.
//!
//! These cases of h2spec 2.2.1 have no mirror:
//! - `http2/5.1.1` "numerically smaller than previous": a server opens no streams, and a client's identifiers are its
//!   own choice. Streams that the client never opened stand in for it.
//! - `http2/5.1.2` "advertised concurrent stream limit": a client that takes no PUSH_PROMISE has no stream that a
//!   server could open. Mirrored is that a client keeps to the server's limit.
//! - `http2/8.1.2.3`, the pseudo-header fields of a request: a response has `:status` alone, which is left out, empty,
//!   twice and malformed instead.
//! - `generic/4`, requests by their method: the mirrors are responses to them.
//!
//! Where h2spec and RFC 9113 differ, the case follows RFC 9113 and says so: frames on a closed stream (section 5.1),
//! which RFC 7540 made errors of the connection in more cases, and priority (RFC 7540 section 5.3.1).

mod compression;
mod definitions;
mod frames;
mod framing;
mod limits;
mod messages;
mod script;
mod starting;
mod streams;
