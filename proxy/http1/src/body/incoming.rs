//! A body on its way in: a counter or a chunk scanner over the caller's bytes.

use super::{Piece, chunked::Chunked, piece::sized};
use crate::{error::Error, head::BodyLength, limits::Limits};

/// What is still to come of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Incoming {
    Sized(u64),
    Chunked(Chunked),
    UntilClose,
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

/// RFC 9112 section 6.3, rule 8: everything.
fn until_close<'b>(input: &mut &'b [u8]) -> Option<Piece<'b>> {
    let data = std::mem::take(input);
    (!data.is_empty()).then_some(Piece::Data(data))
}
