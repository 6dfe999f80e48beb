//! What a connection grants its peer: windows, settings, and a limit for all that a peer can make grow.

use crate::frame;
use crate::hpack::FieldLimits;

/// How a connection is set up. The defaults suit a proxy between servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How much a peer may send ahead.
    pub windows: Windows,
    /// What a peer may make grow.
    pub limits: Limits,
    /// SETTINGS_HEADER_TABLE_SIZE (RFC 7541 section 4.2), octets, at most 65,536: what a peer that compresses may make
    /// the connection keep. Default: 4,096, the protocol's.
    pub header_table_size: u32,
    /// Whether heads are written in the Huffman code of RFC 7541 section 5.2: a quarter fewer octets for four times
    /// the work. Default: false; between servers the work costs more than the octets.
    pub huffman: bool,
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441): a server takes extended CONNECT. Default: true.
    pub extended_connect: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            windows: Windows::default(),
            limits: Limits::default(),
            header_table_size: 4_096,
            huffman: false,
            extended_connect: true,
        }
    }
}

/// The window policy (RFC 9113 section 5.2): each window is a bound on the memory that a slow reader behind this
/// connection can bind. What the caller releases is given back to the peer once it is half of the window, so that there
/// is one WINDOW_UPDATE for many DATA frames and the peer never waits with half a window free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// SETTINGS_INITIAL_WINDOW_SIZE, octets, at most 2^31-1. Default: 256 KiB.
    pub stream: u32,
    /// The window of the connection, octets, at least 65,535 (section 6.9.2). Default: 1 MiB.
    pub connection: u32,
}

impl Default for Windows {
    fn default() -> Self {
        Self { stream: 256 << 10, connection: 1 << 20 }
    }
}

/// A limit for all that a peer can make grow.
///
/// Limits "a second" are budgets: each such frame takes one, useful work gives one back (said at each), and
/// [`tick`](crate::Connection::tick), called once a second, fills them. A peer that empties one is told
/// ENHANCE_YOUR_CALM, and the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The fields of one head or one set of trailers; their size is announced as SETTINGS_MAX_HEADER_LIST_SIZE. A
    /// request beyond it is answered with 431, another message resets its stream (RFC 9113 section 10.5.1; HPACK
    /// bomb, CVE-2016-6581). Default: [`FieldLimits::default`].
    pub fields: FieldLimits,
    /// Octets of one compressed header block (CVE-2024-27316). Default: 64 KiB.
    pub block_bytes: u32,
    /// CONTINUATION frames of one header block (CVE-2024-27316). Default: 16.
    pub continuations: u16,
    /// Streams that the peer may have open at once, SETTINGS_MAX_CONCURRENT_STREAMS (section 5.1.2). One more is
    /// refused, which the peer may safely try again. Default: 256.
    pub concurrent_streams: u32,
    /// Streams a second that the peer opens and resets before they are answered (rapid reset, CVE-2023-44487), or
    /// makes us reset or refuse by what it sends (CVE-2025-8671). A stream that ends well gives one back. Default:
    /// 1,000, since a deadline may end all streams of an honest peer at once.
    pub resets: u32,
    /// PING frames a second (CVE-2019-9512). A DATA frame in either direction, a stream that ends well, and one that is
    /// reset each give one back, since peers measure the path when there is traffic. Default: 200.
    pub pings: u32,
    /// SETTINGS and GOAWAY frames a second (CVE-2019-9515). Default: 100.
    pub settings: u32,
    /// DATA frames a second without content that end no message (CVE-2019-9518). A stream that ends, well or by a reset,
    /// gives two back. Default: 200.
    pub empty_frames: u32,
    /// WINDOW_UPDATE frames a second beyond those that answer our DATA (CVE-2019-9511, CVE-2019-9517): each DATA frame
    /// that we send gives ten back, unless a window cut it short to less than 256 octets. Default: 1,000.
    pub window_updates: u32,
    /// Frames of no effect a second: PRIORITY (CVE-2019-9513), unknown types, and what comes too late or answers
    /// nothing. A stream that ends, well or by a reset, gives four back. Default: 1,000.
    pub ignored_frames: u32,
    /// Interim (1xx) responses to one request. Default: 16.
    pub interim_responses: u16,
    /// Octets of output that wait for the peer to read them. At this mark DATA has to wait, at twice as much heads
    /// ([`Refused::OutputFull`](crate::Refused::OutputFull)). Besides, a quarter as much, and at least 128 octets, may
    /// wait that answers the peer's own frames; beyond it the connection ends (CVE-2019-9517). Default: 256 KiB.
    pub buffered_output: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fields: FieldLimits::default(),
            block_bytes: 64 << 10,
            continuations: 16,
            concurrent_streams: 256,
            resets: 1_000,
            pings: 200,
            settings: 100,
            empty_frames: 200,
            window_updates: 1_000,
            ignored_frames: 1_000,
            interim_responses: 16,
            buffered_output: 256 << 10,
        }
    }
}

impl Config {
    /// The nearest values that the protocol allows.
    pub(crate) fn within_the_protocol(mut self) -> Self {
        self.windows.stream = self.windows.stream.min(frame::MAX_31_BITS);
        self.windows.connection = self.windows.connection.clamp(frame::DEFAULT_WINDOW, frame::MAX_31_BITS);
        self.header_table_size = self.header_table_size.min(64 << 10);
        self
    }
}

/// What is left of the limits that hold for a second.
#[derive(Debug)]
pub(crate) struct Budgets {
    pub(crate) resets: Budget,
    pub(crate) pings: Budget,
    pub(crate) settings: Budget,
    pub(crate) empty_frames: Budget,
    pub(crate) window_updates: Budget,
    pub(crate) ignored_frames: Budget,
}

impl Budgets {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            resets: Budget(limits.resets),
            pings: Budget(limits.pings),
            settings: Budget(limits.settings),
            empty_frames: Budget(limits.empty_frames),
            window_updates: Budget(limits.window_updates),
            ignored_frames: Budget(limits.ignored_frames),
        }
    }
}

impl Budgets {
    /// A stream ended well.
    pub(crate) fn earn_by_stream(&mut self, limits: &Limits) {
        self.resets.give(1, limits.resets);
        self.earn_by_reset(limits);
    }

    /// A stream was reset, by the caller or by the peer's right: frames for it may still be on their way, and a PING.
    pub(crate) fn earn_by_reset(&mut self, limits: &Limits) {
        self.pings.give(1, limits.pings);
        self.empty_frames.give(2, limits.empty_frames);
        self.ignored_frames.give(4, limits.ignored_frames);
    }

    /// A DATA frame went out, not cut to a crumb.
    #[inline]
    pub(crate) fn earn_by_data(&mut self, limits: &Limits) {
        self.pings.give(1, limits.pings);
        self.window_updates.give(10, limits.window_updates);
    }
}

/// So many of a kind, until it is filled again.
#[derive(Debug)]
pub(crate) struct Budget(u32);

impl Budget {
    /// False if nothing was left.
    #[inline]
    pub(crate) fn take(&mut self) -> bool {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }

    #[inline]
    pub(crate) fn give(&mut self, amount: u32, limit: u32) {
        self.0 = self.0.saturating_add(amount).min(limit);
    }
}
