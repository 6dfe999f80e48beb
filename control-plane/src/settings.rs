use std::{net::SocketAddr, path::PathBuf, time::Duration};

use byrnie_ca::StateError;
use byrnie_runtime::listen::BindError;
use byrnie_source::{Access, AccessError, OpenError};

use crate::tls::CertificateError;

/// What a control plane is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the objects are.
    pub source: SourceSettings,
    /// The directory of the CA and its keys.
    pub state: PathBuf,
    /// Where proxies connect. Plain text on loopback; anywhere else TLS, and every stream needs a token.
    pub xds_address: SocketAddr,
    /// Health, metrics and debugging.
    pub admin_address: SocketAddr,
    /// How long a certificate of a workload lasts.
    pub leaf_lifetime: Duration,
}

/// Where the desired state comes from.
#[derive(Clone, Debug)]
pub enum SourceSettings {
    /// A directory of objects.
    Directory(PathBuf),
    /// An API server.
    Kubernetes {
        /// Which, and as whom.
        access: Access,
        /// Whether join tokens of the state directory prove a workload, beside the tokens of its ServiceAccount.
        join_tokens: bool,
    },
}

/// A start that failed; nothing was served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port that cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The directory of objects.
    #[error("--config")]
    Config(#[from] OpenError),
    /// The API server, or rather what leads to it.
    #[error("--kubernetes")]
    Kubernetes(#[from] AccessError),
    /// Keys beside objects, where they would be read, copied and committed with them.
    #[error("--state {}: it must not be within --config {}, for it holds private keys", state.display(), config.display())]
    StateInConfig {
        /// `--state`
        state: PathBuf,
        /// `--config`
        config: PathBuf,
    },
    /// The state directory.
    #[error("--state")]
    State(#[from] StateError),
    /// The certificate of the xDS port.
    #[error("cannot issue the certificate of the xDS port")]
    Certificate(#[from] CertificateError),
    /// TLS of the xDS port.
    #[error("cannot serve xDS")]
    Tls(#[from] tonic::transport::Error),
    /// The operating system refused signals.
    #[error("the operating system refused")]
    Signals(#[from] std::io::Error),
}
