//! Proves in the Pod that the rules do what they say, by a connection in each direction that has to arrive at a listener of
//! the check's own.
//!
//! Out: this process calls an address that is nobody's. In: a packet of a neighbour that is nobody comes by a wire, which is
//! a tunnel with both ends here, since what a process sends to its own Pod is no incoming packet to the kernel. For these
//! two addresses alone the last rule of each way leads to a port of the check while it lasts ([`Detour`]), so that it takes
//! no port of a sidecar that runs already, and no connection of anybody else.

mod inbound;
mod outbound;
mod segment;

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use self::inbound::Wire;
use crate::{
    rules::{Detour, Family, Rules},
    settings::Settings,
    values::Port,
};

/// One connection has this long to arrive; on one machine that is ages.
const ARRIVAL: Duration = Duration::from_secs(1);
/// Ports that are called, the first of which no exclusion names.
const PORTS: [u16; 4] = [80, 8080, 443, 54321];

/// What is said of a connection that was accepted, but not here.
const TAKEN: &str = "it was taken by somebody else";

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
    #[error("the check cannot listen on port {port}: {source}; --check listens there itself, so nothing else may")]
    Taken {
        /// Which.
        port: Port,
        /// What the operating system said.
        source: io::Error,
    },
    /// It has no listener of its own.
    #[error("the check cannot listen: {0}")]
    Listen(io::Error),
    /// A connection went elsewhere.
    #[error(
        "{family} {direction}: a connection to {called} was not led to the check: {found}; other rules of this network namespace come first, or the kernel does not honour these: see which with iptables-save -t nat, or try the other --backend"
    )]
    Lost {
        /// Of the addresses.
        family: Family,
        /// Which way.
        direction: Direction,
        /// Where it was to go.
        called: SocketAddr,
        /// What was seen instead.
        found: String,
    },
    /// The sidecar would not know where to go.
    #[error("{family} {direction}: a connection to {called} arrived, but its original destination is {told}")]
    Destination {
        /// Of the addresses.
        family: Family,
        /// Which way.
        direction: Direction,
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

/// Where the check listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens {
    /// Where the rules lead, if nobody else does.
    AtTheSidecars,
    /// At any free ports, to which the rules have to make detours.
    AtItsOwn,
}

/// The connections that prove the rules, chosen before these are in force, with the listeners where they have to arrive and
/// the wire, which the kernel takes a while to delete: it goes with the value.
pub struct Trial {
    outbound: Vec<Attempt>,
    inbound: Vec<Attempt>,
    wire: Result<Wire, String>,
}

/// A connection of one family, or why none can be made here though nothing speaks against the rules.
struct Attempt {
    family: Family,
    plan: Result<Plan, String>,
}

struct Plan {
    called: SocketAddr,
    listener: TcpListener,
    /// Of the listener.
    port: Port,
}

/// What became of one proof.
enum Outcome {
    Proven,
    /// Nothing speaks against the rules, but the check could not be made here.
    NotProven(String),
}

/// Proves the rules that are in force, within the time, by listening where they lead.
pub fn check(settings: &Settings, families: &[Family], limit: Duration) -> Result<Proof, CheckError> {
    Trial::new(settings, families, Listens::AtTheSidecars)?.prove(limit)
}

impl Trial {
    /// For both directions of each family.
    pub fn new(settings: &Settings, families: &[Family], listens: Listens) -> Result<Self, CheckError> {
        let all = |direction| families.iter().map(move |family| Attempt::new(settings, direction, *family, listens));
        let outbound = all(Direction::Outbound).collect::<Result<_, _>>()?;
        let inbound = all(Direction::Inbound).collect::<Result<_, _>>()?;
        let wire =
            Wire::new(families).map_err(|error| format!("the kernel makes no vxlan link for the check: {error}"));
        Ok(Self { outbound, inbound, wire })
    }

