//! In: a connection that comes by a wire has to arrive where the sidecar would have it.
//!
//! The wire is a VXLAN link whose packets this process writes into its UDP port. The kernel sees a SYN of a neighbour on
//! that link to the Pod's own address. Its answer is seen on its way out, and acknowledged, so that the connection stands.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, eth,
        sockopt::{self, Timeout},
    },
};

use super::{
    CheckError, Clock, Direction, Outcome, Plan, TAKEN, arrived, nobodys,
    outbound::{accepted, redirected},
    own_address,
    segment::{self, Segment},
};
use crate::{
    netlink::{Netlink, Tunnel},
    rules::{Family, Rules},
    settings::Settings,
    verdict::Way,
};

const LINK: &str = "byrnie-check";
const NETWORK: u32 = 0x00b9_7e1e;
const HARDWARE: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// An answer comes at once, unless the machine has no time for it, or the kernel has not done yet what makes the addresses of
/// the link usable. Then another call is made, each time with twice the patience.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(1));
/// Ports that are tried for the tunnel.
const TRIES: usize = 16;
/// More packets than the kernel keeps for one that looks at them.
const KEPT: usize = 4096;
/// Of a packet that is looked at: more than the headers of an answer.
const LOOK: usize = 256;

/// An address and port of the Pod to call which the rules redirect, or why there is none.
pub fn called(settings: &Settings, rules: &Rules) -> Result<SocketAddr, String> {
    let family = rules.family();
    let to = own_address(nobodys(family)[0]).unwrap_or(ends(family).0);
    let way = Way::In { interface: LINK };
    let port = redirected(rules, neighbour(family), to, way, settings.inbound_port().number());
    let port = port.ok_or_else(|| "the exclusions leave alone all that would be tried".to_owned())?;
    Ok(SocketAddr::new(to, port))
}

/// Who calls.
pub fn neighbour(family: Family) -> IpAddr {
    ends(family).1
}

/// The link, which goes with the value.
pub struct Wire {
    netlink: Netlink,
    link: u32,
    /// Families of which it takes no address.
    refused: Vec<(Family, io::Error)>,
    /// Writes into the other end.
    socket: UdpSocket,
    /// From which the neighbour calls first, and so on. Others each time: for a while the kernel goes by what it decided
    /// for a connection between the same ports, whatever the rules are by then.
    neighbours_ports: RangeInclusive<u16>,
    /// What leaves by it; opened late, since all else is seen too.
    passing: Option<Passing>,
}

impl Wire {
    /// Makes the link.
    pub fn new(families: &[Family]) -> io::Result<Self> {
        let netlink = Netlink::open()?;
        // One that was left behind by a check that was killed.
        if let Ok(link) = netlink.link(LINK) {
            netlink.delete_link(link)?;
        }
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let port = add_tunnel(&netlink)?;
        let link = netlink.link(LINK)?;
        let neighbours_ports = socket.local_addr()?.port()..=u16::MAX;
        let mut wire = Self { netlink, link, refused: Vec::new(), socket, neighbours_ports, passing: None };
        wire.socket.connect(("127.0.0.1", port))?;
        for family in families {
            let (here, _, length) = ends(*family);
            if let Err(error) = wire.netlink.add_address(wire.link, here, length) {
                wire.refused.push((*family, error));
            }
        }
        Ok(wire)
    }

