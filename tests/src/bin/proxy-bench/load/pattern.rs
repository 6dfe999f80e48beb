//! What bodies hold: at offset N the byte N mod 251, so that a piece that is lost, doubled or moved is seen.

use std::sync::LazyLock;

use anyhow::{Result, ensure};

/// Bytes of a small body.
pub const SMALL: u64 = 1 << 10;
/// Bytes of a big body.
pub const BIG: u64 = 16 << 20;

/// Bytes that one piece has at most.
pub const PIECE: usize = 64 << 10;

const PERIOD: usize = 251;

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| (0..PIECE + PERIOD).map(|at| (at % PERIOD) as u8).collect());

/// The bytes at `offset`, at most a piece.
pub fn at(offset: u64, length: usize) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    &BYTES[start..start + length.min(PIECE)]
}

/// An error unless these bytes are those at `offset`.
pub fn check(offset: u64, bytes: &[u8]) -> Result<()> {
    let mut offset = offset;
    for piece in bytes.chunks(PIECE) {
        ensure!(piece == at(offset, piece.len()), "wrong bytes of a body behind offset {offset}");
        offset += piece.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_or_changed_byte_is_seen() {
        check(0, at(0, PIECE)).unwrap();
        check(1_000_000, at(1_000_000, 3)).unwrap();
        check(1, at(0, 10)).unwrap_err();
        let mut bytes = at(7, 100).to_vec();
        bytes[99] ^= 1;
        check(7, &bytes).unwrap_err();
    }
}
