//! Out: this process calls out and has to meet itself.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use rustix::{
    net::sockopt::{self, Timeout},
    process::{getegid, geteuid},
};

use super::{CheckError, Clock, Direction, Outcome, PORTS, Plan, arrived, nobodys, own_address};
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
    let stream = accepted(&plan.listener, mine, clock.arrival()?).map_err(|error| lost(error.to_string()))?;
    let stream = stream.ok_or_else(|| lost(super::TAKEN.to_owned()))?;
    arrived(family, Direction::Outbound, called, &stream)
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

/// The connection that comes from the address, if it does within the time; others may call the Pod too.
pub fn accepted(listener: &TcpListener, from: SocketAddr, limit: Duration) -> io::Result<Option<TcpStream>> {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        sockopt::set_socket_timeout(listener, Timeout::Recv, Some(left))?;
        match listener.accept() {
            Ok((stream, peer)) if (peer.ip(), peer.port()) == (from.ip(), from.port()) => return Ok(Some(stream)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
