//! What a peer did wrong, one variant for each rule.

/// A breach of HTTP/1 by the peer, or a limit that it passed. The connection cannot be used any further: a server may
/// still answer with [`Error::status`], then close; a client closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More empty lines in front of a request line than allowed.
    #[error("more than {limit} empty lines in front of a request")]
    LeadingEmptyLines {
        /// `Limits::leading_empty_lines`.
        limit: u32,
    },
    /// LF without CR in front of it.
    #[error("a line ends with LF alone: only CR LF is accepted")]
    BareLf,
    /// CR without LF behind it.
    #[error("a CR without LF: only CR LF is accepted")]
    BareCr,
    /// Not `method SP target SP version`.
    #[error("the request line is malformed: method, target and version, one space between them, are accepted")]
    RequestLine,
    /// Several spaces, or another white space, in the request line.
    #[error("the request line has more white space than the two spaces that are accepted")]
    RequestLineSpace,
    /// The method is not a token.
    #[error("byte {byte:#04x} in the method: only token characters are accepted")]
    Method {
        /// The byte that was found.
        byte: u8,
    },
    /// A target longer than allowed.
    #[error("the request target has more than {limit} bytes")]
    TargetTooLong {
        /// `Limits::target`, or `Limits::head_bytes` when no end of the line was in sight.
        limit: u32,
    },
    /// A byte that no target may hold: only 0x21 to 0x7e without `#`.
    #[error("byte {byte:#04x} in the request target: 0x21 to 0x7e without '#' are accepted")]
    TargetByte {
        /// The byte that was found.
        byte: u8,
    },
    /// A target of none of the four forms.
    #[error("the request target has none of the forms '/path', 'scheme://authority/path', 'host:port' and '*'")]
    TargetForm,
    /// `*` with another method than OPTIONS.
    #[error("the request target '*' is accepted with OPTIONS only")]
    AsteriskTarget,
    /// CONNECT with something else than `host:port`.
    #[error("the target of CONNECT is not host:port")]
    ConnectTarget,
    /// `user@` in the authority of a target or in Host.
    #[error("user information in the authority: only host and port are accepted")]
    Userinfo,
    /// The authority of a target in absolute form is not `host[:port]`.
    #[error("the authority of the request target is not host[:port]")]
    TargetAuthority,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    #[error("the version is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// Not `version SP status SP reason`.
    #[error("the status line is malformed: version, status of three digits, reason are accepted")]
    StatusLine,
    /// A status below 100.
    #[error("status {status:03}: 100 to 999 are accepted")]
    Status {
        /// The status that was found.
        status: u16,
    },
    /// A head longer than allowed.
    #[error("the head has more than {limit} bytes")]
    HeadTooLong {
        /// `Limits::head_bytes`.
        limit: u32,
    },
    /// More field lines in a head than allowed.
    #[error("the head has more than {limit} fields")]
    TooManyFields {
        /// `Limits::fields`.
        limit: u32,
    },
    /// A field name longer than allowed.
    #[error("a field name has more than {limit} bytes")]
    NameTooLong {
        /// `Limits::name`.
        limit: u32,
    },
    /// A field value longer than allowed.
    #[error("a field value has more than {limit} bytes")]
    ValueTooLong {
        /// `Limits::value`.
        limit: u32,
    },
    /// A field line without a name.
    #[error("a field name is empty")]
    EmptyName,
    /// A byte that no field name may hold.
    #[error("byte {byte:#04x} in a field name: only token characters are accepted")]
    NameByte {
        /// The byte that was found.
        byte: u8,
    },
    /// A line of the field section without a colon.
    #[error("a field line has no colon")]
    NoColon,
    /// White space between a field name and its colon.
    #[error("white space between a field name and its colon")]
    SpaceBeforeColon,
    /// White space in front of the first field line.
    #[error("white space in front of the first field")]
    SpaceBeforeFirstField,
    /// A field value that goes on in the next line.
    #[error("a folded field line: a value in one line is accepted")]
    Folding,
    /// NUL or another control character in a field value or a reason phrase.
    #[error("byte {byte:#04x} in a field value: control characters other than tab are not accepted")]
    ValueByte {
        /// The byte that was found.
        byte: u8,
    },
    /// No Host in HTTP/1.1.
    #[error("no Host field: HTTP/1.1 requires one")]
    HostMissing,
    /// More than one Host.
    #[error("more than one Host field")]
    HostRepeated,
    /// Host is not `host[:port]`.
    #[error("the Host field is not host[:port]")]
    HostInvalid,
    /// More than one Content-Length, in several fields or as a list; equal ones too.
    #[error("more than one Content-Length")]
    ContentLengthRepeated,
    /// Content-Length is not a number of 1 to 18 digits.
    #[error("the Content-Length is not a number of 1 to 18 digits")]
    ContentLengthInvalid,
    /// Content-Length together with Transfer-Encoding.
    #[error("both Content-Length and Transfer-Encoding")]
    LengthAndTransferEncoding,
    /// More than one transfer coding of `chunked`.
    #[error("more than one Transfer-Encoding: exactly one 'chunked' is accepted")]
    TransferEncodingRepeated,
    /// Transfer-Encoding holds no coding, or `chunked` with something odd around it.
    #[error("the Transfer-Encoding is malformed: exactly one 'chunked' is accepted")]
    TransferEncodingInvalid,
    /// Another transfer coding than `chunked`.
    #[error("a transfer coding other than 'chunked'")]
    TransferEncodingUnknown,
    /// Transfer-Encoding in HTTP/1.0.
    #[error("Transfer-Encoding in an HTTP/1.0 message")]
    TransferEncodingVersion,
    /// Transfer-Encoding in a 1xx or 204 response.
    #[error("Transfer-Encoding in a response with status {status}")]
    TransferEncodingStatus {
        /// The status of the response.
        status: u16,
    },
    /// CONNECT with a body.
    #[error("a CONNECT request with a body")]
    ConnectBody,
    /// More connection options than allowed.
    #[error("more than {limit} connection options")]
    TooManyConnectionOptions {
        /// `Limits::connection_options`.
        limit: u32,
    },
    /// A chunk size that does not begin with a hexadecimal digit, or goes on with something else.
    #[error("byte {byte:#04x} in a chunk size: hexadecimal digits, then ';' or CR LF are accepted")]
    ChunkSize {
        /// The byte that was found.
        byte: u8,
    },
    /// A chunk size of more than 16 digits.
    #[error("a chunk size of more than 16 digits")]
    ChunkSizeTooLong,
    /// The line of a chunk size does not end with CR LF.
    #[error("the line of a chunk size does not end with CR LF")]
    ChunkLineEnd,
    /// A byte that does not belong where it is in a chunk extension.
    #[error("byte {byte:#04x} in a chunk extension: ';name', ';name=token' and ';name=\"text\"' are accepted")]
    ChunkExtensionByte {
        /// The byte that was found.
        byte: u8,
    },
    /// More bytes of chunk extensions than allowed.
    #[error("more than {limit} bytes of chunk extensions in a body")]
    ChunkExtensionsTooLong {
        /// `Limits::chunk_extension_bytes`.
        limit: u32,
    },
    /// The data of a chunk is not followed by CR LF.
    #[error("byte {byte:#04x} behind the data of a chunk: CR LF is accepted")]
    ChunkDataEnd {
        /// The byte that was found.
        byte: u8,
    },
    /// A trailer section longer than allowed.
    #[error("the trailer section has more than {limit} bytes")]
    TrailersTooLong {
        /// `Limits::trailer_bytes`.
        limit: u32,
    },
    /// More trailer fields than allowed.
    #[error("more than {limit} trailer fields")]
    TooManyTrailers {
        /// `Limits::trailers`.
        limit: u32,
    },
    /// A trailer field that carries framing, routing, credentials or a matter of the connection.
    #[error("a trailer field that is accepted in a head only")]
    ForbiddenTrailer,
    /// Bytes from a server that owes no response.
    #[error("a response without a request")]
    Unsolicited,
    /// More interim responses to one request than allowed.
    #[error("more than {limit} interim responses to one request")]
    TooManyInterimResponses {
        /// `Limits::interim_responses`.
        limit: u32,
    },
    /// 101 to a request that offered no upgrade, or before that request was sent as a whole.
    #[error("status 101 to a request that offered no upgrade or is not complete")]
    UnaskedUpgrade,
    /// 101 without an Upgrade field and the connection option for it.
    #[error("status 101 that does not say in an Upgrade field which protocol it switches to")]
    UnnamedUpgrade,
    /// The peer closed its side in the middle of a head or of a body.
    #[error("the peer closed the connection in the middle of a message")]
    Truncated,
    /// The server closed the connection before the first byte of its response: the request may be safe to repeat
    /// (RFC 9110 section 9.2.2).
    #[error("the peer closed the connection before the first byte of its response")]
    NoResponse,
}

