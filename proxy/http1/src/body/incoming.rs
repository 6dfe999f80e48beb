//! A body on its way in: a counter or a chunk scanner over the caller's bytes.

use super::{BodyLength, Trailers, chunked::Chunked};
use crate::{error::Error, limits::Limits};

/// What is still to come of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Incoming {
    Sized(u64),
    Chunked(Chunked),
    UntilClose,
}

/// A part of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'b> {
    Data(&'b [u8]),
    Trailers(Trailers<'b>),
    End,
}

impl Incoming {
    pub fn new(length: BodyLength) -> Self {
        match length {
            BodyLength::None | BodyLength::Tunnel => Self::Sized(0),
            BodyLength::Sized(length) => Self::Sized(length),
            BodyLength::Chunked => Self::Chunked(Chunked::new()),
            BodyLength::UntilClose => Self::UntilClose,
        }
    }

    /// Takes the next piece off the front of `input`.
    #[inline]
    pub fn next<'b>(&mut self, input: &mut &'b [u8], limits: &Limits) -> Result<Option<Piece<'b>>, Error> {
        match self {
            Self::Sized(0) => Ok(Some(Piece::End)),
            Self::Sized(left) => Ok(sized(left, input)),
            Self::Chunked(chunked) => chunked.next(input, limits),
            Self::UntilClose => Ok(until_close(input)),
        }
    }

    /// Whether nothing of the body is left in the input.
    pub fn is_read(&self) -> bool {
        match self {
            Self::Sized(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_read(),
            Self::UntilClose => false,
        }
    }
}

/// RFC 9112 section 6.2: what `input` has of the bytes that are left.
pub(super) fn sized<'b>(left: &mut u64, input: &mut &'b [u8]) -> Option<Piece<'b>> {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let (data, rest) = input.split_at(count);
    *input = rest;
    *left -= count as u64;
    (count > 0).then_some(Piece::Data(data))
}

/// RFC 9112 section 6.3, rule 8: everything.
fn until_close<'b>(input: &mut &'b [u8]) -> Option<Piece<'b>> {
    let data = std::mem::take(input);
    (!data.is_empty()).then_some(Piece::Data(data))
}
