//! One connection, without I/O.

use std::{fmt, mem, sync::Arc, time::SystemTime};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, HandshakeKind, ServerConfig, client::UnbufferedClientConnection,
    server::UnbufferedServerConnection,
};
use rustls_pki_types::ServerName;

use super::{
    peer::{Names, Peer, PeerError},
    records::{Connection, Outgoing, WriteError},
};

/// The longest that is held of a handshake in pieces; a record has at most 16,645 octets (RFC 8446, section 5.2), and
/// flights of the mesh 4 KiB.
const HELD: usize = 64 << 10;

/// One TLS connection. The caller owns all buffers; here is kept only what rustls keeps, and pieces of a handshake
/// message that is not whole.
pub struct Session {
    connection: Connection,
    stage: Stage,
    /// Records that are not whole while the handshake runs, or of which rustls keeps a part by its place in the buffer.
    held: Vec<u8>,
    server_name: Option<Box<str>>,
    /// The peer sent its close_notify.
    ended: bool,
    /// We sent ours.
    closed: bool,
}

enum Stage {
    /// Who is accepted as the peer.
    Handshake(Arc<Names>),
    Established(Peer),
    Failed,
}

/// What receiving brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// So much of the input was taken. The caller presents the rest again, with what follows it.
    pub consumed: usize,
    /// The peer closed its side with a close_notify. Without it the end of the stream is a truncation.
    pub ended: bool,
}

/// Why a connection is of no more use. What the peer is told of it was written before.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The peer is not who it should be.
    #[error("{0}")]
    Peer(#[from] PeerError),
    /// The peer gave up.
    #[error("the peer sent the alert {0:?}")]
    Alert(AlertDescription),
    /// The peer broke the protocol, or has nothing in common with us.
    #[error("TLS failed: {0}")]
    Protocol(rustls::Error),
    /// A handshake message that does not end.
    #[error("more than 64 KiB of a handshake message in pieces")]
    TooLong,
    /// Something is to be sealed before the handshake ended, or after the session was closed.
    #[error("the TLS session carries no data now")]
    NotOpen,
}

impl Session {
    pub(super) fn server(
        config: Arc<ServerConfig>,
        names: Arc<Names>,
        server_name: Option<Box<str>>,
    ) -> Result<Self, Error> {
        let connection = Connection::Server(UnbufferedServerConnection::new(config)?);
        Ok(Self::new(connection, names, server_name))
    }

    pub(super) fn client(
        config: Arc<ClientConfig>,
        names: Arc<Names>,
        name: ServerName<'static>,
        alpn: Vec<Vec<u8>>,
    ) -> Result<Self, Error> {
        let server_name = match &name {
            ServerName::DnsName(name) => Some(name.as_ref().into()),
            _ => None,
        };
        let connection = Connection::Client(UnbufferedClientConnection::new_with_alpn(config, name, alpn)?);
        Ok(Self::new(connection, names, server_name))
    }

    fn new(connection: Connection, names: Arc<Names>, server_name: Option<Box<str>>) -> Self {
        let stage = Stage::Handshake(names);
        Self { connection, stage, held: Vec::new(), server_name, ended: false, closed: false }
    }

    /// Takes what arrived: gives the plaintext of whole records to `plaintext`, record by record, and appends what is
    /// to be sent for it (handshake, tickets, alerts) to `out`. `incoming` is decrypted in place.
    ///
    /// With no input, a client starts the handshake. Plaintext is given out only once the peer proved who it is.
    ///
    /// # Errors
    /// When the connection is of no more use. An alert for the peer is in `out` all the same.
    pub fn receive(
        &mut self,
        incoming: &mut [u8],
        mut plaintext: impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> Result<Progress, Error> {
        let received = match self.stage {
            Stage::Established(_) => self.take(incoming, &mut plaintext, out),
            Stage::Handshake(_) => self.take_handshake(incoming, &mut plaintext, out),
            Stage::Failed => return Err(Error::NotOpen),
        };
        match received {
            Ok(consumed) => Ok(Progress { consumed, ended: self.ended }),
            Err(error) => {
                self.stage = Stage::Failed;
                self.held = Vec::new();
                self.connection.write_alert(out);
                Err(error)
            }
        }
    }

    /// Appends `plain` to `out` as records of up to 16 KiB.
    ///
    /// # Errors
    /// [`Error::NotOpen`] before the handshake ended and after [`close`](Self::close).
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        // rustls would go on after a close_notify, which the peer ignores (RFC 8446, section 6.1).
        if !self.is_established() || self.closed {
            return Err(Error::NotOpen);
        }
        self.connection.write(Outgoing::Data(plain), &mut self.held, out).map_err(Error::from)
    }

