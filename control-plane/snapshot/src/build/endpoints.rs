//! EDS: the endpoints of a service port, for every client alike.

use std::{collections::BTreeMap, net::SocketAddr};

use byrnie_model::{Endpoint, EndpointState, Service, World};
use byrnie_proto::{
    Kind,
    envoy::envoy::config::{
        core::v3::{
            Address, HealthStatus, Locality, Metadata, SocketAddress, address,
            socket_address::{PortSpecifier, Protocol},
        },
        endpoint::v3::{
            self as wire, ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
        },
    },
};

use super::pack;
use crate::{Resource, names};

/// The metadata by which a cluster chooses the transport socket of an endpoint
/// (`config.cluster.v3.Cluster.transport_socket_matches`).
const SOCKET_MATCH: &str = "envoy.transport_socket_match";
/// The key in it: the account that the endpoint's sidecar proves.
pub const ACCOUNT_KEY: &str = "sa";

/// The endpoints of `port`. A port without any has an empty assignment: it exists as long as its Service does.
pub fn of_port(world: &World, service: &Service, port: u16) -> Resource {
    let name = names::cluster(&service.name, port);
    let known = world.endpoints(&service.name);
    let assignment = ClusterLoadAssignment {
        cluster_name: name.clone(),
        endpoints: localities(known.map_or(&[], |known| known.port(port))),
        ..Default::default()
    };
    Resource::new(Kind::Endpoints, name, &assignment).from_origins([service.origin.clone()])
}

/// One locality a zone, all of the first priority. gRPC leaves out a locality without id or weight (gRFC A27), and
/// shares by that weight, so it is the number of endpoints; Envoy reads the weight only where a cluster asks for it.
fn localities(endpoints: &[Endpoint]) -> Vec<LocalityLbEndpoints> {
    let some_ready = endpoints.iter().any(|endpoint| endpoint.state == EndpointState::Ready);
    let mut zones: BTreeMap<&str, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        zones.entry(endpoint.zone.as_deref().unwrap_or_default()).or_default().push(endpoint);
    }
    let locality = |(zone, endpoints): (&str, Vec<&Endpoint>)| {
        let taking = endpoints.iter().filter(|e| !some_ready || e.state == EndpointState::Ready).count();
        LocalityLbEndpoints {
            locality: Some(Locality { zone: zone.to_owned(), ..Default::default() }),
            load_balancing_weight: pack::number(u32::try_from(taking.max(1)).unwrap_or(u32::MAX)),
            lb_endpoints: endpoints.into_iter().map(|endpoint| lb_endpoint(endpoint, some_ready)).collect(),
            ..Default::default()
        }
    };
    zones.into_iter().map(locality).collect()
}

/// Where only draining endpoints are left they take traffic, as with kube-proxy (KEP-1669).
fn lb_endpoint(endpoint: &Endpoint, some_ready: bool) -> LbEndpoint {
    let health = match endpoint.state {
        EndpointState::Draining if some_ready => HealthStatus::Draining,
        EndpointState::Draining | EndpointState::Ready => HealthStatus::Healthy,
    };
    let metadata = endpoint.account.as_ref().map(|account| Metadata {
        filter_metadata: pack::single(SOCKET_MATCH, pack::text_struct(ACCOUNT_KEY, account.to_string())),
        ..Default::default()
    });
    let host = wire::Endpoint { address: Some(socket_address(endpoint.address)), ..Default::default() };
    LbEndpoint {
        health_status: health.into(),
        metadata,
        host_identifier: Some(HostIdentifier::Endpoint(host)),
        ..Default::default()
    }
}

/// A TCP address.
pub fn socket_address(address: SocketAddr) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            protocol: Protocol::Tcp.into(),
            address: address.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(address.port().into())),
            ..Default::default()
        })),
    }
}
