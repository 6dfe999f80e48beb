//! How the end of a body is found.

use super::Version;
use crate::error::Error;

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body, and no field that speaks of one.
    None,
    /// As many bytes, as Content-Length said; maybe zero.
    Sized(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
    /// Of a response: all bytes until the server closes.
    UntilClose,
    /// No message body but a tunnel in both directions: after 2xx to CONNECT, or 101.
    Tunnel,
}

/// What of a request's method the framing of its response depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestMethod {
    Head,
    Connect,
    Other,
}

impl RequestMethod {
    pub fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

impl BodyLength {
    /// RFC 9112 section 6.3, of a request: chunked, or sized, or none. CONNECT has none (RFC 9110 section 9.3.6): one
    /// that says otherwise would leave it open where the tunnel begins.
    #[inline]
    pub(crate) fn of_request(
        method: &str,
        version: Version,
        length: Option<u64>,
        chunked: bool,
    ) -> Result<Self, Error> {
        if method == "CONNECT" {
            return if chunked || length.is_some_and(|length| length > 0) {
                Err(Error::ConnectBody)
            } else {
                Ok(Self::None)
            };
        }
        match (chunked, length) {
            (true, _) => transfer_encoding_allowed(version).map(|()| Self::Chunked),
            (false, Some(length)) => Ok(Self::Sized(length)),
            (false, None) => Ok(Self::None),
        }
    }

    /// RFC 9112 section 6.3, of a response: by status and the request's method, then as its fields say, else until
    /// the server closes.
    pub(crate) fn of_response(
        method: RequestMethod,
        status: u16,
        version: Version,
        length: Option<u64>,
        chunked: bool,
    ) -> Result<Self, Error> {
        if chunked {
            transfer_encoding_allowed(version)?;
            if status < 200 || status == 204 {
                return Err(Error::TransferEncodingStatus { status });
            }
        }
        Ok(match (method, status) {
            (_, 101) | (RequestMethod::Connect, 200..300) => Self::Tunnel,
            (_, 100..200 | 204 | 304) | (RequestMethod::Head, _) => Self::None,
            _ if chunked => Self::Chunked,
            _ => length.map_or(Self::UntilClose, Self::Sized),
        })
    }
}

/// RFC 9112 section 6.1: HTTP/1.0 has no transfer codings; a message that has one passed something that did not
/// understand it.
fn transfer_encoding_allowed(version: Version) -> Result<(), Error> {
    if version == Version::Http10 { Err(Error::TransferEncodingVersion) } else { Ok(()) }
}
