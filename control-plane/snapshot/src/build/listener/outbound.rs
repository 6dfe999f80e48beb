//! Where an application calls out: the addresses of services, those it binds in explicit mode, and all the rest.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use byrnie_identity::Account;
use byrnie_model::{
    MeshConfig, Origin, Protocol, Service, ServiceKind, ServiceName, ServicePort, UnknownOutbound, UpstreamPort,
    Workload, World, policy::HashKey,
};
use byrnie_proto::{
    Kind,
    envoy::envoy::config::{
        cluster::v3::Cluster,
        core::v3::TrafficDirection,
        listener::v3::{AdditionalAddress, FilterChain, FilterChainMatch, Listener},
    },
};

use super::{
    beyond::{Speech, original_destination, pod, secured},
    http::{self, Routes},
    part::{address, boolean, chain, close, http_inspector, offer, tcp_proxy, to_port},
};
use crate::{
    Pods, Reference, Resource,
    build::{balancer, pack::duration, tls::upstream},
    names::{self, ALPN_HTTP, ALPN_TCP},
};

/// Where redirected outbound traffic arrives.
pub const PORT: u16 = 15001;

/// How long an application that waits for the server to speak first is waited for.
const SILENCE: Duration = Duration::from_millis(100);

/// What stands behind an outbound listener.
struct Beyond {
    protocol: Protocol,
    /// Where requests go.
    routes: Routes,
    /// Where bytes go.
    cluster: String,
    /// The name in metrics: `out/shop/cart_80`.
    stat: String,
    /// In place of the Host that HTTP/1.0 need not send.
    host: String,
    /// The policy by which bytes are balanced by the caller's address.
    by_source: Option<Origin>,
}

impl Beyond {
    /// A service port, routed and balanced.
    fn service(world: &World, service: &Service, port: &ServicePort) -> Self {
        let cluster = names::cluster(&service.name, port.number);
        Self {
            protocol: port.protocol,
            routes: Routes::Named(names::route(&service.name, port.number)),
            stat: format!("{}/{}_{}", names::OUTBOUND, service.name, port.number),
            cluster,
            host: names::fqdn(&service.name, world.mesh()),
            by_source: by_source(world, &service.name).filter(|_| !port.protocol.is_http()),
        }
    }

    /// The very pod that was called, by a cluster that calls original destinations.
    fn pod(self, cluster: String) -> Self {
        Self { routes: Routes::To(cluster.clone()), cluster, ..self }
    }

    /// The listener; it sends nothing before it knows where to, and waits only where nothing was declared.
    fn listener(&self, name: String) -> Listener {
        let requests = || http::outbound(&self.stat, &self.host, &self.routes);
        let bytes = || tcp_proxy(&self.stat, &self.cluster, self.by_source.is_some());
        let listener = Listener { name, traffic_direction: TrafficDirection::Outbound.into(), ..Default::default() };
        match self.protocol {
            Protocol::Http1 | Protocol::Http2 | Protocol::Grpc => {
                Listener { filter_chains: vec![chain("http", vec![requests()])], ..listener }
            }
            Protocol::Tcp | Protocol::Tls => Listener { filter_chains: vec![chain("tcp", vec![bytes()])], ..listener },
            Protocol::Undeclared => {
                let http1 = vec![offer(&[ALPN_HTTP, "http/1.1"]), requests()];
                let http2 = vec![offer(&[ALPN_HTTP, "h2"]), requests()];
                let chains = vec![
                    detected(&["http/1.0", "http/1.1"], chain("http1", http1)),
                    detected(&["h2c"], chain("http2", http2)),
                    chain("tcp", vec![offer(&[ALPN_TCP]), bytes()]),
                ];
                Listener {
                    filter_chains: chains,
                    listener_filters: vec![http_inspector()],
                    listener_filters_timeout: Some(duration(SILENCE)),
                    continue_on_listener_filters_timeout: true,
                    ..listener
                }
            }
        }
    }

