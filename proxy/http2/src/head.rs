//! Heads and trailers of messages (RFC 9113 section 8): which fields make which message, and what is malformed.
//!
//! The connection checks each decoded block once, in one pass; a [`Request`] or [`Response`] that the caller sees
//! keeps the rules, so that writing it to HTTP/1.1 cannot change where it ends.

use crate::error::Malformed;
use crate::hpack::{Field, Fields, StaticIndex};

mod rules;
#[cfg(test)]
mod tests;

pub(crate) use rules::{NameForm, check_request_head, is_connection_field, is_field_value, name_form, without_space};

/// The head of a request. Pseudo-header fields are by name, the others in [`fields`](Self::fields), as they came.
#[derive(Debug, Clone, Copy)]
pub struct Request<'f> {
    decoded: &'f Fields,
    layout: RequestLayout,
}

impl<'f> Request<'f> {
    pub(crate) fn new(decoded: &'f Fields, layout: RequestLayout) -> Self {
        Self { decoded, layout }
    }

    /// `:method`, a token.
    #[inline]
    pub fn method(&self) -> &'f [u8] {
        value(self.decoded, self.layout.method).unwrap_or_default()
    }

    /// `:scheme`; absent in a plain CONNECT only.
    #[inline]
    pub fn scheme(&self) -> Option<&'f [u8]> {
        value(self.decoded, self.layout.scheme)
    }

    /// `:path`, which begins with `/` or is `*` for OPTIONS; absent in a plain CONNECT only.
    #[inline]
    pub fn path(&self) -> Option<&'f [u8]> {
        value(self.decoded, self.layout.path)
    }

    /// `:authority`, or else the Host field (section 8.3.1; they do not differ).
    #[inline]
    pub fn authority(&self) -> Option<&'f [u8]> {
        value(self.decoded, self.layout.authority).or_else(|| value(self.decoded, self.layout.host))
    }

    /// `:protocol` of an extended CONNECT (RFC 8441 section 4).
    #[inline]
    pub fn protocol(&self) -> Option<&'f [u8]> {
        value(self.decoded, self.layout.protocol)
    }

    /// The length of the body that the head declares.
    #[inline]
    pub fn content_length(&self) -> Option<u64> {
        self.layout.content_length
    }

    /// The regular fields in their order, Host among them if it came.
    #[inline]
    pub fn fields(&self) -> impl Iterator<Item = Field<'f>> + Clone + use<'f> {
        self.decoded.iter().skip(usize::from(self.layout.pseudo))
    }

    /// The first value of the field `name` (lower case).
    pub fn get(&self, name: &[u8]) -> Option<&'f [u8]> {
        self.fields().find(|field| field.name == name).map(|field| field.value)
    }
}

/// The head of a response, final or interim.
#[derive(Debug, Clone, Copy)]
pub struct Response<'f> {
    decoded: &'f Fields,
    layout: ResponseLayout,
}

impl<'f> Response<'f> {
    pub(crate) fn new(decoded: &'f Fields, layout: ResponseLayout) -> Self {
        Self { decoded, layout }
    }

    /// `:status`, from 100 to 999; what is not defined counts as x00 (RFC 9110 section 15).
    #[inline]
    pub fn status(&self) -> u16 {
        self.layout.status
    }

    /// The length of the body that the head declares.
    #[inline]
    pub fn content_length(&self) -> Option<u64> {
        self.layout.content_length
    }

    /// The regular fields in their order.
    #[inline]
    pub fn fields(&self) -> impl Iterator<Item = Field<'f>> + Clone + use<'f> {
        self.decoded.iter().skip(1)
    }

    /// The first value of the field `name` (lower case).
    pub fn get(&self, name: &[u8]) -> Option<&'f [u8]> {
        self.fields().find(|field| field.name == name).map(|field| field.value)
    }
}

