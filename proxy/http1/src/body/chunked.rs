//! The chunked transfer coding (RFC 9112 section 7.1).

use super::{Piece, extension::Extension, piece::sized, trailers::Trailers};
use crate::{error::Error, head::section::Search, limits::Limits};

/// A scanner over a chunked body. It takes each byte once, wherever the input is cut; the trailer section alone waits
/// until it is there as a whole.
///
/// A flood of tiny chunks costs the peer six bytes of wire for each byte of data and the scanner a constant time for
/// each byte of wire. No count of them tells a flood from a patient stream without a clock, so there is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunked {
    at: At,
    digits: u8,
    size: u64,
    extension_bytes: u32,
    search: Search,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size,
    Extension(Extension),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    End,
}

impl Chunked {
    pub fn new() -> Self {
        Self { at: At::Size, digits: 0, size: 0, extension_bytes: 0, search: Search::default() }
    }

    /// RFC 9112 section 7.1.3: takes the next piece off the front of `input`.
    pub fn next<'b>(&mut self, input: &mut &'b [u8], limits: &Limits) -> Result<Option<Piece<'b>>, Error> {
        loop {
            match self.at {
                At::Data => {
                    let piece = sized(&mut self.size, input);
                    if self.size == 0 {
                        self.at = At::DataCr;
                    }
                    return Ok(piece);
                }
                At::Trailers => return self.trailer_section(input, limits),
                At::End => return Ok(Some(Piece::End)),
                At::Size | At::Extension(_) | At::SizeLf | At::DataCr | At::DataLf => {
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    self.at = self.after(*byte, limits)?;
                }
            }
        }
    }

    /// Whether nothing of the body is left in the input.
    pub fn is_read(&self) -> bool {
        self.at == At::End
    }

    /// RFC 9112 section 7.1: `chunk-size [chunk-ext] CRLF chunk-data CRLF`, one byte of it that is not data.
    #[inline]
    fn after(&mut self, byte: u8, limits: &Limits) -> Result<At, Error> {
        match self.at {
            At::Size => self.chunk_size(byte),
            At::Extension(extension) => self.chunk_extension(extension, byte, limits),
            At::SizeLf if byte != b'\n' => Err(Error::ChunkLineEnd),
            At::SizeLf if self.size == 0 => Ok(At::Trailers),
            At::SizeLf => Ok(At::Data),
            At::DataCr if byte == b'\r' => Ok(At::DataLf),
            At::DataLf if byte == b'\n' => {
                self.digits = 0;
                Ok(At::Size)
            }
            At::DataCr | At::DataLf | At::Data | At::Trailers | At::End => Err(Error::ChunkDataEnd { byte }),
        }
    }

    /// RFC 9112 section 7.1: `1*HEXDIG`, of which 16 fit 64 bits. No sign, no `0x`, no white space: the bad white space
    /// that section 7.1.1 lets a recipient tolerate in front of an extension is refused as well.
    fn chunk_size(&mut self, byte: u8) -> Result<At, Error> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => return Ok(At::SizeLf),
            b';' if self.digits > 0 => return Ok(At::Extension(Extension::Start)),
            b'\n' => return Err(Error::ChunkLineEnd),
            _ => return Err(Error::ChunkSize { byte }),
        };
        if self.digits == 16 {
            return Err(Error::ChunkSizeTooLong);
        }
        self.digits += 1;
        self.size = self.size << 4 | u64::from(digit);
        Ok(At::Size)
    }

    /// RFC 9112 section 7.1.1: one byte of the extensions, of which a body has so many (CVE-2023-39326).
    fn chunk_extension(&mut self, extension: Extension, byte: u8, limits: &Limits) -> Result<At, Error> {
        let Some(next) = extension.after(byte)? else {
            return Ok(At::SizeLf);
        };
        self.extension_bytes = self.extension_bytes.saturating_add(1);
        if self.extension_bytes > limits.chunk_extension_bytes {
            return Err(Error::ChunkExtensionsTooLong { limit: limits.chunk_extension_bytes });
        }
        Ok(At::Extension(next))
    }

    /// RFC 9112 section 7.1.2: the empty line that ends a body, or the trailer fields in front of it.
    fn trailer_section<'b>(&mut self, input: &mut &'b [u8], limits: &Limits) -> Result<Option<Piece<'b>>, Error> {
        match **input {
            [b'\r', b'\n', ..] => {
                *input = &input[2..];
                self.at = At::End;
                return Ok(Some(Piece::End));
            }
            [] | [b'\r'] => return Ok(None),
            _ => {}
        }
        let most = limits.trailer_bytes as usize;
        let Some(end) = self.search.end(&input[..input.len().min(most)])? else {
            let too_long = Error::TrailersTooLong { limit: limits.trailer_bytes };
            return if input.len() >= most { Err(too_long) } else { Ok(None) };
        };
        let (section, rest) = input.split_at(end);
        let trailers = Trailers::parse(section, limits)?;
        *input = rest;
        self.at = At::End;
        Ok(Some(Piece::Trailers(trailers)))
    }
}
