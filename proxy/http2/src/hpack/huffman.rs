//! The Huffman code for strings (RFC 7541 section 5.2 and appendix B).
//!
//! Codes up to 8 bits, which is what header fields nearly always hold, take one look-up in a table of 512 bytes. The
//! others are found by their length. Tables that give two symbols at once measured up to 1.4 times as fast on common
//! values, with 16 KiB, half of a first-level cache that other work needs as well.

mod table;

use self::table::{BY_BITS, CODES, EOS, LONG, SHORT};
use super::DecodeError;

/// Short codes that fit into the bits that [`Bits::refill`] promises.
const SHORT_PER_REFILL: usize = REFILLED as usize / SHORT as usize;

/// Bits at hand after a refill, unless the input has ended.
const REFILLED: u32 = 56;

/// Appends to `out` what `input` stands for: at most 8 octets for 5.
///
/// # Errors
/// EOS within the string, padding of more than 7 bits or other than ones (section 5.2). `out` then holds what was
/// decoded up to there.
pub fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    out.reserve(input.len() + input.len() / 2);
    let mut bits = Bits { input, buffer: 0, count: 0 };
    while bits.refill() {
        for position in 0..SHORT_PER_REFILL {
            let symbol = BY_BITS[bits.next_short()];
            if symbol.length == 0 {
                if position == 0 {
                    let (octet, length) = bits.next_long()?;
                    out.push(octet);
                    bits.take(length);
                }
                break;
            }
            out.push(symbol.octet);
            bits.take(symbol.length);
        }
    }
    decode_tail(bits, out)
}

/// Less than [`REFILLED`] bits, of which the last may be padding.
fn decode_tail(mut bits: Bits<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    loop {
        let symbol = BY_BITS[bits.next_short()];
        let (octet, length) = if symbol.length > 0 {
            (symbol.octet, symbol.length)
        } else if bits.count > u32::from(SHORT) {
            match bits.next_long() {
                Err(_) if bits.count < u32::from(CODES[usize::from(EOS)].length) => break,
                found => found?,
            }
        } else {
            break;
        };
        if u32::from(length) > bits.count {
            break;
        }
        out.push(octet);
        bits.take(length);
    }
    bits.check_padding()
}

/// How many octets [`encode`] writes for `input`.
#[inline]
pub fn encoded_len(input: &[u8]) -> usize {
    let bits: usize = input.iter().map(|&octet| usize::from(CODES[usize::from(octet)].length)).sum();
    bits.div_ceil(8)
}

/// Appends the code of `input`, filled up to whole octets with the first bits of EOS.
pub fn encode(input: &[u8], out: &mut Vec<u8>) {
    let mut buffer = 0u64;
    let mut count = 0;
    for &octet in input {
        let code = CODES[usize::from(octet)];
        buffer = buffer << code.length | u64::from(code.bits);
        count += u32::from(code.length);
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&((buffer >> count) as u32).to_be_bytes());
        }
    }
    let padding = count.next_multiple_of(8) - count;
    let last = (buffer << padding | ((1 << padding) - 1)) << (32 - count - padding);
    out.extend_from_slice(&(last as u32).to_be_bytes()[..count.div_ceil(8) as usize]);
}

/// The input as a queue of bits.
struct Bits<'a> {
    /// Not yet in `buffer`.
    input: &'a [u8],
    /// The next bit is the highest. Below `count` bits there are the next ones of `input` or zeros.
    buffer: u64,
    count: u32,
}

impl Bits<'_> {
    /// Whether there are [`REFILLED`] bits at hand now; if not, those at hand are the last.
    #[inline]
    fn refill(&mut self) -> bool {
        if self.count < REFILLED
            && let Some(next) = self.input.first_chunk()
        {
            let octets = (63 - self.count) / 8;
            self.buffer |= u64::from_be_bytes(*next) >> self.count;
            self.count += octets * 8;
            self.input = &self.input[octets as usize..];
        } else {
            while self.count <= REFILLED
                && let Some((&next, rest)) = self.input.split_first()
            {
                self.buffer |= u64::from(next) << (REFILLED - self.count);
                self.count += 8;
                self.input = rest;
            }
        }
        self.count >= REFILLED
    }

    #[inline]
    fn next_short(&self) -> usize {
        (self.buffer >> (64 - u32::from(SHORT))) as usize
    }

    /// The next symbol, if its code is longer than [`SHORT`].
    #[cold]
    fn next_long(&self) -> Result<(u8, u8), DecodeError> {
        let bits = (self.buffer >> 32) as u32;
        let group = LONG.iter().find(|group| bits <= group.last).expect("the last group ends with ones");
        let octet = u8::try_from(group.symbol(bits)).map_err(|_| DecodeError::HuffmanEos)?;
        Ok((octet, group.length))
    }

    #[inline]
    fn take(&mut self, length: u8) {
        self.buffer <<= length;
        self.count -= u32::from(length);
    }

    fn check_padding(&self) -> Result<(), DecodeError> {
        let ones = self.buffer.leading_ones();
        match self.count {
            count if ones < count => Err(DecodeError::HuffmanPaddingNotOnes),
            0..8 => Ok(()),
            _ => Err(DecodeError::HuffmanPaddingTooLong),
        }
    }
}

#[cfg(test)]
mod tests;
