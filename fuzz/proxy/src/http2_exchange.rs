//! What two joined ends of HTTP/2 write to each other, as their owners know it, and what of it has arrived.

use byrnie_http2::hpack::Field;
use byrnie_http2::{HeadWriter, Key};

use super::http2_frames::{HEADER, PREFACE};

/// The window of each connection, and what its peer may send ahead at the start.
pub const SHARED: u32 = 65_535;
/// The end that sends requests.
pub const CLIENT: usize = 0;
/// The end that answers.
pub const SERVER: usize = 1;

const FIELDS: [(&[u8], &[u8]); 4] =
    [(b"x-sum", b"7"), (b"x-empty", b""), (b"cookie", b"a=b"), (b"x-long", &[b'v'; 18_000])];

/// A message from one end to the other.
#[derive(Debug, Default)]
pub struct Message {
    /// What the writing end was told and took.
    pub written: Content,
    /// What the reading end gave out.
    pub read: Content,
    /// Interim heads in front of the head.
    pub interim_written: usize,
    /// Those that were given out.
    pub interim_read: usize,
    /// What the writing end has no room for yet.
    pub waits: Option<Waiting>,
    /// Bytes that the reading end has not released.
    pub held: usize,
}

/// How far a message is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The fields of the head, as by [`bits`].
    pub head: Option<u8>,
    /// Bytes; which ones is said by [`body_byte`].
    pub body: usize,
    /// The fields of the trailers, as by [`bits`].
    pub trailers: Option<u8>,
    /// Nothing follows.
    pub is_complete: bool,
}

/// What comes next of a message.
#[derive(Debug, Clone, Copy)]
pub enum Waiting {
    /// The head of a response with these fields, and whether it is all.
    Head(u8, bool),
    /// So many bytes of a body, and whether it is all.
    Body(usize, bool),
    /// Trailers with these fields.
    Trailers(u8),
}

/// One request and its response: [`CLIENT`] writes the first message, [`SERVER`] the second.
#[derive(Debug, Default)]
pub struct Exchange {
    /// The key at each end; the server's once the request has arrived.
    pub keys: [Option<Key>; 2],
    /// That of each end.
    pub messages: [Message; 2],
    /// One of the owners has reset it, the server had no room for it, or has told so by GOAWAY.
    pub is_broken: bool,
}

/// What an end writes, and how much of it has arrived.
#[derive(Debug)]
pub struct Pipe {
    /// Not yet read.
    pub arrived: Vec<u8>,
    /// For cutting what passes into frames: bytes of one that is not whole.
    partial: Vec<u8>,
    /// That frame is DATA and was counted already.
    is_charged: bool,
    /// The window of the connection in this direction, as both ends must see it.
    pub window: i64,
}

impl Exchange {
    /// Whether both messages are complete, at the end that writes or at the one that reads.
    pub fn is_over(&self) -> bool {
        self.messages.iter().all(|message| message.written.is_complete || message.read.is_complete)
    }

    /// Nothing is on its way any more: all that was written has come.
    pub fn check_settled(&self, is_drained: bool) {
        if self.keys[SERVER].is_none() {
            assert!(is_drained, "a request that did not arrive");
            return;
        }
        for message in &self.messages {
            message.check();
            assert!(message.waits.is_none(), "waits for ever: {self:?}");
            assert_eq!(message.read, message.written, "not all has arrived");
            assert_eq!(message.interim_read, message.interim_written);
        }
    }
}

impl Message {
    /// The head has come.
    pub fn read_head<'f>(&mut self, fields: impl Iterator<Item = Field<'f>>, end: bool) {
        assert_eq!(self.read.head.replace(bits(fields)), None, "a second head");
        assert_eq!(self.read.head, self.written.head);
        self.read.is_complete = end;
    }

    /// What was read is what was written, as far as it has come.
    pub fn check(&self) {
        let (read, written) = (&self.read, &self.written);
        assert!(read.body <= written.body && self.interim_read <= self.interim_written);
        if read.is_complete {
            assert_eq!(read, written, "the end of a message is not where it was written");
        }
    }
}

impl Default for Pipe {
    fn default() -> Self {
        Self { arrived: Vec::new(), partial: Vec::new(), is_charged: false, window: i64::from(SHARED) }
    }
}

impl Pipe {
    /// Whether the last frame that passed by is whole.
    pub fn is_whole(&self) -> bool {
        self.partial.is_empty()
    }

    /// Counts what passes by against the windows of the two directions.
    pub fn pass(&mut self, bytes: &[u8], back: &mut Self) {
        self.arrived.extend_from_slice(bytes);
        self.partial.extend_from_slice(bytes);
        if let Some(rest) = self.partial.strip_prefix(PREFACE) {
            self.partial = rest.to_vec();
        }
        if !self.partial.is_empty() && PREFACE.starts_with(&self.partial) {
            return;
        }
        while let Some(header) = self.partial.first_chunk::<HEADER>() {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let (kind, stream) = (header[3], &header[5..]);
            let whole = HEADER + length as usize;
            // The reader may give the window of a frame back before all of it has passed by.
            if kind == 0 && !std::mem::replace(&mut self.is_charged, true) {
                self.window -= i64::from(length);
                assert!(self.window >= 0, "more than the window");
            }
            if self.partial.len() < whole {
                return;
            }
            if kind == 8 && stream == [0; 4] {
                let increment = self.partial[HEADER..whole].iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte));
                back.window += increment;
                assert!(back.window <= i64::from(SHARED), "given back twice");
            }
            self.partial.drain(..whole);
            self.is_charged = false;
        }
    }
}

/// The byte at `offset` of a body in the exchange `at`.
pub fn body_byte(at: usize, offset: usize) -> u8 {
    (at * 7 + offset) as u8
}

/// Each bit is one of [`FIELDS`].
pub fn written(mut writer: HeadWriter<'_>, bits: u8) -> HeadWriter<'_> {
    for (at, (name, value)) in FIELDS.into_iter().enumerate() {
        if bits >> at & 1 > 0 {
            writer.field(name, value);
        }
    }
    writer
}

/// Those of [`FIELDS`] that arrived, and nothing else did.
pub fn bits<'f>(fields: impl Iterator<Item = Field<'f>>) -> u8 {
    fields.fold(0, |bits, field| {
        let at = FIELDS.iter().position(|known| *known == (field.name, field.value)).expect("a field that was written");
        bits | 1 << at
    })
}
