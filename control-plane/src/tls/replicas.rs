//! Calls from one replica of the control plane to another: TLS on both sides, as the control plane itself.

use std::{io, net::SocketAddr, sync::Arc};

use byrnie_ca::{Authority, Clock, IssueError, Leaf};
use byrnie_identity::{Account, CertificateError as PeerError, SpiffeId, peer_identity};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    async_trait,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use crate::fleet::{Dial, DialError, tuned};

/// Dials replicas.
pub struct ReplicaDial {
    authority: Arc<Authority>,
    clock: Clock,
    /// The account of the control plane, which both sides prove.
    account: Account,
    /// A name that only certificates of the control plane hold.
    name: ServerName<'static>,
}

/// A replica that is none, or that cannot be called.
#[derive(Debug, thiserror::Error)]
enum ReplicaError {
    /// No certificate of our own.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// TLS cannot use it.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// It proves nothing that can be read.
    #[error("what answers shows no certificate of a replica: {0}")]
    Unreadable(#[from] PeerError),
    /// It shows no certificate at all.
    #[error("what answers shows no certificate")]
    Silent,
    /// It proves to be something else.
    #[error("what answers is {found}, not {wanted}")]
    Another {
        /// As its certificate says.
        found: SpiffeId,
        /// The control plane's.
        wanted: SpiffeId,
    },
}

impl ReplicaDial {
    /// Dials as `account`, replicas that are called `name`.
    pub fn new(authority: Arc<Authority>, clock: Clock, account: Account, name: ServerName<'static>) -> Self {
        Self { authority, clock, account, name }
    }

    /// With a new certificate for each connection, and the roots of this moment.
    fn config(&self) -> Result<ClientConfig, ReplicaError> {
        let Leaf { issued, key } = self.authority.leaf(&self.id(), (self.clock)())?;
        let mut roots = RootCertStore::empty();
        for root in self.authority.roots().roots() {
            roots.add(root.clone())?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(issued.chain, PrivateKeyDer::Pkcs8(key.der().clone_key()))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    fn id(&self) -> SpiffeId {
        self.account.in_domain(self.authority.trust_domain())
    }
}

#[async_trait]
impl Dial for ReplicaDial {
    async fn dial(&self, peer: SocketAddr) -> Result<Channel, DialError> {
        let connector = TlsConnector::from(Arc::new(self.config()?));
        let (name, wanted) = (self.name.clone(), self.id());
        let connect = service_fn(move |_| {
            let (connector, name, wanted) = (connector.clone(), name.clone(), wanted.clone());
            async move {
                let stream = TcpStream::connect(peer).await?;
                stream.set_nodelay(true)?;
                let stream = connector.connect(name, stream).await?;
                check(&stream, &wanted).map_err(io::Error::other)?;
                io::Result::Ok(TokioIo::new(stream))
            }
        });
        // The connector speaks TLS; to tonic it is a connection like any other.
        let endpoint = tuned(Endpoint::from_static("http://byrnie-control-plane"));
        Ok(endpoint.connect_with_connector(connect).await?)
    }
}

fn check(stream: &TlsStream<TcpStream>, wanted: &SpiffeId) -> Result<(), ReplicaError> {
    let (_, connection) = stream.get_ref();
    let leaf = connection.peer_certificates().and_then(|chain| chain.first()).ok_or(ReplicaError::Silent)?;
    match peer_identity(leaf)? {
        found if found == *wanted => Ok(()),
        found => Err(ReplicaError::Another { found, wanted: wanted.clone() }),
    }
}
