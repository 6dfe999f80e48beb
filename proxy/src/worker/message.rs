//! Heads between the two protocol cores and the form in which routing reads and edits them.

use byrnie_config::{Fields, Of, RequestHead, ResponseHead};
use byrnie_http1 as http1;
use byrnie_http2 as http2;
use http::StatusCode;

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// There is none, and nothing said how long it is.
    None,
    /// So many octets, by Content-Length.
    Sized(u64),
    /// Any number.
    Unknown,
}

impl Length {
    /// Whether nothing follows the head.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Sized(0))
    }
}

impl From<Length> for http1::Body {
    fn from(length: Length) -> Self {
        match length {
            Length::None => Self::None,
            Length::Sized(octets) => Self::Sized(octets),
            Length::Unknown => Self::Unknown,
        }
    }
}

impl From<http1::BodyLength> for Length {
    fn from(length: http1::BodyLength) -> Self {
        match length {
            http1::BodyLength::None | http1::BodyLength::Tunnel => Self::None,
            http1::BodyLength::Sized(octets) => Self::Sized(octets),
            http1::BodyLength::Chunked | http1::BodyLength::UntilClose => Self::Unknown,
        }
    }
}

fn http2_length(declared: Option<u64>, end: bool) -> Length {
    match (declared, end) {
        (Some(octets), _) => Length::Sized(octets),
        (None, true) => Length::None,
        (None, false) => Length::Unknown,
    }
}

/// So much more of `out` was written, which begins at `at`: room that a burst needed is given up when all is.
pub fn wrote(out: &mut Vec<u8>, at: &mut usize, octets: usize) {
    *at += octets;
    if *at == out.len() {
        *at = 0;
        out.clear();
        out.shrink_to(16 << 10);
    } else if *at > 128 << 10 {
        out.drain(..*at);
        *at = 0;
    }
}

/// Reads a request of HTTP/1. `host` stands in where HTTP/1.0 sent none.
#[inline]
pub fn read_http1(
    request: &http1::Request<'_, '_>,
    scheme: &[u8],
    host: Option<&str>,
    head: &mut RequestHead,
) -> Length {
    let authority = request.authority().filter(|authority| !authority.is_empty()).or(host).unwrap_or_default();
    head.begin(request.method().as_bytes(), scheme, authority.as_bytes(), request.path().as_bytes());
    for (name, value) in request.end_to_end() {
        if !name.eq_ignore_ascii_case(b"host") {
            head.fields_mut().push(name, value);
        }
    }
    if request.accepts_trailers() {
        head.fields_mut().push(b"te", b"trailers");
    }
    if let Some(upgrade) = request.upgrade() {
        head.set_upgrade(upgrade);
    }
    join_lines(head.fields_mut(), Of::Requests);
    request.body().into()
}

/// Reads a request of HTTP/2. An extended CONNECT becomes the GET with an upgrade that it stands for (RFC 8441).
#[inline]
pub fn read_http2(request: &http2::Request<'_>, end: bool, scheme: &[u8], head: &mut RequestHead) -> Length {
    let method = if request.protocol().is_some() { b"GET" } else { request.method() };
    let authority = request.authority().unwrap_or_default();
    head.begin(method, request.scheme().unwrap_or(scheme), authority, request.path().unwrap_or_default());
    let mut cookies = 0;
    for field in request.fields() {
        match field.name {
            b"host" | b"content-length" => {}
            b"cookie" => cookies += 1,
            name => head.fields_mut().push(name, field.value),
        }
    }
    if cookies > 0 {
        join_cookies(request, head);
    }
    join_lines(head.fields_mut(), Of::Requests);
    if let Some(protocol) = request.protocol() {
        head.set_upgrade(protocol);
        // Its DATA are octets of a tunnel.
        return Length::None;
    }
    http2_length(request.content_length(), end)
}

/// RFC 9113 section 8.2.3: crumbs become one field before anything but HTTP/2 reads them.
fn join_cookies(request: &http2::Request<'_>, head: &mut RequestHead) {
    let crumbs: Vec<&[u8]> =
        request.fields().filter(|field| field.name == b"cookie").map(|field| field.value).collect();
    head.fields_mut().push(b"cookie", &crumbs.join(&b"; "[..]));
}

/// Joins the lines of a field that Envoy keeps in one. Most heads have no name twice, so that is looked for first: a
/// bit for each name, of which few meet by chance.
#[inline]
fn join_lines(fields: &mut Fields, of: Of) {
    let (mut seen, mut twice) = ([0u64; 4], false);
    for (name, _) in fields.iter() {
        let ends = usize::from(*name.first().unwrap_or(&0)) * 5 + usize::from(*name.last().unwrap_or(&0));
        let bit = ends * 11 + name.len();
        let word = &mut seen[bit / 64 % 4];
        twice |= *word & (1 << (bit % 64)) != 0;
        *word |= 1 << (bit % 64);
    }
    if twice {
        join_doubles(fields, of);
    }
}

#[cold]
fn join_doubles(fields: &mut Fields, of: Of) {
    let is_double = |(place, (name, _)): (usize, (&[u8], &[u8]))| {
        let before = fields.iter().take(place).filter(|(other, _)| *other == name).count();
        (before == 1 && of.is_one_line(name)).then(|| name.to_vec())
    };
    let doubles: Vec<Vec<u8>> = fields.iter().enumerate().filter_map(is_double).collect();
    for name in doubles {
        let values: Vec<&[u8]> = fields.all(&name).collect();
        let joined = values.join(&b","[..]);
        fields.set(&name, &joined);
    }
}

