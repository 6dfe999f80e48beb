//! One pass over the fields of a head, for all that the protocol itself must know of them.

use super::{fields::offset, known::Known};
use crate::{characters::trim, error::Error, limits::Limits};

/// What the fields say about framing, routing and the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survey {
    /// Bit n: field n ends at this hop.
    pub own: u128,
    /// Host fields, and the place of the first.
    pub hosts: u32,
    pub host: u8,
    pub length: Option<u64>,
    pub chunked: bool,
    pub close: bool,
    pub keep_alive: bool,
    pub expects_continue: bool,
    pub accepts_trailers: bool,
    /// The place of the Upgrade field that the Connection field stands for.
    pub upgrade: u8,
    upgrade_option: bool,
    nominates: bool,
    options: u32,
}

/// No field.
pub(super) const NONE: u8 = u8::MAX;

impl Survey {
    /// Reads the fields of `head`, which ends with an empty line.
    pub fn of(head: &[u8], fields: &[httparse::Header<'_>], limits: &Limits) -> Result<Self, Error> {
        let mut survey = Self {
            own: 0,
            hosts: 0,
            host: NONE,
            length: None,
            chunked: false,
            close: false,
            keep_alive: false,
            expects_continue: false,
            accepts_trailers: false,
            upgrade: NONE,
            upgrade_option: false,
            nominates: false,
            options: 0,
        };
        last_line_ends(head)?;
        let mut longest = (0, 0);
        for (index, field) in (0_u8..).zip(fields) {
            line_before_ends(head, offset(head, field.name))?;
            longest = (longest.0.max(field.name.len()), longest.1.max(field.value.len()));
            if let Some(known) = Known::of(field.name.as_bytes()) {
                survey.note(index, known, field.value, limits)?;
            }
        }
        if longest.0 > limits.name as usize {
            return Err(Error::NameTooLong { limit: limits.name });
        }
        if longest.1 > limits.value as usize {
            return Err(Error::ValueTooLong { limit: limits.value });
        }
        if survey.chunked && survey.length.is_some() {
            return Err(Error::LengthAndTransferEncoding);
        }
        if survey.nominates {
            survey.nominated(fields);
        }
        if !survey.upgrade_option {
            survey.upgrade = NONE;
        }
        Ok(survey)
    }

    /// Out of line: most fields are not known, and the loop over them stays small.
    #[inline(never)]
    fn note(&mut self, index: u8, known: Known, value: &[u8], limits: &Limits) -> Result<(), Error> {
        if known.is_own() {
            self.own |= 1 << index;
        }
        match known {
            Known::Host => {
                self.hosts += 1;
                if self.hosts == 1 {
                    self.host = index;
                }
            }
            Known::ContentLength => {
                let length = content_length(value)?;
                if self.length.replace(length).is_some() {
                    return Err(Error::ContentLengthRepeated);
                }
            }
            Known::TransferEncoding => {
                transfer_encoding(value)?;
                if std::mem::replace(&mut self.chunked, true) {
                    return Err(Error::TransferEncodingRepeated);
                }
            }
            Known::Connection => self.connection(value, limits)?,
            Known::Expect => self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            Known::Upgrade if self.upgrade == NONE && options(value).next().is_some() => self.upgrade = index,
            Known::Te => self.accepts_trailers |= options(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers")),
            Known::Upgrade | Known::Http2Settings | Known::KeepAlive | Known::ProxyConnection => {}
        }
        Ok(())
    }

    /// RFC 9110 section 7.6.1 and RFC 9112 section 9.3: the options of one Connection field.
    fn connection(&mut self, value: &[u8], limits: &Limits) -> Result<(), Error> {
        for option in options(value) {
            self.options += 1;
            if self.options > limits.connection_options {
                return Err(Error::TooManyConnectionOptions { limit: limits.connection_options });
            }
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade_option = true;
            } else if Known::of(option).is_none() {
                self.nominates = true;
            }
        }
        Ok(())
    }

    /// RFC 9110 section 7.6.1: fields that a Connection field names end at this hop, unless they are meant for every
    /// recipient.
    #[cold]
    fn nominated(&mut self, fields: &[httparse::Header<'_>]) {
        let connection = |field: &&httparse::Header<'_>| Known::of(field.name.as_bytes()) == Some(Known::Connection);
        for option in fields.iter().filter(connection).flat_map(|field| options(field.value)) {
            if is_for_everyone(option) {
                continue;
            }
            for (index, field) in fields.iter().enumerate() {
                if field.name.as_bytes().eq_ignore_ascii_case(option) {
                    self.own |= 1 << index;
                }
            }
        }
    }
}

/// RFC 9112 section 2.2: httparse lets a line end with LF alone; here each one must end with CR LF. The line before a
/// field is the request line, the status line or another field.
#[inline]
fn line_before_ends(head: &[u8], field: usize) -> Result<(), Error> {
    match head.get(field.wrapping_sub(2)..field) {
        Some(b"\r\n") => Ok(()),
        _ => Err(Error::BareLf),
    }
}

/// RFC 9112 section 2.1: the last line of a head and the empty line behind it.
fn last_line_ends(head: &[u8]) -> Result<(), Error> {
    if head.ends_with(b"\r\n\r\n") { Ok(()) } else { Err(Error::BareLf) }
}

/// RFC 9110 section 8.6 and RFC 9112 section 6.2: digits and nothing else. 18 of them fit 64 bits, and more than any
/// body has.
pub(super) fn content_length(value: &[u8]) -> Result<u64, Error> {
    if value.contains(&b',') {
        return Err(Error::ContentLengthRepeated);
    }
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Error::ContentLengthInvalid);
    }
    Ok(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// RFC 9112 section 6.1: exactly `chunked`, the one coding that this hop knows.
pub(super) fn transfer_encoding(value: &[u8]) -> Result<(), Error> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = value.split(|byte| *byte == b',').map(trim);
    if codings.clone().any(|coding| !crate::characters::is_token(coding)) {
        return Err(Error::TransferEncodingInvalid);
    }
    if codings.all(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        return Err(Error::TransferEncodingRepeated);
    }
    Err(Error::TransferEncodingUnknown)
}

/// The elements of a list, empty ones left out (RFC 9110 section 5.6.1.2).
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|option| !option.is_empty())
}

/// RFC 9110 section 7.6.1: "MUST NOT send a connection option corresponding to a field that is intended for all
/// recipients of the content". A peer that names one of them anyway would have it taken out between proxy and server
/// (CVE-2022-1388, CVE-2022-31813), so the option is passed over and the field goes on.
fn is_for_everyone(option: &[u8]) -> bool {
    const NAMES: [&[u8]; 14] = [
        b"host",
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"set-cookie",
        b"cache-control",
        b"forwarded",
        b"via",
        b"date",
        b"expect",
        b"range",
        b"origin",
        b"traceparent",
        b"tracestate",
    ];
    const PREFIXES: [&[u8]; 3] = [b"content-", b"x-forwarded-", b"access-control-"];
    let begins = |prefix: &&[u8]| option.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    NAMES.iter().any(|name| option.eq_ignore_ascii_case(name)) || PREFIXES.iter().any(begins)
}
