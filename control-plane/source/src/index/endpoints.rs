//! The endpoints of a Service: from its EndpointSlices where it has any, else from its selector, as the controllers of
//! Kubernetes would make slices.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use byrnie_model::{Endpoint, EndpointState, ServiceEndpoints, ServiceKind, WorkloadName};

use super::Index;
use crate::objects::{Pod, Service, Slice, ZONE, core::IpFamily, slice::Member};

/// Endpoints of one port. Of two with one address the one that takes traffic stays.
type Found = BTreeMap<SocketAddr, Endpoint>;

impl Index {
    /// The endpoints of a Service; `None` for an alias, which has none.
    pub(super) fn endpoints_of(&self, service: &Service) -> Option<ServiceEndpoints> {
        if let ServiceKind::External(_) = service.model.kind {
            return None;
        }
        let slices: Option<Vec<_>> = self.slices.of_service(&service.model.name).map(Iterator::collect);
        let found: BTreeMap<u16, Found> = match slices {
            Some(slices) => self.of_slices(service, &slices),
            None => self.of_pods(service),
        };
        let ports = found.into_iter().map(|(port, found)| (port, found.into_values().collect())).collect();
        Some(ServiceEndpoints { ports })
    }

    fn of_slices(&self, service: &Service, slices: &[&Slice]) -> BTreeMap<u16, Found> {
        // A Pod with addresses of both families is in slices of both; the family that the Service prefers is called.
        let mut best: HashMap<&WorkloadName, usize> = HashMap::new();
        let rank = |ip: IpAddr| rank(&service.families, ip).unwrap_or(usize::MAX);
        for endpoint in slices.iter().flat_map(|slice| &slice.endpoints) {
            if let Some(pod) = &endpoint.pod {
                let best = best.entry(pod).or_insert(usize::MAX);
                *best = rank(endpoint.ip).min(*best);
            }
        }
        let is_called =
            |endpoint: &&Member| endpoint.pod.as_ref().is_none_or(|pod| best.get(pod) == Some(&rank(endpoint.ip)));
        let of_port = |port: &byrnie_model::ServicePort| {
            let mut found = Found::new();
            for slice in slices {
                let numbers = slice.ports.iter().filter(|(name, _)| *name == port.name).map(|(_, number)| *number);
                for number in numbers {
                    for endpoint in slice.endpoints.iter().filter(is_called) {
                        add(&mut found, self.of_slice(service, endpoint, number));
                    }
                }
            }
            (port.number, found)
        };
        service.model.ports.iter().map(of_port).collect()
    }

    fn of_slice(&self, service: &Service, endpoint: &Member, port: u16) -> Endpoint {
        let namespace: Arc<str> = service.model.name.namespace().into();
        let pod = match &endpoint.pod {
            Some(name) => self.pods.get(name),
            None => self.pods.with_ip(&namespace, endpoint.ip),
        };
        let address = SocketAddr::new(endpoint.ip, port);
        let node_zone = || endpoint.node.as_ref().and_then(|node| self.zones.get(node)).cloned();
        let zone = endpoint.zone.clone().or_else(node_zone);
        match pod {
            Some(pod) => {
                let known = self.of_pod(pod, address, endpoint.state);
                Endpoint { zone: zone.or(known.zone), ..known }
            }
            None => Endpoint { address, state: endpoint.state, account: None, workload: None, zone },
        }
    }

    fn of_pods(&self, service: &Service) -> BTreeMap<u16, Found> {
        let mut found: BTreeMap<u16, Found> =
            service.model.ports.iter().map(|port| (port.number, Found::new())).collect();
        for pod in self.pods.selected(service.model.name.namespace(), &service.selector) {
            let Some(state) = state(service, pod) else { continue };
            let Some(ip) = called(&service.families, &pod.ips) else { continue };
            for (port, target) in service.model.ports.iter().zip(&service.targets) {
                let Some(number) = pod.port(target) else { continue };
                if let Some(found) = found.get_mut(&port.number) {
                    add(found, self.of_pod(pod, SocketAddr::new(ip, number), state));
                }
            }
        }
        found
    }

    fn of_pod(&self, pod: &Pod, address: SocketAddr, state: EndpointState) -> Endpoint {
        let workload = self.workloads.get(&pod.name);
        let is_meshed = workload.is_some_and(|workload| workload.is_meshed_at(address));
        let node_zone = pod.node.as_ref().and_then(|node| self.zones.get(node));
        Endpoint {
            address,
            state,
            account: workload.filter(|_| is_meshed).map(|workload| workload.account.clone()),
            workload: workload.map(|workload| workload.name.clone()),
            zone: node_zone.or_else(|| pod.labels.get(ZONE)).cloned(),
        }
    }
}

/// Whether a selected Pod takes traffic, as the endpoint slice controller decides.
fn state(service: &Service, pod: &Pod) -> Option<EndpointState> {
    if pod.is_over {
        return None;
    }
    if service.publish_not_ready || (pod.is_ready && !pod.is_terminating) {
        return Some(EndpointState::Ready);
    }
    (pod.is_ready && pod.is_terminating).then_some(EndpointState::Draining)
}

/// The address of a Pod that is called: of the first family of the Service that it has.
fn called(families: &[IpFamily], ips: &[IpAddr]) -> Option<IpAddr> {
    if families.is_empty() {
        return ips.first().copied();
    }
    ips.iter().copied().filter_map(|ip| Some((rank(families, ip)?, ip))).min_by_key(|(rank, _)| *rank).map(|(_, ip)| ip)
}

fn rank(families: &[IpFamily], ip: IpAddr) -> Option<usize> {
    families.iter().position(|family| *family == IpFamily::of(ip))
}

fn add(found: &mut Found, endpoint: Endpoint) {
    let known = found.entry(endpoint.address).or_insert_with(|| endpoint.clone());
    if endpoint.state < known.state {
        *known = endpoint;
    }
}
