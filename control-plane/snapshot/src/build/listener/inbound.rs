//! Where peers call a workload: the one listener of a redirected pod, or one per address in explicit mode.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use byrnie_model::{InboundPort, MeshConfig, PeerMode, Protocol, Served, Workload, World};
use byrnie_proto::{
    Kind,
    envoy::envoy::config::{
        cluster::v3::Cluster,
        core::v3::TrafficDirection,
        listener::v3::{AdditionalAddress, Filter, FilterChain, FilterChainMatch, Listener},
    },
};

use super::{
    beyond::{Speech, application, from_sidecar, original_destination},
    http,
    part::{address, chain, close, http_inspector, original_dst, tcp_proxy, tls_inspector, to_port},
    wildcards,
};
use crate::{
    Reference, Resource,
    build::{
        pack::{duration, keepalive},
        tls::downstream,
    },
    names::{self, ALPN_HTTP, ALPN_TCP},
};

/// Where redirected inbound traffic arrives.
const PORT: u16 = 15006;

/// How long plain text that waits for the server to speak first is waited for. Peers in the mesh always speak first,
/// and a ClientHello that is late (lost once, on a busy host) must not be taken for the application's bytes.
const SILENCE: Duration = Duration::from_secs(1);

/// One port as peers see it.
struct Port {
    /// `None` for all that no other entry names.
    number: Option<u16>,
    protocol: Protocol,
    mode: PeerMode,
    /// The cluster of the application.
    cluster: String,
    /// The name in metrics, where Envoy is not of one mind about `:`: `in/shop/cart_8080`.
    stat: String,
    /// In place of the Host that HTTP/1.0 need not send.
    host: String,
}

impl Port {
    fn new(world: &World, workload: &Workload, number: u16, cluster: String) -> Self {
        let served = workload.served.iter().find(|served| served.port == number);
        let service = served.map(|Served { service, .. }| service);
        Self {
            number: Some(number),
            protocol: served.map_or(Protocol::Undeclared, |served| served.protocol),
            mode: world.peer_mode(workload, number),
            cluster,
            stat: service.map_or_else(|| format!("in/{number}"), |service| format!("in/{service}_{number}")),
            host: service.map_or_else(|| "localhost".to_owned(), |service| names::fqdn(service, world.mesh())),
        }
    }

    /// Where plain text may be of a protocol whose server speaks first.
    fn may_wait_for_server(&self) -> bool {
        self.mode == PeerMode::Permissive && !self.protocol.is_http()
    }

    fn chains(&self, mesh: &MeshConfig) -> Vec<FilterChain> {
        let requests = || http::inbound(&self.stat, &self.host, &self.cluster);
        let bytes = || tcp_proxy(&self.stat, &self.cluster, false);
        let mut chains = vec![
            // HTTP/2 and HTTP/1.1 are selected as the client goes on to offer; the marker itself never is.
            self.secured(mesh, ALPN_HTTP, &["h2", "http/1.1"], requests()),
            self.secured(mesh, ALPN_TCP, &[ALPN_TCP], bytes()),
        ];
        if self.mode == PeerMode::Strict {
            return chains;
        }
        chains.push(self.chain("tls", "tls", &[], bytes()));
        match self.protocol {
            Protocol::Http1 | Protocol::Http2 | Protocol::Grpc => {
                chains.push(self.chain("http", "raw_buffer", &[], requests()));
            }
            Protocol::Undeclared => {
                let detected = ["http/1.0", "http/1.1", "h2c"];
                chains.push(self.chain("http", "raw_buffer", &detected, requests()));
                chains.push(self.chain("tcp", "raw_buffer", &[], bytes()));
            }
            Protocol::Tcp | Protocol::Tls => {
                chains.push(self.chain("tcp", "raw_buffer", &[], bytes()));
            }
        }
        chains
    }

    fn secured(&self, mesh: &MeshConfig, marker: &str, selected: &[&str], filter: Filter) -> FilterChain {
        let transport_socket = Some(downstream(mesh, selected));
        FilterChain { transport_socket, ..self.chain(marker, "tls", &[marker], filter) }
    }

    fn chain(&self, name: &str, transport: &str, applications: &[&str], filter: Filter) -> FilterChain {
        let matches = FilterChainMatch {
            transport_protocol: transport.to_owned(),
            application_protocols: applications.iter().map(|&protocol| protocol.to_owned()).collect(),
            ..to_port(self.number)
        };
        let name = self.number.map_or_else(|| format!("any/{name}"), |number| format!("{number}/{name}"));
        FilterChain { filter_chain_match: Some(matches), ..chain(name, vec![filter]) }
    }
}