    /// Appends a close_notify to `out`: nothing is sealed after it. Before the handshake ended there is none.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.is_established() && !mem::replace(&mut self.closed, true) {
            // Where it fails there is nothing to say any more.
            let _ = self.connection.write(Outgoing::CloseNotify, &mut self.held, out);
        }
    }

    /// Whether the handshake ended well: data flows.
    #[inline]
    pub fn is_established(&self) -> bool {
        matches!(self.stage, Stage::Established(_))
    }

    /// Whether it is of no more use: [`receive`](Self::receive) said why.
    pub fn is_failed(&self) -> bool {
        matches!(self.stage, Stage::Failed)
    }

    /// Who the peer is; none before the handshake ended.
    pub fn peer(&self) -> Option<&Peer> {
        match &self.stage {
            Stage::Established(peer) => Some(peer),
            _ => None,
        }
    }

    /// The protocol that was selected.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// The name that was called: SNI.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Whether the handshake went on from an earlier one.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Octets on the heap for pieces of a handshake; rustls' own are not counted.
    pub fn memory(&self) -> usize {
        self.held.capacity()
    }

    /// Takes records while the handshake runs. What follows it in the same input waits until the peer is known.
    fn take_handshake(
        &mut self,
        incoming: &mut [u8],
        plaintext: &mut impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        let mut early: Vec<u8> = Vec::new();
        let consumed = self.take(incoming, &mut |octets: &[u8]| early.extend_from_slice(octets), out)?;
        if self.connection.is_handshaking() {
            return Ok(consumed);
        }
        if let Stage::Handshake(names) = &self.stage {
            let leaf = self.connection.peer_certificates().and_then(<[_]>::first).ok_or(PeerError::Missing)?;
            self.stage = Stage::Established(names.peer(leaf, SystemTime::now())?);
        }
        if !early.is_empty() {
            plaintext(&early);
        }
        Ok(consumed)
    }

    /// Takes whole records, and answers how much of `incoming` is done with.
    ///
    /// rustls remembers pieces of a handshake message by their place in the buffer, decrypted. So what is not whole is
    /// held here for as long as that may be; of data, the caller keeps it.
    fn take(
        &mut self,
        incoming: &mut [u8],
        plaintext: &mut impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        if self.held.is_empty() {
            let read = self.pump(incoming, plaintext, out)?;
            let rest = &incoming[read..];
            if !self.must_hold(rest) {
                return Ok(read);
            }
            self.held = rest.to_vec();
        } else {
            let mut held = mem::take(&mut self.held);
            held.extend_from_slice(incoming);
            let read = self.pump(&mut held, plaintext, out)?;
            let rest = &held[read..];
            // A record that has only begun goes back to the caller, who still has it as it came.
            if rest.len() <= incoming.len() && !self.must_hold(rest) {
                return Ok(incoming.len() - rest.len());
            }
            held.drain(..read);
            self.held = held;
        }
        if self.held.len() > HELD {
            return Err(Error::TooLong);
        }
        Ok(incoming.len())
    }

    /// Whether rustls may need `rest` again. A whole record that it left in its place is a piece of a message.
    fn must_hold(&self, rest: &[u8]) -> bool {
        if self.ended || rest.is_empty() {
            return false;
        }
        let is_whole = match rest {
            [_, _, _, high, low, body @ ..] => body.len() >= usize::from(u16::from_be_bytes([*high, *low])),
            _ => false,
        };
        is_whole || self.connection.is_handshaking()
    }

    /// Has rustls process `incoming` until it needs more; answers how much of it was read.
    fn pump(
        &mut self,
        incoming: &mut [u8],
        plaintext: &mut impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        let read = self.connection.read(incoming, plaintext, out)?;
        self.ended |= read.ended;
        // After a close_notify everything is ignored (RFC 8446, section 6.1).
        Ok(if self.ended { incoming.len() } else { read.octets })
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::AlertReceived(alert) => Self::Alert(alert),
            rustls::Error::NoCertificatesPresented => Self::Peer(PeerError::Missing),
            rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
                match other.0.downcast_ref::<PeerError>() {
                    Some(error) => Self::Peer(error.clone()),
                    None => Self::Peer(PeerError::Chain(other.to_string())),
                }
            }
            rustls::Error::InvalidCertificate(error) => Self::Peer(PeerError::Chain(error.to_string())),
            error => Self::Protocol(error),
        }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotOpen => Self::NotOpen,
            WriteError::Failed(error) => error.into(),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("peer", &self.peer())
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