impl Error {
    /// The status that a server answers with before it closes, or none where an answer has no reader or no sense.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unsolicited
            | Self::TooManyInterimResponses { .. }
            | Self::UnaskedUpgrade
            | Self::UnnamedUpgrade
            | Self::Truncated
            | Self::NoResponse
            | Self::StatusLine
            | Self::Status { .. }
            | Self::TransferEncodingStatus { .. } => None,
            Self::TargetTooLong { .. } => Some(414),
            Self::HeadTooLong { .. }
            | Self::TooManyFields { .. }
            | Self::NameTooLong { .. }
            | Self::ValueTooLong { .. }
            | Self::TooManyConnectionOptions { .. }
            | Self::TrailersTooLong { .. }
            | Self::TooManyTrailers { .. } => Some(431),
            Self::TransferEncodingUnknown => Some(501),
            Self::Version => Some(505),
            _ => Some(400),
        }
    }

    /// The rule that was broken.
    pub fn section(&self) -> &'static str {
        match self {
            Self::LeadingEmptyLines { .. } | Self::BareLf | Self::BareCr | Self::SpaceBeforeFirstField => {
                "RFC 9112 section 2.2"
            }
            Self::Version => "RFC 9112 section 2.3",
            Self::RequestLine | Self::RequestLineSpace | Self::TargetTooLong { .. } => "RFC 9112 section 3",
            Self::Method { .. } => "RFC 9112 section 3.1",
            Self::TargetByte { .. } | Self::TargetForm | Self::HostMissing | Self::HostRepeated | Self::HostInvalid => {
                "RFC 9112 section 3.2"
            }
            Self::TargetAuthority => "RFC 9112 section 3.2.2",
            Self::ConnectTarget => "RFC 9112 section 3.2.3",
            Self::AsteriskTarget => "RFC 9112 section 3.2.4",
            Self::StatusLine | Self::Status { .. } => "RFC 9112 section 4",
            Self::NoColon => "RFC 9112 section 5",
            Self::SpaceBeforeColon | Self::EmptyName | Self::NameByte { .. } => "RFC 9112 section 5.1",
            Self::Folding => "RFC 9112 section 5.2",
            Self::TransferEncodingUnknown
            | Self::TransferEncodingRepeated
            | Self::TransferEncodingInvalid
            | Self::TransferEncodingVersion
            | Self::TransferEncodingStatus { .. } => "RFC 9112 section 6.1",
            Self::ContentLengthRepeated | Self::ContentLengthInvalid | Self::LengthAndTransferEncoding => {
                "RFC 9112 section 6.3"
            }
            Self::ChunkSize { .. } | Self::ChunkSizeTooLong | Self::ChunkLineEnd | Self::ChunkDataEnd { .. } => {
                "RFC 9112 section 7.1"
            }
            Self::ChunkExtensionByte { .. } | Self::ChunkExtensionsTooLong { .. } => "RFC 9112 section 7.1.1",
            Self::TrailersTooLong { .. } | Self::TooManyTrailers { .. } => "RFC 9112 section 7.1.2",
            Self::Truncated => "RFC 9112 section 8",
            Self::Unsolicited => "RFC 9112 section 9.2",
            Self::NoResponse => "RFC 9112 section 9.3.1",
            Self::Userinfo => "RFC 9110 section 4.2.4",
            Self::HeadTooLong { .. }
            | Self::TooManyFields { .. }
            | Self::NameTooLong { .. }
            | Self::ValueTooLong { .. } => "RFC 9110 section 5.4",
            Self::ValueByte { .. } => "RFC 9110 section 5.5",
            Self::ForbiddenTrailer => "RFC 9110 section 6.5.1",
            Self::TooManyConnectionOptions { .. } => "RFC 9110 section 7.6.1",
            Self::UnaskedUpgrade | Self::UnnamedUpgrade => "RFC 9110 section 7.8",
            Self::ConnectBody => "RFC 9110 section 9.3.6",
            Self::TooManyInterimResponses { .. } => "RFC 9110 section 15.2",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_answered_with_the_status_of_its_kind() {
        assert_eq!(Error::BareLf.status(), Some(400));
        assert_eq!(Error::HostMissing.status(), Some(400));
        assert_eq!(Error::TargetTooLong { limit: 1 }.status(), Some(414));
        assert_eq!(Error::HeadTooLong { limit: 1 }.status(), Some(431));
        assert_eq!(Error::TooManyFields { limit: 1 }.status(), Some(431));
        assert_eq!(Error::TransferEncodingUnknown.status(), Some(501));
        assert_eq!(Error::Version.status(), Some(505));
        assert_eq!(Error::Truncated.status(), None);
    }

    #[test]
    fn a_message_holds_what_was_found_and_what_is_accepted() {
        let text = Error::TargetByte { byte: 0x23 }.to_string();
        assert_eq!(text, "byte 0x23 in the request target: 0x21 to 0x7e without '#' are accepted");
        assert_eq!(Error::Status { status: 7 }.to_string(), "status 007: 100 to 999 are accepted");
        assert_eq!(Error::ChunkSize { byte: 0 }.section(), "RFC 9112 section 7.1");
    }
}
