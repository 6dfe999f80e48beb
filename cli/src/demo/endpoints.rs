//! What a sidecar says of the endpoints that it calls: the admin page `/clusters?format=json`, which both kinds write
//! alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use serde::Deserialize;

/// The page that [`Endpoints::read`] reads.
pub const PATH: &str = "/clusters?format=json";

/// The endpoints of a sidecar, by service, without namespace and port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints(pub BTreeMap<String, BTreeMap<SocketAddr, Health>>);

/// Whether an endpoint is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Takes requests.
    Healthy,
    /// Left out for a while, since it failed.
    Ejected,
    /// Fails its health check.
    Unhealthy,
}

/// How often each endpoint was ejected, as far as it was seen.
#[derive(Clone, Debug, Default)]
pub struct Ejections {
    out: BTreeSet<(&'static str, SocketAddr)>,
    counts: BTreeMap<(&'static str, String), u64>,
}

impl Endpoints {
    /// Reads the page.
    pub fn read(page: &[u8]) -> serde_json::Result<Self> {
        let mut read = Self::default();
        for cluster in serde_json::from_slice::<Page>(page)?.cluster_statuses {
            if let Some(service) = service_of(&cluster.name) {
                let endpoints = cluster.host_statuses.iter().filter_map(HostStatus::endpoint).collect();
                read.0.insert(service.to_owned(), endpoints);
            }
        }
        Ok(read)
    }
}

impl Ejections {
    /// Looks at the endpoints of the sidecar of `pod`.
    pub fn look(&mut self, pod: &'static str, endpoints: &Endpoints) {
        for (service, endpoints) in &endpoints.0 {
            for (address, health) in endpoints {
                match health {
                    Health::Ejected if self.out.insert((pod, *address)) => {
                        *self.counts.entry((pod, service.clone())).or_default() += 1;
                    }
                    Health::Ejected => {}
                    Health::Healthy | Health::Unhealthy => drop(self.out.remove(&(pod, *address))),
                }
            }
        }
    }

    /// By the sidecar of `pod`, of endpoints of `service`.
    pub fn count(&self, pod: &'static str, service: &str) -> u64 {
        self.counts.get(&(pod, service.to_owned())).copied().unwrap_or_default()
    }
}

/// `shop/cart:80` -> `cart`; nothing for the way to the sidecar's own application, `in/shop/cart:15080`.
fn service_of(cluster: &str) -> Option<&str> {
    let (_namespace, rest) = cluster.split_once('/')?;
    rest.rsplit_once(':').map(|(service, _port)| service).filter(|service| !service.contains('/'))
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    cluster_statuses: Vec<ClusterStatus>,
}

#[derive(Deserialize)]
struct ClusterStatus {
    name: String,
    #[serde(default)]
    host_statuses: Vec<HostStatus>,
}

#[derive(Deserialize)]
struct HostStatus {
    address: HostAddress,
    #[serde(default)]
    health_status: HealthStatus,
}

#[derive(Deserialize)]
struct HostAddress {
    socket_address: Option<SocketAddress>,
}

#[derive(Deserialize)]
struct SocketAddress {
    address: String,
    port_value: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HealthStatus {
    failed_outlier_check: bool,
    failed_active_health_check: bool,
}

impl HostStatus {
    fn endpoint(&self) -> Option<(SocketAddr, Health)> {
        let address = self.address.socket_address.as_ref()?;
        let health = match &self.health_status {
            // An ejected endpoint soon fails its health check too; what came first says more.
            HealthStatus { failed_outlier_check: true, .. } => Health::Ejected,
            HealthStatus { failed_active_health_check: true, .. } => Health::Unhealthy,
            _ => Health::Healthy,
        };
        Some((SocketAddr::new(address.address.parse().ok()?, address.port_value), health))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Envoy 1.40 prints it, shortened.
    const PAGE: &str = r#"{"cluster_statuses":[
        {"name":"shop/catalog:80","host_statuses":[
            {"address":{"socket_address":{"address":"127.0.1.40","port_value":15080}},"health_status":{"eds_health_status":"HEALTHY"}},
            {"address":{"socket_address":{"address":"127.0.1.42","port_value":15080}},
             "health_status":{"failed_outlier_check":true,"eds_health_status":"HEALTHY"}}]},
        {"name":"in/shop/web:15080","host_statuses":[{"address":{"socket_address":{"address":"127.0.1.20","port_value":15081}}}]},
        {"name":"xds"}]}"#;

    #[test]
    fn an_ejected_endpoint_is_told_from_a_healthy_one() {
        let endpoints = Endpoints::read(PAGE.as_bytes()).unwrap();
        assert_eq!(endpoints.0.keys().collect::<Vec<_>>(), ["catalog"]);
        let health: Vec<_> = endpoints.0["catalog"].values().copied().collect();
        assert_eq!(health, [Health::Healthy, Health::Ejected]);
    }

    #[test]
    fn an_ejection_is_counted_once_however_often_it_is_seen() {
        let (mut ejections, address) = (Ejections::default(), "127.0.1.42:15080".parse().unwrap());
        let seen = |health| Endpoints([("catalog".to_owned(), [(address, health)].into())].into());
        for health in [Health::Ejected, Health::Ejected, Health::Unhealthy, Health::Healthy, Health::Ejected] {
            ejections.look("web-1", &seen(health));
        }
        ejections.look("web-2", &seen(Health::Ejected));
        assert_eq!(
            [("web-1", "catalog"), ("web-2", "catalog"), ("web-1", "cart")]
                .map(|(pod, service)| ejections.count(pod, service)),
            [2, 1, 0]
        );
    }
}
