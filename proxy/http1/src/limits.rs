//! How much a peer may make a connection hold or do.

/// Bounds on what a peer may send. Every one that is passed is an [`Error`](crate::Error) that names it.
///
/// RFC 9110 section 2.3 and section 5.4 ask for such limits and set none; the defaults are in the range of common
/// servers. A value is held by each connection, so it is small and copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, from the method or version to the empty line. Default 65,536: the caller's read buffer must hold
    /// a whole head. RFC 6585 section 5 (status 431).
    pub head_bytes: u32,
    /// Field lines of a head. Default 100, and never more than [`Limits::MOST_FIELDS`]. RFC 6585 section 5.
    pub fields: u32,
    /// Bytes of a field name. Default 256. RFC 9110 section 5.4.
    pub name: u32,
    /// Bytes of a field value. Default 32,768, room for large cookies and tokens. RFC 9110 section 5.4.
    pub value: u32,
    /// Bytes of a request target. Default 16,384; RFC 9112 section 3 asks for 8,000 at least (status 414).
    pub target: u32,
    /// Empty lines in front of a request line. Default 2; RFC 9112 section 2.2 asks to ignore one.
    pub leading_empty_lines: u32,
    /// Options in the Connection fields of a head: each unknown one is looked for among all fields, so without a bound
    /// 32 KiB of them cost millions of comparisons. Default 32. RFC 9110 section 7.6.1.
    pub connection_options: u32,
    /// Bytes of chunk extensions in one body. Default 4,096. RFC 9112 section 7.1.1; CVE-2023-39326, CVE-2024-22019.
    pub chunk_extension_bytes: u32,
    /// Bytes of the trailer section of one body. Default 8,192. RFC 9112 section 7.1.2.
    pub trailer_bytes: u32,
    /// Field lines of the trailer section of one body. Default 32. RFC 9112 section 7.1.2.
    pub trailers: u32,
    /// Interim (1xx) responses to one request. Default 16. RFC 9110 section 15.2: any number is legal, and
    /// without a bound they keep an exchange alive for ever.
    pub interim_responses: u32,
    /// Bytes in the caller's output buffer at which `send` takes no more. Default 262,144. A slow reader must not make
    /// a proxy hold what a fast writer sends.
    pub buffered_output: u32,
}

impl Limits {
    /// The most field lines that a head can be allowed to have: the width of the set of hop-by-hop fields.
    pub const MOST_FIELDS: usize = 128;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            fields: 100,
            name: 256,
            value: 32 * 1024,
            target: 16 * 1024,
            leading_empty_lines: 2,
            connection_options: 32,
            chunk_extension_bytes: 4 * 1024,
            trailer_bytes: 8 * 1024,
            trailers: 32,
            interim_responses: 16,
            buffered_output: 256 * 1024,
        }
    }
}
