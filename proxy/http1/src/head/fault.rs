//! Names the rule that a refused head breaks. Off the fast path: httparse found that something is wrong.

use memchr::memchr;

use super::line::field_line;
use crate::{
    characters::{is_target_byte, is_token_byte, is_value_byte},
    error::Error,
};

/// The first fault of a request's head that httparse refused; none if more bytes are needed to name it.
#[cold]
pub(super) fn of_request(head: &[u8]) -> Option<Error> {
    in_lines(head, request_line, Error::RequestLine)
}

/// The first fault of a response's head that httparse refused; none if more bytes are needed to name it.
#[cold]
pub(super) fn of_response(head: &[u8]) -> Option<Error> {
    in_lines(head, status_line, Error::StatusLine)
}

/// A line of the head without its CR LF, by its number.
type Line<'l> = (usize, &'l [u8]);

/// RFC 9112 section 2.2: lines end with CR LF. `malformed` names a head that is refused for no fault that is seen.
fn in_lines(head: &[u8], start_line: fn(&[u8]) -> Result<(), Error>, malformed: Error) -> Option<Error> {
    let check = |(number, line): Line<'_>| match number {
        0 => start_line(line),
        _ => field_line(line, number == 1).map(drop),
    };
    let mut rest = head;
    for number in 0.. {
        let Some(lf) = memchr(b'\n', rest) else {
            return in_cut_off_line(check((number, rest.strip_suffix(b"\r").unwrap_or(rest))).err()?);
        };
        let Some(line) = rest[..lf].strip_suffix(b"\r") else {
            return Some(check((number, &rest[..lf])).err().unwrap_or(Error::BareLf));
        };
        if number > 0 && line.is_empty() {
            break;
        }
        if let Err(error) = check((number, line)) {
            return Some(error);
        }
        rest = &rest[lf + 1..];
    }
    Some(malformed)
}

/// A fault of a line whose end is not there yet, unless the rest of the line may make it another one or none.
fn in_cut_off_line(fault: Error) -> Option<Error> {
    match fault {
        Error::RequestLine | Error::RequestLineSpace | Error::StatusLine | Error::Version | Error::NoColon => None,
        Error::NameByte { byte: b' ' | b'\t' } => None,
        fault => Some(fault),
    }
}

/// RFC 9112 section 3: `method SP request-target SP HTTP-version`.
fn request_line(line: &[u8]) -> Result<(), Error> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let odd = |byte: u8, otherwise: Error| match byte {
        b'\t' => Error::RequestLineSpace,
        b'\r' => Error::BareCr,
        _ => otherwise,
    };
    if let Some(byte) = method.iter().copied().find(|byte| !is_token_byte(*byte)) {
        return Err(odd(byte, Error::Method { byte }));
    }
    if let Some(byte) = target.unwrap_or_default().iter().copied().find(|byte| !is_target_byte(*byte)) {
        return Err(odd(byte, Error::TargetByte { byte }));
    }
    if line.contains(&b'\r') {
        return Err(Error::BareCr);
    }
    if parts.next().is_some() || target.is_some_and(<[u8]>::is_empty) || version.is_some_and(<[u8]>::is_empty) {
        return Err(Error::RequestLineSpace);
    }
    if method.is_empty() {
        return Err(Error::RequestLine);
    }
    self::version(version.unwrap_or_default(), Error::RequestLine)
}

/// RFC 9112 section 4: `HTTP-version SP status-code SP [reason-phrase]`.
fn status_line(line: &[u8]) -> Result<(), Error> {
    if line.contains(&b'\r') {
        return Err(Error::BareCr);
    }
    let (found, rest) = line.split_at(line.len().min(8));
    version(found, Error::StatusLine)?;
    let reason = match rest {
        [b' ', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] => &[],
        [b' ', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', reason @ ..] => reason,
        _ => return Err(Error::StatusLine),
    };
    match reason.iter().find(|byte| !is_value_byte(**byte)) {
        Some(byte) => Err(Error::ValueByte { byte: *byte }),
        None => Ok(()),
    }
}

/// RFC 9112 section 2.3: `HTTP/1.0` or `HTTP/1.1`.
fn version(text: &[u8], malformed: Error) -> Result<(), Error> {
    match text {
        b"HTTP/1.0" | b"HTTP/1.1" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Error::Version),
        _ => Err(malformed),
    }
}
