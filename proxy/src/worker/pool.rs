//! The endpoints of this worker and the connections that it has to them.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use byrnie_balance::{Host, Picker};
use byrnie_config::{Protocol, UpstreamTls, Version};
use foldhash::fast::RandomState;

use super::keys::{Key, Table};
use crate::config::Upstream;

/// What a connection is opened for: connections of one lane can stand in for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// What the peer selects.
    Agreed,
}

impl Lane {
    /// How a request that came by `received` goes to a cluster.
    pub fn of(protocol: Protocol, received: Version) -> Self {
        match protocol {
            Protocol::Explicit(Version::Http1) => Self::Http1,
            Protocol::Explicit(Version::Http2) => Self::Http2,
            Protocol::AsReceived if received == Version::Http2 => Self::Http2,
            Protocol::AsReceived => Self::Http1,
            Protocol::ByAlpn => Self::Agreed,
        }
    }
}

/// All of a worker.
#[derive(Default)]
pub struct Pools {
    pub clusters: HashMap<Arc<str>, Cluster, RandomState>,
    pub endpoints: Table<Endpoint>,
}

/// One cluster.
pub struct Cluster {
    pub upstream: Arc<Upstream>,
    pub picker: Picker,
    /// By the place in the list of hosts.
    places: Vec<Key>,
    /// Of an original destination.
    direct: HashMap<SocketAddr, Key, RandomState>,
}

/// One endpoint.
pub struct Endpoint {
    pub address: SocketAddr,
    pub upstream: Arc<Upstream>,
    /// None is plain text.
    pub tls: Option<Arc<UpstreamTls>>,
    /// What the process knows of it; nothing of an original destination.
    pub host: Option<Arc<Host>>,
    pub lanes: [Connections; 3],
    /// What the peer selected last.
    pub agreed: Option<Version>,
    /// Connections of all lanes.
    pub open: u32,
    /// It has left the cluster: what runs is finished.
    pub retired: bool,
}

/// The connections of a lane.
#[derive(Default)]
pub struct Connections {
    /// HTTP/1 without an exchange; the last one in is the first one out.
    pub idle: Vec<Key>,
    /// HTTP/2 that takes streams.
    pub shared: Vec<Key>,
    /// On their way.
    pub connecting: Vec<Key>,
    /// Exchanges that wait.
    pub waiting: VecDeque<Key>,
    /// All connections, whatever they do.
    pub open: u32,
}

impl Endpoint {
    pub fn lane(&mut self, lane: Lane) -> &mut Connections {
        &mut self.lanes[lane as usize]
    }

    /// Forgets a connection.
    pub fn forget(&mut self, lane: Lane, conn: Key) {
        let connections = self.lane(lane);
        connections.idle.retain(|known| *known != conn);
        connections.shared.retain(|known| *known != conn);
        connections.connecting.retain(|known| *known != conn);
    }

    fn new(
        address: SocketAddr,
        upstream: Arc<Upstream>,
        tls: Option<Arc<UpstreamTls>>,
        host: Option<Arc<Host>>,
    ) -> Self {
        let lanes = Default::default();
        Self { address, upstream, tls, host, lanes, agreed: None, open: 0, retired: false }
    }
}

impl Pools {
    /// The cluster `name` as `upstream` says it now. Endpoints that are no longer in it are given to `retire`.
    pub fn cluster(
        &mut self,
        name: &Arc<str>,
        upstream: &Arc<Upstream>,
        seed: u64,
        retired: &mut Vec<Key>,
    ) -> &mut Cluster {
        let known = self.clusters.get(name).is_some_and(|cluster| Arc::ptr_eq(&cluster.upstream, upstream));
        if !known {
            self.follow(name, upstream, seed, retired);
        }
        self.clusters.get_mut(name).expect("it was put there")
    }

