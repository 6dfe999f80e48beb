//! Texts that may hold commands of Envoy's format strings.

use crate::{Refused, fields::At};

/// The text without its escapes: `%%` is `%`. A command (`%REQ(x)%`) is refused.
pub fn literal(text: &[u8], at: &At<'_>) -> Result<Vec<u8>, Refused> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = memchr::memchr(b'%', rest) {
        plain.extend_from_slice(&rest[..place]);
        if rest.get(place + 1) != Some(&b'%') {
            let command = String::from_utf8_lossy(&rest[place..]);
            return Err(at.unlike(command, "a text without commands, `%` written as `%%`"));
        }
        plain.push(b'%');
        rest = &rest[place + 2..];
    }
    plain.extend_from_slice(rest);
    Ok(plain)
}
