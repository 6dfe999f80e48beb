//! Out: this process calls out and has to meet itself.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use rustix::{
    net::sockopt::{self, Timeout},
    process::{getegid, geteuid},
};

use super::{CheckError, Clock, Direction, Outcome, PORTS, Plan, nobodys, own_address};
use crate::{
    netlink::Netlink,
    rules::{Family, Rules},
    settings::Settings,
    verdict::{Packet, Verdict, Way},
};

/// Makes the connection, which has to arrive and tell where it was to go.
pub fn prove(family: Family, plan: &Plan, clock: &Clock) -> Result<Outcome, CheckError> {
    let called = plan.called;
    let lost = |found| CheckError::Lost { family, direction: Direction::Outbound, called, found };
    let mine = TcpStream::connect_timeout(&called, clock.arrival()?).map_err(|error| lost(error.to_string()))?;
    let mine = mine.local_addr().map_err(|error| lost(error.to_string()))?;
    let arrived = accepted(&plan.listener, mine, clock.arrival()?).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => lost("it was taken by somebody else".to_owned()),
        _ => lost(error.to_string()),
    })?;
    let told = match family {
        Family::V4 => sockopt::ip_original_dst(&arrived).map(SocketAddr::V4),
        Family::V6 => sockopt::ipv6_original_dst(&arrived).map(SocketAddr::V6),
    };
    match told {
        Ok(told) if (told.ip(), told.port()) == (called.ip(), called.port()) => Ok(Outcome::Proven),
        Ok(told) => Err(CheckError::Destination { family, called, told: told.to_string() }),
        Err(error) => Err(CheckError::Destination { family, called, told: format!("unknown ({error})") }),
    }
}

/// An address to call which the rules redirect, or why there is none.
pub fn called(settings: &Settings, rules: &Rules) -> Result<SocketAddr, String> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    if uid == settings.proxy_uid() || gid == settings.proxy_gid() {
        return Err(format!("this runs as the proxy, user {uid} and group {gid}"));
    }
    let netlink = Netlink::open().map_err(|error| error.to_string())?;
    let mut why = "no route leads out of this Pod".to_owned();
    for address in nobodys(rules.family()) {
        let (Ok(interface), Ok(source)) = (netlink.way_to(address), own_address(address)) else { continue };
        let way = Way::Out { interface: &interface, uid, gid };
        if let Some(port) = redirected(rules, source, address, way, settings.outbound_port().number()) {
            return Ok(SocketAddr::new(address, port));
        }
        why = format!("the exclusions leave alone what user {uid} sends by {interface}");
    }
    Err(why)
}

/// A port whose calls the rules redirect to the port of the sidecar.
pub fn redirected(rules: &Rules, source: IpAddr, destination: IpAddr, way: Way<'_>, to: u16) -> Option<u16> {
    let goes = |port: &u16| rules.verdict(&Packet { source, destination, port: *port, way }) == Verdict::Redirected(to);
    PORTS.into_iter().find(goes)
}

/// The connection that comes from the address; others may call the Pod too.
fn accepted(listener: &TcpListener, from: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    sockopt::set_socket_timeout(listener, Timeout::Recv, Some(limit))?;
    loop {
        let (stream, peer) = listener.accept()?;
        if (peer.ip(), peer.port()) == (from.ip(), from.port()) {
            return Ok(stream);
        }
    }
}
