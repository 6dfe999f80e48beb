//! One connection: its socket, its TLS, what waits in either direction, and what it is for.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    sync::Arc,
    time::Instant,
};

use byrnie_config::Listener;
use mio::net::TcpStream;

use super::{
    buffer::{Buffer, READ},
    client::Client,
    ends::Tunnel,
    server::Server,
    socket::{read_socket, write_socket},
};
use crate::tls;

/// Most that is sealed at once: what a socket takes at a time.
const SEAL: usize = 64 << 10;

/// A connection.
pub struct Conn {
    pub stream: TcpStream,
    pub peer: SocketAddr,
    pub session: Option<Box<tls::Session>>,
    /// Ciphertext of a record that is not whole.
    cipher: Vec<u8>,
    /// Plain octets that were not understood yet.
    pub kept: Vec<u8>,
    /// What goes to the socket as it is, from `out_at` on.
    out: Vec<u8>,
    out_at: usize,
    /// The socket may have more to read: no read since was short (epoll(7), edge-triggered).
    pub readable: bool,
    pub writable: bool,
    /// The socket said that the peer closed its side: read on until that is seen.
    pub closing: bool,
    /// The peer closed its side, and everything before that was given out.
    pub ended: bool,
    /// Not read while who takes the octets has no room.
    pub paused: bool,
    /// Stands among those to be read, to be flushed.
    pub queued: bool,
    pub dirty: bool,
    pub after: After,
    /// When [`Due::Connection`](super::timers::Due::Connection) is of meaning.
    pub deadline: Option<Instant>,
    /// When its socket last had something to say.
    pub active: Instant,
    pub role: Role,
}

/// What becomes of a connection when all is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It goes on.
    Open,
    /// The write side is shut down, the read side goes on.
    Shut,
    /// The write side was shut down.
    IsShut,
    /// It is closed.
    Close,
    /// It is reset, as its other end was.
    Reset,
}

/// What a connection is for.
pub enum Role {
    /// Accepted; which chain takes it is not known yet.
    Inspecting(Box<Inspecting>),
    /// HTTP of a client.
    Server(Box<Server>),
    /// HTTP to an endpoint, from its connect on.
    Client(Box<Client>),
    /// Octets, one of a pair.
    Tunnel(Box<Tunnel>),
    /// Nothing more: what was written goes out.
    Done,
}

/// A connection of which it is not known yet what it is.
pub struct Inspecting {
    pub listener: Arc<Listener>,
    /// The address that the client called.
    pub called: SocketAddr,
    pub seeks: Seeks,
    /// After some silence the endpoint of the TCP chain may be dialled.
    pub early: bool,
}

/// What is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeks {
    /// The listener of the address.
    Listener,
    /// The chain of the listener.
    Chain,
}

/// What reading brought.
#[derive(Debug)]
pub enum Got {
    /// Nothing new.
    Nothing,
    /// Something, maybe of TLS's own.
    Octets,
    /// The peer closed its side; what came before is in the buffer.
    End,
    /// The connection is of no more use.
    Failed(Broken),
}

/// Why a connection broke.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// By the socket.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// By TLS.
    #[error("{0}")]
    Tls(#[from] tls::Error),
    /// By HTTP.
    #[error("{0}")]
    Protocol(String),
}

impl Conn {
    pub fn new(stream: TcpStream, peer: SocketAddr, role: Role, now: Instant) -> Self {
        Self {
            stream,
            peer,
            session: None,
            cipher: Vec::new(),
            kept: Vec::new(),
            out: Vec::new(),
            out_at: 0,
            readable: true,
            writable: true,
            closing: false,
            ended: false,
            paused: false,
            queued: false,
            dirty: false,
            after: After::Open,
            deadline: None,
            active: now,
            role,
        }
    }

    /// Starts TLS. `hello` was read from the socket before.
    pub fn secure(&mut self, session: tls::Session, hello: Vec<u8>) {
        self.session = Some(Box::new(session));
        self.cipher = hello;
    }

    /// Starts TLS as its client.
    pub fn start(&mut self, mut session: tls::Session) -> Result<(), tls::Error> {
        session.receive(&mut [], |_| {}, &mut self.out)?;
        self.session = Some(Box::new(session));
        Ok(())
    }

    /// Gives up room that is not needed.
    pub fn rest(&mut self) {
        if self.is_flushed() && self.out.capacity() > 0 {
            self.out = Vec::new();
            self.out_at = 0;
        }
        if self.cipher.is_empty() {
            self.cipher = Vec::new();
        }
        if self.kept.is_empty() {
            self.kept = Vec::new();
        }
    }

    /// Reads once behind what was kept: `plain` has all that the role has not understood yet. `cipher` is for TLS.
    pub fn read(&mut self, plain: &mut Buffer, cipher: &mut Buffer) -> Got {
        plain.clear();
        plain.push(&self.kept);
        self.kept.clear();
        if self.ended {
            // Whoever had no room for all of it comes again.
            return Got::End;
        }
        if plain.filled().len() >= READ {
            // There is enough to understand before more is read.
            return Got::Octets;
        }
        let Some(session) = &mut self.session else {
            return match read_socket(&self.stream, plain, &mut self.readable, self.closing) {
                Ok(Some(0)) => Got::End,
                Ok(Some(_)) => Got::Octets,
                Ok(None) => Got::Nothing,
                Err(error) => Got::Failed(error.into()),
            };
        };
        cipher.clear();
        cipher.push(&self.cipher);
        let had = self.cipher.len();
        self.cipher.clear();
        let read = match read_socket(&self.stream, cipher, &mut self.readable, self.closing) {
            Ok(read) => read,
            Err(error) => return Got::Failed(error.into()),
        };
        if read.is_none() && had == 0 {
            return Got::Nothing;
        }
        let progress = match session.receive(cipher.filled_mut(), |octets| plain.push(octets), &mut self.out) {
            Ok(progress) => progress,
            Err(error) => return Got::Failed(error.into()),
        };
        self.cipher.extend_from_slice(&cipher.filled()[progress.consumed..]);
        match read {
            Some(0) => Got::End,
            _ if progress.ended => Got::End,
            _ => Got::Octets,
        }
    }

