//! Names of resources: stable, and to be guessed by who knows the Service.

use std::net::{IpAddr, SocketAddr};

use byrnie_identity::Account;
use byrnie_model::{MeshConfig, ServiceName, WorkloadName};

/// The SDS name of a workload's own certificate.
pub const WORKLOAD_SECRET: &str = "workload";
/// The SDS name of the roots that peers are checked against.
pub const TRUST_SECRET: &str = "trust";
/// The listener of redirected inbound traffic (15006) or, in explicit mode, the prefix of the bound ones.
pub const INBOUND: &str = "in";
/// The listener of redirected outbound traffic (15001), and the prefix of the one of each address.
pub const OUTBOUND: &str = "out";

/// The cluster of inbound traffic to ports that no service has.
pub const INBOUND_PASSTHROUGH: &str = "in/passthrough";
/// The cluster of outbound traffic to addresses that no service has.
pub const OUTBOUND_PASSTHROUGH: &str = "out/passthrough";

/// The ALPN value that marks mesh TLS carrying HTTP: offered first, never selected.
pub const ALPN_HTTP: &str = "byrnie-http";
/// The ALPN value of mesh TLS carrying bytes: offered and selected.
pub const ALPN_TCP: &str = "byrnie-tcp";
/// The header of a reply that a server's sidecar made itself because its application never saw the request.
pub const UNDELIVERED: &str = "x-byrnie-undelivered";

/// The cluster of a service port, and its endpoints: `shop/cart:80`.
pub fn cluster(service: &ServiceName, port: u16) -> String {
    format!("{service}:{port}")
}

/// The route configuration of a service port: `route/shop/cart:80`.
pub fn route(service: &ServiceName, port: u16) -> String {
    format!("route/{service}:{port}")
}

/// The listener of one outbound address: `out/10.96.0.5:80`; and the cluster of one pod, where that is what was called.
pub fn outbound(address: SocketAddr) -> String {
    format!("{OUTBOUND}/{address}")
}

/// What the names of all listeners at one address begin with: `out/10.1.2.3:`.
pub fn outbound_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("{OUTBOUND}/{ip}:"),
        IpAddr::V6(ip) => format!("{OUTBOUND}/[{ip}]:"),
    }
}

/// The address that a name of [`outbound`] holds; `None` for any other name, and for one that is spelt otherwise.
pub fn outbound_address(name: &str) -> Option<SocketAddr> {
    let address = name.strip_prefix(OUTBOUND)?.strip_prefix('/')?.parse().ok()?;
    (outbound(address) == name).then_some(address)
}

/// The listener of one bound inbound address: `in/127.0.1.10:8080`.
pub fn inbound(address: SocketAddr) -> String {
    format!("{INBOUND}/{address}")
}

/// The application behind a port of a redirected workload: `in/shop/cart-7d9f:8080`.
pub fn inbound_of(workload: &WorkloadName, port: u16) -> String {
    format!("{INBOUND}/{workload}:{port}")
}

/// The pods of a headless service port when one of them is called by its address, by account:
/// `direct/shop/db:5432/shop/postgres`, and `direct/shop/db:5432` where they are outside the mesh.
pub fn direct(service: &ServiceName, port: u16, account: Option<&Account>) -> String {
    match account {
        Some(account) => format!("direct/{service}:{port}/{account}"),
        None => format!("direct/{service}:{port}"),
    }
}

/// The server name that a client's sidecar sends: `p80.cart.shop.svc.cluster.local`. For gateways and logs only.
pub fn server_name(service: &ServiceName, port: u16, mesh: &MeshConfig) -> String {
    format!("p{port}.{}", fqdn(service, mesh))
}

/// The DNS name of a Service: `cart.shop.svc.cluster.local`.
pub fn fqdn(service: &ServiceName, mesh: &MeshConfig) -> String {
    format!("{}.{}.svc.{}", service.name(), service.namespace(), mesh.cluster_domain)
}
