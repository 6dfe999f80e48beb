//! What a backendRef leads to. Routing sends requests there, status tells the user where it leads nowhere.

use crate::{
    Protocol, Service, ServiceKind, ServiceName, World,
    route::{BackendTarget, RouteKind},
};

/// Why a backendRef leads nowhere (Gateway API, `HTTPBackendRef` and `BackendRef`: what makes one invalid).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokenRef {
    #[error("{found}; Service of the core group is accepted")]
    Kind { found: String },
    #[error("Service {service} does not exist")]
    Missing { service: ServiceName },
    // Gateway API, BackendObjectReference.kind: implementations should not support ExternalName (CVE-2021-25740).
    #[error("Service {service} is an ExternalName; a Service with endpoints of its own is accepted")]
    Alias { service: ServiceName },
    #[error("not given, but a Service needs one; Service {service} has {ports}")]
    PortNotGiven { service: ServiceName, ports: String },
    #[error("{port}; Service {service} has {ports}")]
    NoSuchPort { service: ServiceName, port: u16, ports: String },
    #[error("{port}; Service {service} declares it {protocol}, which {kind} cannot call; {accepted} is accepted")]
    Protocol { service: ServiceName, port: u16, protocol: Protocol, kind: RouteKind, accepted: &'static str },
}

/// The service port that a backendRef of a route of this kind leads to. Another namespace needs no ReferenceGrant:
/// in the mesh a route widens nobody's reach (GEP-1294, "Namespace boundaries").
pub(crate) fn resolve(world: &World, kind: RouteKind, target: &BackendTarget) -> Result<(ServiceName, u16), BrokenRef> {
    let (name, port) = match target {
        BackendTarget::Service(name, port) => (name, *port),
        BackendTarget::Other(found) => return Err(BrokenRef::Kind { found: found.to_string() }),
    };
    let service = world.service(name).ok_or_else(|| BrokenRef::Missing { service: name.clone() })?;
    check_port(service, kind, port).map(|port| (name.clone(), port))
}

fn check_port(service: &Service, kind: RouteKind, port: Option<u16>) -> Result<u16, BrokenRef> {
    let name = || service.name.clone();
    if matches!(service.kind, ServiceKind::External(_)) {
        return Err(BrokenRef::Alias { service: name() });
    }
    let number = port.ok_or_else(|| BrokenRef::PortNotGiven { service: name(), ports: service.port_list() })?;
    let port = service.port(number).ok_or_else(|| BrokenRef::NoSuchPort {
        service: name(),
        port: number,
        ports: service.port_list(),
    })?;
    match (kind, port.protocol) {
        (_, Protocol::Tcp | Protocol::Tls) | (RouteKind::Grpc, Protocol::Http1) => Err(BrokenRef::Protocol {
            service: name(),
            port: number,
            protocol: port.protocol,
            kind,
            accepted: accepted_by(kind),
        }),
        _ => Ok(number),
    }
}

/// A declared protocol is a promise to the application, which gets nothing else; an undeclared one is taken from
/// the route (Gateway API, BackendRef: "MAY infer the protocol from the Route type").
fn accepted_by(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Grpc => "grpc, http2 or undeclared",
        RouteKind::Http => "http, http2, grpc or undeclared",
    }
}

impl BrokenRef {
    /// The spec's reason on `ResolvedRefs`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Kind { .. } | Self::Alias { .. } => "InvalidKind",
            Self::Missing { .. } | Self::PortNotGiven { .. } | Self::NoSuchPort { .. } => "BackendNotFound",
            Self::Protocol { .. } => "UnsupportedProtocol",
        }
    }

    /// The field of the backendRef that is at fault.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::Kind { .. } => "kind",
            Self::Missing { .. } | Self::Alias { .. } => "name",
            Self::PortNotGiven { .. } | Self::NoSuchPort { .. } | Self::Protocol { .. } => "port",
        }
    }
}
