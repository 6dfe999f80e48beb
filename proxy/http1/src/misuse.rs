//! What the caller did wrong.

/// A command that does not fit the state of the exchange. Nothing of it was written. Unless it says otherwise the
/// connection must be closed: the peer could not tell where the message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// A response, or a part of one, where no request waits for it.
    #[error("no request waits for a response")]
    NoRequest,
    /// A second response to one request.
    #[error("the request has its response")]
    AlreadyResponded,
    /// A request while another is under way.
    #[error("the exchange before is not complete")]
    Busy,
    /// A command on a connection that failed or has ended.
    #[error("the connection takes no further exchange")]
    Closed,
    /// A body without a head.
    #[error("the head is not written yet")]
    NoHead,
    /// More body bytes than the Content-Length said, or a body where none is allowed.
    #[error("{surplus} bytes more than the length in the head")]
    TooMuch {
        /// Bytes beyond the length.
        surplus: u64,
    },
    /// The end of a body before its Content-Length.
    #[error("{missing} bytes less than the length in the head")]
    TooLittle {
        /// Bytes that are missing.
        missing: u64,
    },
    /// A status that this command does not write. The connection is not harmed.
    #[error("status {status} is not accepted here")]
    Status {
        /// The status that was asked for.
        status: u16,
    },
    /// A method, target, reason, name or value that would not be read as it was meant. The connection is not harmed.
    #[error("invalid {what}")]
    Invalid {
        /// What it is a part of.
        what: &'static str,
    },
    /// A request without exactly one Host. The connection is not harmed.
    #[error("{found} Host fields: a request has one")]
    Host {
        /// Host fields that were written.
        found: u8,
    },
    /// A switch of protocols that the request does not offer, that has no name, or before the request was read as a
    /// whole. The connection is not harmed.
    #[error("no upgrade that both sides asked for, or the request is not read to its end")]
    Upgrade,
    /// A body with CONNECT or with a response that opens a tunnel. The connection is not harmed.
    #[error("CONNECT and its tunnel have no body")]
    ConnectBody,
}
