//! Proves in the Pod that the rules do what they say, before anybody listens: by a connection in each direction.
//!
//! Out: this process calls an address that is nobody's, and has to meet itself at the sidecar's port. In: a packet that
//! comes by a wire has to arrive at the other port; the wire is a tunnel with both ends here, since what a process sends
//! to its own Pod is no incoming packet to the kernel.

mod inbound;
mod outbound;
mod syn;

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    time::{Duration, Instant},
};

use crate::{
    rules::{Family, Rules},
    settings::Settings,
    values::Port,
};

/// One connection has this long to arrive; on one machine that is ages.
const ARRIVAL: Duration = Duration::from_secs(1);
/// Ports that are called, the first of which no exclusion names.
const PORTS: [u16; 4] = [80, 8080, 443, 54321];

/// What was proven, and what could not be, with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Such as `IPv4 outbound`.
    pub proven: Vec<String>,
    /// Such as `IPv6 outbound (no route leads out of this Pod)`.
    pub not_proven: Vec<String>,
}

/// Rules that do not do what they say.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The check listens itself.
    #[error(
        "the check cannot listen on port {port}: {source}; it listens there itself, so it has to run before the sidecar"
    )]
    Listen {
        /// Which.
        port: Port,
        /// What the operating system said.
        source: io::Error,
    },
    /// A connection went elsewhere.
    #[error(
        "{family} {direction}: a connection to {called} did not arrive at port {port}: {found}; other rules of this network namespace come first, or the kernel does not honour these: see which with iptables-save -t nat, or try the other --backend"
    )]
    Lost {
        /// Of the addresses.
        family: Family,
        /// Which way.
        direction: Direction,
        /// Where it was to go.
        called: SocketAddr,
        /// Where it had to arrive.
        port: Port,
        /// What was seen instead.
        found: String,
    },
    /// The sidecar would not know where to go.
    #[error("{family} outbound: a connection to {called} arrived, but its original destination is {told}")]
    Destination {
        /// Of the addresses.
        family: Family,
        /// Where it was to go.
        called: SocketAddr,
        /// What the kernel says of it.
        told: String,
    },
    /// The time is over.
    #[error("the check is not done after {} s", .0.as_secs())]
    Late(Duration),
}

/// Which way connections go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the Pod.
    Inbound,
    /// From the Pod.
    Outbound,
}

/// What became of one proof.
enum Outcome {
    Proven,
    /// Nothing speaks against the rules, but the check could not be made here.
    NotProven(String),
}

/// Proves both directions for the families, within the time.
pub fn check(settings: &Settings, families: &[Family], limit: Duration) -> Result<Proof, CheckError> {
    let clock = Clock { end: Instant::now() + limit, limit };
    let mut proof = Proof::default();
    for family in families {
        let rules = Rules::new(settings, *family);
        proof.add(*family, Direction::Outbound, outbound::prove(settings, &rules, &clock)?);
    }
    for (family, outcome) in inbound::prove(settings, families, &clock)? {
        proof.add(family, Direction::Inbound, outcome);
    }
    Ok(proof)
}

impl Proof {
    fn add(&mut self, family: Family, direction: Direction, outcome: Outcome) {
        match outcome {
            Outcome::Proven => self.proven.push(format!("{family} {direction}")),
            Outcome::NotProven(why) => self.not_proven.push(format!("{family} {direction} ({why})")),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

/// How much time is left.
struct Clock {
    end: Instant,
    limit: Duration,
}

impl Clock {
    /// For one connection.
    fn arrival(&self) -> Result<Duration, CheckError> {
        let left = self.end.saturating_duration_since(Instant::now()).min(ARRIVAL);
        if left.is_zero() { Err(CheckError::Late(self.limit)) } else { Ok(left) }
    }
}

/// Listens as the sidecar will.
fn listen(family: Family, port: Port) -> Result<TcpListener, CheckError> {
    let any = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    TcpListener::bind((any, port.number())).map_err(|source| CheckError::Listen { port, source })
}

/// Addresses that are nobody's (RFC 5737, RFC 3849, RFC 9637).
fn nobodys(family: Family) -> Vec<IpAddr> {
    match family {
        Family::V4 => [[192, 0, 2, 1], [198, 51, 100, 1], [203, 0, 113, 1]].map(IpAddr::from).to_vec(),
        Family::V6 => [[0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], [0x3fff, 0, 0, 0, 0, 0, 0, 1]].map(IpAddr::from).to_vec(),
    }
}

/// The address of this Pod from which it calls out. No packet is sent.
fn own_address(towards: IpAddr) -> io::Result<IpAddr> {
    let any = match Family::of(towards) {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((towards, 9))?;
    Ok(socket.local_addr()?.ip())
}
