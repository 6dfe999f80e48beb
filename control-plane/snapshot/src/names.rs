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

/// What the callers of a cluster call, as operators know it: `shop/cart:80`, `10.1.2.3:8080` where it was one pod. `None`
/// where the cluster is the application itself, stands outside the mesh or is none of ours.
pub fn destination(cluster: &str) -> Option<&str> {
    if outbound_address(cluster).is_some() {
        return cluster.strip_prefix("out/");
    }
    // `direct/shop/db:5432/shop/postgres`; a Service of a namespace of that name has no slash after it.
    let direct = cluster.strip_prefix("direct/").filter(|rest| rest.contains('/'));
    let of_service = direct.map_or(cluster, |rest| match rest.match_indices('/').nth(1) {
        Some((end, _)) => &rest[..end],
        None => rest,
    });
    let (service, port) = of_service.rsplit_once(':')?;
    let (namespace, name) = service.split_once('/')?;
    // Not `in/shop/cart-1:8080` or `in/127.0.1.10:8080`: a Service is a DNS label that begins with a letter (RFC 1035).
    let is_label = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains('/');
    (is_label && !namespace.is_empty() && port.parse::<u16>().is_ok()).then_some(of_service)
}

/// The server name that a client's sidecar sends: `p80.cart.shop.svc.cluster.local`. For gateways and logs only.
pub fn server_name(service: &ServiceName, port: u16, mesh: &MeshConfig) -> String {
    format!("p{port}.{}", fqdn(service, mesh))
}

/// The DNS name of a Service: `cart.shop.svc.cluster.local`.
pub fn fqdn(service: &ServiceName, mesh: &MeshConfig) -> String {
    format!("{}.{}.svc.{}", service.name(), service.namespace(), mesh.cluster_domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_port_of_a_service_or_a_pod_and_nothing_else() {
        let service = ServiceName::new("shop", "db");
        let account = Account::new("shop", "postgres");
        assert_eq!(destination(&cluster(&service, 5432)), Some("shop/db:5432"));
        assert_eq!(destination(&direct(&service, 5432, Some(&account))), Some("shop/db:5432"));
        assert_eq!(destination(&direct(&service, 5432, None)), Some("shop/db:5432"));
        for namespace in ["in", "out", "direct"] {
            let odd = ServiceName::new(namespace, "db");
            assert_eq!(destination(&cluster(&odd, 80)), Some(&*cluster(&odd, 80)));
            assert_eq!(destination(&direct(&odd, 80, Some(&account))), Some(&*cluster(&odd, 80)));
        }
        for address in ["10.1.2.3:8080", "[fd00::1]:8080"] {
            assert_eq!(destination(&outbound(address.parse().unwrap())), Some(address));
            assert_eq!(destination(&inbound(address.parse().unwrap())), None);
        }
        let own = inbound_of(&WorkloadName::new("shop", "cart-1"), 8080);
        for other in [&*own, INBOUND_PASSTHROUGH, OUTBOUND_PASSTHROUGH, "xds", "", "/:80", "shop/cart:http"] {
            assert_eq!(destination(other), None, "{other}");
        }
    }

    #[test]
    fn an_address_is_read_only_as_it_is_written() {
        for text in ["10.1.2.3:80", "[fd00::1]:80"] {
            let address = text.parse().unwrap();
            assert_eq!(outbound_address(&outbound(address)), Some(address));
            assert!(outbound(address).starts_with(&outbound_of(address.ip())));
        }
        for other in ["out", "out/", "out10.1.2.3:80", "out/10.1.2.3:080", "in/10.1.2.3:80", "out/[fd00:0::1]:80"] {
            assert_eq!(outbound_address(other), None, "{other}");
        }
    }
}
