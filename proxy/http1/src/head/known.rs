//! The fields that HTTP/1 itself reads or writes.

/// A field that belongs to the message's framing, routing or connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Connection,
    ContentLength,
    Expect,
    Host,
    Http2Settings,
    KeepAlive,
    ProxyConnection,
    Te,
    TransferEncoding,
    Upgrade,
}

impl Known {
    /// Which field a name means. Its length and first letter rule out nearly every other name at once.
    #[inline]
    pub fn of(name: &[u8]) -> Option<Self> {
        if LENGTHS.checked_shr(name.len() as u32).is_none_or(|rest| rest & 1 == 0) { None } else { Self::among(name) }
    }

    fn among(name: &[u8]) -> Option<Self> {
        match (name.len(), name.first()? | 0x20) {
            (2, b't') => is(name, b"te", Self::Te),
            (4, b'h') => is(name, b"host", Self::Host),
            (6, b'e') => is(name, b"expect", Self::Expect),
            (7, b'u') => is(name, b"upgrade", Self::Upgrade),
            (10, b'c') => is(name, b"connection", Self::Connection),
            (10, b'k') => is(name, b"keep-alive", Self::KeepAlive),
            (14, b'c') => is(name, b"content-length", Self::ContentLength),
            (14, b'h') => is(name, b"http2-settings", Self::Http2Settings),
            (16, b'p') => is(name, b"proxy-connection", Self::ProxyConnection),
            (17, b't') => is(name, b"transfer-encoding", Self::TransferEncoding),
            _ => None,
        }
    }

    /// Whether the core itself writes the field where it is due, so that it is neither forwarded nor taken from a
    /// caller: framing (RFC 9112 section 6), and what RFC 9110 section 7.6.1 names as hop-by-hop. HTTP2-Settings
    /// belongs to an upgrade that RFC 9113 section 3.1 withdrew.
    pub fn is_own(self) -> bool {
        !matches!(self, Self::Expect | Self::Host)
    }
}

/// Bit n: a known field has a name of n bytes.
const LENGTHS: u32 = 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 14 | 1 << 16 | 1 << 17;

/// `known` if `name` is `lower`, in any case. Of equal lengths known in advance, the comparison is a few words.
#[inline]
fn is<const N: usize>(name: &[u8], lower: &[u8; N], known: Known) -> Option<Known> {
    let name: &[u8; N] = name.try_into().ok()?;
    // Of bytes of a token, only a letter in upper case becomes another one by bit 0x20.
    let difference = (0..N).fold(0, |all, at| all | ((name[at] | 0x20) ^ lower[at]));
    (difference == 0).then_some(known)
}
