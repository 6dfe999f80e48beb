use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
};

use byrnie_identity::Account;

use crate::{Origin, Protocol, ServiceName, WorkloadName};

/// What a sidecar offers to all, in plain text, and is not redirected: metrics and probes, health.
const OPEN: [u16; 2] = [15020, 15021];

/// A Pod, as far as the mesh cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// `shop/cart-7d9f`
    pub name: WorkloadName,
    /// The object.
    pub origin: Origin,
    /// Which Pod of this name, where an API server says so.
    pub uid: Option<Arc<str>>,
    /// Who it is.
    pub account: Account,
    /// Its labels: PeerPolicy selects by them.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// `topology.kubernetes.io/zone` of its node.
    pub zone: Option<Arc<str>>,
    /// How its traffic comes to a sidecar.
    pub capture: Capture,
    /// The ports that Services forward to, sorted by port, each once.
    pub served: Vec<Served>,
}

/// How a workload's traffic comes to its sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// No sidecar.
    Outside,
    /// All traffic is redirected to 15001 and 15006.
    Redirected {
        /// But for what comes to these ports of the Pod (`byrnie.io/exclude-inbound-ports`).
        excluded: Vec<RangeInclusive<u16>>,
    },
    /// Listeners bound to given addresses, no redirection (`byrnie.io/inbound`, `byrnie.io/upstreams`).
    Explicit {
        /// Where the sidecar listens for the application.
        inbound: Vec<InboundPort>,
        /// Where the application finds services.
        upstreams: Vec<UpstreamPort>,
    },
}

/// `byrnie.io/inbound: LISTEN=APPLICATION`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundPort {
    /// Where peers call.
    pub listen: SocketAddr,
    /// Where the application listens.
    pub application: SocketAddr,
}

/// `byrnie.io/upstreams: LISTEN=SERVICE.NAMESPACE:PORT`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamPort {
    /// Where the application calls.
    pub listen: SocketAddr,
    /// The service it means.
    pub service: ServiceName,
    /// The service's port.
    pub port: u16,
}

/// A port of the workload that a Service forwards to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The port on the workload's own address.
    pub port: u16,
    /// What Services declare. Where none does, or they disagree: [`Protocol::Undeclared`].
    pub protocol: Protocol,
    /// One Service that forwards here (the first by name), for names in logs and metrics.
    pub service: ServiceName,
}

impl Workload {
    /// Whether a sidecar terminates mesh TLS on this address of the workload.
    pub fn is_meshed_at(&self, address: SocketAddr) -> bool {
        match &self.capture {
            Capture::Outside => false,
            Capture::Redirected { excluded } => {
                let port = address.port();
                let is_led = !OPEN.contains(&port) && !excluded.iter().any(|ports| ports.contains(&port));
                is_led && self.ips.contains(&address.ip())
            }
            Capture::Explicit { inbound, .. } => {
                let listens = |port: &InboundPort| port.called(&self.ips).any(|called| called == address);
                inbound.iter().any(listens)
            }
        }
    }
}

impl InboundPort {
    /// Where peers call: `listen`, or for `0.0.0.0` and `[::]` those addresses of the Pod, which has `ips`, that are of
    /// that family.
    pub fn called<'a>(&'a self, ips: &'a [IpAddr]) -> impl Iterator<Item = SocketAddr> + 'a {
        let listen = self.listen;
        let own = ips.iter().filter(move |ip| listen.ip().is_unspecified() && ip.is_ipv4() == listen.is_ipv4());
        let given = Some(listen).filter(|listen| !listen.ip().is_unspecified());
        given.into_iter().chain(own.map(move |ip| SocketAddr::new(*ip, listen.port())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_that_listens_everywhere_is_called_at_the_addresses_of_its_pod() {
        let called = |listen: &str| -> Vec<String> {
            let port = InboundPort { listen: listen.parse().unwrap(), application: "127.0.0.1:9".parse().unwrap() };
            let ips = ["10.0.0.7", "fd00::7"].map(|ip| ip.parse().unwrap());
            port.called(&ips).map(|address| address.to_string()).collect()
        };
        assert_eq!(called("0.0.0.0:80"), ["10.0.0.7:80"]);
        assert_eq!(called("[::]:80"), ["[fd00::7]:80"]);
        assert_eq!(called("127.0.1.10:80"), ["127.0.1.10:80"]);
    }
}
