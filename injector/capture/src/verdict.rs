//! What the rules do with a connection, without a kernel. The check asks this what it may expect.

use std::net::IpAddr;

use crate::rules::{Chain, Match, Rules, Target};

/// The first packet of a TCP connection.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// From where.
    pub source: IpAddr,
    /// To where.
    pub destination: IpAddr,
    /// At the destination.
    pub port: u16,
    /// By which interface, and whose it is.
    pub way: Way<'a>,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug)]
pub enum Way<'a> {
    /// It came in.
    In {
        /// Where.
        interface: &'a str,
    },
    /// A process of the Pod sends it.
    Out {
        /// Where it goes out.
        interface: &'a str,
        /// Of the process.
        uid: u32,
        /// Of the process.
        gid: u32,
    },
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes where it was to go.
    LeftAlone,
    /// It goes to this port of the Pod.
    Redirected(u16),
}

impl Rules {
    /// What becomes of the connection that begins with the packet.
    pub fn verdict(&self, packet: &Packet<'_>) -> Verdict {
        let first = match packet.way {
            Way::In { .. } => Chain::Inbound,
            Way::Out { .. } => Chain::Output,
        };
        self.through(first, packet).map_or(Verdict::LeftAlone, Verdict::Redirected)
    }

    /// The chains form no circle: `Output` leads to `Inbound`, and both to those that redirect.
    fn through(&self, chain: Chain, packet: &Packet<'_>) -> Option<u16> {
        for rule in self.iter().filter(|rule| rule.chain == chain) {
            if !rule.matches.iter().all(|one| holds(one, packet)) {
                continue;
            }
            match rule.target {
                Target::Return => return None,
                Target::Redirect(port) => return Some(port.number()),
                Target::Jump(next) => {
                    if let Some(port) = self.through(next, packet) {
                        return Some(port);
                    }
                }
            }
        }
        None
    }
}

fn holds(one: &Match, packet: &Packet<'_>) -> bool {
    match (one, packet.way) {
        (Match::Source(block), _) => block.contains(packet.source),
        (Match::Destination(block), _) => block.contains(packet.destination),
        (Match::Port(ports), _) => ports.contain(packet.port),
        (Match::In(name), Way::In { interface }) | (Match::Out(name), Way::Out { interface, .. }) => {
            name.matches(interface)
        }
        (Match::Uid(ids), Way::Out { uid, .. }) => ids.contain(uid),
        (Match::Gid(ids), Way::Out { gid, .. }) => ids.contain(gid),
        (Match::In(_) | Match::Out(_) | Match::Uid(_) | Match::Gid(_), _) => false,
    }
}

#[cfg(test)]
mod tests;
