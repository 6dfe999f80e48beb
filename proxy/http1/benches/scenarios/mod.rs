//! What is measured, by name: the same work done by byrnie-http1 and by its peers.

pub mod byrnie;
mod head;
pub mod hyper;
mod message;
mod wire;

use ::bytes::Bytes;

/// Work that is done over and over.
pub struct Scenario {
    /// `work/subject`.
    pub name: &'static str,
    /// The exchanges in one piece of work.
    pub exchanges: usize,
    /// Sets the stage, and gives what does the work once.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

/// Every scenario; those with the same work stand beside each other, byrnie-http1 first. `head` is a request's head read
/// and written again with some fields changed, `exchange` a request and a reply of 1 KiB between a client and a server.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "head/byrnie-http1", exchanges: 1, prepare: head_with_byrnie },
    Scenario { name: "head/httparse+http", exchanges: 1, prepare: head_with_http },
    Scenario { name: "exchange/byrnie-http1", exchanges: 1, prepare: exchange_with_byrnie },
    Scenario { name: "exchange/hyper", exchanges: 1, prepare: exchange_with_hyper },
];

fn head_with_byrnie() -> Box<dyn FnMut()> {
    let input = message::request_head();
    let mut out = Vec::with_capacity(1024);
    Box::new(move || {
        out.clear();
        byrnie::rewrite(&input, &mut out);
        assert!(out.ends_with(b"\r\n\r\n"));
    })
}

fn head_with_http() -> Box<dyn FnMut()> {
    let input = Bytes::from(message::request_head());
    let mut out = Vec::with_capacity(1024);
    Box::new(move || {
        out.clear();
        head::rewrite(&input, &mut out);
        assert!(out.ends_with(b"\r\n\r\n"));
    })
}

fn exchange_with_byrnie() -> Box<dyn FnMut()> {
    let mut pair = byrnie::Pair::new();
    Box::new(move || pair.exchange())
}

fn exchange_with_hyper() -> Box<dyn FnMut()> {
    let mut pair = hyper::Pair::new();
    Box::new(move || pair.exchange())
}
