//! A body on its way out: as it is, or in chunks.

use super::decimal::push_hexadecimal;
use crate::{
    body::is_allowed_trailer,
    characters::{is_field_value, is_token},
    exchange::{Exchange, Role, Sending},
    limits::Limits,
    misuse::Misuse,
};

impl Exchange {
    /// Appends what `out` has room for of `bytes`, and says how many that are.
    pub fn send(&mut self, out: &mut Vec<u8>, bytes: &[u8], limits: &Limits) -> Result<usize, Misuse> {
        let room = (limits.buffered_output as usize).saturating_sub(out.len());
        let taken = &bytes[..bytes.len().min(room)];
        match &mut self.sending {
            Sending::Closed => return Err(Misuse::Closed),
            Sending::Nothing | Sending::Head => {
                let misuse = self.no_head();
                return Err(self.misused(misuse));
            }
            Sending::Complete if bytes.is_empty() => {}
            Sending::Complete => return Err(self.misused(Misuse::TooMuch { surplus: bytes.len() as u64 })),
            Sending::Sized(left) if bytes.len() as u64 > *left => {
                let surplus = bytes.len() as u64 - *left;
                return Err(self.misused(Misuse::TooMuch { surplus }));
            }
            Sending::Sized(left) => {
                out.extend_from_slice(taken);
                *left -= taken.len() as u64;
                if *left == 0 {
                    self.sent();
                }
            }
            Sending::Chunked => push_chunk(out, taken),
            Sending::UntilClose | Sending::Tunnel => out.extend_from_slice(taken),
        }
        Ok(taken.len())
    }

    /// Ends the message. Of a message that is complete already, without harm, nothing more is written.
    pub fn finish<'t>(
        &mut self,
        out: &mut Vec<u8>,
        trailers: impl IntoIterator<Item = (&'t [u8], &'t [u8])>,
    ) -> Result<(), Misuse> {
        match self.sending {
            Sending::Closed => return Err(Misuse::Closed),
            Sending::Nothing | Sending::Complete => return Ok(()),
            Sending::Head => return Err(self.misused(Misuse::NoHead)),
            Sending::Sized(missing) => return Err(self.misused(Misuse::TooLittle { missing })),
            Sending::Chunked => {
                if let Err(misuse) = push_last_chunk(out, trailers) {
                    return Err(self.misused(misuse));
                }
            }
            Sending::UntilClose | Sending::Tunnel => {}
        }
        self.sent();
        Ok(())
    }

    /// Which misuse a body without a head is.
    fn no_head(&self) -> Misuse {
        if self.role == Role::Server && self.sending == Sending::Nothing { Misuse::NoRequest } else { Misuse::NoHead }
    }
}

/// RFC 9112 section 7.1: one chunk; none for no bytes, since a chunk of size 0 is the last.
fn push_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    out.reserve(data.len() + 20);
    push_hexadecimal(out, data.len() as u64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// RFC 9112 section 7.1.2: the last chunk and the trailer section, or nothing of it if a trailer is invalid.
fn push_last_chunk<'t>(
    out: &mut Vec<u8>,
    trailers: impl IntoIterator<Item = (&'t [u8], &'t [u8])>,
) -> Result<(), Misuse> {
    let start = out.len();
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        let what = match (is_token(name), is_field_value(value)) {
            (false, _) => "trailer name",
            (true, false) => "trailer value",
            (true, true) if !is_allowed_trailer(name) => continue,
            (true, true) => {
                out.extend_from_slice(name);
                out.extend_from_slice(b": ");
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
                continue;
            }
        };
        out.truncate(start);
        return Err(Misuse::Invalid { what });
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}
