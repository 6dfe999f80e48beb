//! In: a packet that comes by a wire has to arrive where the sidecar would have it.
//!
//! The wire is a VXLAN link whose packets this process writes into its UDP port. The kernel sees a SYN of a neighbour on
//! that link to the Pod's own address. It is proven by the half-open connection that then stands at the listener.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use super::{CheckError, Clock, Direction, Outcome, Plan, nobodys, outbound::redirected, own_address, syn};
use crate::{
    netlink::{Netlink, Tunnel},
    rules::{Family, Rules},
    settings::Settings,
    verdict::Way,
};

const LINK: &str = "byrnie-check";
const NETWORK: u32 = 0x00b9_7e1e;
const HARDWARE: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

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
    /// Writes into the other end.
    socket: UdpSocket,
    /// From which the neighbour calls. Another one each time: for a minute the kernel goes by what it decided for a
    /// connection between the same ports, whatever the rules are by then.
    neighbours_port: u16,
}

impl Wire {
    /// Makes the link.
    pub fn new() -> io::Result<Self> {
        let netlink = Netlink::open()?;
        // One that was left behind by a check that was killed.
        if let Ok(link) = netlink.link(LINK) {
            netlink.delete_link(link)?;
        }
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        // One that is free now.
        let port = UdpSocket::bind("0.0.0.0:0")?.local_addr()?.port();
        netlink.add_tunnel(&Tunnel { name: LINK, hardware: HARDWARE, network: NETWORK, port })?;
        let link = netlink.link(LINK)?;
        let neighbours_port = socket.local_addr()?.port();
        let wire = Self { netlink, link, socket, neighbours_port };
        wire.socket.connect(("127.0.0.1", port))?;
        Ok(wire)
    }

    /// Makes the connection, which has to arrive.
    pub fn prove(&self, family: Family, plan: &Plan, clock: &Clock) -> Result<Outcome, CheckError> {
        let (here, neighbour, length) = ends(family);
        if let Err(error) = self.netlink.add_address(self.link, here, length) {
            return Ok(Outcome::NotProven(format!("{LINK} takes no address: {error}")));
        }
        let (from, called) = (SocketAddr::new(neighbour, self.neighbours_port), plan.called);
        let lost = |found: String| CheckError::Lost { family, direction: Direction::Inbound, called, found };
        let packet = syn::packed(NETWORK, HARDWARE, from, called);
        let end = Instant::now() + clock.arrival()?;
        while Instant::now() < end {
            self.socket.send(&packet).map_err(|error| lost(error.to_string()))?;
            let table = fs::read_to_string(half_open_table(family)).map_err(|error| lost(error.to_string()))?;
            if is_half_open(&table, plan.port.number(), from) {
                return Ok(Outcome::Proven);
            }
            thread::sleep(PAUSE);
        }
        Err(lost("nothing came".to_owned()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // What it was for is done; the next check deletes what is left.
        let _ = self.netlink.delete_link(self.link);
    }
}

/// This end, the other, and the length of their network.
fn ends(family: Family) -> (IpAddr, IpAddr, u8) {
    match family {
        Family::V4 => ([198, 51, 100, 1].into(), [198, 51, 100, 2].into(), 30),
        Family::V6 => {
            let end = |last| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
            (end(1), end(2), 126)
        }
    }
}

/// The TCP connections of the thread's network namespace (proc_pid_net(5)).
fn half_open_table(family: Family) -> &'static str {
    match family {
        Family::V4 => "/proc/thread-self/net/tcp",
        Family::V6 => "/proc/thread-self/net/tcp6",
    }
}

/// Whether a SYN of the peer waits at the port: `sl: LOCAL:PORT REMOTE:PORT STATE`, addresses in words of this machine.
fn is_half_open(table: &str, port: u16, peer: SocketAddr) -> bool {
    let octets = match peer.ip() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]));
    let remote = words.map(|word| format!("{word:08X}")).collect::<String>() + &format!(":{:04X}", peer.port());
    let local = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_local = fields.next().is_some_and(|field| field.ends_with(&local));
        // 03 is SYN_RECV.
        is_local && fields.next() == Some(&remote) && fields.next() == Some("03")
    })
}
