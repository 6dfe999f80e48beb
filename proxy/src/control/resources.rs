//! Resources for tests of this half.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use byrnie_balance::{FirstCheck, Limits, Policy, Reported, Retries};
use byrnie_config::{
    Chain, ChainMatch, Cluster, Direction, Discovery, DownstreamTls, Endpoint, Endpoints, Filter, Inspect, Listener,
    Protocol, Sockets, Version,
};

/// A cluster by EDS, without anything that can be left out.
pub fn cluster(name: &str) -> Cluster {
    Cluster {
        name: name.into(),
        stat: name.into(),
        discovery: Discovery::Eds(name.into()),
        connect_timeout: Duration::from_secs(1),
        protocol: Protocol::Explicit(Version::Http1),
        idle_timeout: None,
        max_requests: None,
        sockets: Sockets::default(),
        keepalive: None,
        bind: Vec::new(),
        balancer: Policy::RoundRobin,
        panic_threshold: 50,
        limits: Limits { connections: 1, pending: 1, requests: 1, retries: Retries::Number(1) },
        ejection: None,
        health_check: None,
        first_check: FirstCheck::NotNeeded,
        close_on_failure: false,
    }
}

/// Endpoints outside the mesh.
pub fn endpoints(name: &str, addresses: &[SocketAddr]) -> Arc<Endpoints> {
    let list = addresses.iter().map(|address| Endpoint {
        address: *address,
        account: None,
        weight: 1,
        zone: "".into(),
        reported: Reported::Healthy,
    });
    Arc::new(Endpoints { name: name.into(), list: list.collect() })
}

/// A listener that closes what it takes, with TLS or without.
pub fn listener(name: &str, address: SocketAddr, tls: bool) -> Listener {
    let tls = tls.then(|| Arc::new(DownstreamTls { alpn: Vec::new(), peers: Vec::new() }));
    let chain = Chain { name: "".into(), matches: ChainMatch::default(), tls, offers: None, filter: Filter::Close };
    Listener {
        name: name.into(),
        direction: Direction::Inbound,
        addresses: vec![address],
        bind: true,
        hands_over: false,
        inspect: Inspect::default(),
        chains: vec![chain],
        default: None,
        keepalive: None,
    }
}
