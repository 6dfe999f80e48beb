//! In: a packet that comes by a wire has to arrive at the sidecar's port.
//!
//! The wire is a VXLAN link whose packets this process writes into its UDP port. The kernel sees a SYN of a neighbour on
//! that link to the Pod's own address. It is proven by the half-open connection that then stands at the sidecar's port.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use super::{CheckError, Clock, Direction, Outcome, listen, nobodys, outbound::redirected, own_address, syn};
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

/// Proves it for each family.
pub fn prove(settings: &Settings, families: &[Family], clock: &Clock) -> Result<Vec<(Family, Outcome)>, CheckError> {
    let all = |why: String| families.iter().map(|family| (*family, Outcome::NotProven(why.clone()))).collect();
    // Before the link, which has addresses of its own.
    let own: Vec<_> = families.iter().map(|family| own_address(nobodys(*family)[0]).ok()).collect();
    let wire = match Wire::new(settings) {
        Ok(wire) => wire,
        Err(error) => return Ok(all(format!("the kernel makes no vxlan link for the check: {error}"))),
    };
    let pairs = families.iter().zip(own);
    pairs.map(|(family, own)| Ok((*family, wire.prove(settings, *family, own, clock)?))).collect()
}

/// The link, which goes with the value.
struct Wire {
    netlink: Netlink,
    link: u32,
    /// Writes into the other end.
    socket: UdpSocket,
    /// From which the neighbour calls. Another one each time: for a minute the kernel goes by what it decided for a
    /// connection between the same ports, whatever the rules are by then.
    neighbours_port: u16,
}

impl Wire {
    fn new(settings: &Settings) -> io::Result<Self> {
        let netlink = Netlink::open()?;
        // One that was left behind by a check that was killed.
        if let Ok(link) = netlink.link(LINK) {
            netlink.delete_link(link)?;
        }
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let port = settings.inbound_port().number();
        netlink.add_tunnel(&Tunnel { name: LINK, hardware: HARDWARE, network: NETWORK, port })?;
        let link = netlink.link(LINK)?;
        let neighbours_port = socket.local_addr()?.port();
        let wire = Self { netlink, link, socket, neighbours_port };
        wire.socket.connect(("127.0.0.1", port))?;
        Ok(wire)
    }

    fn prove(
        &self,
        settings: &Settings,
        family: Family,
        own: Option<IpAddr>,
        clock: &Clock,
    ) -> Result<Outcome, CheckError> {
        let (here, neighbour, length) = ends(family);
        if let Err(error) = self.netlink.add_address(self.link, here, length) {
            return Ok(Outcome::NotProven(format!("{LINK} takes no address: {error}")));
        }
        let to = own.unwrap_or(here);
        let port = settings.inbound_port();
        let rules = Rules::new(settings, family);
        let Some(called) = redirected(&rules, neighbour, to, Way::In { interface: LINK }, port.number()) else {
            return Ok(Outcome::NotProven("the exclusions leave alone all that would be tried".to_owned()));
        };
        let (from, called) = (SocketAddr::new(neighbour, self.neighbours_port), SocketAddr::new(to, called));
        let lost = |found: String| CheckError::Lost { family, direction: Direction::Inbound, called, port, found };
        let listener = listen(family, port)?;
        let packet = syn::packed(NETWORK, HARDWARE, from, called);
        let end = Instant::now() + clock.arrival()?;
        while Instant::now() < end {
            self.socket.send(&packet).map_err(|error| lost(error.to_string()))?;
            let table = fs::read_to_string(half_open_table(family)).map_err(|error| lost(error.to_string()))?;
            if is_half_open(&table, port.number(), from) {
                drop(listener);
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