/// The pseudo-header fields of a request (RFC 9113 section 8.3.1). A plain CONNECT has neither scheme nor path, an
/// extended one has a protocol besides (RFC 8441 section 4).
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestHead<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:scheme`.
    pub scheme: Option<&'a [u8]>,
    /// `:authority`.
    pub authority: Option<&'a [u8]>,
    /// `:path`.
    pub path: Option<&'a [u8]>,
    /// `:protocol`.
    pub protocol: Option<&'a [u8]>,
}

/// Where the parts of a request are among the decoded fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLayout {
    method: Place,
    scheme: Place,
    authority: Place,
    path: Place,
    protocol: Place,
    host: Place,
    /// How many pseudo-header fields are in front of the others.
    pseudo: u8,
    pub(crate) content_length: Option<u64>,
    pub(crate) kind: MethodKind,
}

/// What a method means for the framing of its message.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MethodKind {
    /// HEAD: the response has no body.
    pub(crate) head: bool,
    /// CONNECT, plain or extended: once it is answered there is a tunnel instead of a message.
    pub(crate) tunnel: bool,
}

/// Where the parts of a response are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseLayout {
    pub(crate) status: u16,
    pub(crate) content_length: Option<u64>,
}

/// The place of a field among the decoded ones.
type Place = Option<u16>;

#[inline]
fn value(fields: &Fields, place: Place) -> Option<&[u8]> {
    place.and_then(|place| fields.field(usize::from(place))).map(|field| field.value)
}

/// RFC 9113 section 8.3.1, and section 8.5 and RFC 8441 section 4 for CONNECT.
pub(crate) fn check_request(fields: &Fields, extended_connect: bool) -> Result<RequestLayout, Malformed> {
    let mut layout = RequestLayout {
        method: None,
        scheme: None,
        authority: None,
        path: None,
        protocol: None,
        host: None,
        pseudo: 0,
        content_length: None,
        kind: MethodKind::default(),
    };
    let mut regular = false;
    for (place, field) in (0..).zip(fields.iter()) {
        let slot = match field.index {
            Some(StaticIndex::AUTHORITY) => &mut layout.authority,
            Some(StaticIndex::METHOD) => &mut layout.method,
            Some(StaticIndex::PATH) => &mut layout.path,
            Some(StaticIndex::SCHEME) => &mut layout.scheme,
            None if field.name == b":protocol" && extended_connect => &mut layout.protocol,
            _ => {
                regular = true;
                rules::check_field(&field, &mut layout.content_length)?;
                let host = field.index == Some(StaticIndex::HOST);
                if host && layout.host.replace(place).is_some() {
                    return Err(Malformed::Host);
                }
                continue;
            }
        };
        if regular {
            return Err(Malformed::PseudoAfterField);
        }
        if slot.replace(place).is_some() {
            return Err(Malformed::PseudoRepeated);
        }
        layout.pseudo += 1;
    }
    layout.kind = check_request_head(&RequestHead {
        method: value(fields, layout.method).ok_or(Malformed::PseudoMissing(":method"))?,
        scheme: value(fields, layout.scheme),
        authority: value(fields, layout.authority),
        path: value(fields, layout.path),
        protocol: value(fields, layout.protocol),
    })?;
    let [scheme, authority, host] = [layout.scheme, layout.authority, layout.host].map(|place| value(fields, place));
    rules::check_host(scheme, authority, host)?;
    Ok(layout)
}

/// RFC 9113 section 8.3.2.
pub(crate) fn check_response(fields: &Fields) -> Result<ResponseLayout, Malformed> {
    let mut layout = ResponseLayout { status: 0, content_length: None };
    for (place, field) in fields.iter().enumerate() {
        match field.index {
            Some(StaticIndex::STATUS) if layout.status != 0 => return Err(Malformed::PseudoRepeated),
            Some(StaticIndex::STATUS) if place > 0 => return Err(Malformed::PseudoAfterField),
            Some(StaticIndex::STATUS) => {
                layout.status = rules::status(field.value).ok_or(Malformed::PseudoValue(":status"))?;
            }
            _ => rules::check_field(&field, &mut layout.content_length)?,
        }
    }
    match layout.status {
        0 => Err(Malformed::PseudoMissing(":status")),
        // Section 8.6: there is no 101 in HTTP/2.
        101 => Err(Malformed::PseudoValue(":status")),
        _ => Ok(layout),
    }
}

/// RFC 9113 section 8.1: trailers have no pseudo-header fields.
pub(crate) fn check_trailers(fields: &Fields) -> Result<(), Malformed> {
    // What Content-Length says after the body is of no effect; the field is held to its form only.
    let mut content_length = None;
    for field in fields.iter() {
        rules::check_field(&field, &mut content_length)?;
    }
    Ok(())
}
