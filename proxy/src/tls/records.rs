//! The loop around rustls' connections without buffers, the same for both sides.

use std::ops::Deref;

use rustls::{
    CommonState, Error,
    client::{ClientConnectionData, UnbufferedClientConnection},
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus},
};

/// The most plaintext of a record, and what sealing one adds: header, type, tag (RFC 8446, section 5.2).
const RECORD: usize = 16 << 10;
const OVERHEAD: usize = 5 + 1 + 16;
/// An alert, sealed.
const ALERT: usize = 2 + OVERHEAD;

/// A connection of rustls.
pub(super) enum Connection {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What was read.
#[derive(Clone, Copy, Default)]
pub(super) struct Read {
    /// Octets of the input that rustls has no more use for.
    pub octets: usize,
    /// The peer sent its close_notify.
    pub ended: bool,
}

/// What is to be written.
#[derive(Clone, Copy)]
pub(super) enum Outgoing<'a> {
    Data(&'a [u8]),
    CloseNotify,
}

/// Why nothing was written.
pub(super) enum WriteError {
    /// The handshake runs, or the session was closed.
    NotOpen,
    Failed(Error),
}

impl Connection {
    /// Processes `incoming` until more is needed.
    pub fn read(
        &mut self,
        incoming: &mut [u8],
        plaintext: &mut impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> Result<Read, Error> {
        match self {
            Self::Client(connection) => read(connection, incoming, plaintext, out),
            Self::Server(connection) => read(connection, incoming, plaintext, out),
        }
    }

    /// Appends `outgoing` to `out`. `held` is what the last read left, if rustls holds a part of it.
    pub fn write(&mut self, outgoing: Outgoing<'_>, held: &mut [u8], out: &mut Vec<u8>) -> Result<(), WriteError> {
        match self {
            Self::Client(connection) => write(connection, outgoing, held, out),
            Self::Server(connection) => write(connection, outgoing, held, out),
        }
    }

    /// After an error: appends the alert for the peer to `out`, where there is one.
    pub fn write_alert(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Client(connection) => write_alert(connection, out),
            Self::Server(connection) => write_alert(connection, out),
        }
    }
}

impl Deref for Connection {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }
}

/// What both connections do alike, which rustls has no trait for.
trait Records {
    type Data;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Whether something waits to be encoded.
    fn has_output(&self) -> bool;
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn has_output(&self) -> bool {
        self.wants_write()
    }
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn has_output(&self) -> bool {
        self.wants_write()
    }
}

fn read<C: Records>(
    connection: &mut C,
    incoming: &mut [u8],
    plaintext: &mut impl FnMut(&[u8]),
    out: &mut Vec<u8>,
) -> Result<Read, Error> {
    let mut read = Read::default();
    loop {
        let UnbufferedStatus { mut discard, state } = connection.process(&mut incoming[read.octets..]);
        let mut blocked = false;
        match state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    plaintext(record.payload);
                }
            }
            ConnectionState::EncodeTlsData(data) => encode(data, out)?,
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::PeerClosed => read.ended = true,
            ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) | ConnectionState::Closed => {
                blocked = true;
            }
            _ => return Err(unexpected("early data")),
        }
        read.octets += discard;
        if blocked {
            return Ok(read);
        }
    }
}

fn write<C: Records>(
    connection: &mut C,
    outgoing: Outgoing<'_>,
    held: &mut [u8],
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    loop {
        // A read has taken all that is whole, so that this changes nothing of `held`: it only leads to the state.
        match connection.process(held).state.map_err(WriteError::Failed)? {
            ConnectionState::WriteTraffic(mut traffic) => {
                return match outgoing {
                    Outgoing::Data(plain) => {
                        let size = plain.len() + plain.len().div_ceil(RECORD) * OVERHEAD;
                        append(out, size, |room| traffic.encrypt(plain, room))
                    }
                    Outgoing::CloseNotify => append(out, ALERT, |room| traffic.queue_close_notify(room)),
                }
                .map_err(|error| WriteError::Failed(Error::General(error.to_string())));
            }
            ConnectionState::EncodeTlsData(data) => encode(data, out).map_err(WriteError::Failed)?,
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::PeerClosed => {}
            ConnectionState::BlockedHandshake | ConnectionState::Closed => return Err(WriteError::NotOpen),
            _ => return Err(WriteError::Failed(unexpected("unread data"))),
        }
    }
}

fn write_alert<C: Records>(connection: &mut C, out: &mut Vec<u8>) {
    // What waits comes before any input is looked at, of which rustls may want back what is gone.
    while connection.has_output() {
        let Ok(ConnectionState::EncodeTlsData(data)) = connection.process(&mut []).state else { return };
        if encode(data, out).is_err() {
            return;
        }
    }
}

fn encode<Data>(mut data: EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Result<(), Error> {
    append(out, 0, |room| data.encode(room)).map_err(|error| Error::General(error.to_string()))
}

/// Has `fill` write at the end of `out`, with the room that it wants.
fn append<E: Size>(
    out: &mut Vec<u8>,
    size: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), E> {
    let (start, mut size) = (out.len(), size);
    loop {
        out.resize(start + size, 0);
        match fill(&mut out[start..]) {
            Ok(octets) => {
                out.truncate(start + octets);
                return Ok(());
            }
            Err(error) => match error.wanted() {
                Some(wanted) if wanted > size => size = wanted,
                _ => {
                    out.truncate(start);
                    return Err(error);
                }
            },
        }
    }
}

/// An error that may ask for more room.
trait Size {
    fn wanted(&self) -> Option<usize>;
}

impl Size for EncodeError {
    fn wanted(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::AlreadyEncoded => None,
        }
    }
}

impl Size for EncryptError {
    fn wanted(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::EncryptExhausted => None,
        }
    }
}

/// A state that our configurations do not lead to.
fn unexpected(what: &str) -> Error {
    Error::General(format!("{what} in a state that has none"))
}