    /// What leads the connections to listeners that are the check's own.
    pub fn detours(&self, family: Family) -> impl Iterator<Item = Detour> {
        let ends = move |attempt: &Attempt| {
            let plan = attempt.plan.as_ref().ok().filter(|_| attempt.family == family)?;
            Some((plan.called.ip(), plan.port))
        };
        let outbound = self.outbound.iter().filter_map(ends).map(|(to, port)| Detour::Outbound { to, port });
        let from = inbound::neighbour(family);
        outbound.chain(self.inbound.iter().filter_map(ends).map(move |(_, port)| Detour::Inbound { from, port }))
    }

    /// Makes the connections within the time.
    pub fn prove(&mut self, limit: Duration) -> Result<Proof, CheckError> {
        let clock = Clock { end: Instant::now() + limit, limit };
        let mut proof = Proof::default();
        for Attempt { family, plan } in &self.outbound {
            let outcome = match plan {
                Ok(plan) => outbound::prove(*family, plan, &clock)?,
                Err(why) => Outcome::NotProven(why.clone()),
            };
            proof.add(*family, Direction::Outbound, outcome);
        }
        for Attempt { family, plan } in &self.inbound {
            let outcome = match plan.as_ref().and_then(|plan| Ok((plan, self.wire.as_mut().map_err(|why| &*why)?))) {
                Ok((plan, wire)) => wire.prove(*family, plan, &clock)?,
                Err(why) => Outcome::NotProven(why.clone()),
            };
            proof.add(*family, Direction::Inbound, outcome);
        }
        Ok(proof)
    }
}

impl Attempt {
    fn new(settings: &Settings, direction: Direction, family: Family, listens: Listens) -> Result<Self, CheckError> {
        let rules = Rules::new(settings, family);
        let (called, port) = match direction {
            Direction::Outbound => (outbound::called(settings, &rules), settings.outbound_port()),
            Direction::Inbound => (inbound::called(settings, &rules), settings.inbound_port()),
        };
        let plan = match called {
            Ok(called) => {
                let (listener, port) = match listens {
                    Listens::AtTheSidecars => {
                        (listen(family, Some(port)).map_err(|source| CheckError::Taken { port, source })?, port)
                    }
                    Listens::AtItsOwn => listen_anywhere(family).map_err(CheckError::Listen)?,
                };
                Ok(Plan { called, listener, port })
            }
            Err(why) => Err(why),
        };
        Ok(Self { family, plan })
    }
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
    /// In all.
    fn left(&self) -> Result<Duration, CheckError> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(CheckError::Late(self.limit)) } else { Ok(left) }
    }

    /// For one connection of this process.
    fn arrival(&self) -> Result<Duration, CheckError> {
        Ok(self.left()?.min(ARRIVAL))
    }
}

/// A connection has arrived. It has to tell where it was to go.
fn arrived(
    family: Family,
    direction: Direction,
    called: SocketAddr,
    stream: &TcpStream,
) -> Result<Outcome, CheckError> {
    let told = match family {
        Family::V4 => sockopt::ip_original_dst(stream).map(SocketAddr::V4),
        Family::V6 => sockopt::ipv6_original_dst(stream).map(SocketAddr::V6),
    };
    match told {
        Ok(told) if (told.ip(), told.port()) == (called.ip(), called.port()) => Ok(Outcome::Proven),
        Ok(told) => Err(CheckError::Destination { family, direction, called, told: told.to_string() }),
        Err(error) => Err(CheckError::Destination { family, direction, called, told: format!("unknown ({error})") }),
    }
}

/// Listens on all addresses of the family, and on no others: both families may listen at once.
fn listen(family: Family, port: Option<Port>) -> io::Result<TcpListener> {
    let (domain, any) = match family {
        Family::V4 => (AddressFamily::INET, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Family::V6 => (AddressFamily::INET6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    let socket = rustix::net::socket_with(domain, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    if family == Family::V6 {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // Connections of the last check may linger.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddr::new(any, port.map_or(0, Port::number)))?;
    rustix::net::listen(&socket, 16)?;
    Ok(TcpListener::from(socket))
}

fn listen_anywhere(family: Family) -> io::Result<(TcpListener, Port)> {
    let listener = listen(family, None)?;
    let port = Port::numbered(listener.local_addr()?.port());
    port.map(|port| (listener, port)).ok_or_else(|| io::Error::other("the kernel gives no port"))
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
