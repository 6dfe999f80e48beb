//! What a body comes out as.

use super::Trailers;

/// A part of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'b> {
    Data(&'b [u8]),
    Trailers(Trailers<'b>),
    End,
}

/// RFC 9112 section 6.2: what `input` has of the bytes that are left.
pub(super) fn sized<'b>(left: &mut u64, input: &mut &'b [u8]) -> Option<Piece<'b>> {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let (data, rest) = input.split_at(count);
    *input = rest;
    *left -= count as u64;
    (count > 0).then_some(Piece::Data(data))
}