    fn refers(&self) -> Vec<Reference> {
        let cluster = Reference { kind: Kind::Cluster, name: self.cluster.as_str().into() };
        match self.protocol {
            Protocol::Http1 | Protocol::Http2 | Protocol::Grpc => vec![self.routes.reference()],
            Protocol::Tcp | Protocol::Tls => vec![cluster],
            Protocol::Undeclared => vec![self.routes.reference(), cluster],
        }
    }

    /// The resource of a listener at `at`, from `origins` and the policy that reaches it.
    fn at(&self, at: SocketAddr, bound: bool, origins: impl IntoIterator<Item = Origin>) -> Resource {
        let mut listener = self.listener(names::outbound(at));
        listener.address = address(at);
        listener.bind_to_port = if bound { None } else { boolean(false) };
        let origins = origins.into_iter().chain(self.by_source.clone());
        Resource::new(Kind::Listener, listener.name.as_str(), &listener).referring(self.refers()).from_origins(origins)
    }
}

/// The policy of a service that hashes the caller's address: for requests its route says so, bytes have no route.
fn by_source(world: &World, service: &ServiceName) -> Option<Origin> {
    let policy = world.traffic_policy(service)?;
    (balancer::hash_key(policy) == Some(&HashKey::Source)).then(|| policy.origin.clone())
}

/// The listeners of a service's addresses.
pub fn of_service(world: &World, service: &Service) -> Vec<Resource> {
    match &service.kind {
        ServiceKind::Virtual(ips) => {
            let at = |port: &ServicePort| {
                let beyond = Beyond::service(world, service, port);
                let number = port.number;
                ips.iter()
                    .map(move |ip| beyond.at(SocketAddr::new(*ip, number), false, [service.origin.clone()]))
                    .collect::<Vec<_>>()
            };
            service.ports.iter().flat_map(at).collect()
        }
        ServiceKind::Headless => service.ports.iter().flat_map(|port| of_pods(world, service, port)).collect(),
        ServiceKind::External(_) => Vec::new(),
    }
}

/// A listener that the application calls in explicit mode; none while there is no such service port.
pub fn explicit(world: &World, workload: &Workload, upstream: &UpstreamPort) -> Option<Resource> {
    let service = world.service(&upstream.service)?;
    let port = service.port(upstream.port).filter(|_| !matches!(service.kind, ServiceKind::External(_)))?;
    let beyond = Beyond::service(world, service, port);
    let own = [workload.origin.clone(), service.origin.clone()];
    Some(beyond.at(upstream.listen, true, own.into_iter().chain(world.mesh().origin.clone())))
}

/// `out`, which hands each connection to the listener of the address that was called and keeps what has none.
pub fn redirected(mesh: &MeshConfig, at: &[SocketAddr]) -> Resource {
    let rest = match mesh.unknown_outbound {
        UnknownOutbound::Passthrough => tcp_proxy(names::OUTBOUND_PASSTHROUGH, names::OUTBOUND_PASSTHROUGH, false),
        UnknownOutbound::Refuse => close(),
    };
    // What calls the listener itself would go round in circles.
    let own = FilterChain { filter_chain_match: Some(to_port(Some(PORT))), ..chain("loop", vec![close()]) };
    let mut at = at.iter().copied();
    let listener = Listener {
        name: names::OUTBOUND.to_owned(),
        address: at.next().and_then(address),
        additional_addresses: at.map(|at| AdditionalAddress { address: address(at), ..Default::default() }).collect(),
        use_original_dst: boolean(true),
        traffic_direction: TrafficDirection::Outbound.into(),
        filter_chains: vec![own, chain("unknown", vec![rest])],
        ..Default::default()
    };
    let passthrough = Reference { kind: Kind::Cluster, name: names::OUTBOUND_PASSTHROUGH.into() };
    Resource::new(Kind::Listener, names::OUTBOUND, &listener)
        .referring((mesh.unknown_outbound == UnknownOutbound::Passthrough).then_some(passthrough))
        .from_origins(mesh.origin.clone())
}

/// Where `out` sends what no service has.
pub fn passthrough(mesh: &MeshConfig) -> Resource {
    let cluster = original_destination(names::OUTBOUND_PASSTHROUGH, Speech::AsRead);
    Resource::new(Kind::Cluster, names::OUTBOUND_PASSTHROUGH, &cluster).from_origins(mesh.origin.clone())
}

