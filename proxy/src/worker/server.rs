//! The client's side of HTTP: requests in, responses out, over either version.

use std::rc::Rc;

use byrnie_config::{Fields, ResponseHead};
use byrnie_http1 as http1;
use byrnie_http2 as http2;

use super::{
    front::Front,
    keys::Key,
    message::{self, Length},
    streams::Streams,
};

/// HTTP of one client's connection.
pub struct Server {
    /// Where it came from and what serves it.
    pub front: Rc<Front>,
    pub codec: Codec,
    /// It is told that it is to go.
    pub draining: bool,
}

/// Which version.
pub enum Codec {
    /// The first octets decide.
    Unknown,
    Http1(Http1),
    Http2(Http2),
}

/// HTTP/1.
pub struct Http1 {
    pub core: http1::Server,
    pub out: Vec<u8>,
    at: usize,
    /// The exchange under way.
    pub exchange: Option<Key>,
}

/// HTTP/2.
pub struct Http2 {
    pub core: Box<http2::Connection>,
    pub streams: Streams,
}

/// Why a head was not written.
#[derive(Debug)]
pub enum Unwritten {
    /// There is no room now.
    Full,
    /// The client's stream is not there any more, or must not get it.
    Gone,
}

impl From<http2::Refused> for Unwritten {
    fn from(refused: http2::Refused) -> Self {
        match refused {
            http2::Refused::OutputFull => Self::Full,
            _ => Self::Gone,
        }
    }
}

/// What a response goes to is not there any more, or must not get it.
#[derive(Debug)]
pub struct Gone;

impl Server {
    pub fn output(&self) -> &[u8] {
        match &self.codec {
            Codec::Unknown => &[],
            Codec::Http1(http1) => &http1.out[http1.at..],
            Codec::Http2(http2) => http2.core.output(),
        }
    }

    pub fn wrote(&mut self, octets: usize) {
        match &mut self.codec {
            Codec::Unknown => {}
            Codec::Http1(http1) => message::wrote(&mut http1.out, &mut http1.at, octets),
            Codec::Http2(http2) => http2.core.wrote(octets),
        }
    }

    /// Those that are under way.
    pub fn exchanges(&self) -> Vec<Key> {
        match &self.codec {
            Codec::Unknown => Vec::new(),
            Codec::Http1(http1) => http1.exchange.into_iter().collect(),
            Codec::Http2(http2) => http2.streams.exchanges(),
        }
    }

    /// Tells the client to go elsewhere with its next requests.
    pub fn drain(&mut self) {
        self.draining = true;
        match &mut self.codec {
            Codec::Unknown => {}
            Codec::Http1(http1) => http1.core.close_after_response(),
            Codec::Http2(http2) => http2.core.drain(),
        }
    }

    /// To be called once a second: whether nothing is under way. Gives up room that is not needed then.
    pub fn rest(&mut self) -> bool {
        match &mut self.codec {
            Codec::Unknown => true,
            Codec::Http1(http1) => {
                let idle = http1.exchange.is_none();
                if idle && http1.out.is_empty() {
                    http1.out = Vec::new();
                }
                idle
            }
            Codec::Http2(http2) => {
                http2.core.tick();
                let idle = http2.core.active_streams() == 0;
                if idle {
                    http2.core.rest();
                    http2.streams.rest();
                }
                idle
            }
        }
    }

    /// An interim response.
    pub fn inform(&mut self, stream: Option<http2::Key>, head: &ResponseHead) {
        // Whether it arrives is of no consequence: the response follows.
        match (&mut self.codec, stream) {
            (Codec::Http1(http1), _) => {
                if let Ok(writer) = http1.core.inform(&mut http1.out, head.status) {
                    let _ = writer.fields(head.fields.iter()).end(http1::Body::None);
                }
            }
            (Codec::Http2(http2), Some(stream)) => {
                if let Ok(mut writer) = http2.core.inform(stream, head.status) {
                    for (name, value) in head.fields.iter() {
                        writer.field(name, value);
                    }
                    let _ = writer.finish(false);
                }
            }
            _ => {}
        }
    }

    /// The head of the response; `end` where nothing follows. `upgrade` goes with 101.
    pub fn respond(
        &mut self,
        stream: Option<http2::Key>,
        head: &ResponseHead,
        length: Length,
        end: bool,
        upgrade: Option<&[u8]>,
    ) -> Result<(), Unwritten> {
        match (&mut self.codec, stream) {
            (Codec::Http1(http1), _) => {
                if self.draining {
                    http1.core.close_after_response();
                }
                message::respond_http1(&mut http1.core, &mut http1.out, head, length, upgrade)
                    .map_err(|_| Unwritten::Gone)
            }
            (Codec::Http2(http2), Some(stream)) => {
                Ok(message::respond_http2(&mut http2.core, stream, head, length, end)?)
            }
            _ => Err(Unwritten::Gone),
        }
    }

    /// As much of the body as there is room for; `end` with its last octet.
    #[inline]
    pub fn send(&mut self, stream: Option<http2::Key>, octets: &[u8], end: bool) -> Result<usize, Gone> {
        match (&mut self.codec, stream) {
            (Codec::Http1(http1), _) => {
                // The last octet of a sized body has completed the message already.
                let taken = match octets {
                    [] => 0,
                    octets => http1.core.send(&mut http1.out, octets).map_err(|_| Gone)?,
                };
                if end && taken == octets.len() {
                    http1.core.finish(&mut http1.out, []).map_err(|_| Gone)?;
                }
                Ok(taken)
            }
            (Codec::Http2(http2), Some(stream)) => http2.core.send(stream, octets, end).map_err(|_| Gone),
            _ => Err(Gone),
        }
    }

    /// Trailers, which end the response.
    pub fn trailers(&mut self, stream: Option<http2::Key>, fields: &Fields) -> Result<(), Unwritten> {
        match (&mut self.codec, stream) {
            (Codec::Http1(http1), _) => http1.core.finish(&mut http1.out, fields.iter()).map_err(|_| Unwritten::Gone),
            (Codec::Http2(http2), Some(stream)) => {
                let mut writer = http2.core.trailers(stream)?;
                for (name, value) in fields.iter() {
                    writer.field(name, value);
                }
                writer.finish(true)?;
                Ok(())
            }
            _ => Err(Unwritten::Gone),
        }
    }

    /// Octets of a request's body that were passed on.
    #[inline]
    pub fn release(&mut self, stream: Option<http2::Key>, octets: usize) {
        if let (Codec::Http2(http2), Some(stream)) = (&mut self.codec, stream) {
            http2.core.release(stream, octets);
        }
    }
}

impl Http1 {
    pub fn new(limits: http1::Limits) -> Self {
        Self { core: http1::Server::new(limits), out: Vec::new(), at: 0, exchange: None }
    }
}

impl Http2 {
    pub fn new(config: http2::Config) -> Self {
        Self { core: Box::new(http2::Connection::server(config)), streams: Streams::default() }
    }
}
