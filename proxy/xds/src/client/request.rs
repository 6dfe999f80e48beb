//! What goes out.

use std::{collections::HashMap, sync::Arc};

use byrnie_proto::{
    Kind,
    envoy::{envoy::service::discovery::v3::DeltaDiscoveryRequest, google::rpc::Status},
};

use super::{Client, Reply, Stream, Table, WILDCARD};
use crate::held::Entry;

/// The order of a client that comes back, which is Envoy's: what is referred to comes first.
const ORDER: [Kind; 4] = [Kind::Cluster, Kind::Endpoints, Kind::Listener, Kind::Route];
/// `google.rpc.Code`
const INVALID_ARGUMENT: i32 = 3;
/// How many answers wait for a server that does not read before it is not read either.
const REPLIES_LIMIT: usize = 64;

impl Client {
    /// The next request, if there is one. To be called whenever one can be sent, until there is none. Subscriptions go
    /// before answers, so that the server knows what is needed before it hears what it may take back.
    pub fn next_request(&mut self) -> Option<DeltaDiscoveryRequest> {
        if !self.is_connected() {
            return None;
        }
        let request = ORDER.into_iter().find_map(|kind| self.table_mut(kind).subscription(kind));
        let mut request = request.or_else(|| ORDER.into_iter().find_map(|kind| self.table_mut(kind).reply(kind)))?;
        if self.stream == Stream::New {
            self.stream = Stream::Introduced;
            request.node = Some(self.node.clone());
        }
        Some(request)
    }

    /// Whether [`next_request`](Self::next_request) has something to say.
    pub fn has_request(&self) -> bool {
        self.is_connected() && self.tables.iter().any(Table::has_request)
    }

    /// Whether the server sends without reading.
    pub fn is_congested(&self) -> bool {
        self.tables.iter().any(|table| table.replies.len() >= REPLIES_LIMIT)
    }
}

impl Table {
    fn has_request(&self) -> bool {
        let first = !self.opened && (self.wildcard || self.entries.values().any(|entry| entry.named));
        first || !self.subscribe.is_empty() || !self.unsubscribe.is_empty() || !self.replies.is_empty()
    }

    fn subscription(&mut self, kind: Kind) -> Option<DeltaDiscoveryRequest> {
        if !self.opened {
            return self.first(kind);
        }
        if self.subscribe.is_empty() && self.unsubscribe.is_empty() {
            return None;
        }
        let take = |names: &mut std::collections::BTreeSet<Arc<str>>| {
            std::mem::take(names).iter().map(|name| name.to_string()).collect()
        };
        for name in &self.subscribe {
            if let Some(entry) = self.entries.get_mut(name) {
                entry.told = true;
            }
        }
        Some(DeltaDiscoveryRequest {
            resource_names_subscribe: take(&mut self.subscribe),
            resource_names_unsubscribe: take(&mut self.unsubscribe),
            ..of(kind)
        })
    }

    /// The first of its kind on a stream names everything, with the versions that are held. Without a name there is
    /// none: of clusters it would mean all (rule 11).
    fn first(&mut self, kind: Kind) -> Option<DeltaDiscoveryRequest> {
        let mut names: Vec<String> = Vec::new();
        let mut versions = HashMap::new();
        for (name, entry) in &mut self.entries {
            if entry.named {
                entry.told = true;
                names.push(name.to_string());
            }
            if let Some(version) = version(entry) {
                versions.insert(name.to_string(), version);
            }
        }
        names.sort_unstable();
        if self.wildcard {
            names.insert(0, WILDCARD.to_owned());
        }
        if names.is_empty() {
            return None;
        }
        self.opened = true;
        self.subscribe.clear();
        self.unsubscribe.clear();
        self.given_up.clear();
        self.held_back.clear();
        Some(DeltaDiscoveryRequest { resource_names_subscribe: names, initial_resource_versions: versions, ..of(kind) })
    }

    fn reply(&mut self, kind: Kind) -> Option<DeltaDiscoveryRequest> {
        let Reply { nonce, error } = self.replies.pop_front()?;
        let status = |message| Status { code: INVALID_ARGUMENT, message, details: Vec::new() };
        Some(DeltaDiscoveryRequest { response_nonce: nonce, error_detail: error.map(status), ..of(kind) })
    }
}

fn version(entry: &Entry) -> Option<String> {
    let version = entry.held.candidate()?.version.as_str();
    (!version.is_empty()).then(|| version.to_owned())
}

fn of(kind: Kind) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: kind.type_url().to_owned(), ..Default::default() }
}
