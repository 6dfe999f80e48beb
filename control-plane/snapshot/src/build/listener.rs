//! Listeners, and the clusters that come with them: what a sidecar takes in and where it lets the application out.
//!
//! `out` and a workload's own listeners name the MeshConfig as an origin, and so every proxy is counted for it. What
//! Services have does not, though `clusterDomain` stands in nearly all of it: each change of a Service would have to be
//! counted over all proxies.

mod beyond;
mod http;
mod inbound;
mod outbound;
mod part;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use byrnie_model::{Capture, Service, Workload, World};

pub use outbound::of_pod;

use crate::Resource;

/// The listeners of a service's addresses, for every Envoy: `out/VIP:PORT`, and `out/POD-IP:PORT` where it is headless.
pub fn outbound(world: &World, service: &Service) -> Vec<Resource> {
    outbound::of_service(world, service)
}

/// What every redirected Envoy has: `out`, over IPv4 (a pod with IPv6 addresses has its own), and the cluster of
/// addresses that no service has.
pub fn shared(world: &World) -> Vec<Resource> {
    let at = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), outbound::PORT);
    vec![outbound::passthrough(world.mesh()), outbound::redirected(world.mesh(), &[at])]
}

/// A workload's own listeners, with the clusters of its application; nothing where it has no sidecar.
pub fn of_workload(world: &World, workload: &Workload) -> Vec<Resource> {
    match &workload.capture {
        Capture::Outside => Vec::new(),
        Capture::Redirected { .. } => {
            let at = wildcards(workload, outbound::PORT);
            let own = at.iter().any(SocketAddr::is_ipv6).then(|| outbound::redirected(world.mesh(), &at));
            inbound::redirected(world, workload).into_iter().chain(own).collect()
        }
        Capture::Explicit { inbound, upstreams } => {
            let taken_in = inbound.iter().flat_map(|port| inbound::explicit(world, workload, port));
            let let_out = upstreams.iter().filter_map(|upstream| outbound::explicit(world, workload, upstream));
            taken_in.chain(let_out).collect()
        }
    }
}

/// The wildcard address of each family that the workload has: a host without IPv6 cannot bind the other.
fn wildcards(workload: &Workload, port: u16) -> Vec<SocketAddr> {
    let v6 = workload.ips.iter().any(IpAddr::is_ipv6);
    let v4 = !v6 || workload.ips.iter().any(IpAddr::is_ipv4);
    let v4 = v4.then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let v6 = v6.then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    v4.into_iter().chain(v6).map(|ip| SocketAddr::new(ip, port)).collect()
}

#[cfg(test)]
mod tests;
