//! The extensions of a chunk (RFC 9112 section 7.1.1).

use crate::{
    characters::{is_token_byte, is_value_byte},
    error::Error,
};

/// What the next byte of the extensions belongs to: `*( ";" name [ "=" ( token / quoted-string ) ] )`.
///
/// Their meaning is passed over, but not what peers disagree on in them: where the line ends (CVE-2025-55315), also
/// within quotes. The white space that the grammar lets a recipient tolerate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// The first byte behind `;`.
    Start,
    Name,
    /// The first byte behind `=`.
    Value,
    Token,
    Quoted,
    /// Behind a backslash in quotes.
    Escaped,
    /// Behind the closing quote.
    Closed,
}

impl Extension {
    /// What follows `byte`; none if it was the CR that ends the extensions.
    pub fn after(self, byte: u8) -> Result<Option<Self>, Error> {
        Ok(Some(match (self, byte) {
            (_, b'\n') => return Err(Error::ChunkLineEnd),
            (Self::Name | Self::Token | Self::Closed, b'\r') => return Ok(None),
            (Self::Name | Self::Token | Self::Closed, b';') => Self::Start,
            (Self::Name, b'=') => Self::Value,
            (Self::Value, b'"') => Self::Quoted,
            (Self::Start | Self::Name, _) if is_token_byte(byte) => Self::Name,
            (Self::Value | Self::Token, _) if is_token_byte(byte) => Self::Token,
            (Self::Quoted, b'"') => Self::Closed,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, _) if is_value_byte(byte) => Self::Quoted,
            _ => return Err(Error::ChunkExtensionByte { byte }),
        }))
    }
}