/// `in` of a redirected pod, and the clusters of its application.
pub fn redirected(world: &World, workload: &Workload) -> Vec<Resource> {
    let mut clusters = vec![from_sidecar(original_destination(names::INBOUND_PASSTHROUGH, Speech::AsRead))];
    let mut ports = Vec::new();
    for served in &workload.served {
        let Some(ip) = workload.ips.first() else { break };
        let name = names::inbound_of(&workload.name, served.port);
        let port = Port::new(world, workload, served.port, name);
        let at = SocketAddr::new(*ip, served.port);
        clusters.push(from_sidecar(application(&port.cluster, &port.stat, at, Speech::to_application(port.protocol))));
        ports.push(port);
    }
    ports.extend(unserved(world, workload, &ports));
    let mut listener = listener(names::INBOUND, world.mesh(), &ports);
    // Not `use_original_dst`: it would hand a call of this pod's address to the outbound listener of that address.
    listener.listener_filters.insert(0, original_dst());
    // What calls the listener itself would go round in circles.
    let own = FilterChain { filter_chain_match: Some(to_port(Some(PORT))), ..chain("loop", vec![close()]) };
    listener.filter_chains.push(own);
    let mut at = wildcards(workload, PORT).into_iter();
    listener.address = at.next().and_then(address);
    listener.additional_addresses =
        at.map(|at| AdditionalAddress { address: address(at), ..Default::default() }).collect();
    finish(world, workload, listener, clusters)
}

/// `in/ADDRESS` of a workload in explicit mode, and the cluster of the application behind it.
pub fn explicit(world: &World, workload: &Workload, inbound: &InboundPort) -> Vec<Resource> {
    let name = names::inbound(inbound.listen);
    let port = Port::new(world, workload, inbound.listen.port(), name.clone());
    let speech = Speech::to_application(port.protocol);
    let cluster = application(&name, &port.stat, inbound.application, speech);
    // There is one port, so the chains need not ask for it.
    let mut listener = listener(&name, world.mesh(), &[port]);
    for matches in listener.filter_chains.iter_mut().filter_map(|chain| chain.filter_chain_match.as_mut()) {
        matches.destination_port = None;
    }
    listener.address = address(inbound.listen);
    finish(world, workload, listener, vec![cluster])
}

/// Ports that no Service forwards to: those with a mode of their own, and the rest.
fn unserved(world: &World, workload: &Workload, served: &[Port]) -> Vec<Port> {
    let policy = world.peer_policy(workload);
    let mut modes: BTreeMap<Option<u16>, PeerMode> = BTreeMap::new();
    for (number, mode) in policy.iter().flat_map(|policy| &policy.ports) {
        modes.insert(Some(*number), *mode);
    }
    modes.retain(|number, _| !served.iter().any(|port| port.number == *number) && *number != Some(PORT));
    modes.insert(None, policy.map_or(world.mesh().peer_mode, |policy| policy.mode));
    let port = |(number, mode): (Option<u16>, PeerMode)| Port {
        number,
        protocol: Protocol::Tcp,
        mode,
        cluster: names::INBOUND_PASSTHROUGH.to_owned(),
        stat: names::INBOUND_PASSTHROUGH.to_owned(),
        host: "localhost".to_owned(),
    };
    modes.into_iter().map(port).collect()
}

fn listener(name: &str, mesh: &MeshConfig, ports: &[Port]) -> Listener {
    let detects = |port: &Port| port.mode == PeerMode::Permissive && port.protocol == Protocol::Undeclared;
    let mut listener_filters = vec![tls_inspector()];
    listener_filters.extend(ports.iter().any(detects).then(http_inspector));
    let waits = ports.iter().any(Port::may_wait_for_server);
    let permissive = ports.iter().any(|port| port.mode == PeerMode::Permissive);
    Listener {
        name: name.to_owned(),
        traffic_direction: TrafficDirection::Inbound.into(),
        filter_chains: ports.iter().flat_map(|port| port.chains(mesh)).collect(),
        listener_filters,
        listener_filters_timeout: waits.then(|| duration(SILENCE)),
        // A connection made in advance may say nothing for long; it turns out to be plain text, never mesh TLS.
        continue_on_listener_filters_timeout: permissive,
        tcp_keepalive: keepalive(),
        ..Default::default()
    }
}

fn finish(world: &World, workload: &Workload, listener: Listener, clusters: Vec<Cluster>) -> Vec<Resource> {
    let policy = world.peer_policy(workload).map(|policy| policy.origin.clone());
    let refers = clusters.iter().map(|cluster| Reference { kind: Kind::Cluster, name: cluster.name.as_str().into() });
    let front = Resource::new(Kind::Listener, listener.name.as_str(), &listener)
        .referring(refers)
        .from_origins([workload.origin.clone()].into_iter().chain(policy).chain(world.mesh().origin.clone()));
    let cluster = |cluster: &Cluster| {
        Resource::new(Kind::Cluster, cluster.name.as_str(), cluster).from_origins([workload.origin.clone()])
    };
    clusters.iter().map(cluster).chain([front]).collect()
}
