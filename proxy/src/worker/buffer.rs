//! The buffers of a worker: one set for all its connections.

/// How much is read at once.
pub const READ: usize = 64 << 10;

/// Room for octets, of which the front is filled. It is never cleared: what is behind the front is of no meaning.
#[derive(Debug)]
pub struct Buffer {
    octets: Box<[u8]>,
    filled: usize,
}

impl Buffer {
    /// With room for what was kept of a connection and one read more.
    pub fn new() -> Self {
        Self { octets: vec![0; 4 * READ].into_boxed_slice(), filled: 0 }
    }

    /// Nothing is filled.
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// What is filled.
    pub fn filled(&self) -> &[u8] {
        &self.octets[..self.filled]
    }

    /// What is filled, to be decrypted in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.octets[..self.filled]
    }

    /// Room for at most one read.
    pub fn room(&mut self) -> &mut [u8] {
        let end = self.octets.len().min(self.filled + READ);
        &mut self.octets[self.filled..end]
    }

    /// So much of the room was filled.
    pub fn fill(&mut self, octets: usize) {
        self.filled += octets;
    }

    /// Fills with these.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets[self.filled..self.filled + octets.len()].copy_from_slice(octets);
        self.filled += octets.len();
    }
}
