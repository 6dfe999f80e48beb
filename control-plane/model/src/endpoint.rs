use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use byrnie_identity::Account;

use crate::WorkloadName;

/// One address behind a service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it takes traffic.
    pub state: EndpointState,
    /// The account that its sidecar proves; `None` where it is outside the mesh and is called in plain text.
    pub account: Option<Account>,
    /// The Pod, where one is known.
    pub workload: Option<WorkloadName>,
    /// `topology.kubernetes.io/zone` of its node.
    pub zone: Option<Arc<str>>,
}

/// Whether an endpoint takes traffic, as EndpointSlice conditions say (KEP-1672).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointState {
    /// Takes new requests.
    Ready,
    /// Terminating but still serving: finishes what it has.
    Draining,
}

/// All endpoints of a Service by service port. An endpoint that neither serves nor drains is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceEndpoints {
    /// By service port number; each list is sorted by address and has no address twice.
    pub ports: BTreeMap<u16, Vec<Endpoint>>,
}

impl ServiceEndpoints {
    /// The endpoints behind a service port.
    pub fn port(&self, number: u16) -> &[Endpoint] {
        self.ports.get(&number).map_or(&[], Vec::as_slice)
    }

    /// The accounts behind a service port, sorted, once each.
    pub fn accounts(&self, number: u16) -> Vec<&Account> {
        let mut accounts: Vec<_> = self.port(number).iter().filter_map(|endpoint| endpoint.account.as_ref()).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }

    /// Whether some endpoint behind the port is outside the mesh.
    pub fn any_outside(&self, number: u16) -> bool {
        self.port(number).iter().any(|endpoint| endpoint.account.is_none())
    }
}
