//! A connection in memory. Every subject writes to it and reads from it by copying, as with a socket.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

/// The bytes on their way in one direction.
#[derive(Default)]
pub struct Wire {
    bytes: Vec<u8>,
    read: usize,
}

impl Wire {
    pub fn write(&mut self, bytes: &[u8]) {
        if self.read == self.bytes.len() {
            self.bytes.clear();
            self.read = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// At most `room` bytes; none when all was read.
    pub fn read(&mut self, room: usize) -> &[u8] {
        let from = self.read;
        self.read = self.bytes.len().min(from + room);
        &self.bytes[from..self.read]
    }

    /// As [`Wire::read`], as far as there is room; gives how much that was.
    pub fn read_into(&mut self, room: &mut [u8]) -> usize {
        let bytes = self.read(room.len());
        room[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    }
}

/// One end of a connection, for a subject that does its own I/O.
pub struct End {
    incoming: Rc<RefCell<Wire>>,
    outgoing: Rc<RefCell<Wire>>,
}

impl End {
    pub fn pair() -> (Self, Self) {
        let (there, back) = (Rc::default(), Rc::default());
        (Self { incoming: Rc::clone(&back), outgoing: Rc::clone(&there) }, Self { incoming: there, outgoing: back })
    }

    /// Both directions, for one who wants to outlive the ends.
    pub fn wires(&self) -> [Rc<RefCell<Wire>>; 2] {
        [Rc::clone(&self.incoming), Rc::clone(&self.outgoing)]
    }
}

impl Read for End {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut room: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.incoming.borrow_mut();
        match wire.read(room.remaining()) {
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
        self.outgoing.borrow_mut().write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.outgoing.borrow_mut();
        slices.iter().for_each(|bytes| wire.write(bytes));
        Poll::Ready(Ok(slices.iter().map(|bytes| bytes.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
