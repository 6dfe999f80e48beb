//! What names, values and targets may be (RFC 9113 sections 8.2 and 8.3.1).

use super::{RequestLayout, value};
use crate::error::Malformed;
use crate::hpack::{Field, Fields};

/// Sections 8.2.1 and 8.2.2 for one regular field; collects Content-Length on the way.
#[inline]
pub(super) fn check_field(field: &Field<'_>, content_length: &mut Option<u64>) -> Result<(), Malformed> {
    let name = field.name;
    if field.index.is_none() && !is_field_name(name) {
        return Err(Malformed::FieldName);
    }
    if !is_field_value(field.value) {
        return Err(Malformed::FieldValue);
    }
    if is_connection_field(name, field.value) {
        return Err(Malformed::ConnectionField);
    }
    if name == b"content-length" {
        let length = decimal(field.value).ok_or(Malformed::ContentLength)?;
        if content_length.replace(length).is_some() {
            return Err(Malformed::ContentLength);
        }
    }
    Ok(())
}

/// Sections 8.3.1 and 8.5: which pseudo-header fields a request has, and what their values may be.
pub(super) fn check_targets(fields: &Fields, layout: &mut RequestLayout) -> Result<(), Malformed> {
    let method = value(fields, layout.method).ok_or(Malformed::PseudoMissing(":method"))?;
    if method.is_empty() || !method.iter().all(|&octet| is_token_octet(octet)) {
        return Err(Malformed::PseudoValue(":method"));
    }
    layout.head = method == b"HEAD";
    layout.tunnel = method == b"CONNECT" && layout.protocol.is_none();
    if layout.protocol.is_some() && method != b"CONNECT" {
        return Err(Malformed::Connect);
    }
    check_authority(fields, layout)?;
    if layout.tunnel {
        let alone = layout.scheme.is_none() && layout.path.is_none() && layout.authority.is_some();
        return if alone { Ok(()) } else { Err(Malformed::Connect) };
    }
    let scheme = value(fields, layout.scheme).ok_or(Malformed::PseudoMissing(":scheme"))?;
    if !is_scheme(scheme) {
        return Err(Malformed::PseudoValue(":scheme"));
    }
    let path = value(fields, layout.path).ok_or(Malformed::PseudoMissing(":path"))?;
    let rooted = path.first() == Some(&b'/') || (path == b"*" && method == b"OPTIONS");
    if !rooted || !path.iter().fold(true, |good, &octet| good & is_target_octet(octet) & (octet != b'#')) {
        return Err(Malformed::PseudoValue(":path"));
    }
    if let Some(protocol) = value(fields, layout.protocol)
        && !protocol.iter().all(|&octet| is_token_octet(octet) || octet == b'/')
    {
        return Err(Malformed::PseudoValue(":protocol"));
    }
    Ok(())
}

/// Section 8.3.1: no userinfo, and Host does not contradict.
fn check_authority(fields: &Fields, layout: &RequestLayout) -> Result<(), Malformed> {
    let authority = value(fields, layout.authority);
    let host = value(fields, layout.host);
    for given in [authority, host].into_iter().flatten() {
        let plain = |octet: u8| is_target_octet(octet) & !matches!(octet, b'@' | b'/' | b'?' | b'#' | b'\\' | b',');
        if !given.iter().all(|&octet| plain(octet)) {
            return Err(Malformed::PseudoValue(":authority"));
        }
    }
    match (authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => Err(Malformed::Host),
        (Some([]), _) => Err(Malformed::PseudoValue(":authority")),
        _ => Ok(()),
    }
}

/// Section 8.2.1, held to the token of RFC 9110 section 5.6.2, in lower case.
#[inline]
pub(crate) fn is_field_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().fold(true, |good, &octet| good & is_token_octet(octet) & !octet.is_ascii_uppercase())
}

/// Section 8.2.1, held to RFC 9110 section 5.5: no control character but HTAB, no white space around it.
#[inline]
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    let good = value.iter().fold(true, |good, &octet| good & ((octet >= b' ') & (octet != 0x7f) | (octet == b'\t')));
    let is_space = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    good & !is_space(value.first()) & !is_space(value.last())
}

/// Section 8.2.2: these belong to one connection of HTTP/1.1, and so does TE with another value than `trailers`.
#[inline]
pub(crate) fn is_connection_field(name: &[u8], value: &[u8]) -> bool {
    match name.len() {
        2 => name == b"te" && !value.eq_ignore_ascii_case(b"trailers"),
        7 => name == b"upgrade",
        10 => name == b"connection" || name == b"keep-alive",
        16 => name == b"proxy-connection",
        17 => name == b"transfer-encoding",
        _ => false,
    }
}

/// Three digits, the first from 1 to 5 (RFC 9110 section 15).
pub(super) fn status(value: &[u8]) -> Option<u16> {
    match *value {
        [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        _ => None,
    }
}

/// RFC 9110 section 8.6: digits only.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, &octet| {
        let digit = octet.is_ascii_digit().then(|| u64::from(octet - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// RFC 3986 section 3.1.
fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'))
}

/// What stands in a target: visible ASCII.
#[inline]
fn is_target_octet(octet: u8) -> bool {
    (octet > b' ') & (octet < 0x7f)
}

/// RFC 9110 section 5.6.2.
#[inline]
fn is_token_octet(octet: u8) -> bool {
    TOKEN[octet as usize]
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = (octet as u8).is_ascii_alphanumeric();
        octet += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};
