//! The other end of a client, by hand, in short texts: `CDS +a -b`, `LDS ack 1`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_proto::{
    Kind,
    envoy::envoy::{config::core::v3::Node, service::discovery::v3::DeltaDiscoveryResponse},
};

use crate::{
    client::{Client, Listeners, Received},
    testing::{self, To, text},
};

pub struct Peer {
    pub client: Client,
    pub now: Instant,
    pub nonce: u32,
}

impl Peer {
    pub fn new(listeners: &Listeners) -> Self {
        let node = Node { id: "shop/cart-1".to_owned(), ..Node::default() };
        let mut peer = Self { client: Client::new(node, listeners, true), now: Instant::now(), nonce: 0 };
        peer.client.on_connected(peer.now);
        peer
    }

    /// With everything that `*` brings.
    pub fn all() -> Self {
        Self::new(&Listeners::All)
    }

    /// The client that has asked for everything and heard nothing.
    pub fn asked() -> Self {
        let mut peer = Self::all();
        assert_eq!(peer.requests(), ["LDS node +*"]);
        peer
    }

    pub fn reconnect(&mut self) {
        self.client.on_disconnected();
        self.client.on_connected(self.now);
    }

    /// All that goes out now.
    pub fn requests(&mut self) -> Vec<String> {
        let all: Vec<_> = std::iter::from_fn(|| self.client.next_request()).map(|request| text(&request)).collect();
        assert!(!self.client.has_request());
        all
    }

    /// A response with good resources: name, version, references.
    pub fn good(&mut self, kind: Kind, resources: &[(&str, &str, To<'_>)]) -> Received {
        let resource = |(name, version, to): &(&str, &str, To<'_>)| {
            testing::resource(kind, name, version, testing::body(kind, name, to))
        };
        self.respond(DeltaDiscoveryResponse {
            type_url: kind.type_url().to_owned(),
            resources: resources.iter().map(resource).collect(),
            ..Default::default()
        })
    }

    pub fn removed(&mut self, kind: Kind, names: &[&str]) -> Received {
        self.respond(DeltaDiscoveryResponse {
            type_url: kind.type_url().to_owned(),
            removed_resources: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        })
    }

    /// Gives the response a nonce of its own, `1` and up.
    pub fn respond(&mut self, response: DeltaDiscoveryResponse) -> Received {
        self.nonce += 1;
        let response = DeltaDiscoveryResponse { nonce: self.nonce.to_string(), ..response };
        self.client.on_response(response, self.now)
    }

    pub fn want(&mut self, names: &[&str]) {
        self.client.on_demand(&owned(names), &[], self.now);
    }

    pub fn unwant(&mut self, names: &[&str]) {
        self.client.on_demand(&[], &owned(names), self.now);
    }

    pub fn wait(&mut self, time: Duration) {
        self.now += time;
        self.client.on_time(self.now);
    }

    /// What serves, as `CDS a@1`, in the order of kinds and names.
    pub fn serving(&self) -> Vec<String> {
        let resources = self.client.resources();
        let mut all = Vec::new();
        for kind in Kind::ALL {
            let mut of_kind: Vec<_> =
                resources.versions(kind).map(|(name, version)| format!("{kind} {name}@{version}")).collect();
            of_kind.sort_unstable();
            all.extend(of_kind);
        }
        let counts =
            [resources.clusters.len(), resources.endpoints.len(), resources.listeners.len(), resources.routes.len()];
        assert_eq!(counts.iter().sum::<usize>(), all.len());
        all
    }
}

pub fn owned(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}
