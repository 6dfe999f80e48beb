//! What tells series apart, compact: compared for each request, never formatted.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher},
};

use byrnie_config::Direction;
use foldhash::fast::RandomState;

use super::facts::{Client, Connection, Failure, Request, Upstream};

/// The highest status of gRPC.
const GRPC_MOST: u32 = 16;

/// Borrowed from a request or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    pub ends: Ends<'a>,
    pub outcome: Outcome,
}

/// Who called what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends<'a> {
    pub direction: Direction,
    /// `stat_prefix` of the filter.
    pub stat: &'a str,
    /// Empty where none was chosen.
    pub cluster: &'a str,
    /// The proven identity at the other end; empty where there is none.
    pub peer: &'a str,
    /// Whether there is another end, and whether it speaks TLS.
    pub secured: Option<bool>,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub is_grpc: bool,
    pub status: u16,
    pub grpc_status: Option<u8>,
    pub flag: &'static str,
}

/// A status that has no series of its own.
pub const OTHER_STATUS: u16 = u16::MAX;
/// A status of gRPC that has no series of its own.
pub const OTHER_GRPC_STATUS: u8 = u8::MAX;

impl<'a> Key<'a> {
    pub fn of_request(request: &Request<'a>) -> Self {
        let grpc_status = |status| if status <= GRPC_MOST { status as u8 } else { OTHER_GRPC_STATUS };
        let outcome = Outcome {
            is_grpc: request.is_grpc,
            // An endpoint may answer with any number.
            status: if matches!(request.status, 0 | 100..600) { request.status } else { OTHER_STATUS },
            grpc_status: request.grpc_status.filter(|_| request.is_grpc).map(grpc_status),
            flag: Failure::flag_of(request.failure),
        };
        Self { ends: Ends::new(&request.client, request.cluster, request.upstream.as_ref()), outcome }
    }

    /// `flag` is empty for what is counted while it is open.
    pub fn of_connection(connection: &Connection<'a>, flag: &'static str) -> Self {
        let ends = Ends::new(&connection.client, connection.cluster, connection.upstream.as_ref());
        Self { ends, outcome: Outcome { is_grpc: false, status: 0, grpc_status: None, flag } }
    }

    /// Keys of one kind are counted together where there are too many: direction, and gRPC or not, closed or not.
    pub fn kind(&self) -> usize {
        let second = self.outcome.is_grpc || (self.outcome.status == 0 && !self.outcome.flag.is_empty());
        2 * usize::from(self.ends.direction == Direction::Inbound) + usize::from(second)
    }

    fn bits(&self) -> u64 {
        let Outcome { is_grpc, status, grpc_status, .. } = self.outcome;
        let secured = match self.ends.secured {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        };
        u64::from(status)
            | u64::from(grpc_status.map_or(0, |status| u16::from(status) + 1)) << 16
            | u64::from(is_grpc) << 32
            | u64::from(self.ends.direction == Direction::Inbound) << 33
            | secured << 34
    }
}

impl<'a> Ends<'a> {
    fn new(client: &Client<'a>, cluster: Option<&'a str>, upstream: Option<&Upstream<'a>>) -> Self {
        let (peer, secured) = match client.direction {
            Direction::Inbound => (client.principal, Some(client.principal.is_some())),
            Direction::Outbound => {
                (upstream.and_then(Upstream::principal), upstream.map(|upstream| upstream.tls.is_some()))
            }
        };
        let cluster = upstream.map(|upstream| &*upstream.cluster.name).or(cluster);
        Self {
            direction: client.direction,
            stat: client.stat,
            cluster: cluster.unwrap_or_default(),
            peer: peer.unwrap_or_default(),
            secured,
        }
    }
}

/// A worker's own table.
#[derive(Debug)]
pub struct Lookup<V> {
    entries: HashMap<u64, Vec<Entry<V>>, RandomState>,
    hasher: RandomState,
    len: usize,
    /// From so many entries on it is looked for dead ones.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry<V> {
    bits: u64,
    flag: &'static str,
    stat: Box<str>,
    cluster: Box<str>,
    peer: Box<str>,
    value: V,
}

/// What is found by a key.
pub trait Found {
    /// It counts no more.
    fn is_over(&self) -> bool;
}

impl<V: Found> Lookup<V> {
    pub fn new() -> Self {
        Self { entries: HashMap::default(), hasher: RandomState::default(), len: 0, sweep_at: 64 }
    }

    /// What is alive under `key`.
    #[inline]
    pub fn find(&self, key: &Key<'_>) -> Option<&V> {
        let bits = key.bits();
        let entries = self.entries.get(&self.hash(bits, key))?;
        entries.iter().find(|entry| entry.is(bits, key)).map(|entry| &entry.value).filter(|value| !value.is_over())
    }

    /// Puts in what takes the place of what is dead.
    #[cold]
    pub fn insert(&mut self, key: &Key<'_>, value: V) {
        if self.len >= self.sweep_at {
            self.sweep();
        }
        let bits = key.bits();
        let Key { ends: Ends { stat, cluster, peer, .. }, outcome: Outcome { flag, .. } } = *key;
        let entries = self.entries.entry(self.hash(bits, key)).or_default();
        self.len -= entries.len();
        entries.retain(|entry| !entry.value.is_over());
        entries.push(Entry { bits, flag, stat: stat.into(), cluster: cluster.into(), peer: peer.into(), value });
        self.len += entries.len();
    }

    fn sweep(&mut self) {
        self.entries.retain(|_, entries| {
            entries.retain(|entry| !entry.value.is_over());
            !entries.is_empty()
        });
        self.len = self.entries.values().map(Vec::len).sum();
        self.sweep_at = (2 * self.len).max(64);
    }

    #[inline]
    fn hash(&self, bits: u64, key: &Key<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(bits);
        for text in [key.ends.cluster, key.ends.stat, key.ends.peer, key.outcome.flag] {
            hasher.write(text.as_bytes());
        }
        hasher.finish()
    }
}

impl<V> Entry<V> {
    fn is(&self, bits: u64, key: &Key<'_>) -> bool {
        self.bits == bits
            && *self.cluster == *key.ends.cluster
            && *self.stat == *key.ends.stat
            && *self.peer == *key.ends.peer
            // Flags are few and constant: mostly this is the very text.
            && (std::ptr::eq(self.flag, key.outcome.flag) || self.flag == key.outcome.flag)
    }
}