/// A headless service is called by the addresses of its pods, and each call is for that pod: a listener per pod, and
/// per account (there is hardly ever more than one) a cluster that calls what was called, as that account.
fn of_pods(world: &World, service: &Service, port: &ServicePort) -> Vec<Resource> {
    let Some(endpoints) = world.endpoints(&service.name) else { return Vec::new() };
    let mut clusters = BTreeMap::new();
    let mut listeners = Vec::new();
    for endpoint in endpoints.port(port.number) {
        let account = endpoint.account.as_ref();
        let name = names::direct(&service.name, port.number, account);
        let beyond = Beyond::service(world, service, port).pod(name.clone());
        listeners.push(beyond.at(endpoint.address, false, [service.origin.clone()]));
        clusters.entry(name).or_insert(account);
    }
    let direct = |(name, account): (String, Option<&Account>)| {
        let cluster = direct(world.mesh(), service, port, &name, account);
        Resource::new(Kind::Cluster, name, &cluster).from_origins([service.origin.clone()])
    };
    clusters.into_iter().map(direct).chain(listeners).collect()
}

fn direct(mesh: &MeshConfig, service: &Service, port: &ServicePort, name: &str, account: Option<&Account>) -> Cluster {
    let Some(account) = account else {
        return original_destination(name, Speech::to_application(port.protocol));
    };
    let (speech, alpn) = to_sidecar(port.protocol);
    let server_name = names::server_name(&service.name, port.number, mesh);
    secured(original_destination(name, speech), Some(upstream(mesh, account, &server_name, alpn)))
}

/// How the sidecar of one pod is spoken to, and what it is offered.
fn to_sidecar(protocol: Protocol) -> (Speech, &'static [&'static str]) {
    match protocol {
        Protocol::Http1 | Protocol::Http2 | Protocol::Grpc => (Speech::ByAlpn, &[ALPN_HTTP, "h2", "http/1.1"]),
        // The chain that detects HTTP says what to offer.
        Protocol::Tcp | Protocol::Tls | Protocol::Undeclared => (Speech::AsRead, &[ALPN_TCP]),
    }
}

/// The listener or the cluster `out/POD-IP:PORT` of a pod in the mesh that a micro-proxy was asked to call: mesh TLS and
/// no routes. Of any port, since its sidecar answers at all of them; the protocol is the one that a Service declares for
/// it. `None` for every other name and kind.
pub fn of_pod(pods: &Pods, kind: Kind, name: &str) -> Option<Resource> {
    let at = names::outbound_address(name)?;
    let workload = pods.at(at)?;
    let served = workload.served.iter().find(|served| served.port == at.port());
    let beyond = Beyond {
        protocol: served.map_or_else(|| Protocol::declared(None, None, at.port()), |served| served.protocol),
        routes: Routes::To(name.to_owned()),
        cluster: name.to_owned(),
        // Not by address: metrics would have no end.
        stat: match served {
            Some(served) => format!("{}/pods/{}_{}", names::OUTBOUND, served.service, at.port()),
            None => format!("{}/pods/{}", names::OUTBOUND, at.port()),
        },
        host: at.to_string(),
        by_source: None,
    };
    match kind {
        Kind::Listener => Some(beyond.at(at, false, [workload.origin.clone()])),
        Kind::Cluster => {
            let server_name = served.map(|served| names::server_name(&served.service, at.port(), pods.mesh()));
            let (speech, alpn) = to_sidecar(beyond.protocol);
            let socket = upstream(pods.mesh(), &workload.account, &server_name.unwrap_or_default(), alpn);
            let cluster = secured(pod(name, &beyond.stat, at, speech), Some(socket));
            Some(Resource::new(Kind::Cluster, name, &cluster).from_origins([workload.origin.clone()]))
        }
        _ => None,
    }
}

fn detected(protocols: &[&str], chain: FilterChain) -> FilterChain {
    let matches = FilterChainMatch {
        application_protocols: protocols.iter().map(|&protocol| protocol.to_owned()).collect(),
        ..Default::default()
    };
    FilterChain { filter_chain_match: Some(matches), ..chain }
}
