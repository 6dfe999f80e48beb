//! Configurations of rustls, by what xDS says and the identity in force.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::Hash,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use byrnie_config::{DownstreamTls, UpstreamTls};
use foldhash::fast::RandomState;
use rustls::{
    ClientConfig, ServerConfig,
    client::Resumption,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{self, Ticketer, cipher_suite, kx_group},
    },
    server::{NoServerSessionStorage, VerifierBuilderError},
    version::TLS13,
};
use rustls_pki_types::ServerName;

use super::{
    peer::{Clients, Names, Servers},
    proven::Proven,
    session::{Error, Session},
    tickets::Tickets,
};
use crate::identity::{Current, Identity};

/// Endpoints of one context whose tickets are kept, about 4 KiB each.
const ENDPOINTS: usize = 256;
/// Contexts of one generation that are kept although nothing uses them.
const CONTEXTS: usize = 512;

/// All TLS contexts of the process. What they share with the peers' memory of a session (keys of tickets, tickets) dies
/// with the identity: the first look-up after a change begins anew. Connections that stand are not touched.
pub struct Contexts {
    identity: Arc<Current>,
    provider: Arc<CryptoProvider>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    generation: u64,
    servers: Cache<DownstreamTls, ServerContext>,
    clients: Cache<UpstreamTls, ClientContext>,
}

type Cache<K, V> = HashMap<Arc<K>, Arc<V>, RandomState>;

/// A context that no connection can be made by.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// Nothing was issued yet.
    #[error("no certificate was issued to this workload yet")]
    NoIdentity,
    /// A name that TLS cannot call.
    #[error("expected a DNS name to call a server by, found {0:?}")]
    ServerName(Box<str>),
    /// What rustls does not take.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// Roots that rustls does not take.
    #[error(transparent)]
    Roots(#[from] VerifierBuilderError),
}

impl Contexts {
    /// The contexts of the identity that is in force when they are asked for.
    pub fn new(identity: Arc<Current>) -> Self {
        let provider = CryptoProvider {
            cipher_suites: vec![
                cipher_suite::TLS13_AES_128_GCM_SHA256,
                cipher_suite::TLS13_AES_256_GCM_SHA384,
                cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519],
            ..aws_lc_rs::default_provider()
        };
        Self { identity, provider: Arc::new(provider), held: Mutex::default() }
    }

    /// Who this workload is, a URI; none before the first certificate was issued.
    pub fn own_uri(&self) -> Option<Arc<str>> {
        self.identity.load().map(|identity| Arc::clone(identity.uri()))
    }

    /// The context of connections that are accepted. Looked up once per connection: a hash and a lock.
    pub fn server(&self, tls: &Arc<DownstreamTls>) -> Result<Arc<ServerContext>, ContextError> {
        self.look_up(tls, |held| &mut held.servers, |identity| ServerContext::new(tls, identity, &self.provider))
    }

    /// The context of connections to endpoints.
    pub fn client(&self, tls: &Arc<UpstreamTls>) -> Result<Arc<ClientContext>, ContextError> {
        self.look_up(tls, |held| &mut held.clients, |identity| ClientContext::new(tls, identity, &self.provider))
    }

