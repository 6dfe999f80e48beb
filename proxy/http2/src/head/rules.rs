//! What names, values and targets may be (RFC 9113 sections 8.2 and 8.3.1).

use super::{MethodKind, RequestHead};
use crate::error::Malformed;
use crate::hpack::{Field, StaticIndex};

/// Sections 8.2.1, 8.2.2 and 8.3 for one field that is not a pseudo-header field of its message; collects
/// Content-Length on the way.
#[inline]
pub(super) fn check_field(field: &Field<'_>, content_length: &mut Option<u64>) -> Result<(), Malformed> {
    if !is_field_value(field.value) {
        return Err(Malformed::FieldValue);
    }
    // A name of the static table is a good name.
    match field.index {
        None => check_unknown_name(field),
        Some(index) if index.is_pseudo() => Err(Malformed::PseudoUnknown),
        Some(StaticIndex::TRANSFER_ENCODING) => Err(Malformed::ConnectionField),
        Some(StaticIndex::CONTENT_LENGTH) => {
            let length = decimal(field.value).ok_or(Malformed::ContentLength)?;
            if content_length.replace(length).is_some() { Err(Malformed::ContentLength) } else { Ok(()) }
        }
        Some(_) => Ok(()),
    }
}

fn check_unknown_name(field: &Field<'_>) -> Result<(), Malformed> {
    if field.is_pseudo() {
        Err(Malformed::PseudoUnknown)
    } else if name_form(field.name) != NameForm::Good {
        Err(Malformed::FieldName)
    } else if is_connection_field(field.name, field.value) {
        Err(Malformed::ConnectionField)
    } else {
        Ok(())
    }
}

/// Sections 8.3.1 and 8.5, and RFC 8441 section 4: which pseudo-header fields a request has, and what their values may be.
pub(crate) fn check_request_head(head: &RequestHead<'_>) -> Result<MethodKind, Malformed> {
    if !is_token(head.method) {
        return Err(Malformed::PseudoValue(":method"));
    }
    let connect = head.method == b"CONNECT";
    let kind = MethodKind { head: head.method == b"HEAD", tunnel: connect };
    if head.authority.is_some_and(|authority| authority.is_empty() || !is_authority(authority)) {
        return Err(Malformed::PseudoValue(":authority"));
    }
    if connect && head.protocol.is_none() {
        let alone = head.scheme.is_none() && head.path.is_none() && head.authority.is_some();
        return if alone { Ok(kind) } else { Err(Malformed::Connect) };
    }
    match head.protocol {
        Some(_) if !connect => return Err(Malformed::Connect),
        // A name and perhaps a version (RFC 9110 section 7.8).
        Some(protocol) if !protocol.split(|&octet| octet == b'/').all(is_token) => {
            return Err(Malformed::PseudoValue(":protocol"));
        }
        _ => {}
    }
    if !is_scheme(head.scheme.ok_or(Malformed::PseudoMissing(":scheme"))?) {
        return Err(Malformed::PseudoValue(":scheme"));
    }
    let path = head.path.ok_or(Malformed::PseudoMissing(":path"))?;
    let rooted = path.first() == Some(&b'/') || (path == b"*" && head.method == b"OPTIONS");
    if !rooted || !path.iter().fold(true, |good, &octet| good & is_target_octet(octet)) {
        return Err(Malformed::PseudoValue(":path"));
    }
    Ok(kind)
}

/// Section 8.3.1: Host does not contradict `:authority`.
pub(super) fn check_host(
    scheme: Option<&[u8]>,
    authority: Option<&[u8]>,
    host: Option<&[u8]>,
) -> Result<(), Malformed> {
    let Some(host) = host else { return Ok(()) };
    let same =
        |authority| without_default_port(scheme, authority).eq_ignore_ascii_case(without_default_port(scheme, host));
    if authority.is_none_or(same) && is_authority(host) { Ok(()) } else { Err(Malformed::Host) }
}