    /// Keeps what was not understood.
    pub fn keep(&mut self, octets: &[u8]) {
        if !octets.is_empty() {
            self.kept.extend_from_slice(octets);
        } else if self.kept.is_empty() && self.kept.capacity() > 4 << 10 {
            self.kept = Vec::new();
        }
    }

    /// Whether TLS, where there is any, is as far as to carry octets.
    pub fn is_secured(&self) -> bool {
        self.session.as_ref().is_none_or(|session| session.is_established())
    }

    /// Whether all is written that was to be.
    pub fn is_flushed(&self) -> bool {
        self.out_at == self.out.len()
    }

    /// Writes what there is. `scratch` is for sealing. Whether something was written.
    pub fn write(&mut self, scratch: &mut Vec<u8>) -> io::Result<bool> {
        let mut wrote = false;
        while self.writable {
            if self.out_at < self.out.len() {
                let Some(octets) = write_socket(&self.stream, &self.out[self.out_at..], &mut self.writable)? else {
                    break;
                };
                self.out_at += octets;
                wrote |= octets > 0;
                if self.out_at < self.out.len() {
                    continue;
                }
                self.out_at = 0;
                self.out.clear();
                if self.out.capacity() > SEAL {
                    self.out = Vec::new();
                }
            }
            if !self.is_secured() {
                break;
            }
            let pending = self.role.output();
            if pending.is_empty() {
                break;
            }
            match &mut self.session {
                None => {
                    let Some(octets) = write_socket(&self.stream, pending, &mut self.writable)? else { break };
                    self.role.wrote(octets);
                    wrote |= octets > 0;
                }
                Some(session) => {
                    scratch.clear();
                    let piece = &pending[..pending.len().min(SEAL)];
                    session.seal(piece, scratch).map_err(io::Error::other)?;
                    self.role.wrote(piece.len());
                    let octets = write_socket(&self.stream, scratch, &mut self.writable)?.unwrap_or(0);
                    self.out.extend_from_slice(&scratch[octets..]);
                    wrote = true;
                }
            }
        }
        Ok(wrote)
    }

    /// Writes octets past the role where nothing waits before them, and says how many were taken.
    pub fn offer(&mut self, octets: &[u8], scratch: &mut Vec<u8>) -> io::Result<usize> {
        // A socket that is connected, but whose TLS has not begun, looks like plain text.
        let connects = matches!(&self.role, Role::Tunnel(tunnel) if tunnel.is_connecting());
        if octets.is_empty() || connects || !self.writable || !self.is_secured() || !self.is_drained() {
            return Ok(0);
        }
        let Some(session) = &mut self.session else {
            return Ok(write_socket(&self.stream, octets, &mut self.writable)?.unwrap_or(0));
        };
        scratch.clear();
        session.seal(octets, scratch).map_err(io::Error::other)?;
        let written = write_socket(&self.stream, scratch, &mut self.writable)?.unwrap_or(0);
        self.out.extend_from_slice(&scratch[written..]);
        Ok(octets.len())
    }

    /// Whether nothing waits to be written, in the role or behind it.
    pub fn is_drained(&self) -> bool {
        self.is_flushed() && (self.role.output().is_empty() || self.is_lost())
    }

    /// Whether TLS failed, so that what the role has to say goes nowhere.
    fn is_lost(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_failed())
    }

    /// The end of the connection is a reset (RST): the peer sees that something broke.
    pub fn reset(&mut self) {
        // Where that does not work it is closed all the same.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
    }

    /// Says that nothing more will be written. With TLS a close_notify goes out first, which may have to wait.
    pub fn shut(&mut self) {
        if let Some(session) = &mut self.session
            && session.is_established()
        {
            session.close(&mut self.out);
            // What does not fit into the socket now is lost: the peer sees the end by the FIN all the same.
            if let Ok(Some(octets)) = write_socket(&self.stream, &self.out[self.out_at..], &mut self.writable) {
                self.out_at += octets;
            }
        }
        // The peer may have gone first.
        let _ = self.stream.shutdown(Shutdown::Write);
        self.after = After::IsShut;
    }
}

impl Role {
    /// What waits to be sealed or written.
    #[inline]
    fn output(&self) -> &[u8] {
        match self {
            Self::Server(server) => server.output(),
            Self::Client(client) => client.output(),
            Self::Tunnel(tunnel) => tunnel.output(),
            Self::Inspecting(_) | Self::Done => &[],
        }
    }

    #[inline]
    fn wrote(&mut self, octets: usize) {
        match self {
            Self::Server(server) => server.wrote(octets),
            Self::Client(client) => client.wrote(octets),
            Self::Tunnel(tunnel) => tunnel.wrote(octets),
            Self::Inspecting(_) | Self::Done => {}
        }
    }
}
