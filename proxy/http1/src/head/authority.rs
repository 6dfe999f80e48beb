//! `host[:port]` (RFC 3986 section 3.2 without user information, RFC 9110 section 7.2).

use memchr::memchr;

use crate::characters::is_host;

/// A host and a port that were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'b> {
    pub host: &'b [u8],
    /// The text of the port; absent and empty differ.
    pub port: Option<&'b [u8]>,
}

impl<'b> Authority<'b> {
    /// RFC 9110 section 4.2.4: user information (`user@`) is no authority here.
    pub fn parse(text: &'b [u8]) -> Option<Self> {
        let (host, rest) = if text.first() == Some(&b'[') {
            let end = text.iter().position(|byte| *byte == b']')? + 1;
            is_ip_literal(&text[1..end - 1]).then(|| text.split_at(end))?
        } else {
            let end = memchr(b':', text).unwrap_or(text.len());
            is_host(&text[..end]).then(|| text.split_at(end))?
        };
        match rest {
            [] => Some(Self { host, port: None }),
            [b':', port @ ..] => is_port(port).then_some(Self { host, port: Some(port) }),
            _ => None,
        }
    }
}

/// RFC 3986 section 3.2.2: the address between brackets, IPv6 (also with IPv4 at its end), without a zone.
fn is_ip_literal(text: &[u8]) -> bool {
    text.contains(&b':') && std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// RFC 3986 section 3.2.3: decimal, and a number that TCP has; it may be empty.
fn is_port(text: &[u8]) -> bool {
    let number = |text: &[u8]| text.iter().fold(0_u32, |port, digit| port * 10 + u32::from(digit - b'0'));
    text.len() <= 5 && text.iter().all(u8::is_ascii_digit) && number(text) <= 65_535
}
