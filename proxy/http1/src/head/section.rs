//! Where a head or a trailer section ends.

use memchr::memchr;

use crate::error::Error;

/// How far a section was searched for the empty line that ends it, so that one which arrives byte by byte costs linear
/// time. The bytes stay with the caller.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Search {
    seen: u32,
}

impl Search {
    /// Whether bytes of the section were seen.
    pub fn has_begun(self) -> bool {
        self.seen > 0
    }

    /// Notes that a parser went through `bytes` without meeting the end of the section. The end may begin in the last
    /// three of them.
    pub fn tried(&mut self, bytes: usize) {
        self.seen = u32::try_from(bytes.saturating_sub(3).max(1)).unwrap_or(u32::MAX);
    }

    /// RFC 9112 section 2.1: the length of the section with the empty line that ends it, once it is there. `input`
    /// begins with the section's first line, which is not empty.
    pub fn end(&mut self, input: &[u8]) -> Result<Option<usize>, Error> {
        let mut from = input.len().min(self.seen as usize);
        while let Some(found) = memchr(b'\n', &input[from..]) {
            let lf = from + found;
            if lf == 0 || input[lf - 1] != b'\r' {
                return Err(Error::BareLf);
            }
            match &input[lf + 1..] {
                [b'\r', b'\n', ..] => return Ok(Some(lf + 3)),
                [] | [b'\r'] => {
                    self.seen = u32::try_from(lf).unwrap_or(u32::MAX);
                    return Ok(None);
                }
                _ => from = lf + 1,
            }
        }
        self.seen = u32::try_from(input.len()).unwrap_or(u32::MAX);
        Ok(None)
    }
}
