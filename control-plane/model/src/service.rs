use std::{net::IpAddr, sync::Arc};

use crate::{Origin, Protocol, ServiceName};

/// A Service: a name that clients call, with its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `shop/cart`
    pub name: ServiceName,
    /// The object.
    pub origin: Origin,
    /// How clients reach it.
    pub kind: ServiceKind,
    /// By port number; numbers are unique (TCP only, others are no concern of the mesh).
    pub ports: Vec<ServicePort>,
}

/// How clients reach a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// By virtual IPs; none where the object has none (a directory need not give any).
    Virtual(Vec<IpAddr>),
    /// By the addresses of its pods (`clusterIP: None`). No parent of routes.
    Headless,
    /// A DNS alias. No parent of routes, and no endpoints.
    External(Arc<str>),
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// The port clients call.
    pub number: u16,
    /// Its name, where it has one.
    pub name: Option<Arc<str>>,
    /// What it speaks.
    pub protocol: Protocol,
}

impl Service {
    /// The port with this number.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// Whether routes may name it as parent (GEP-1294: headless and ExternalName are no frontends).
    pub fn is_frontend(&self) -> bool {
        matches!(self.kind, ServiceKind::Virtual(_))
    }

    /// Its ports as messages name them: `ports 80, 9090`.
    pub(crate) fn port_list(&self) -> String {
        let numbers: Vec<_> = self.ports.iter().map(|port| port.number.to_string()).collect();
        match &*numbers {
            [] => "no TCP ports".to_owned(),
            [one] => format!("port {one}"),
            all => format!("ports {}", all.join(", ")),
        }
    }
}

impl ServicePort {
    /// Whether the mesh sees requests on it: not where it is declared to carry bytes.
    pub(crate) fn carries_requests(&self) -> bool {
        !matches!(self.protocol, Protocol::Tcp | Protocol::Tls)
    }
}