/// As `grpc-message` carries any text (gRPC over HTTP2, "Percent-Byte-Encoded").
pub fn percent_encoded(text: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    for octet in text {
        match octet {
            b'%' | 0..b' ' | 0x7f.. => encoded.extend_from_slice(format!("%{octet:02X}").as_bytes()),
            octet => encoded.push(*octet),
        }
    }
    encoded
}

/// Reads a response of HTTP/1, and how long its body is.
#[inline]
pub fn read_response_http1(response: &http1::Response<'_, '_>, head: &mut ResponseHead) -> Length {
    head.begin(response.status());
    for (name, value) in response.end_to_end() {
        head.fields.push(name, value);
    }
    join_lines(&mut head.fields, Of::Responses);
    match (response.body(), response.content_length()) {
        (http1::BodyLength::None, Some(octets)) => Length::Sized(octets),
        (length, _) => length.into(),
    }
}

/// Reads a response of HTTP/2, and how long its body is.
#[inline]
pub fn read_response_http2(response: &http2::Response<'_>, end: bool, head: &mut ResponseHead) -> Length {
    head.begin(response.status());
    for field in response.fields() {
        if field.name != b"content-length" {
            head.fields.push(field.name, field.value);
        }
    }
    join_lines(&mut head.fields, Of::Responses);
    http2_length(response.content_length(), end)
}

/// Writes a request to HTTP/1.
#[inline]
pub fn write_http1(
    client: &mut http1::Client,
    out: &mut Vec<u8>,
    head: &RequestHead,
    length: Length,
) -> Result<(), http1::Misuse> {
    let mut writer = client.request(out, head.method(), head.path())?.field("host", head.authority());
    for (name, value) in head.fields().iter() {
        writer = if name == b"te" { writer.accept_trailers() } else { writer.field(name, value) };
    }
    if let Some(protocol) = head.upgrade() {
        writer = writer.upgrade(protocol);
    }
    let bodiless = matches!(head.method(), b"GET" | b"HEAD" | b"DELETE" | b"TRACE") || head.upgrade().is_some();
    let body = match length {
        // A method that means to send content says that there is none (RFC 9110 section 8.6).
        Length::None if !bodiless => http1::Body::Sized(0),
        length => length.into(),
    };
    writer.end(body)
}

/// Writes a request to HTTP/2; `end` where nothing follows.
#[inline]
pub fn write_http2(
    connection: &mut http2::Connection,
    head: &RequestHead,
    length: Length,
    end: bool,
) -> Result<http2::Key, http2::Refused> {
    let protocol = head.upgrade();
    let mut writer = connection.open(&http2::RequestHead {
        method: if protocol.is_some() { b"CONNECT" } else { head.method() },
        scheme: Some(head.scheme()),
        authority: Some(head.authority()).filter(|authority| !authority.is_empty()),
        path: Some(head.path()),
        protocol,
    })?;
    for (name, value) in head.fields().iter() {
        writer.field(name, value);
    }
    if let Length::Sized(octets) = length {
        write_length(&mut writer, octets);
    }
    writer.finish(end && protocol.is_none())
}

/// Writes the head of a response to HTTP/1.
#[inline]
pub fn respond_http1(
    server: &mut http1::Server,
    out: &mut Vec<u8>,
    head: &ResponseHead,
    length: Length,
    upgrade: Option<&[u8]>,
) -> Result<(), http1::Misuse> {
    let mut writer = server.respond(out, head.status, reason(head.status))?;
    for (name, value) in head.fields.iter() {
        writer = writer.field(name, value);
    }
    if let Some(protocol) = upgrade {
        writer = writer.upgrade(protocol);
    }
    writer.end(length.into())
}

/// Writes the head of a response to HTTP/2; `end` where nothing follows.
#[inline]
pub fn respond_http2(
    connection: &mut http2::Connection,
    stream: http2::Key,
    head: &ResponseHead,
    length: Length,
    end: bool,
) -> Result<(), http2::Refused> {
    let mut writer = connection.respond(stream, head.status)?;
    for (name, value) in head.fields.iter() {
        writer.field(name, value);
    }
    if let Length::Sized(octets) = length {
        write_length(&mut writer, octets);
    }
    writer.finish(end).map(drop)
}

fn write_length(writer: &mut http2::HeadWriter<'_>, mut octets: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (octets % 10) as u8;
        octets /= 10;
        if octets == 0 {
            break;
        }
    }
    writer.field(b"content-length", &digits[at..]);
}

/// The phrase of a status that has one.
pub fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_field_are_joined_where_it_first_stood() {
        let mut fields = Fields::default();
        for (name, value) in [("vary", "a"), ("x", "1"), ("vary", "b"), ("x", "2"), ("vary", ""), ("set-cookie", "c")] {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        join_lines(&mut fields, Of::Responses);
        let text: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(text, ["vary=a,b,", "x=1", "x=2", "set-cookie=c"]);
    }

    #[test]
    fn a_message_of_grpc_holds_any_text() {
        assert_eq!(percent_encoded("50% ü\n".as_bytes()), b"50%25 %C3%BC%0A");
    }
}
