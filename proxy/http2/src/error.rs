//! What a peer can do wrong, by rule, and the error codes of RFC 9113 section 7.

use std::fmt;

/// An error code (RFC 9113 section 7). Codes that are not known stay as they came.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// Nothing went wrong: the stream or the connection just ends.
    pub const NO_ERROR: Self = Self(0x0);
    /// A rule was broken that has no code of its own.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// The sender of the code failed.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// More DATA than the window allowed.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    /// A frame for a stream that its sender had closed.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// A frame of a wrong size.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// The stream was not processed; it may be tried again.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// The stream is not wanted any more.
    pub const CANCEL: Self = Self(0x8);
    /// The state of header compression cannot be kept.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// The connection behind a CONNECT broke.
    pub const CONNECT_ERROR: Self = Self(0xa);
    /// The peer makes too much work.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    /// TLS is not as it must be.
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    /// HTTP/1.1 is wanted instead.
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);

    /// The name in the registry, if it has one.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        NAMES.get(self.0 as usize).copied()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {:#x}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Ends the connection (RFC 9113 section 5.4.1). The GOAWAY that says so is in the output already: write what is there,
/// then close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{violation} ({}, {})", violation.code(), violation.section())]
pub struct ConnectionError {
    /// The rule that was broken.
    pub violation: Violation,
}

impl ConnectionError {
    /// The code that the peer is told.
    pub fn code(&self) -> ErrorCode {
        self.violation.code()
    }
}

/// A rule that the peer broke. Whether a stream or the connection ends is said where it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The client's first bytes are not the preface.
    #[error("the connection does not begin with the preface of HTTP/2")]
    Preface,
    /// The first frame is another one than SETTINGS.
    #[error("the first frame is not SETTINGS but of type {0:#x}")]
    FirstFrame(u8),
    /// Longer than SETTINGS_MAX_FRAME_SIZE.
    #[error("a frame of {length} octets, at most {max} are accepted")]
    FrameTooLarge {
        /// Octets of payload that the frame announces.
        length: u32,
        /// Octets that we announced.
        max: u32,
    },
    /// A frame type with a fixed size came with another one.
    #[error("a {frame} frame of {length} octets")]
    FrameSize {
        /// Name of the type.
        frame: &'static str,
        /// Octets of its payload.
        length: u32,
    },
    /// The frame belongs on a stream, or on the connection, and came on the other.
    #[error("a {frame} frame on stream {stream}")]
    WrongStream {
        /// Name of the type.
        frame: &'static str,
        /// Its stream identifier.
        stream: u32,
    },
    /// The padding fills more than the frame.
    #[error("padding that is longer than its frame")]
    Padding,
    /// Another frame inside a header block.
    #[error("a header block was interrupted by another frame")]
    BlockInterrupted,
    /// CONTINUATION without a header block.
    #[error("CONTINUATION without a header block to continue")]
    StrayContinuation,
    /// A frame on a stream that was never opened.
    #[error("a {frame} frame on the idle stream {stream}")]
    IdleStream {
        /// Name of the type.
        frame: &'static str,
        /// Its stream identifier.
        stream: u32,
    },
    /// A new stream whose identifier is even, or a stream opened by a server.
    #[error("stream {0} cannot be opened by this peer")]
    StreamIdentifier(u32),
    /// The peer sends on a stream after its END_STREAM or RST_STREAM.
    #[error("a {0} frame on a stream that its sender had closed")]
    StreamClosed(&'static str),
    /// More streams at once than we announced.
    #[error("more than {0} streams at once")]
    TooManyStreams(u32),
    /// Header compression is out of step.
    #[error("{0}")]
    Compression(crate::hpack::DecodeError),
    /// A setting with a value that it cannot have.
    #[error("setting {id:#x} has the value {value}")]
    Setting {
        /// Its identifier.
        id: u16,
        /// What came.
        value: u32,
    },
    /// An acknowledgement of settings that were not sent.
    #[error("an acknowledgement of SETTINGS that were not sent")]
    StraySettingsAck,
    /// PUSH_PROMISE, which nobody allowed.
    #[error("PUSH_PROMISE, which is disabled")]
    Push,
    /// More DATA than the stream's or the connection's window.
    #[error("DATA beyond the {0} window")]
    Window(Scope),
    /// A window that was opened beyond 2^31-1.
    #[error("the {0} window was opened beyond 2^31-1")]
    WindowOverflow(Scope),
    /// WINDOW_UPDATE by nothing.
    #[error("WINDOW_UPDATE by 0")]
    WindowIncrement,
    /// A stream that depends on itself (RFC 7540 section 5.3.1).
    #[error("stream {0} depends on itself")]
    SelfDependency(u32),
    /// GOAWAY that takes back an earlier one.
    #[error("GOAWAY raises the last stream from {before} to {now}")]
    GoAwayRaised {
        /// What an earlier GOAWAY said.
        before: u32,
        /// What this one says.
        now: u32,
    },
    /// The head or the trailers are malformed (section 8.1.1).
    #[error("{0}")]
    Malformed(Malformed),
    /// A limit of ours was reached that protects us.
    #[error("{0}")]
    Flood(Flood),
}