    /// Takes over an update.
    #[cold]
    pub fn follow(&mut self, name: &Arc<str>, upstream: &Arc<Upstream>, seed: u64, retired: &mut Vec<Key>) {
        let before = self.clusters.remove(name);
        let same_settings =
            before.as_ref().is_some_and(|before| Arc::ptr_eq(&before.upstream.cluster, &upstream.cluster));
        let (mut places, mut direct) = (Vec::with_capacity(upstream.hosts.len()), HashMap::default());
        let mut old: HashMap<*const Host, Key, RandomState> = HashMap::default();
        let mut picker = None;
        if let Some(before) = before {
            for key in before.places {
                if let Some(host) = self.endpoints.get(key).and_then(|endpoint| endpoint.host.as_ref()) {
                    old.insert(Arc::as_ptr(host), key);
                }
            }
            if same_settings {
                (picker, direct) = (Some(before.picker), before.direct);
            } else {
                retired.extend(before.direct.into_values());
            }
        }
        for (_, peer, host) in upstream.hosts.iter() {
            let tls = upstream.cluster.sockets.of(peer.account.as_deref()).cloned();
            let kept = old.remove(&Arc::as_ptr(host)).filter(|key| {
                let endpoint = self.endpoints.get(*key);
                let stays =
                    endpoint.is_some_and(|endpoint| endpoint.tls == tls && same_shape(&endpoint.upstream, upstream));
                if !stays {
                    retired.push(*key);
                }
                stays
            });
            let key = kept.unwrap_or_else(|| {
                self.endpoints.insert_with(|_| Endpoint::new(peer.address, upstream.clone(), tls, Some(host.clone())))
            });
            if let Some(endpoint) = self.endpoints.get_mut(key) {
                endpoint.upstream = upstream.clone();
            }
            places.push(key);
        }
        retired.extend(old.into_values());
        let cluster = &upstream.cluster;
        let picker = picker.unwrap_or_else(|| Picker::new(cluster.balancer, cluster.panic_threshold, seed));
        self.clusters.insert(name.clone(), Cluster { upstream: upstream.clone(), picker, places, direct });
    }

    /// Has an endpoint forget a connection.
    pub fn forget(&mut self, endpoint: Key, lane: Lane, conn: Key) {
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.forget(lane, conn);
        }
    }

    /// The endpoint at an original destination.
    pub fn direct(&mut self, name: &Arc<str>, address: SocketAddr) -> Option<Key> {
        let cluster = self.clusters.get_mut(name)?;
        let (upstream, endpoints) = (&cluster.upstream, &mut self.endpoints);
        let key = *cluster.direct.entry(address).or_insert_with(|| {
            let tls = upstream.cluster.sockets.of(None).cloned();
            endpoints.insert_with(|_| Endpoint::new(address, upstream.clone(), tls, None))
        });
        Some(key)
    }

    /// Forgets original destinations without connections.
    pub fn sweep(&mut self) {
        for cluster in self.clusters.values_mut() {
            let endpoints = &mut self.endpoints;
            cluster.direct.retain(|_, key| {
                let used = endpoints.get(*key).is_some_and(|endpoint| {
                    endpoint.open > 0 || endpoint.lanes.iter().any(|lane| !lane.waiting.is_empty())
                });
                if !used {
                    endpoints.remove(*key);
                }
                used
            });
        }
    }
}

/// Whether connections that were made by one are as good for the other. What was counted by one set of limits is given
/// back to that one.
fn same_shape(one: &Upstream, other: &Upstream) -> bool {
    let (before, now) = (&one.cluster, &other.cluster);
    Arc::ptr_eq(&one.breakers, &other.breakers)
        && (Arc::ptr_eq(before, now) || (before.protocol == now.protocol && before.bind == now.bind))
}

impl Cluster {
    /// The endpoint at a place in the list.
    pub fn at(&self, place: usize) -> Key {
        self.places[place]
    }

    /// All endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = Key> {
        self.places.iter().chain(self.direct.values()).copied()
    }
}
