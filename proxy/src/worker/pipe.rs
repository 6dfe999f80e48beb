//! A pipe of the kernel between two sockets.

use std::{io, os::fd::OwnedFd};

use mio::net::TcpStream;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

/// Asked for at once: what a pipe holds.
const PIPE: usize = 64 << 10;

/// Moves of one turn, so that one pair does not keep the others waiting.
const MOVES: usize = 16;

/// A pipe and what is in it.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    pub filled: usize,
}

/// How far a move came.
pub enum Moved {
    /// The source has nothing more for now.
    Dry,
    /// The target has no room for now.
    Full,
    /// The source has ended, and all of it has arrived.
    Ended,
    /// There may be more.
    More,
}

impl Pipe {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        Ok(Self { read, write, filled: 0 })
    }

    /// Moves octets, and counts them in `moved`. The error is of the source or (true) of the target.
    pub fn carry(&mut self, from: &TcpStream, to: &TcpStream, moved: &mut u64) -> Result<Moved, (io::Error, bool)> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        for _ in 0..MOVES {
            if self.filled == 0 {
                match splice(from, None, &self.write, None, PIPE, flags) {
                    Ok(0) => return Ok(Moved::Ended),
                    Ok(octets) => self.filled = octets,
                    Err(rustix::io::Errno::AGAIN) => return Ok(Moved::Dry),
                    Err(error) => return Err((error.into(), false)),
                }
            }
            match splice(&self.read, None, to, None, self.filled, flags) {
                Ok(octets) => {
                    self.filled -= octets;
                    *moved += octets as u64;
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(Moved::Full),
                Err(error) => return Err((error.into(), true)),
            }
        }
        Ok(Moved::More)
    }
}
