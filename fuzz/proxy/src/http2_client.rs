//! Any bytes, and frames that are almost right, into a client of HTTP/2 with open requests, whose owner does anything at any
//! time.
//!
//! What must hold is as for [`http2_server`](super::http2_server).

use byrnie_http2::{Connection, Role};

use super::http2_frames::config;
use super::http2_owner::Owner;
use super::http2_server::play;
use super::tape::Tape;

/// GET, POST with a body to come, HEAD, CONNECT, and GET with fields.
const REQUESTS: [[u8; 2]; 5] = [[4, 0], [1, 1], [6, 0], [3, 0], [4, 15]];

/// Plays `data` as a script: the configuration, then what the server sends and the owner does.
pub fn run(data: &[u8]) {
    let mut tape = Tape(data);
    let config = config(&mut tape);
    play(Role::Client, &mut tape, &|| Owner::with_requests(Connection::client(config), &REQUESTS));
}