/// Which of the two windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// That of one stream.
    Stream,
    /// That of the connection.
    Connection,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream's",
            Self::Connection => "connection's",
        })
    }
}

/// Why a message is malformed (RFC 9113 section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Section 8.2.1.
    #[error("a field name with an upper-case letter or another character that is not allowed")]
    FieldName,
    /// Section 8.2.1.
    #[error("a field value with a control character, or with white space around it")]
    FieldValue,
    /// Section 8.2.2.
    #[error("a field that belongs to a connection of HTTP/1.1")]
    ConnectionField,
    /// Section 8.3.
    #[error("a pseudo-header field after a regular one")]
    PseudoAfterField,
    /// Section 8.3.
    #[error("a pseudo-header field that is not defined here")]
    PseudoUnknown,
    /// Section 8.3.
    #[error("a pseudo-header field twice")]
    PseudoRepeated,
    /// Section 8.3.1.
    #[error("a request without {0}")]
    PseudoMissing(&'static str),
    /// Section 8.3.1.
    #[error("a value that {0} cannot have")]
    PseudoValue(&'static str),
    /// Section 8.3.1.
    #[error("Host and :authority differ, or Host is there twice")]
    Host,
    /// Section 8.5 and RFC 8441 section 4.
    #[error("a CONNECT request with pseudo-header fields that it cannot have")]
    Connect,
    /// Section 8.1.1.
    #[error("a Content-Length that is no number, or is there twice")]
    ContentLength,
    /// Section 8.1.1.
    #[error("a body that is not as long as its Content-Length")]
    BodyLength,
    /// Section 8.1.
    #[error("trailers that do not end the stream")]
    TrailersWithoutEnd,
    /// Section 8.1.
    #[error("an interim response that ends the stream")]
    InterimEnd,
    /// Section 8.1.
    #[error("DATA before the head")]
    DataBeforeHead,
}

/// A limit of [`Limits`](crate::Limits) that the peer ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flood {
    /// `resets`: rapid reset (CVE-2023-44487), or frames that make us reset (CVE-2025-8671).
    #[error("too many streams were reset")]
    Resets,
    /// `pings`: CVE-2019-9512.
    #[error("too many PING frames")]
    Pings,
    /// `settings`: CVE-2019-9515.
    #[error("too many SETTINGS frames")]
    Settings,
    /// `empty_frames`: CVE-2019-9518.
    #[error("too many frames without content")]
    EmptyFrames,
    /// `window_updates`: CVE-2019-9511, CVE-2019-9517.
    #[error("too many WINDOW_UPDATE frames for the DATA that was sent")]
    WindowUpdates,
    /// `ignored_frames`: PRIORITY (CVE-2019-9513), unknown frames, frames that come too late.
    #[error("too many frames that are ignored")]
    IgnoredFrames,
    /// `block_bytes`, `continuations`: CVE-2024-27316.
    #[error("a header block of too many octets or CONTINUATION frames")]
    HeaderBlock,
    /// `interim_responses`.
    #[error("too many interim responses")]
    InterimResponses,
    /// `fields`: the head is larger than SETTINGS_MAX_HEADER_LIST_SIZE or has too many fields.
    #[error("a head beyond the limits: {0:?}")]
    Fields(crate::hpack::Exceeded),
    /// `buffered_output`: the peer asks and does not read.
    #[error("the peer does not read its answers")]
    Output,
}