/// RFC 3986 section 6.2.3.
fn without_default_port<'a>(scheme: Option<&[u8]>, authority: &'a [u8]) -> &'a [u8] {
    let port: &[u8] = match scheme {
        Some(b"http") => b":80",
        Some(b"https") => b":443",
        _ => b":",
    };
    authority.strip_suffix(port).or_else(|| authority.strip_suffix(b":")).unwrap_or(authority)
}

/// RFC 3986 section 3.2, without userinfo (section 8.3.1).
fn is_authority(authority: &[u8]) -> bool {
    let ends = |octet: u8| matches!(octet, b'@' | b'/' | b'?' | b'\\' | b',');
    authority.iter().fold(true, |good, &octet| good & is_target_octet(octet) & !ends(octet))
}

fn is_token(octets: &[u8]) -> bool {
    !octets.is_empty() && octets.iter().all(|&octet| is_token_octet(octet))
}

/// What a field name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameForm {
    Good,
    /// Good once it is in lower case.
    UpperCase,
    Bad,
}

/// Section 8.2.1, held to the token of RFC 9110 section 5.6.2.
#[inline]
pub(crate) fn name_form(name: &[u8]) -> NameForm {
    match name.iter().fold(0, |forms, &octet| forms | NAME_OCTETS[usize::from(octet)]) {
        0 if !name.is_empty() => NameForm::Good,
        1 => NameForm::UpperCase,
        _ => NameForm::Bad,
    }
}

/// Section 8.2.1, held to RFC 9110 section 5.5: no control character but HTAB, no white space around it.
#[inline]
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    let (Some(first), Some(last)) = (value.first(), value.last()) else { return true };
    if matches!(first, b' ' | b'\t') || matches!(last, b' ' | b'\t') {
        return false;
    }
    // Eight octets at a time; the last eight may overlap those before. Only what has a suspect is looked at singly.
    match value.last_chunk::<8>() {
        None => value.iter().fold(true, |good, &octet| good & is_value_octet(octet)),
        Some(tail) => {
            let (chunks, _) = value.as_chunks::<8>();
            let suspect = chunks.iter().fold(has_control(tail), |suspect, chunk| suspect | has_control(chunk));
            suspect == 0 || value.iter().all(|&octet| is_value_octet(octet))
        }
    }
}

/// Not 0 if one of eight octets is below 0x20, HTAB among them, or is 0x7f.
#[inline]
fn has_control(octets: &[u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let word = u64::from_le_bytes(*octets);
    // With its own first bit off, no octet carries into the next one.
    let low = word & (ONES * 0x7f);
    let from_space = low + ONES * (0x80 - 0x20);
    let delete = low + ONES;
    (!from_space | delete) & !word & (ONES * 0x80)
}

/// RFC 9110 section 5.5: white space around a value is no part of it.
pub(crate) fn without_space(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[inline]
fn is_value_octet(octet: u8) -> bool {
    ((octet >= b' ') & (octet != 0x7f)) | (octet == b'\t')
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

/// Three digits; from 600 on they count as 5xx (RFC 9110 section 15).
pub(super) fn status(value: &[u8]) -> Option<u16> {
    match *value {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
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

/// What stands in a target: visible ASCII, but for the mark of a fragment.
#[inline]
fn is_target_octet(octet: u8) -> bool {
    (octet > b' ') & (octet < 0x7f) & (octet != b'#')
}

/// RFC 9110 section 5.6.2.
#[inline]
fn is_token_octet(octet: u8) -> bool {
    NAME_OCTETS[usize::from(octet)] < 2
}

/// By octet: 0 may stand in a name, 1 is an upper-case letter, 2 may not stand there.
static NAME_OCTETS: [u8; 256] = {
    let mut table = [2; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        if octet.is_ascii_uppercase() {
            table[octet as usize] = 1;
        } else if octet.is_ascii_alphanumeric() {
            table[octet as usize] = 0;
        }
        octet += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = 0;
        at += 1;
    }
    table
};
