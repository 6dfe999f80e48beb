//! What a connection tells its caller.

use crate::error::{ErrorCode, Violation};
use crate::head::{Request, Response};
use crate::hpack::Fields;
use crate::stream::Key;

/// One thing that the peer did. Heads borrow from the caller's [`Fields`], bodies from its read buffer, nothing from
/// the connection: commands may be given while an event is held.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'f, 'b> {
    /// A client opened a stream.
    Request {
        /// The new stream.
        stream: Key,
        /// Its head.
        head: Request<'f>,
        /// No body and no trailers follow.
        end: bool,
    },
    /// The final head of a response.
    Response {
        /// The stream of its request.
        stream: Key,
        /// Its head.
        head: Response<'f>,
        /// No body and no trailers follow.
        end: bool,
    },
    /// An interim (1xx) response; another head follows.
    Interim {
        /// The stream of its request.
        stream: Key,
        /// Its head.
        head: Response<'f>,
    },
    /// A piece of a body, as much of it as was at hand. Give its length back with
    /// [`release`](crate::Connection::release) when it is passed on; until then it binds the peer's window.
    Data {
        /// Its stream.
        stream: Key,
        /// The piece; empty only if `end`.
        bytes: &'b [u8],
        /// The message is complete.
        end: bool,
    },
    /// Trailers, which complete the message.
    Trailers {
        /// Their stream.
        stream: Key,
        /// The fields, none of them a pseudo-header field.
        fields: &'f Fields,
    },
    /// The stream ended before its time. Its key is stale already, and what was held of its body is given back; but a
    /// response that was received whole stays good (RFC 9113 section 8.1), and is to be released as ever.
    Reset {
        /// The stream that was.
        stream: Key,
        /// Why, in the protocol's words.
        code: ErrorCode,
        /// Who ended it.
        cause: Cause,
    },
    /// The peer takes no new streams (RFC 9113 section 6.8). Streams above `last` follow as [`Reset`](Self::Reset) with
    /// [`Cause::GoAway`].
    GoAway {
        /// The highest stream that the peer may have worked on; 2^31-1 announces that another GOAWAY will follow.
        last: u32,
        /// Why.
        code: ErrorCode,
        /// What the peer says of it, for a log. Any octets.
        debug: &'b [u8],
    },
    /// The answer to [`ping`](crate::Connection::ping).
    Pong([u8; 8]),
    /// The peer announced SETTINGS, in effect now: the limit of streams may be another one.
    Settings,
}

/// Who ended a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The peer, by RST_STREAM.
    Peer,
    /// The peer, by GOAWAY: the stream was not processed and may be tried elsewhere, whatever its method (RFC 9113
    /// section 8.7).
    GoAway,
    /// We, since the peer broke a rule that ends the stream only (section 5.4.2).
    Violation(Violation),
}

impl Cause {
    /// Whether the request was not processed, by the peer's word, so that even a POST may be sent again (section 8.7).
    /// A peer that has sent a part of the response contradicts itself: then do not.
    pub fn is_unprocessed(self, code: ErrorCode) -> bool {
        match self {
            Self::GoAway => true,
            Self::Peer => code == ErrorCode::REFUSED_STREAM,
            Self::Violation(_) => false,
        }
    }
}
