//! TLS of the xDS port, with a certificate from the own authority that is renewed while the process runs. Clients may show
//! one too.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use byrnie_ca::{Authority, Clock, IssueError, Leaf};
use byrnie_identity::Account;
use byrnie_runtime::shutdown::DrainWatch;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{debug, warn};

mod clients;
mod replicas;

pub use replicas::ReplicaDial;

use clients::MeshClients;

/// Handshakes at once; further connections wait in the kernel's queue.
const HANDSHAKES: usize = 256;
/// For one handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// When a certificate that could not be issued is tried again, and the pause after an accept that failed.
const RETRY: Duration = Duration::from_secs(60);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The certificate of the xDS port.
pub struct ServerCertificate {
    authority: Arc<Authority>,
    clock: Clock,
    account: Account,
    names: Vec<ServerName<'static>>,
    current: ArcSwap<CertifiedKey>,
}

/// A certificate that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The authority refused.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// A name that no certificate can hold.
    #[error("{0:?} is no name of a server: a DNS name or an IP address is accepted")]
    Name(String),
    /// TLS cannot use it.
    #[error(transparent)]
    Use(#[from] rustls::Error),
}

impl ServerCertificate {
    /// A first certificate of `account` for a server at `address` that is known by `names` too, and when to ask for the
    /// next.
    pub fn issue(
        authority: Arc<Authority>,
        clock: Clock,
        account: Account,
        address: IpAddr,
        names: &[String],
    ) -> Result<(Arc<Self>, SystemTime), CertificateError> {
        let mut all = server_names(address);
        for name in names {
            all.push(ServerName::try_from(name.clone()).map_err(|_| CertificateError::Name(name.clone()))?);
        }
        let (key, renew_at) = certified(&authority, &account, &all, clock())?;
        Ok((Arc::new(Self { authority, clock, account, names: all, current: ArcSwap::from_pointee(key) }), renew_at))
    }

    /// Renews the certificate for as long as it runs; connections that stand are not touched. The owner drops it.
    ///
    /// A new root of the authority is no reason to renew early: clients that run know the old one, and those that start
    /// know both.
    pub async fn keep(self: Arc<Self>, mut renew_at: SystemTime) {
        loop {
            // A wall clock may jump, so that no sleep is longer than the pause.
            while (self.clock)() < renew_at {
                let left = renew_at.duration_since((self.clock)()).unwrap_or_default();
                tokio::time::sleep(left.min(RETRY)).await;
            }
            match certified(&self.authority, &self.account, &self.names, (self.clock)()) {
                Ok((key, next)) => {
                    self.current.store(Arc::new(key));
                    renew_at = next;
                }
                Err(error) => {
                    warn!(%error, "the certificate of the xDS port was not renewed");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Accepts TLS connections until draining starts.
    pub fn accept(
        self: &Arc<Self>,
        listener: TcpListener,
        drain: &DrainWatch,
    ) -> Result<ReceiverStream<std::io::Result<TlsStream<TcpStream>>>, CertificateError> {
        let acceptor = TlsAcceptor::from(Arc::new(self.config()?));
        let (accepted, incoming) = mpsc::channel(HANDSHAKES);
        let watch = drain.clone();
        drop(drain.spawn(async move {
            tokio::select! {
                () = accept_all(listener, acceptor, accepted, &watch) => (),
                () = watch.draining() => (),
            }
        }));
        Ok(ReceiverStream::new(incoming))
    }

    fn config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clients = MeshClients::new(Arc::clone(&self.authority), Arc::clone(&provider))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(clients))
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A session that is resumed brings the certificate of the first handshake, which is not verified again: not its
        // time, nor whether its root is still ours.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

async fn accept_all(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    accepted: mpsc::Sender<std::io::Result<TlsStream<TcpStream>>>,
    drain: &DrainWatch,
) {
    let permits = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
        let (stream, peer) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                warn!(%error, "xDS accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // It fails only where the connection is gone, which the handshake will tell.
        let _ = stream.set_nodelay(true);
        let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
        drop(drain.spawn(async move {
            match timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                // The receiver is gone only when the server ends.
                Ok(Ok(stream)) => drop(accepted.send(Ok(stream)).await),
                Ok(Err(error)) => warn!(%peer, %error, "TLS handshake failed: is the client told to speak TLS, does it trust the root, and is its certificate, if it has one, of this mesh?"),
                Err(_) => debug!(%peer, limit = ?HANDSHAKE_LIMIT, "TLS handshake took too long"),
            }
            drop(permit);
        }));
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}

fn certified(
    authority: &Authority,
    account: &Account,
    names: &[ServerName<'static>],
    now: SystemTime,
) -> Result<(CertifiedKey, SystemTime), CertificateError> {
    let id = account.in_domain(authority.trust_domain());
    let Leaf { issued, key } = authority.server_leaf(&id, names, now)?;
    let key = aws_lc_rs::sign::any_supported_type(&PrivateKeyDer::Pkcs8(key.der().clone_key()))?;
    Ok((CertifiedKey::new(issued.chain, key), issued.renew_at))
}

/// The names under which clients reach the server: its address, this machine's name, and `localhost`.
fn server_names(address: IpAddr) -> Vec<ServerName<'static>> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.and_then(|name| ServerName::try_from(name.trim().to_owned()).ok());
    let address = (!address.is_unspecified()).then(|| ServerName::IpAddress(address.into()));
    let local = ServerName::try_from("localhost").ok();
    [address, host, local].into_iter().flatten().collect()
}

#[cfg(test)]
pub(crate) mod tests;
