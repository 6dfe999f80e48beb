//! The trailer section of a chunked body.

use memchr::memchr;

use crate::{
    error::Error,
    head::{known::Known, line::field_line},
    limits::Limits,
};

/// The fields behind a chunked body, checked, in order and with the case of their names. They are never merged with
/// those of the head (RFC 9110 section 6.5.1).
#[derive(Clone, Copy)]
pub struct Trailers<'b> {
    /// Lines that end with CR LF, each with a name and a value.
    lines: &'b [u8],
}

impl<'b> Trailers<'b> {
    /// RFC 9112 section 7.1.2: reads a section that ends with its empty line.
    pub(crate) fn parse(section: &'b [u8], limits: &Limits) -> Result<Self, Error> {
        let trailers = Self { lines: section.strip_suffix(b"\r\n").unwrap_or(section) };
        let mut rest = trailers.lines;
        let mut count = 0_u32;
        while let Some((line, behind)) = split_line(rest) {
            let (name, value) = field_line(line, count == 0)?;
            count += 1;
            if count > limits.trailers {
                return Err(Error::TooManyTrailers { limit: limits.trailers });
            }
            if name.len() > limits.name as usize {
                return Err(Error::NameTooLong { limit: limits.name });
            }
            if value.len() > limits.value as usize {
                return Err(Error::ValueTooLong { limit: limits.value });
            }
            if !is_allowed(name) {
                return Err(Error::ForbiddenTrailer);
            }
            rest = behind;
        }
        Ok(trailers)
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'b> {
        let mut rest = self.lines;
        std::iter::from_fn(move || {
            let (line, behind) = split_line(rest)?;
            rest = behind;
            field_line(line, false).ok()
        })
    }

    /// The first value of that name, whatever its case.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&'b [u8]> {
        self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name.as_ref())).map(|(_, value)| value)
    }
}

impl std::fmt::Debug for Trailers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy;
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

/// RFC 9110 section 6.5.1: what no trailer may carry, since a recipient acts on it before the body or takes it for
/// another message's: framing, routing, the connection, credentials and how to read the body.
pub(crate) fn is_allowed(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 11] = [
        b"trailer",
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"set-cookie",
        b"content-type",
        b"content-encoding",
        b"content-range",
        b"cache-control",
        b"max-forwards",
        b"range",
    ];
    Known::of(name).is_none() && !NAMES.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// The first line without its CR LF, and what follows.
fn split_line(lines: &[u8]) -> Option<(&[u8], &[u8])> {
    let lf = memchr(b'\n', lines)?;
    Some((lines[..lf].strip_suffix(b"\r")?, &lines[lf + 1..]))
}