    /// Makes the connection, which has to arrive.
    pub fn prove(&mut self, family: Family, plan: &Plan, clock: &Clock) -> Result<Outcome, CheckError> {
        if let Some((_, error)) = self.refused.iter().find(|refused| refused.0 == family) {
            return Ok(Outcome::NotProven(format!("{LINK} takes no address: {error}")));
        }
        let passing = match self.passing.take().map_or_else(Passing::new, Ok) {
            Ok(passing) => self.passing.insert(passing),
            Err(error) => return Ok(Outcome::NotProven(format!("packets that leave cannot be seen: {error}"))),
        };
        let called = plan.called;
        let lost = |found| CheckError::Lost { family, direction: Direction::Inbound, called, found };
        let failed = |error: io::Error| lost(error.to_string());
        let send = |from, segment| {
            let packet = segment::packed(NETWORK, HARDWARE, from, called, segment);
            self.socket.send(&packet).map_err(failed)
        };
        // On a busy node the kernel may take seconds until the addresses of a new link are usable.
        let end = Instant::now() + clock.left()?;
        let (mut patience, longest) = PATIENCE;
        let mut is_answered = false;
        while let Some(port) = self.neighbours_ports.next().filter(|_| Instant::now() < end) {
            let from = SocketAddr::new(neighbour(family), port);
            passing.forget();
            send(from, Segment::Syn)?;
            if let Some(answer) = passing.answer(called, from, patience).map_err(failed)? {
                is_answered = true;
                send(from, Segment::Acknowledgement(answer))?;
                if let Some(stream) = accepted(&plan.listener, from, patience).map_err(failed)? {
                    // Ended by a single packet: nobody would answer the usual end.
                    let _ = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                    return arrived(family, Direction::Inbound, called, &stream);
                }
            }
            patience = (patience * 2).min(longest);
        }
        Err(lost(if is_answered { TAKEN } else { "nothing came" }.to_owned()))
    }
}

/// Makes the tunnel at a UDP port that was free a moment ago, and gives that. A program that is being started meanwhile may
/// have inherited what found it, and hold it until it runs: then another is tried.
fn add_tunnel(netlink: &Netlink) -> io::Result<u16> {
    let mut tries = 0;
    loop {
        let port = UdpSocket::bind("0.0.0.0:0")?.local_addr()?.port();
        match netlink.add_tunnel(&Tunnel { name: LINK, hardware: HARDWARE, network: NETWORK, port }) {
            Ok(()) => return Ok(port),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let passing = self.passing.take();
        thread::scope(|scope| {
            // The kernel waits for all processors with each of the two.
            scope.spawn(move || drop(passing));
            // What it was for is done; the next check deletes what is left.
            let _ = self.netlink.delete_link(self.link);
        });
    }
}

/// This end, the other, and the length of their network, in which is none of the addresses that are called.
fn ends(family: Family) -> (IpAddr, IpAddr, u8) {
    match family {
        Family::V4 => ([198, 51, 100, 253].into(), [198, 51, 100, 254].into(), 30),
        Family::V6 => {
            let end = |last| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
            (end(1), end(2), 126)
        }
    }
}

/// All packets of the network namespace, from now on (packet(7)).
struct Passing(OwnedFd);

impl Passing {
    fn new() -> io::Result<Self> {
        // Without what stands before the IP header.
        let (kind, flags) = (SocketType::DGRAM, SocketFlags::CLOEXEC);
        Ok(Self(rustix::net::socket_with(AddressFamily::PACKET, kind, flags, Some(eth::ALL))?))
    }

    /// Makes room: when more has passed than the kernel keeps, it drops what follows.
    fn forget(&self) {
        let more = || rustix::net::recv(&self.0, &mut [0; LOOK][..], RecvFlags::DONTWAIT).is_ok();
        (0..KEPT).take_while(|_| more()).for_each(drop);
    }

    /// The sequence number of the answer to a SYN, if it comes meanwhile.
    fn answer(&self, from: SocketAddr, to: SocketAddr, patience: Duration) -> io::Result<Option<u32>> {
        let end = Instant::now() + patience;
        let mut late = 0;
        while late < KEPT {
            let left = end.saturating_duration_since(Instant::now());
            let flags = if left.is_zero() {
                // Whoever comes late looks at what came in time.
                late += 1;
                RecvFlags::DONTWAIT
            } else {
                sockopt::set_socket_timeout(&self.0, Timeout::Recv, Some(left))?;
                RecvFlags::empty()
            };
            let mut packet = [0; LOOK];
            match rustix::net::recv(&self.0, &mut packet[..], flags) {
                Ok((read, _)) => {
                    if let Some(sequence) = segment::answer(&packet[..read], from, to) {
                        return Ok(Some(sequence));
                    }
                }
                Err(Errno::AGAIN) if left.is_zero() => break,
                // An interface that goes down says so here.
                Err(Errno::AGAIN | Errno::INTR | Errno::NETDOWN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}
