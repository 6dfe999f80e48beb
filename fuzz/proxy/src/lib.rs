//! What the fuzz targets run: a function from bytes to nothing that panics where the data path breaks a promise.

pub mod hpack;
pub mod http1_connection;
pub mod http1_requests;
pub mod http1_responses;
pub mod http2_client;
pub mod http2_exchange;
pub mod http2_frames;
pub mod http2_owner;
pub mod http2_pair;
pub mod http2_server;
pub mod tape;
pub mod transcript;
