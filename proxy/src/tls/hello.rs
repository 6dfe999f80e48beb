//! What a client offers, read from its first octets without taking them.

/// The most that is looked at. A hello with a post-quantum key share has about 1,700 octets.
const LIMIT: usize = 16 << 10;
/// The header of a record: type, version, length (RFC 8446, section 5.1).
const RECORD_HEADER: usize = 5;
/// The longest plaintext record (RFC 8446, section 5.1).
const RECORD_LIMIT: usize = 1 << 14;
/// The header of a handshake message: type, length (RFC 8446, section 4).
const MESSAGE_HEADER: usize = 4;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// What the first octets of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// TLS so far, but not all of the hello.
    Partial,
    /// Anything else, TLS with a malformed hello or one beyond 16 KiB included.
    NotTls,
    /// A client's offer.
    ClientHello(ClientHello),
}

/// What a client offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// Protocols, in the client's order (RFC 7301).
    pub alpn: Vec<Box<[u8]>>,
    /// The name that is called, in lower case (RFC 6066, section 3).
    pub server_name: Option<Box<str>>,
}

/// Reads the client's hello at the beginning of `octets`; nothing is consumed.
pub fn hello(octets: &[u8]) -> Hello {
    let seen = &octets[..octets.len().min(LIMIT)];
    match message(seen) {
        Ok(Some(message)) => match client_hello(&message[MESSAGE_HEADER..]) {
            Some(hello) => Hello::ClientHello(hello),
            None => Hello::NotTls,
        },
        Ok(None) if octets.len() < LIMIT => Hello::Partial,
        Ok(None) | Err(NotTls) => Hello::NotTls,
    }
}

struct NotTls;

/// The first handshake message, joined from its records; none where octets are missing.
fn message(mut octets: &[u8]) -> Result<Option<Vec<u8>>, NotTls> {
    let mut joined = Vec::new();
    loop {
        // What is there of the header must fit already, so that plain text is told by its first octet.
        let fits = octets.iter().zip([HANDSHAKE, 3]).all(|(octet, wanted)| *octet == wanted);
        if !fits {
            return Err(NotTls);
        }
        let Some((header, rest)) = octets.split_at_checked(RECORD_HEADER) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if length == 0 || length > RECORD_LIMIT {
            return Err(NotTls);
        }
        joined.extend_from_slice(&rest[..length.min(rest.len())]);
        if joined.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(NotTls);
        }
        if let [_, a, b, c, body @ ..] = &joined[..] {
            let wanted = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if wanted + MESSAGE_HEADER + RECORD_HEADER > LIMIT {
                return Err(NotTls);
            }
            if body.len() >= wanted {
                joined.truncate(MESSAGE_HEADER + wanted);
                return Ok(Some(joined));
            }
        }
        octets = rest.get(length..).unwrap_or_default();
        if octets.is_empty() {
            return Ok(None);
        }
    }
}

/// Reads the body of a ClientHello (RFC 8446, section 4.1.2).
fn client_hello(body: &[u8]) -> Option<ClientHello> {
    let mut body = Reader(body);
    let mut found = ClientHello::default();
    body.take(2 + 32)?; // legacy_version, random
    body.short_vector()?; // legacy_session_id
    body.vector()?; // cipher_suites
    body.short_vector()?; // legacy_compression_methods
    if body.0.is_empty() {
        return Some(found); // TLS 1.2 without extensions
    }
    let mut extensions = Reader(body.vector()?);
    if !body.0.is_empty() {
        return None;
    }
    let (mut has_name, mut has_alpn) = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let data = Reader(extensions.vector()?);
        match kind {
            SERVER_NAME if std::mem::replace(&mut has_name, true) => return None,
            SERVER_NAME => found.server_name = server_name(data)?,
            ALPN if std::mem::replace(&mut has_alpn, true) => return None,
            ALPN => found.alpn = protocols(data)?,
            _ => {}
        }
    }
    Some(found)
}

/// The host name of a `server_name` extension; a name of no use is left out, as rustls does.
fn server_name(mut data: Reader<'_>) -> Option<Option<Box<str>>> {
    let mut list = Reader(data.vector()?);
    if !data.0.is_empty() || list.0.is_empty() {
        return None;
    }
    let mut found = None;
    while !list.0.is_empty() {
        let kind = list.take(1)?[0];
        let name = list.vector()?;
        let fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if kind == 0 && found.is_none() && !name.is_empty() && name.len() <= 253 && name.iter().all(fits) {
            found = std::str::from_utf8(name).ok().map(|name| name.to_ascii_lowercase().into());
        }
    }
    Some(found)
}

fn protocols(mut data: Reader<'_>) -> Option<Vec<Box<[u8]>>> {
    let mut list = Reader(data.vector()?);
    if !data.0.is_empty() || list.0.is_empty() {
        return None;
    }
    let mut found = Vec::new();
    while !list.0.is_empty() {
        let protocol = list.short_vector()?;
        if protocol.is_empty() {
            return None;
        }
        found.push(protocol.into());
    }
    Some(found)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// A vector with its length in two octets.
    fn vector(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }

    /// A vector with its length in one octet.
    fn short_vector(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests;
