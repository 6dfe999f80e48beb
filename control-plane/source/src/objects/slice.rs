//! What an EndpointSlice says, as far as the mesh cares.

use std::{net::IpAddr, sync::Arc};

use byrnie_model::{EndpointState, ServiceName, WorkloadName};

use super::core::{AddressType, EndpointSlice, SliceConditions, SliceEndpoint, Transport};

/// The label of a slice that names its Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// An EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its Service; `None` where it names none.
    pub service: Option<ServiceName>,
    /// Name and number of its TCP ports.
    pub ports: Box<[(Option<Arc<str>>, u16)]>,
    /// Those that serve or drain.
    pub endpoints: Box<[Member]>,
}

/// One of a slice's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its address.
    pub ip: IpAddr,
    /// Whether it takes traffic.
    pub state: EndpointState,
    /// The Pod behind it, where the slice names one.
    pub pod: Option<WorkloadName>,
    /// Its node.
    pub node: Option<Arc<str>>,
    /// Its zone.
    pub zone: Option<Arc<str>>,
}

/// Reads an EndpointSlice.
pub(crate) fn read(slice: EndpointSlice) -> Slice {
    let namespace = slice.metadata.namespace();
    let service = slice.metadata.labels.get(SERVICE).map(|name| ServiceName::new(namespace.clone(), name.clone()));
    let tcp = slice.ports.into_iter().filter(|port| port.protocol == Transport::Tcp);
    let ports = tcp.filter_map(|port| Some((port.name.filter(|name| !name.is_empty()), port.port?.number()))).collect();
    let endpoints = match slice.address_type {
        AddressType::Fqdn => Vec::new(),
        AddressType::IPv4 | AddressType::IPv6 => slice.endpoints,
    };
    Slice {
        service,
        ports,
        endpoints: endpoints.into_iter().filter_map(|endpoint| member(endpoint, &namespace)).collect(),
        name: slice.metadata.name,
        namespace,
    }
}

fn member(endpoint: SliceEndpoint, namespace: &Arc<str>) -> Option<Member> {
    let target = endpoint.target_ref.filter(|target| target.kind.as_deref() == Some("Pod"));
    Some(Member {
        // Only the first address is used, as kube-proxy does.
        ip: endpoint.addresses.first()?.parse().ok()?,
        state: state(endpoint.conditions)?,
        pod: target.map(|target| {
            let own = |other: &Arc<str>| **other == **namespace;
            let namespace = target.namespace.filter(|other| !own(other)).unwrap_or_else(|| namespace.clone());
            WorkloadName::new(namespace, target.name)
        }),
        node: endpoint.node_name,
        zone: endpoint.zone,
    })
}

/// Whether an endpoint takes traffic (KEP-1672): what is not said counts as ready, and as serving where it is ready.
fn state(conditions: SliceConditions) -> Option<EndpointState> {
    let ready = conditions.ready.unwrap_or(true);
    if ready {
        return Some(EndpointState::Ready);
    }
    let terminating = conditions.terminating.unwrap_or(false);
    (terminating && conditions.serving.unwrap_or(ready)).then_some(EndpointState::Draining)
}