impl Violation {
    /// The code of RFC 9113 section 7 that fits.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::FrameTooLarge { .. } | Self::FrameSize { .. } => ErrorCode::FRAME_SIZE_ERROR,
            Self::StreamClosed(_) => ErrorCode::STREAM_CLOSED,
            Self::TooManyStreams(_) => ErrorCode::REFUSED_STREAM,
            Self::Compression(_) => ErrorCode::COMPRESSION_ERROR,
            Self::Setting { id: crate::frame::INITIAL_WINDOW_SIZE, .. } => ErrorCode::FLOW_CONTROL_ERROR,
            Self::Window(_) | Self::WindowOverflow(_) => ErrorCode::FLOW_CONTROL_ERROR,
            Self::Flood(_) => ErrorCode::ENHANCE_YOUR_CALM,
            _ => ErrorCode::PROTOCOL_ERROR,
        }
    }

    /// Where the rule stands.
    pub fn section(self) -> &'static str {
        match self {
            Self::Preface | Self::FirstFrame(_) => "RFC 9113 section 3.4",
            Self::FrameTooLarge { .. } => "RFC 9113 section 4.2",
            Self::FrameSize { .. } | Self::WrongStream { .. } | Self::Padding => "RFC 9113 section 6",
            Self::BlockInterrupted => "RFC 9113 section 4.3",
            Self::StrayContinuation => "RFC 9113 section 6.10",
            Self::IdleStream { .. } | Self::StreamClosed(_) => "RFC 9113 section 5.1",
            Self::StreamIdentifier(_) => "RFC 9113 section 5.1.1",
            Self::TooManyStreams(_) => "RFC 9113 section 5.1.2",
            Self::Compression(_) => "RFC 9113 section 4.3",
            Self::Setting { .. } => "RFC 9113 section 6.5.2",
            Self::StraySettingsAck => "RFC 9113 section 6.5.3",
            Self::Push => "RFC 9113 section 6.6",
            Self::Window(_) | Self::WindowOverflow(_) => "RFC 9113 section 6.9.1",
            Self::WindowIncrement => "RFC 9113 section 6.9",
            Self::SelfDependency(_) => "RFC 7540 section 5.3.1",
            Self::GoAwayRaised { .. } => "RFC 9113 section 6.8",
            Self::Malformed(_) => "RFC 9113 section 8",
            Self::Flood(_) => "RFC 9113 section 10.5",
        }
    }
}

/// A command that does not fit the state of its stream or connection. Nothing was changed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The stream of this key has ended, by the peer or by us.
    #[error("the stream has ended")]
    Gone,
    /// Not at this point of the message: a second final head, a body before the head, anything after the end.
    #[error("not at this point of the message")]
    OutOfOrder,
    /// As many streams are open as the peer allows. Try again when one has ended.
    #[error("the peer allows {0} streams at once")]
    StreamLimit(u32),
    /// No stream can be opened any more: GOAWAY, a failed connection, or no identifier left. Take another connection.
    #[error("no stream can be opened on this connection any more")]
    Closing,
    /// The output holds as much as it may. Write it; [`next_writable`](crate::Connection::next_writable) then names a
    /// stream that is open, and [`can_open`](crate::Connection::can_open) tells for a new one.
    #[error("the output is full")]
    OutputFull,
    /// A field that no message may carry; the name or the value is at fault.
    #[error("a field name or value that no message may carry")]
    Field,
    /// The peer does not take a head this large (SETTINGS_MAX_HEADER_LIST_SIZE).
    #[error("a head of {size} octets, the peer takes {max}")]
    HeadTooLarge {
        /// Size by RFC 9113 section 6.5.2: names, values and 32 for each field.
        size: u32,
        /// What the peer announced.
        max: u32,
    },
    /// Extended CONNECT, and the peer has not enabled it (RFC 8441 section 3).
    #[error("the peer has not enabled extended CONNECT")]
    ExtendedConnect,
    /// A status that is not from 200 to 999, or for an interim response not from 100 to 199; 101 is not in HTTP/2.
    #[error("status {0} does not fit here")]
    Status(u16),
    /// Only a client opens streams, only a server responds.
    #[error("not in this role")]
    Role,
}
