//! A connection in memory, whose bytes travel in pieces that a seed chooses. No wake-up is counted: both ends are asked
//! each turn.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::plan::Pieces;

/// The bytes of one direction.
struct Wire {
    bytes: Vec<u8>,
    read: usize,
    /// What is before this has reached the other end.
    arrived: usize,
    closed: bool,
    pieces: Pieces,
    chance: Chance,
}

impl Wire {
    fn new(pieces: Pieces, seed: u64) -> Arc<Mutex<Self>> {
        let chance = Chance::new(seed);
        Arc::new(Mutex::new(Self { bytes: Vec::new(), read: 0, arrived: 0, closed: false, pieces, chance }))
    }

    /// Moves the next piece. Whether there was one.
    fn turn(&mut self) -> bool {
        let piece = self.chance.up_to(self.pieces.largest);
        let before = self.arrived;
        self.arrived = self.bytes.len().min(before + piece);
        self.arrived > before
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let room = (self.pieces.room as usize).saturating_sub(self.bytes.len() - self.read);
        let taken = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    fn read(&mut self, room: usize) -> &[u8] {
        if self.read == self.bytes.len() {
            self.bytes.clear();
            (self.read, self.arrived) = (0, 0);
        }
        let from = self.read;
        self.read = self.arrived.min(from + room);
        &self.bytes[from..self.read]
    }
}

/// Both directions.
pub struct Pipe {
    there: Arc<Mutex<Wire>>,
    back: Arc<Mutex<Wire>>,
}

impl Pipe {
    pub fn new(there: Pieces, back: Pieces, seed: u64) -> Self {
        Self { there: Wire::new(there, seed), back: Wire::new(back, seed ^ u64::MAX) }
    }

    pub fn client(&self) -> End {
        End { incoming: Arc::clone(&self.back), outgoing: Arc::clone(&self.there) }
    }

    pub fn server(&self) -> End {
        End { incoming: Arc::clone(&self.there), outgoing: Arc::clone(&self.back) }
    }

    /// Moves a piece in each direction. Whether there was one.
    pub fn turn(&self) -> bool {
        let there = lock(&self.there).turn();
        lock(&self.back).turn() || there
    }
}

/// One end.
pub struct End {
    incoming: Arc<Mutex<Wire>>,
    outgoing: Arc<Mutex<Wire>>,
}

impl End {
    /// Appends what has arrived to `to`.
    pub fn read_into(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(lock(&self.incoming).read(usize::MAX >> 1));
    }

    /// Takes as much of `bytes` as there is room for.
    pub fn write(&self, bytes: &[u8]) -> usize {
        lock(&self.outgoing).write(bytes)
    }

    /// Nothing more is written.
    pub fn close(&self) {
        lock(&self.outgoing).closed = true;
    }
}

impl Read for End {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut room: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut wire = lock(&self.incoming);
        let (closed, all) = (wire.closed, wire.bytes.len() - wire.read);
        match wire.read(room.remaining()) {
            [] if closed && all == 0 => Poll::Ready(Ok(())),
            [] => Poll::Pending,
            bytes => {
                room.put_slice(bytes);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl Write for End {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.write(bytes) {
            0 if !bytes.is_empty() => Poll::Pending,
            taken => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

/// Numbers that a seed determines (xorshift).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// From 1 to `most`.
    fn up_to(&mut self, most: u32) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % most.max(1) as usize + 1
    }
}

fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().expect("no other thread has it")
}
