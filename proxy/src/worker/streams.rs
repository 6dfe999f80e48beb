//! Which exchange a stream of HTTP/2 belongs to.

use byrnie_http2 as http2;

use super::keys::Key;

/// Streams that are opened on a connection to an endpoint; beyond it another one is made. So many have room side by side
/// in the window of a connection.
pub const MOST: u32 = 256;

/// What every connection of HTTP/2 grants. Streams that nobody reads fill their own windows only: that of the connection
/// has room for as many as a peer may open, so that the others never wait for them.
pub fn settings() -> http2::Config {
    let (stream, mut config) = (64 << 10, http2::Config::default());
    config.limits.concurrent_streams = MOST;
    config.windows = http2::Windows { stream, connection: stream * MOST };
    config
}

/// By the place of the stream, which is small and used again.
#[derive(Debug, Default)]
pub struct Streams(Vec<Option<(http2::Key, Key)>>);

impl Streams {
    /// The exchange of a stream.
    #[inline]
    pub fn get(&self, stream: http2::Key) -> Option<Key> {
        self.0
            .get(stream.index())
            .copied()
            .flatten()
            .filter(|(known, _)| *known == stream)
            .map(|(_, exchange)| exchange)
    }

    pub fn insert(&mut self, stream: http2::Key, exchange: Key) {
        if self.0.len() <= stream.index() {
            self.0.resize(stream.index() + 1, None);
        }
        self.0[stream.index()] = Some((stream, exchange));
    }

    pub fn remove(&mut self, stream: http2::Key) {
        if self.get(stream).is_some() {
            self.0[stream.index()] = None;
        }
    }

    /// All exchanges.
    pub fn exchanges(&self) -> Vec<Key> {
        self.0.iter().flatten().map(|(_, exchange)| *exchange).collect()
    }

    /// Gives up room that is not needed.
    pub fn rest(&mut self) {
        while self.0.last().is_some_and(Option::is_none) {
            self.0.pop();
        }
        self.0.shrink_to_fit();
    }
}
