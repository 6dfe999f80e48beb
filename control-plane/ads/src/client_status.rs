//! What operators see of a client: plain data, without bytes of secrets.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_model::WorkloadName;
use byrnie_proto::Kind;
use byrnie_snapshot::{Dialect, Version};
use bytes::Bytes;

use crate::{
    connection::Connection,
    session::{Blamed, Nack, Protocol, Standing},
};

/// One stream of a client.
#[derive(Clone, Debug)]
pub struct ClientStatus {
    /// The stream, unique in this process.
    pub stream: u64,
    /// `node.id`
    pub workload: WorkloadName,
    /// How it reads.
    pub dialect: Dialect,
    /// Which protocol it speaks.
    pub protocol: Protocol,
    /// What it calls itself, with its version.
    pub user_agent: Arc<str>,
    /// Where it calls from.
    pub peer: Option<SocketAddr>,
    /// How long it has been connected.
    pub connected: Duration,
    /// Each kind that it asked for.
    pub kinds: Vec<KindStatus>,
}

/// One kind on one stream.
#[derive(Clone, Debug)]
pub struct KindStatus {
    /// Which.
    pub kind: Kind,
    /// Whether everything is subscribed to.
    pub wildcard: bool,
    /// How many names are subscribed to by name.
    pub names: usize,
    /// The nonce of the last response.
    pub last_nonce: Option<String>,
    /// How many responses were sent.
    pub responses: u64,
    /// How many requests accepted one.
    pub acks: u64,
    /// How many refused one.
    pub nacks: u64,
    /// How the client stands to what the server has.
    pub sync: Sync,
    /// The last NACK.
    pub nack: Option<NackStatus>,
    /// Why the client gets none of this kind: secrets need a token.
    pub denied: Option<Arc<str>>,
}

/// How the client stands to what the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It has all, and accepted it.
    Synced,
    /// It was sent all, and did not answer yet.
    Pending {
        /// How long ago.
        since: Duration,
    },
    /// There is something that was not sent yet.
    Stale,
    /// It refused something, and nothing newer was accepted since.
    Refused,
}

/// A NACK, to be shown on the objects that caused it.
#[derive(Clone, Debug)]
pub struct NackStatus {
    /// The client's words.
    pub text: String,
    /// How long ago.
    pub ago: Duration,
    /// The resources that it names, with the objects that they come from.
    pub blamed: Vec<Blamed>,
    /// Whether the client accepted something newer in their place.
    pub cured: bool,
}

/// What one stream was sent.
#[derive(Clone, Debug)]
pub struct Dump {
    /// The stream, unique in this process.
    pub stream: u64,
    /// By kind and name.
    pub resources: Vec<DumpedResource>,
}

/// One resource that a client was sent.
#[derive(Clone, Debug)]
pub struct DumpedResource {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Version,
    /// `google.protobuf.Any.value`; `None` for a secret.
    pub body: Option<Bytes>,
}

impl ClientStatus {
    pub(crate) fn of(connection: &Connection, now: Instant) -> Self {
        let session = connection.session();
        let kind = |kind| session.standing(kind).map(|standing| KindStatus::of(kind, &standing, now));
        Self {
            stream: connection.id,
            workload: connection.client.workload.clone(),
            dialect: connection.client.dialect,
            protocol: session.protocol(),
            user_agent: connection.user_agent.clone(),
            peer: connection.peer,
            connected: now.saturating_duration_since(connection.since),
            kinds: Kind::ALL.into_iter().filter_map(kind).collect(),
        }
    }
}

impl KindStatus {
    fn of(kind: Kind, standing: &Standing<'_>, now: Instant) -> Self {
        Self {
            kind,
            wildcard: standing.wildcard,
            names: standing.names,
            last_nonce: standing.last_nonce.clone(),
            responses: standing.sent,
            acks: standing.acks,
            nacks: standing.nacks,
            sync: Sync::of(standing, now),
            nack: standing.nack.map(|nack| NackStatus::of(nack, now)),
            denied: standing.denial.cloned(),
        }
    }
}

impl Sync {
    fn of(standing: &Standing<'_>, now: Instant) -> Self {
        match standing {
            Standing { nack: Some(nack), .. } if !nack.cured => Self::Refused,
            Standing { pending_since: Some(since), .. } => {
                Self::Pending { since: now.saturating_duration_since(*since) }
            }
            Standing { has_news: true, .. } => Self::Stale,
            _ => Self::Synced,
        }
    }
}

impl NackStatus {
    pub(crate) fn of(nack: &Nack, now: Instant) -> Self {
        let ago = now.saturating_duration_since(nack.at);
        Self { text: nack.text.clone(), ago, blamed: nack.blamed.clone(), cured: nack.cured }
    }
}

impl Dump {
    pub(crate) fn of(connection: &Connection) -> Self {
        let session = connection.session();
        let mut resources = Vec::new();
        for kind in Kind::ALL {
            let from = resources.len();
            resources.extend(session.resources(kind).map(|resource| DumpedResource {
                kind,
                name: resource.name().clone(),
                version: resource.version(),
                body: (kind != Kind::Secret).then(|| resource.body().clone()),
            }));
            resources[from..].sort_by(|a, b| a.name.cmp(&b.name));
        }
        Self { stream: connection.id, resources }
    }
}
