//! Standard output without waiting for who reads it.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    sync::{
        Mutex, TryLockError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, OFlags, fstat},
    net::{SendFlags, send},
};

/// What is written at once where only a look beforehand keeps a write from blocking: a pipe with room has as much
/// (pipe(7), `PIPE_BUF`).
const CAREFUL: usize = 4096;

/// Where lines of all workers go. One of a process.
#[derive(Debug)]
pub struct Sink {
    out: Out,
    /// The end of a line whose beginning was written: it comes before all others.
    torn: Mutex<Vec<u8>>,
    dropped: AtomicU64,
}

/// How to write without blocking. The flag O_NONBLOCK belongs to the open file, which others may share: standard error
/// is often the same.
#[derive(Debug)]
enum Out {
    /// A write never waits for a reader.
    File(File),
    /// Opened anew, with a flag of its own.
    Own(File),
    /// Asks for it in each call.
    Socket(OwnedFd),
    /// Looks before it writes, and writes little.
    Careful(File),
}

impl Sink {
    /// To standard output.
    ///
    /// # Errors
    /// Where there is none.
    pub fn stdout() -> io::Result<Self> {
        Ok(Self::to(Out::of(io::stdout().as_fd().try_clone_to_owned()?)))
    }

    fn to(out: Out) -> Self {
        Self { out, torn: Mutex::default(), dropped: AtomicU64::new(0) }
    }

    /// Lines that were not written because nobody took them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Says that so many more were not.
    pub fn drop_lines(&self, lines: u64) {
        self.dropped.fetch_add(lines, Relaxed);
    }

    /// Writes what there is room for; the rest of whole lines stays in `lines`. Whether everything is out.
    pub fn write(&self, lines: &mut Vec<u8>) -> bool {
        let mut torn = match self.torn.try_lock() {
            Ok(torn) => torn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another worker writes at this moment.
            Err(TryLockError::WouldBlock) => return false,
        };
        let done = self.write_some(&torn).and_then(|written| {
            torn.drain(..written);
            if torn.is_empty() { self.write_some(lines) } else { Ok(0) }
        });
        match done {
            Ok(written) => {
                let rest = &lines[written..];
                if written > 0 && lines[written - 1] != b'\n' {
                    let end = rest.iter().position(|octet| *octet == b'\n').map_or(rest.len(), |at| at + 1);
                    torn.extend_from_slice(&rest[..end]);
                    lines.drain(..written + end);
                } else {
                    lines.drain(..written);
                }
                torn.is_empty() && lines.is_empty()
            }
            Err(error) => {
                tracing::debug!(%error, "the access log cannot be written");
                self.drop_lines(lines.iter().filter(|octet| **octet == b'\n').count() as u64);
                lines.clear();
                true
            }
        }
    }

    /// How much was taken.
    fn write_some(&self, octets: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < octets.len() {
            match self.out.write(&octets[written..]) {
                Ok(0) => break,
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}

impl Out {
    fn of(fd: OwnedFd) -> Self {
        let kind = fstat(&fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind {
            Ok(FileType::RegularFile) => Self::File(fd.into()),
            Ok(FileType::Socket) => Self::Socket(fd),
            _ => match reopened(&fd) {
                Ok(file) => Self::Own(file),
                // Of another user, for instance.
                Err(_) => Self::Careful(fd.into()),
            },
        }
    }

    fn write(&self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) | Self::Own(file) => (&mut &*file).write(octets),
            Self::Socket(socket) => Ok(send(socket, octets, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?),
            Self::Careful(file) => {
                let mut look = [PollFd::new(file, PollFlags::OUT)];
                poll(&mut look, Some(&Timespec::default()))?;
                match look[0].revents() {
                    seen if seen.is_empty() => Err(ErrorKind::WouldBlock.into()),
                    _ => (&mut &*file).write(&octets[..octets.len().min(CAREFUL)]),
                }
            }
        }
    }
}

fn reopened(fd: &OwnedFd) -> io::Result<File> {
    use std::os::fd::AsRawFd;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    OpenOptions::new().write(true).custom_flags(flags).open(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream};

    use rustix::pipe::pipe;

    use super::*;

    /// Numbered lines of 100 octets.
    fn lines(from: usize, count: usize) -> Vec<u8> {
        (from..from + count).flat_map(|number| format!("{number:099}\n").into_bytes()).collect()
    }

    /// Writes until nothing more is taken, then reads all, again and again: every line comes out whole and in order.
    fn stays_whole(sink: &Sink, mut read: impl FnMut() -> Vec<u8>) {
        let all = lines(0, 20_000);
        let (mut waiting, mut seen) = (all.clone(), Vec::new());
        let mut stalls = 0;
        while !sink.write(&mut waiting) {
            stalls += 1;
            seen.extend(read());
        }
        seen.extend(read());
        assert!(stalls > 1, "it was never full");
        assert!(seen == all && sink.dropped() == 0);
    }

    fn drained(mut reader: &File) -> Vec<u8> {
        let mut all = vec![0; 1 << 20];
        let len = reader.read(&mut all).unwrap();
        all.truncate(len);
        all
    }

    #[test]
    fn a_full_pipe_blocks_nobody_and_tears_no_line() {
        let (reader, writer) = pipe().unwrap();
        let shared = writer.try_clone().unwrap();
        let sink = Sink::to(Out::of(writer));
        assert!(matches!(sink.out, Out::Own(_)));
        let reader = File::from(reader);
        stays_whole(&sink, || drained(&reader));
        // The flag of the file that others share is as it was.
        assert!(!rustix::fs::fcntl_getfl(&shared).unwrap().contains(OFlags::NONBLOCK));
    }

    #[test]
    fn a_pipe_that_cannot_be_opened_anew_is_looked_at_first() {
        let (reader, writer) = pipe().unwrap();
        let sink = Sink::to(Out::Careful(writer.into()));
        let reader = File::from(reader);
        stays_whole(&sink, || drained(&reader));
    }

    #[test]
    fn a_socket_is_asked_not_to_wait() {
        let (reader, writer) = UnixStream::pair().unwrap();
        let sink = Sink::to(Out::of(writer.into()));
        assert!(matches!(sink.out, Out::Socket(_)));
        let reader = File::from(OwnedFd::from(reader));
        stays_whole(&sink, || drained(&reader));
    }

    #[test]
    fn a_file_is_written_where_its_other_writers_are() {
        let mut file = tempfile::tempfile().unwrap();
        let sink = Sink::to(Out::of(file.try_clone().unwrap().into()));
        let mut mine = lines(0, 2);
        assert!(sink.write(&mut mine) && mine.is_empty());
        file.write_all(b"theirs\n").unwrap();
        assert!(sink.write(&mut lines(2, 1)));
        let mut all = String::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut all).unwrap();
        assert_eq!(all.lines().count(), 4);
    }

    #[test]
    fn what_nobody_can_read_is_counted_and_let_go() {
        let (reader, writer) = pipe().unwrap();
        let sink = Sink::to(Out::of(writer));
        drop(reader);
        let mut waiting = lines(0, 3);
        assert!(sink.write(&mut waiting) && waiting.is_empty());
        assert_eq!(sink.dropped(), 3);
    }
}
