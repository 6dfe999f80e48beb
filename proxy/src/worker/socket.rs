//! Reads and writes of a socket whose readiness is told by edges (epoll(7)).

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use super::buffer::Buffer;

/// `Some(0)` is the end, none is nothing for now.
pub fn read_socket(
    mut stream: &TcpStream,
    buffer: &mut Buffer,
    readable: &mut bool,
    closing: bool,
) -> io::Result<Option<usize>> {
    if !*readable {
        return Ok(None);
    }
    let room = buffer.room();
    let wanted = room.len();
    loop {
        match stream.read(room) {
            Ok(octets) => {
                // A short read has emptied the socket: the next octet makes a new edge. The end of the stream does not
                // where it came with the last octets.
                *readable = octets > 0 && (octets == wanted || closing);
                buffer.fill(octets);
                return Ok(Some(octets));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *readable = false;
                return Ok(None);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// None is no room for now.
pub fn write_socket(mut stream: &TcpStream, octets: &[u8], writable: &mut bool) -> io::Result<Option<usize>> {
    loop {
        match stream.write(octets) {
            Ok(written) => {
                *writable = written == octets.len();
                // A short write: the socket is full, and says when it is not. Asked once more it would say so too.
                return Ok(Some(written));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *writable = false;
                return Ok(None);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
