//! Our end of the connection, driven by a plan.

use byrnie_http1::{Body, Client, HeadWriter, Limits, Misuse, Server, Space, client, server};

use super::pipe::End;
use super::plan::{self, Framing, Plan, Side};
use super::seen::{Seen, lines};

/// Octets of a body that are given to `send` at once, at most.
const PIECE: usize = 20_000;

pub struct Ours<'p> {
    plan: &'p Plan,
    core: Core,
    end: End,
    input: Vec<u8>,
    out: Vec<u8>,
    /// The exchange at hand.
    number: usize,
    stage: Stage,
    /// The server said that the body may come.
    invited: bool,
    pub seen: Vec<Seen>,
}

enum Core {
    Server(Server),
    Client(Client),
}

/// How far this side's message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    /// So many chunks and so many octets of the next were sent, all in all this many.
    Body {
        chunk: usize,
        octets: usize,
        sent: u64,
    },
    Done,
}

impl<'p> Ours<'p> {
    pub fn new(plan: &'p Plan, side: Side, end: End) -> Self {
        let core = match side {
            Side::Client => Core::Client(Client::new(Limits::default())),
            Side::Server => Core::Server(Server::new(Limits::default())),
        };
        Self {
            plan,
            core,
            end,
            input: Vec::new(),
            out: Vec::new(),
            number: 0,
            stage: Stage::Head,
            invited: false,
            seen: plan.exchanges.iter().map(|_| Seen::default()).collect(),
        }
    }

    /// Whether anything was done.
    pub fn turn(&mut self) -> Result<bool, String> {
        let before = self.input.len();
        self.end.read_into(&mut self.input);
        let mut busy = self.input.len() > before;
        loop {
            self.receive()?;
            if !self.send()? {
                break;
            }
            busy = true;
        }
        let written = self.end.write(&self.out);
        self.out.drain(..written);
        if self.must_close() && self.out.is_empty() {
            self.end.close();
        }
        Ok(busy || written > 0)
    }

    pub fn is_done(&self) -> bool {
        self.number == self.plan.exchanges.len() && self.out.is_empty()
    }

    /// The connection is free for the next exchange, or is to be closed.
    pub fn check_end(&self) -> Result<(), String> {
        let (idle, closing) = match &self.core {
            Core::Server(server) => (server.is_idle(), server.must_close()),
            Core::Client(client) => (client.is_idle(), client.must_close()),
        };
        if !self.input.is_empty() {
            return Err(format!("{} octets are left", self.input.len()));
        }
        match self.plan.close {
            Some(_) if !closing => Err("the connection is not to be closed".to_owned()),
            None if closing || !idle => Err(format!("must close {closing}, idle {idle}")),
            _ => Ok(()),
        }
    }

    fn must_close(&self) -> bool {
        match &self.core {
            Core::Server(server) => server.must_close(),
            Core::Client(client) => client.must_close(),
        }
    }

    fn receive(&mut self) -> Result<(), String> {
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        loop {
            let mut space = Space::new();
            let Some(seen) = self.seen.get_mut(self.number) else { break };
            match &mut self.core {
                Core::Server(server) => {
                    match server.receive(&mut rest, &mut space).map_err(|error| error.to_string())? {
                        None => break,
                        Some(server::Event::Request(head)) => {
                            if head.expects_continue() {
                                let writer = server.inform(&mut self.out, 100).map_err(|error| error.to_string())?;
                                writer.end(Body::None).map_err(|error| error.to_string())?;
                            }
                            seen.head(format!("{} {}", head.method(), head.target()), head.fields());
                        }
                        Some(server::Event::Data(bytes)) => seen.receive(self.number, Side::Client, bytes),
                        Some(server::Event::Trailers(trailers)) => seen.trailers = lines(trailers.iter()),
                        Some(server::Event::End) => seen.whole = true,
                    }
                }
                Core::Client(client) => {
                    match client.receive(&mut rest, &mut space).map_err(|error| error.to_string())? {
                        None => break,
                        Some(client::Event::Informational(head)) => {
                            assert_eq!(head.status(), 100);
                            self.invited = true;
                        }
                        Some(client::Event::Response(head)) => seen.head(head.status().to_string(), head.fields()),
                        Some(client::Event::Data(bytes)) => seen.receive(self.number, Side::Server, bytes),
                        Some(client::Event::Trailers(trailers)) => seen.trailers = lines(trailers.iter()),
                        Some(client::Event::End) => seen.whole = true,
                    }
                }
            }
        }
        self.input = rest.to_vec();
        Ok(())
    }

