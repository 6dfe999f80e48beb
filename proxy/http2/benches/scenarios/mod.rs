//! What is measured, by name: the same work done by byrnie-http2 and by h2.

pub mod byrnie;
pub mod h2;
mod hpack;
pub mod message;
mod wire;

use byrnie_http2::hpack::Encoder;
use message::{AT_ONCE, LARGE, SMALL};

/// Work that is done over and over.
pub struct Scenario {
    /// `work/subject`.
    pub name: &'static str,
    /// The exchanges in one piece of work.
    pub exchanges: usize,
    /// Sets the stage, and gives what does the work once.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

/// Every scenario; those with the same work stand beside each other, byrnie-http2 first. `hpack` is the codec alone,
/// `huffman` the same in the Huffman code, `heads` an exchange without a body, `exchange` one with 1 KiB, `streams` a
/// hundred of these at once, `body` one with 1 MiB.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "hpack/byrnie-http2", exchanges: 1, prepare: || with_hpack(Encoder { huffman: false }) },
    Scenario { name: "huffman/byrnie-http2", exchanges: 1, prepare: || with_hpack(Encoder { huffman: true }) },
    Scenario { name: "heads/byrnie-http2", exchanges: 1, prepare: || with_byrnie(1, &[]) },
    Scenario { name: "heads/h2", exchanges: 1, prepare: || with_h2(1, &[]) },
    Scenario { name: "exchange/byrnie-http2", exchanges: 1, prepare: || with_byrnie(1, &SMALL) },
    Scenario { name: "exchange/h2", exchanges: 1, prepare: || with_h2(1, &SMALL) },
    Scenario { name: "streams/byrnie-http2", exchanges: AT_ONCE, prepare: || with_byrnie(AT_ONCE, &SMALL) },
    Scenario { name: "streams/h2", exchanges: AT_ONCE, prepare: || with_h2(AT_ONCE, &SMALL) },
    Scenario { name: "body/byrnie-http2", exchanges: 1, prepare: || with_byrnie(1, &LARGE) },
    Scenario { name: "body/h2", exchanges: 1, prepare: || with_h2(1, &LARGE) },
];

fn with_hpack(encoder: Encoder) -> Box<dyn FnMut()> {
    let mut codec = hpack::Codec::new(encoder);
    Box::new(move || codec.pass())
}

fn with_byrnie(many: usize, body: &'static [u8]) -> Box<dyn FnMut()> {
    let mut pair = byrnie::Pair::new();
    Box::new(move || pair.exchange(many, body))
}

fn with_h2(many: usize, body: &'static [u8]) -> Box<dyn FnMut()> {
    let mut pair = h2::Pair::new();
    Box::new(move || pair.exchange(many, body))
}
