use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Instant,
};

use anyhow::{Context, Result};
use byrnie_proto::{
    Kind,
    envoy::envoy::{
        config::{
            cluster::v3::Cluster,
            core::v3::Node,
            listener::v3::{Listener, filter::ConfigType},
        },
        extensions::filters::network::http_connection_manager::v3::{
            HttpConnectionManager, http_connection_manager::RouteSpecifier,
        },
        service::discovery::v3::DeltaDiscoveryRequest,
    },
};
use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc;
use tonic::{Streaming, client::Grpc, codegen::http::uri::PathAndQuery, transport::Endpoint};
use tonic_prost::ProstCodec;

/// `DeltaDiscoveryResponse` as far as the benchmark reads it; bodies stay shared bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    #[prost(message, repeated, tag = "2")]
    resources: Vec<Entry>,
    #[prost(string, tag = "4")]
    type_url: String,
    #[prost(string, tag = "5")]
    nonce: String,
    #[prost(string, repeated, tag = "6")]
    removed: Vec<String>,
}

/// One entry of it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "1")]
    version: String,
    #[prost(message, optional, tag = "2")]
    packed: Option<Packed>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Packed {
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// What a client tells the fleet.
#[derive(Debug)]
pub enum Event {
    /// It holds all that it asked for, and read this many bytes on the way.
    Converged { bytes: u64 },
    /// It received a resource of EDS by this name.
    Endpoints { name: Arc<str>, at: Instant, bytes: u64 },
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub enum Wish {
    /// As Envoy: all clusters and listeners, then what they name. So many services are there.
    Everything { services: usize },
    /// These names.
    Names(HashMap<Kind, Vec<String>>),
}

/// Names that a resource refers to, read once for the whole fleet.
pub type References = Arc<Mutex<HashMap<(Kind, String), Option<String>>>>;

/// One client: what it holds survives a reconnect.
pub struct Client {
    node: String,
    wish: Wish,
    references: References,
    held: HashMap<Kind, HashMap<String, String>>,
    subscribed: HashMap<Kind, HashSet<String>>,
    converged: bool,
    bytes: u64,
}

impl Client {
    pub fn new(node: String, wish: Wish, references: References) -> Self {
        Self { node, wish, references, held: HashMap::new(), subscribed: HashMap::new(), converged: false, bytes: 0 }
    }

    /// Connects and follows the stream until it ends or `stop` is told; gives itself back for the next connection.
    pub async fn follow(
        mut self,
        target: String,
        events: mpsc::UnboundedSender<Event>,
        mut stop: tokio::sync::watch::Receiver<bool>,
    ) -> Result<Self> {
        let channel = Endpoint::from_shared(target)?
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .connect()
            .await?;
        let (requests, receiver) = mpsc::channel(64);
        for request in self.first_requests() {
            requests.send(request).await.ok().context("stream closed")?;
        }
        let mut grpc = Grpc::new(channel).max_decoding_message_size(usize::MAX);
        grpc.ready().await?;
        let path = PathAndQuery::from_static(
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
        );
        let outgoing = tonic::Request::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
        let codec = ProstCodec::<DeltaDiscoveryRequest, Response>::default();
        let mut incoming: Streaming<Response> = grpc.streaming(outgoing, path, codec).await?.into_inner();
        loop {
            tokio::select! {
                _ = stop.changed() => return Ok(self),
                response = incoming.message() => {
                    let response = response?.context("the server ended the stream")?;
                    for request in self.receive(response, &events) {
                        requests.send(request).await.ok().context("stream closed")?;
                    }
                }
            }
        }
    }

    fn first_requests(&mut self) -> Vec<DeltaDiscoveryRequest> {
        let node = Node { id: self.node.clone(), user_agent_name: "envoy".to_owned(), ..Node::default() };
        let kinds: Vec<Kind> = match &self.wish {
            Wish::Everything { .. } if self.held.is_empty() => vec![Kind::Cluster, Kind::Listener],
            _ => vec![Kind::Cluster, Kind::Endpoints, Kind::Listener, Kind::Route],
        };
        if let Wish::Names(names) = &self.wish {
            self.subscribed = names.iter().map(|(kind, names)| (*kind, names.iter().cloned().collect())).collect();
        }
        let request = |kind: Kind| DeltaDiscoveryRequest {
            node: Some(node.clone()),
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: self.subscribed.get(&kind).into_iter().flatten().cloned().collect(),
            initial_resource_versions: self.held.get(&kind).cloned().unwrap_or_default(),
            ..DeltaDiscoveryRequest::default()
        };
        kinds.into_iter().map(request).collect()
    }

    fn receive(&mut self, response: Response, events: &mpsc::UnboundedSender<Event>) -> Vec<DeltaDiscoveryRequest> {
        let at = Instant::now();
        let bytes = response.encoded_len() as u64;
        self.bytes += bytes;
        let Ok(kind) = response.type_url.parse::<Kind>() else { return Vec::new() };
        let mut requests = vec![DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            ..DeltaDiscoveryRequest::default()
        }];
        let held = self.held.entry(kind).or_default();
        for name in &response.removed {
            held.remove(name);
        }
        let mut wanted = Vec::new();
        for entry in response.resources {
            if kind == Kind::Endpoints && self.converged {
                // The fleet ends only after its clients: the receiver is there.
                let _ = events.send(Event::Endpoints { name: entry.name.as_str().into(), at, bytes });
            }
            wanted.extend(reference(&self.references, kind, &entry));
            held.insert(entry.name, entry.version);
        }
        requests.extend(self.want(kind, wanted));
        if !self.converged && self.is_content() {
            self.converged = true;
            let _ = events.send(Event::Converged { bytes: self.bytes });
        }
        requests
    }

    /// Subscribes to what the resources of `kind` named, as Envoy does.
    fn want(&mut self, kind: Kind, names: Vec<String>) -> Option<DeltaDiscoveryRequest> {
        let dependent = match (&self.wish, kind) {
            (Wish::Everything { .. }, Kind::Cluster) => Kind::Endpoints,
            (Wish::Everything { .. }, Kind::Listener) => Kind::Route,
            _ => return None,
        };
        let subscribed = self.subscribed.entry(dependent).or_default();
        let fresh: Vec<_> = names.into_iter().filter(|name| subscribed.insert(name.clone())).collect();
        (!fresh.is_empty()).then(|| DeltaDiscoveryRequest {
            type_url: dependent.type_url().to_owned(),
            resource_names_subscribe: fresh,
            ..DeltaDiscoveryRequest::default()
        })
    }

    fn is_content(&self) -> bool {
        let held = |kind| self.held.get(&kind).map_or(0, HashMap::len);
        let asked = |kind| self.subscribed.get(&kind).map_or(0, HashSet::len);
        let answered = |kind| held(kind) >= asked(kind);
        match &self.wish {
            Wish::Everything { services } => {
                let all = [Kind::Cluster, Kind::Listener].into_iter().all(|kind| held(kind) >= *services);
                all && asked(Kind::Endpoints) >= *services
                    && asked(Kind::Route) >= *services
                    && answered(Kind::Endpoints)
                    && answered(Kind::Route)
            }
            Wish::Names(names) => names.keys().all(|kind| answered(*kind)),
        }
    }
}

/// What the resource makes a client ask for: EDS of a cluster, RDS of a listener.
fn reference(known: &References, kind: Kind, entry: &Entry) -> Option<String> {
    if !matches!(kind, Kind::Cluster | Kind::Listener) {
        return None;
    }
    let key = (kind, entry.name.clone());
    if let Some(found) = known.lock().expect("no holder panics").get(&key) {
        return found.clone();
    }
    let body = &entry.packed.as_ref()?.value;
    let found = if kind == Kind::Cluster { eds_name(body) } else { rds_name(body) };
    known.lock().expect("no holder panics").insert(key, found.clone());
    found
}

fn eds_name(body: &[u8]) -> Option<String> {
    let cluster = Cluster::decode(body).ok()?;
    let eds = cluster.eds_cluster_config?;
    Some(if eds.service_name.is_empty() { cluster.name } else { eds.service_name })
}

fn rds_name(body: &[u8]) -> Option<String> {
    let listener = Listener::decode(body).ok()?;
    let filters = listener.filter_chains.iter().chain(&listener.default_filter_chain).flat_map(|chain| &chain.filters);
    let mut managers = filters.filter_map(|filter| match &filter.config_type {
        Some(ConfigType::TypedConfig(config)) => HttpConnectionManager::decode(&*config.value).ok(),
        _ => None,
    });
    managers.find_map(|manager| match manager.route_specifier {
        Some(RouteSpecifier::Rds(rds)) => Some(rds.route_config_name),
        _ => None,
    })
}
