//! The endpoint's side of HTTP: requests out, responses in, over either version.

use byrnie_config::{Fields, RequestHead};
use byrnie_http1 as http1;
use byrnie_http2 as http2;

use super::{
    keys::Key,
    message::{self, Length},
    pool::Lane,
    streams::Streams,
};

/// HTTP of one connection to an endpoint.
pub struct Client {
    /// The endpoint, as this worker knows it.
    pub host: Key,
    /// What it was opened for.
    pub lane: Lane,
    pub codec: Codec,
    /// It failed: nothing new is begun on it.
    pub gone: bool,
    /// Those that were sent on it.
    pub requests: u32,
}

/// How far it is.
pub enum Codec {
    /// TCP connects, or TLS is under way.
    Connecting,
    Http1(Http1),
    Http2(Http2),
}

/// HTTP/1.
pub struct Http1 {
    pub core: http1::Client,
    pub out: Vec<u8>,
    at: usize,
    /// The exchange under way.
    pub exchange: Option<Key>,
}

/// HTTP/2.
pub struct Http2 {
    pub core: Box<http2::Connection>,
    pub streams: Streams,
    /// The peer's SETTINGS are known.
    pub settled: bool,
}

/// Why a request could not be written.
#[derive(Debug)]
pub enum Unsent {
    /// This connection takes none now or any more: another may.
    Connection,
    /// The peer has not said yet whether it takes such a request.
    Now,
    /// No connection takes it.
    Request,
}

impl Client {
    pub fn output(&self) -> &[u8] {
        match &self.codec {
            Codec::Connecting => &[],
            Codec::Http1(http1) => &http1.out[http1.at..],
            Codec::Http2(http2) => http2.core.output(),
        }
    }

    pub fn wrote(&mut self, octets: usize) {
        match &mut self.codec {
            Codec::Connecting => {}
            Codec::Http1(http1) => message::wrote(&mut http1.out, &mut http1.at, octets),
            Codec::Http2(http2) => http2.core.wrote(octets),
        }
    }

    /// Those that it carries.
    pub fn exchanges(&self) -> Vec<Key> {
        match &self.codec {
            Codec::Connecting => Vec::new(),
            Codec::Http1(http1) => http1.exchange.into_iter().collect(),
            Codec::Http2(http2) => http2.streams.exchanges(),
        }
    }

    /// Whether nothing more comes of this connection once its output is written.
    pub fn is_over(&self) -> bool {
        match &self.codec {
            Codec::Connecting => false,
            Codec::Http1(http1) => http1.core.must_close(),
            Codec::Http2(http2) => http2.core.is_finished(),
        }
    }

    /// To be called once a second: whether nothing is under way. Gives up room that is not needed then.
    pub fn rest(&mut self) -> bool {
        match &mut self.codec {
            Codec::Connecting => false,
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

    /// Writes a request for `exchange`.
    pub fn request(
        &mut self,
        exchange: Key,
        head: &RequestHead,
        length: Length,
        end: bool,
    ) -> Result<Option<http2::Key>, Unsent> {
        match &mut self.codec {
            Codec::Connecting => Err(Unsent::Connection),
            Codec::Http1(http1) => {
                if !http1.core.can_reuse() {
                    return Err(Unsent::Connection);
                }
                message::write_http1(&mut http1.core, &mut http1.out, head, length).map_err(|_| Unsent::Request)?;
                http1.exchange = Some(exchange);
                self.requests += 1;
                Ok(None)
            }
            Codec::Http2(Http2 { core, streams, settled }) => {
                let stream = message::write_http2(core, head, length, end).map_err(|refused| match refused {
                    http2::Refused::ExtendedConnect if !*settled => Unsent::Now,
                    http2::Refused::Field | http2::Refused::HeadTooLarge { .. } | http2::Refused::ExtendedConnect => {
                        Unsent::Request
                    }
                    _ => Unsent::Connection,
                })?;
                streams.insert(stream, exchange);
                self.requests += 1;
                Ok(Some(stream))
            }
        }
    }

    /// The request that was written last is the last one.
    pub fn end_after_this(&mut self) {
        match &mut self.codec {
            Codec::Connecting => {}
            Codec::Http1(http1) => http1.core.close_after_response(),
            Codec::Http2(http2) => http2.core.drain(),
        }
    }

    /// As much of the body as there is room for; `end` with its last octet. None where the stream is gone.
    #[inline]
    pub fn send(&mut self, stream: Option<http2::Key>, octets: &[u8], end: bool) -> Option<usize> {
        match (&mut self.codec, stream) {
            (Codec::Http1(http1), _) => {
                // The last octet of a sized body has completed the message already.
                let taken = match octets {
                    [] => 0,
                    octets => http1.core.send(&mut http1.out, octets).ok()?,
                };
                if end && taken == octets.len() {
                    http1.core.finish(&mut http1.out, []).ok()?;
                }
                Some(taken)
            }
            (Codec::Http2(http2), Some(stream)) => http2.core.send(stream, octets, end).ok(),
            _ => None,
        }
    }

    /// Trailers, which end the request. None where the stream is gone.
    pub fn trailers(&mut self, stream: Option<http2::Key>, fields: &Fields) -> Option<()> {
        match (&mut self.codec, stream) {
            (Codec::Http1(http1), _) => http1.core.finish(&mut http1.out, fields.iter()).ok(),
            (Codec::Http2(http2), Some(stream)) => {
                let mut writer = http2.core.trailers(stream).ok()?;
                for (name, value) in fields.iter() {
                    writer.field(name, value);
                }
                writer.finish(true).ok().map(drop)
            }
            _ => None,
        }
    }

    /// Octets of a response's body that were passed on.
    #[inline]
    pub fn release(&mut self, stream: Option<http2::Key>, octets: usize) {
        if let (Codec::Http2(http2), Some(stream)) = (&mut self.codec, stream) {
            http2.core.release(stream, octets);
        }
    }
}

impl Http1 {
    pub fn new(limits: http1::Limits) -> Self {
        Self { core: http1::Client::new(limits), out: Vec::new(), at: 0, exchange: None }
    }
}

impl Http2 {
    pub fn new(config: http2::Config) -> Self {
        Self { core: Box::new(http2::Connection::client(config)), streams: Streams::default(), settled: false }
    }
}
