//! One field line, read with all strictness: for trailers, and to name the fault of a head that was refused.

use crate::{
    characters::{is_token_byte, is_value_byte, trim},
    error::Error,
};

/// RFC 9112 section 5: `field-name ":" OWS field-value OWS`, without its CR LF. `first` says that it follows the
/// start line.
pub(crate) fn field_line(line: &[u8], first: bool) -> Result<(&[u8], &[u8]), Error> {
    if let [b' ' | b'\t', ..] = line {
        return Err(if first { Error::SpaceBeforeFirstField } else { Error::Folding });
    }
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let (name, rest) = line.split_at(colon);
    field_name(name, rest)?;
    let [b':', value @ ..] = rest else {
        return Err(Error::NoColon);
    };
    match value.iter().find(|byte| !is_value_byte(**byte)) {
        Some(b'\r') => Err(Error::BareCr),
        Some(byte) => Err(Error::ValueByte { byte: *byte }),
        None => Ok((name, trim(value))),
    }
}

/// RFC 9112 section 5.1: a token, with nothing between it and the colon.
fn field_name(name: &[u8], rest: &[u8]) -> Result<(), Error> {
    let Some(at) = name.iter().position(|byte| !is_token_byte(*byte)) else {
        return if name.is_empty() && !rest.is_empty() { Err(Error::EmptyName) } else { Ok(()) };
    };
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    Err(match name[at] {
        b'\r' => Error::BareCr,
        b' ' | b'\t' if !rest.is_empty() && name[at..].iter().all(blank) => Error::SpaceBeforeColon,
        byte => Error::NameByte { byte },
    })
}