    fn look_up<K: Eq + Hash, V>(
        &self,
        tls: &Arc<K>,
        cache: impl FnOnce(&mut Held) -> &mut Cache<K, V>,
        make: impl FnOnce(&Identity) -> Result<V, ContextError>,
    ) -> Result<Arc<V>, ContextError> {
        let identity = self.identity.load().ok_or(ContextError::NoIdentity)?;
        // Nothing here panics between two changes that belong together.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that read the identity before its change must not bring the old generation back.
        if held.generation < identity.generation() {
            *held = Held { generation: identity.generation(), ..Held::default() };
        }
        let current = held.generation == identity.generation();
        let cache = cache(&mut held);
        if let Some(context) = cache.get(tls) {
            return Ok(Arc::clone(context));
        }
        let context = Arc::new(make(&identity)?);
        if current {
            if cache.len() >= CONTEXTS {
                cache.retain(|tls, _| Arc::strong_count(tls) > 1);
            }
            cache.insert(Arc::clone(tls), Arc::clone(&context));
        }
        Ok(context)
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contexts").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// How connections are accepted.
#[derive(Debug)]
pub struct ServerContext {
    config: Arc<ServerConfig>,
    names: Arc<Names>,
}

impl ServerContext {
    fn new(tls: &DownstreamTls, identity: &Identity, provider: &Arc<CryptoProvider>) -> Result<Self, ContextError> {
        let names = Arc::new(Names::new(&tls.peers));
        let clients = Clients::new(Arc::clone(identity.trust()), Arc::clone(&names), Arc::clone(provider))?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(clients))
            .with_cert_resolver(Arc::clone(identity.own()) as _);
        config.alpn_protocols = tls.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config.ignore_client_order = true;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Keys of its own: a ticket opens only where the same names are accepted, and dies with the context.
        config.ticketer = Ticketer::new()?;
        // A connection is used for long: the next one brings its own.
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), names })
    }

    /// A connection that was accepted. `server_name` is what its hello called.
    pub fn accept(&self, server_name: Option<Box<str>>) -> Result<Session, Error> {
        Session::server(Arc::clone(&self.config), Arc::clone(&self.names), server_name)
    }

    /// The configuration that rustls takes.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

/// How endpoints are called.
#[derive(Debug)]
pub struct ClientContext {
    config: ClientConfig,
    server_name: Option<ServerName<'static>>,
    names: Arc<Names>,
    endpoints: Mutex<Endpoints>,
}

/// The same configuration for each endpoint, with its own tickets; the oldest goes first.
#[derive(Debug, Default)]
struct Endpoints {
    configs: HashMap<SocketAddr, Arc<ClientConfig>, RandomState>,
    order: VecDeque<SocketAddr>,
}

impl ClientContext {
    fn new(tls: &UpstreamTls, identity: &Identity, provider: &Arc<CryptoProvider>) -> Result<Self, ContextError> {
        let names = Arc::new(Names::new(&tls.peers));
        let servers = Servers {
            roots: Arc::clone(identity.trust()),
            names: Arc::clone(&names),
            provider: Arc::clone(provider),
            proven: Proven::default(),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(servers))
            .with_client_cert_resolver(Arc::clone(identity.own()) as _);
        config.alpn_protocols = tls.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config.resumption = Resumption::disabled();
        let server_name = match &tls.server_name {
            None => None,
            Some(name) => match ServerName::try_from(String::from(&**name)) {
                Ok(name) => Some(name),
                Err(_) => return Err(ContextError::ServerName(name.clone())),
            },
        };
        Ok(Self { config, server_name, names, endpoints: Mutex::default() })
    }

    /// A connection to `endpoint`, offering `alpn` in place of what the context says. Receive nothing to start it.
    pub fn connect(&self, endpoint: SocketAddr, alpn: Option<&[Box<[u8]>]>) -> Result<Session, Error> {
        let name = self.server_name.clone().unwrap_or_else(|| ServerName::IpAddress(endpoint.ip().into()));
        let alpn = match alpn {
            Some(alpn) => alpn.iter().map(|protocol| protocol.to_vec()).collect(),
            None => self.config.alpn_protocols.clone(),
        };
        Session::client(self.config(endpoint), Arc::clone(&self.names), name, alpn)
    }

    /// The configuration that rustls takes, with the tickets of `endpoint`.
    pub fn config(&self, endpoint: SocketAddr) -> Arc<ClientConfig> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = endpoints.configs.get(&endpoint) {
            return Arc::clone(config);
        }
        if endpoints.order.len() >= ENDPOINTS
            && let Some(oldest) = endpoints.order.pop_front()
        {
            endpoints.configs.remove(&oldest);
        }
        let mut config = self.config.clone();
        config.resumption = Resumption::store(Arc::new(Tickets::default()));
        let config = Arc::new(config);
        endpoints.configs.insert(endpoint, Arc::clone(&config));
        endpoints.order.push_back(endpoint);
        config
    }
}

#[cfg(test)]
mod tests;