    /// Does what comes next. Whether there was anything.
    fn send(&mut self) -> Result<bool, String> {
        let Some(exchange) = self.plan.exchanges.get(self.number) else { return Ok(false) };
        let seen = &self.seen[self.number];
        let side = if matches!(self.core, Core::Server(_)) { Side::Server } else { Side::Client };
        let server = side == Side::Server;
        match self.stage {
            Stage::Head => {
                if server && !seen.whole && !(exchange.early && seen.line.is_some()) {
                    return Ok(false);
                }
                self.head(side).map_err(|misuse| misuse.to_string())?;
                self.stage = Stage::Body { chunk: 0, octets: 0, sent: 0 };
                Ok(true)
            }
            Stage::Body { chunk, octets, sent } => {
                let message = exchange.message(side);
                if !server && exchange.expects_continue && !self.invited && seen.line.is_none() {
                    return Ok(false);
                }
                let Some(&length) = message.chunks.get(chunk) else {
                    // hyper's client takes an early response for the end of the exchange.
                    if server && !seen.whole {
                        return Ok(false);
                    }
                    let trailers = message.trailers.iter().map(|(name, value)| (name.as_bytes(), &value[..]));
                    match &mut self.core {
                        Core::Server(server) => server.finish(&mut self.out, trailers),
                        Core::Client(client) => client.finish(&mut self.out, trailers),
                    }
                    .map_err(|misuse| misuse.to_string())?;
                    self.stage = Stage::Done;
                    return Ok(true);
                };
                let last = chunk + 1 == message.chunks.len();
                if server && last && !seen.whole {
                    return Ok(false);
                }
                let left = length as usize - octets;
                let bytes = plan::body(self.number, side, sent, left.min(PIECE));
                let taken = match &mut self.core {
                    Core::Server(server) => server.send(&mut self.out, &bytes),
                    Core::Client(client) => client.send(&mut self.out, &bytes),
                }
                .map_err(|misuse| misuse.to_string())?;
                let (chunk, octets) = if taken == left { (chunk + 1, 0) } else { (chunk, octets + taken) };
                self.stage = Stage::Body { chunk, octets, sent: sent + taken as u64 };
                Ok(taken > 0)
            }
            Stage::Done if seen.whole => {
                self.number += 1;
                self.stage = Stage::Head;
                self.invited = false;
                Ok(true)
            }
            Stage::Done => Ok(false),
        }
    }

    fn head(&mut self, side: Side) -> Result<(), Misuse> {
        let exchange = &self.plan.exchanges[self.number];
        let last = self.number + 1 == self.plan.exchanges.len();
        let message = exchange.message(side);
        let body = match message.framing {
            Framing::None => Body::None,
            Framing::Sized => Body::Sized(message.length()),
            Framing::Chunked => Body::Unknown,
        };
        let close = last && self.plan.close == Some(side);
        let writer: HeadWriter<'_> = match &mut self.core {
            Core::Server(server) => {
                if close {
                    server.close_after_response();
                }
                server.respond(&mut self.out, exchange.status, "Fine")?
            }
            Core::Client(client) => {
                if close {
                    client.close_after_response();
                }
                client.request(&mut self.out, exchange.method, &exchange.path)?
            }
        };
        writer.fields(exchange.lines(side)).end(body)
    }
}
