//! TLS of the xDS port, with a certificate from the own authority that is renewed while the process runs.

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
    server::{ClientHello, ResolvesServerCert},
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
    names: Vec<ServerName<'static>>,
    current: ArcSwap<CertifiedKey>,
}

/// A certificate that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The authority refused.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// TLS cannot use it.
    #[error(transparent)]
    Use(#[from] rustls::Error),
}

impl ServerCertificate {
    /// A first certificate for a server at `address`, and when to ask for the next.
    pub fn issue(
        authority: Arc<Authority>,
        clock: Clock,
        address: IpAddr,
    ) -> Result<(Arc<Self>, SystemTime), CertificateError> {
        let names = server_names(address);
        let (key, renew_at) = certified(&authority, &names, clock())?;
        Ok((Arc::new(Self { authority, clock, names, current: ArcSwap::from_pointee(key) }), renew_at))
    }

    /// Renews the certificate for as long as it runs; connections that stand are not touched. The owner drops it.
    pub async fn keep(self: Arc<Self>, mut renew_at: SystemTime) {
        loop {
            // A wall clock may jump, so that no sleep is longer than the pause.
            while (self.clock)() < renew_at {
                let left = renew_at.duration_since((self.clock)()).unwrap_or_default();
                tokio::time::sleep(left.min(RETRY)).await;
            }
            match certified(&self.authority, &self.names, (self.clock)()) {
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
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
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
                Ok(Err(error)) => warn!(%peer, %error, "TLS handshake failed: is the client told to speak TLS, and does it trust the root?"),
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
    names: &[ServerName<'static>],
    now: SystemTime,
) -> Result<(CertifiedKey, SystemTime), CertificateError> {
    let id = Account::new("byrnie-system", "byrnie-control-plane").in_domain(authority.trust_domain());
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
mod tests {
    use byrnie_ca::Keys;
    use byrnie_identity::TrustDomain;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_certificate_is_renewed_while_the_process_runs() {
        let start = SystemTime::now();
        let keys = Keys::make(&TrustDomain::default(), start).unwrap();
        let (began, authority) = (tokio::time::Instant::now(), Arc::new(Authority::new(keys)));
        let clock: Clock = Arc::new(move || start + began.elapsed());
        let (certificate, renew_at) = ServerCertificate::issue(authority, clock, [192, 0, 2, 1].into()).unwrap();
        let first = certificate.current.load_full();
        let keeper = tokio::spawn(Arc::clone(&certificate).keep(renew_at));
        tokio::time::sleep(Duration::from_secs(12 * 3600)).await;
        assert!(Arc::ptr_eq(&first, &certificate.current.load()), "renewed before two thirds of a day");
        tokio::time::sleep(Duration::from_secs(6 * 3600)).await;
        assert!(!Arc::ptr_eq(&first, &certificate.current.load()), "not renewed after 18 h");
        keeper.abort();
    }
}
