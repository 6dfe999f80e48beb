//! One end of one connection, without I/O.

use std::time::Instant;

use anyhow::Result;

use super::pace::Pace;

/// Whether a connection lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Open,
    Close,
}

/// The client's or the application's end of a connection.
pub trait End {
    /// Takes what it understands off the front of `input`. An error ends the connection.
    fn receive(&mut self, input: &mut &[u8], pace: &mut Pace) -> Result<Flow>;

    /// What is to be written now.
    fn output(&mut self) -> &[u8];

    /// So much of it was.
    fn wrote(&mut self, octets: usize);

    /// Begins a request that was due at `since`.
    fn begin(&mut self, since: Instant) -> Result<()>;

    /// Answers that are awaited.
    fn outstanding(&self) -> usize;

    /// A second has gone by.
    fn tick(&mut self) {}
}

/// What is to be written: a head and a part of the pattern.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// The next offset of the pattern, and how much of it is left.
    body: (u64, u64),
}

impl Output {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Sends so much of the pattern behind what is there.
    pub fn body(&mut self, length: u64) {
        self.body = (0, length);
    }

    pub fn pending(&mut self) -> &[u8] {
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        }
        let (offset, left) = self.body;
        if left > 0 && self.bytes.len() < super::pattern::PIECE / 2 {
            let piece = super::pattern::at(offset, usize::try_from(left).unwrap_or(usize::MAX));
            self.bytes.extend_from_slice(piece);
            self.body = (offset + piece.len() as u64, left - piece.len() as u64);
        }
        &self.bytes[self.written..]
    }

    pub fn wrote(&mut self, octets: usize) {
        self.written += octets;
    }
}
