//! A connection over a TCP socket: moves octets between the two, and hands what they come to to a closure. Tests of
//! whole programs stand on it.

use std::io;
use std::time::Duration;

use byrnie_http2::{Connection, ConnectionError, Event, Fields, Key};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

/// What a closure is told.
#[derive(Debug)]
pub enum Turn<'f, 'b> {
    /// The peer did something.
    Event(Event<'f, 'b>),
    /// A stream that was refused room has it now.
    Writable(Key),
}

/// How long a peer has to read the end of the output and to close its own side.
const FAREWELL: Duration = Duration::from_secs(2);
/// What a peer may still send meanwhile, octets.
const FAREWELL_OCTETS: usize = 1 << 20;

/// Runs `connection` until either side ends it, and returns the rule that the peer broke, if that is why. The peer gets
/// all of the output, its GOAWAY included.
///
/// # Errors
/// The socket broke.
pub async fn drive(
    mut socket: TcpStream,
    mut connection: Connection,
    mut application: impl FnMut(&mut Connection, Turn<'_, '_>),
) -> io::Result<Option<ConnectionError>> {
    let (mut input, mut fields) = (Vec::with_capacity(32 << 10), Fields::new());
    let mut seconds = time::interval(Duration::from_secs(1));
    let (mut reader, mut writer) = socket.split();
    let outcome = loop {
        let outcome = receive(&mut connection, &mut input, &mut fields, &mut application);
        while let Some(stream) = connection.next_writable() {
            application(&mut connection, Turn::Writable(stream));
        }
        if outcome.is_err() || connection.is_finished() {
            break outcome.err();
        }
        tokio::select! {
            written = writer.write(connection.output()), if !connection.output().is_empty() => {
                connection.wrote(written?);
            }
            read = reader.read_buf(&mut input) => if read? == 0 { break None },
            _ = seconds.tick() => connection.tick(),
        }
    };
    // A peer that does not read to the end has closed already, which is its right.
    let _ = time::timeout(FAREWELL, say_farewell(&mut socket, connection.output())).await;
    Ok(outcome)
}

fn receive(
    connection: &mut Connection,
    input: &mut Vec<u8>,
    fields: &mut Fields,
    application: &mut impl FnMut(&mut Connection, Turn<'_, '_>),
) -> Result<(), ConnectionError> {
    let mut left = &input[..];
    while let Some(event) = connection.receive(&mut left, fields)? {
        application(connection, Turn::Event(event));
    }
    let taken = input.len() - left.len();
    input.drain(..taken);
    Ok(())
}

/// Writes `output`, ends our side, and reads to the end of the peer's: a socket that is closed with something unread is
/// reset, and the peer may lose what it has not read yet.
async fn say_farewell(socket: &mut TcpStream, output: &[u8]) -> io::Result<()> {
    socket.write_all(output).await?;
    socket.shutdown().await?;
    let (mut unread, mut octets) = ([0; 4096], 0);
    while octets < FAREWELL_OCTETS {
        match socket.read(&mut unread).await? {
            0 => break,
            more => octets += more,
        }
    }
    Ok(())
}
